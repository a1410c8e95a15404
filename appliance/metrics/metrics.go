package metrics

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
)

// namespace begins all names.
const namespace = "pillarbox"

// Config says what is to be told beside what happens.
type Config struct {
	Version string // of the program
	// Look returns what is there at the moment; nil tells nothing of it. It is
	// called whenever somebody looks.
	Look func() Present
}

// Present is what is there at the moment.
type Present struct {
	Connections    int            // with an open TLS port
	Sessions       int            // of IMAP that are logged in or about to
	Accounts       int            //
	Bans           int            // that hold
	Conditions     map[string]int // of the box's health, by severity
	Certificates   map[string]time.Time
	SettingsTrial  bool  // a change waits to be confirmed
	DiskFree       int64 // octets; -1 where that is not known
	DiskSize       int64
	AuditUnwritten bool // the record lacks something
	Firewall       map[string]Traffic
}

// Traffic is what a rule of the firewall has seen.
type Traffic struct{ Packets, Octets uint64 }

// Metrics counts. Its methods may be called from several goroutines, and on nil,
// which counts nothing.
type Metrics struct {
	registry *prometheus.Registry

	handshakes *prometheus.CounterVec
	failures   *prometheus.CounterVec
	refused    *prometheus.CounterVec
	signIns    *prometheus.CounterVec
	bans       *prometheus.CounterVec
	messages   *prometheus.CounterVec
	octets     prometheus.Counter
	delivery   prometheus.Histogram
	commands   *prometheus.HistogramVec
}

// New returns a Metrics.
func New(c *Config) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry:   prometheus.NewRegistry(),
		handshakes: counter("tls_handshakes_total", "TLS handshakes that were done.", "port", "version", "resumed"),
		failures:   counter("tls_handshake_failures_total", "TLS handshakes that failed, by cause.", "port", "cause"),
		refused:    counter("connections_refused_total", "Connections that were closed before the handshake, by cause.", "cause"),
		signIns:    counter("sign_ins_total", "Tries to sign in, by mechanism and result.", "port", "mechanism", "result"),
		bans:       counter("bans_made_total", "Bans that the box has made, by reason.", "reason"),
		messages:   counter("messages_delivered_total", "Messages handed in for recipients, by what became of them.", "result"),
		octets: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "delivered_bytes_total", Help: "Octets of messages that were delivered.",
		}),
		delivery: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "delivery_seconds", Help: "How long a delivery took, until it was on the disk.", Buckets: buckets,
		}),
		commands: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "imap_command_seconds", Help: "How long IMAP commands took, until the answer was made.", Buckets: buckets,
		}, []string{"command"}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "The version that runs; always 1.", ConstLabels: prometheus.Labels{"version": c.Version},
	})
	info.Set(1)
	m.registry.MustRegister(
		m.handshakes, m.failures, m.refused, m.signIns, m.bans, m.messages, m.octets, m.delivery, m.commands, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	if c.Look != nil {
		m.registry.MustRegister(&looker{c.Look})
	}

	return m
}

// buckets reach from an answer out of memory to a search of a large mailbox.
var buckets = []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5, 30}

// Handshake counts one that was done.
func (m *Metrics) Handshake(port, version string, resumed bool) {
	if m != nil {
		m.handshakes.WithLabelValues(port, version, yesNo(resumed)).Inc()
	}
}

// HandshakeFailed counts one that failed. The cause is in words, of which the
// first clause counts.
func (m *Metrics) HandshakeFailed(port, cause string) {
	if m != nil {
		m.failures.WithLabelValues(port, clause(cause)).Inc()
	}
}

// Refused counts a connection that was closed at once.
func (m *Metrics) Refused(cause string) {
	if m != nil {
		m.refused.WithLabelValues(clause(cause)).Inc()
	}
}

// SignIn counts a try to sign in.
func (m *Metrics) SignIn(port, mechanism string, ok bool) {
	if m == nil {
		return
	}
	result := "refused"
	if ok {
		result = "ok"
	}
	m.signIns.WithLabelValues(port, mechanism, result).Inc()
}

// Banned counts a ban that the box has made.
func (m *Metrics) Banned(reason string) {
	if m != nil {
		m.bans.WithLabelValues(clause(reason)).Inc()
	}
}

// Delivered counts a message for some recipients, of so many octets.
func (m *Metrics) Delivered(ok, failed int, octets int64, took time.Duration) {
	if m == nil {
		return
	}
	m.messages.WithLabelValues("ok").Add(float64(ok))
	m.messages.WithLabelValues("failed").Add(float64(failed))
	if ok > 0 {
		m.octets.Add(float64(octets))
		m.delivery.Observe(took.Seconds())
	}
}

// Command counts an IMAP command, one of those that there are.
func (m *Metrics) Command(name string, took time.Duration) {
	if m != nil {
		m.commands.WithLabelValues(name).Observe(took.Seconds())
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}

	return "no"
}

// clause is the beginning of a sentence: what follows may be of many kinds.
func clause(s string) string {
	if i := strings.IndexAny(s, ":;("); i >= 0 {
		s = s[:i]
	}

	return strings.TrimSpace(s)
}

// Write writes the page.
func (m *Metrics) Write(w io.Writer) error {
	all, err := m.registry.Gather()
	if err != nil {
		return fmt.Errorf("gather metrics: %w", err)
	}
	for _, family := range all {
		if _, err := expfmt.MetricFamilyToText(w, family); err != nil {
			return fmt.Errorf("write metrics: %w", err)
		}
	}

	return nil
}

// handler serves the page. It returns when nobody looks any more: by a time limit
// of package promhttp a look would go on behind it.
func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2})
}

// Gatherer returns what is gathered, for tests.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }
