package control

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/doctor"
	"pillarbox/appliance/health"
	"pillarbox/storage"
)

// ExamineRequest asks for an examination. Without a host it is of the box
// itself.
type ExamineRequest struct {
	doctor.Request

	// Storage has the stored mail of the box read, too.
	Storage bool `json:"storage,omitempty"`
}

// serviceOf is what the listeners of the box speak.
func serviceOf(listener string) doctor.Service {
	switch {
	case strings.HasPrefix(listener, "imaps"):
		return doctor.IMAPS
	case strings.HasPrefix(listener, "lmtp"):
		return doctor.LMTP
	}

	return ""
}

func (h *Handler) examine(w http.ResponseWriter, r *http.Request) error {
	var ask ExamineRequest
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	// Before anybody hears from the box.
	if h.describe != nil {
		target := "this box"
		if ask.Host != "" {
			target = ask.Host
			if ask.Port != 0 {
				target = net.JoinHostPort(ask.Host, strconv.Itoa(int(ask.Port)))
			}
		}
		e := audit.Event{Kind: audit.DoctorAsked, Actor: Actor(r.Context()), More: map[string]string{"target": target, "name": ask.User}}
		if err := h.audit.Record(r.Context(), e); err != nil {
			return fmt.Errorf("record that the doctor was asked: %w", err)
		}
	}
	var report *doctor.Report
	var err error
	d := doctor.New(&doctor.Config{})
	if ask.Host != "" {
		report, err = d.Examine(r.Context(), &ask.Request)
	} else {
		report, err = d.ExamineBox(r.Context(), &ask.Request, h.box(r.Context(), &ask))
	}
	if err != nil {
		return &Error{Code: CodeRequest, Message: err.Error(), status: http.StatusBadRequest}
	}

	return writeJSON(w, http.StatusOK, report)
}

// box tells the doctor of this box.
func (h *Handler) box(ctx context.Context, ask *ExamineRequest) *doctor.Box {
	b := &doctor.Box{Dir: h.dir, Running: h.describe != nil, Roots: h.roots(ctx)}
	s := h.status
	if b.Running {
		h.describe(&s)
		b.PID, b.Name = os.Getpid(), s.Hostname
	} else {
		s.Listeners = []Listener{{"imaps", "0.0.0.0:993"}, {"imaps-legacy", "0.0.0.0:990"}}
	}
	for _, l := range s.Listeners {
		b.Listeners = append(b.Listeners, doctor.Listener{Name: l.Name, Address: l.Address, Service: serviceOf(l.Name)})
	}
	severity := map[health.Severity]doctor.Severity{health.High: doctor.Broken, health.Medium: doctor.Warning, health.Low: doctor.Note}
	for _, c := range s.Health {
		b.Conditions = append(b.Conditions, doctor.Condition{Name: c.Name, Title: c.Title, Text: c.Text, Severity: severity[c.Severity]})
	}
	if h.firewall != nil {
		b.Firewall = func(ctx context.Context, source netip.Addr, port uint16) (doctor.Verdict, error) {
			d, err := h.firewall.Explain(ctx, source, port)
			return doctor.Verdict{Accepted: d.Accepted, Rule: d.Rule, Why: d.Why}, err
		}
	}
	if ask.Storage {
		b.Stored = h.readAll
	}
	if m, err := h.manager(); err == nil && len(ask.TimeServers) == 0 {
		ask.TimeServers = m.Current().Document.Network.NTP
	}

	return b
}

// roots are the public CAs and the box's own.
func (h *Handler) roots(ctx context.Context) *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if h.certs == nil || h.describe == nil { // no certificates are made for an examination
		return pool
	}
	if m, err := h.certs(ctx); err == nil {
		pool.AppendCertsFromPEM(m.Root())
	}

	return pool
}

// readAll reads all stored mail.
func (h *Handler) readAll(ctx context.Context) (int, error) {
	report, err := h.store.Check(ctx, storage.CheckOptions{
		Bodies: true, Found: func(storage.Problem) {}, Progress: func(int64, int64) {},
	})
	if err == nil {
		err = h.checkDirectory(ctx, &report, func(storage.Problem) {}, nil)
	}

	return report.Problems, err
}

// Examine has a server examined, or without a host the box itself.
func (c *Client) Examine(ctx context.Context, r *ExamineRequest) (*doctor.Report, error) {
	var report doctor.Report

	return &report, c.call(ctx, http.MethodPost, "/v1/doctor", r, &report)
}
