package metrics_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"pillarbox/appliance/metrics"
)

// full has something of everything.
func full() *metrics.Metrics {
	m := metrics.New(&metrics.Config{Version: "1", Look: func() metrics.Present {
		return metrics.Present{
			Connections: 3, Sessions: 2, Accounts: 7, Bans: 1, Conditions: map[string]int{"high": 1}, DiskFree: 10, DiskSize: 20,
			Certificates: map[string]time.Time{
				"mail.office.example": time.Unix(1800000000, 0), "for.ever.example": time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
			}, SettingsTrial: true,
			Firewall: map[string]metrics.Traffic{"imaps/accepted": {Packets: 5, Octets: 300}},
		}
	}})
	m.Handshake("imaps", "TLS 1.3", true)
	m.HandshakeFailed("imaps", "the client does not trust our CA: install its certificate")
	m.HandshakeFailed("imaps", "the client does not trust our CA; or so")
	m.Refused("the address is banned")
	m.SignIn("imaps", "PLAIN", true)
	m.SignIn("imaps", "PLAIN", false)
	m.Banned("too many (10) wrong passwords")
	m.Delivered(2, 1, 1000, time.Millisecond)
	m.Command("UID FETCH", time.Second)
	return m
}

func TestThePageIsWhatPrometheusReads(t *testing.T) {
	m := full()
	problems, err := testutil.GatherAndLint(m.Gatherer())
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	var page bytes.Buffer
	if err := m.Write(&page); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	if _, err := parser.TextToMetricFamilies(strings.NewReader(page.String())); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		`pillarbox_tls_handshakes_total{port="imaps",resumed="yes",version="TLS 1.3"} 1`,
		`pillarbox_tls_handshake_failures_total{cause="the client does not trust our CA",port="imaps"} 2`,
		`pillarbox_connections_refused_total{cause="the address is banned"} 1`,
		`pillarbox_sign_ins_total{mechanism="PLAIN",port="imaps",result="refused"} 1`,
		`pillarbox_bans_made_total{reason="too many"} 1`,
		`pillarbox_messages_delivered_total{result="ok"} 2`,
		`pillarbox_messages_delivered_total{result="failed"} 1`,
		`pillarbox_delivered_bytes_total 1000`,
		`pillarbox_imap_command_seconds_count{command="UID FETCH"} 1`,
		`pillarbox_certificate_expiry_timestamp_seconds{name="mail.office.example"} 1.8e+09`,
		`pillarbox_certificate_expiry_timestamp_seconds{name="for.ever.example"} 2.53402300799e+11`,
		`pillarbox_firewall_bytes_total{rule="imaps/accepted"} 300`,
		`pillarbox_health_conditions{severity="high"} 1`,
		`pillarbox_settings_trial 1`, `pillarbox_accounts 7`, `pillarbox_disk_free_bytes 10`, `pillarbox_build_info{version="1"} 1`,
		"go_goroutines", "process_resident_memory_bytes",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("there is no %s", want)
		}
	}
}

// TestNothingIsCounted on nil.
func TestNothingIsCounted(*testing.T) {
	var m *metrics.Metrics
	m.Handshake("", "", false)
	m.HandshakeFailed("", "")
	m.Refused("")
	m.SignIn("", "", true)
	m.Banned("")
	m.Delivered(0, 0, 0, 0)
	m.Command("", 0)
}

func BenchmarkCommand(b *testing.B) {
	m := full()
	for b.Loop() {
		m.Command("UID FETCH", time.Millisecond)
	}
}
