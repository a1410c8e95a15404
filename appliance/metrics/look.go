package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// looker tells what is there.
type looker struct{ look func() Present }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

var (
	descConnections = describe("connections", "Open connections with TLS ports.")
	descSessions    = describe("imap_sessions", "Open IMAP sessions.")
	descAccounts    = describe("accounts", "Accounts that there are.")
	descBans        = describe("bans", "Bans that hold.")
	descConditions  = describe("health_conditions", "What is wrong with the box, by severity.", "severity")
	descExpiry      = describe("certificate_expiry_timestamp_seconds", "When a certificate that is presented expires.", "name")
	descTrial       = describe("settings_trial", "Whether a change of the settings waits to be confirmed.")
	descFree        = describe("disk_free_bytes", "Room on the disk that holds the mail.")
	descSize        = describe("disk_size_bytes", "The size of that disk.")
	descAudit       = describe("audit_unwritten", "Whether the record of who did what lacks something.")
	descPackets     = describe("firewall_packets_total", "Packets that a rule of the firewall has seen.", "rule")
	descOctets      = describe("firewall_bytes_total", "Octets that a rule of the firewall has seen.", "rule")
)

// Describe implements prometheus.Collector.
func (l *looker) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descConnections, descSessions, descAccounts, descBans, descConditions, descExpiry, descTrial, descFree, descSize, descAudit,
		descPackets, descOctets,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (l *looker) Collect(ch chan<- prometheus.Metric) {
	p := l.look()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(descConnections, float64(p.Connections))
	gauge(descSessions, float64(p.Sessions))
	gauge(descAccounts, float64(p.Accounts))
	gauge(descBans, float64(p.Bans))
	gauge(descTrial, number(p.SettingsTrial))
	gauge(descAudit, number(p.AuditUnwritten))
	for severity, n := range p.Conditions {
		gauge(descConditions, float64(n), severity)
	}
	for name, at := range p.Certificates {
		gauge(descExpiry, float64(at.Unix()), name) // 9999 may be its year (RFC 5280, section 4.1.2.5), too far for nanoseconds
	}
	if p.DiskFree >= 0 {
		gauge(descFree, float64(p.DiskFree))
		gauge(descSize, float64(p.DiskSize))
	}
	for rule, t := range p.Firewall {
		ch <- prometheus.MustNewConstMetric(descPackets, prometheus.CounterValue, float64(t.Packets), rule)
		ch <- prometheus.MustNewConstMetric(descOctets, prometheus.CounterValue, float64(t.Octets), rule)
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}

	return 0
}
