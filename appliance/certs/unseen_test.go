package certs_test

import (
	"crypto/x509"
	"testing"

	"pillarbox/appliance/certs"
)

// TestACAThatNobodyHasFitsTheFirstMailDomain: a fresh box makes one before there
// is any. One that somebody may trust stays.
func TestACAThatNobodyHasFitsTheFirstMailDomain(t *testing.T) {
	for name, tt := range map[string]struct {
		meanwhile func(m *certs.Manager)
		restart   bool
		fits      bool
	}{
		"nobody has it":             {func(*certs.Manager) {}, false, true},
		"after a restart":           {func(*certs.Manager) {}, true, true},
		"it was given out":          {func(m *certs.Manager) { m.Root() }, false, false},
		"in a profile":              {func(m *certs.Manager) { m.Profile() }, false, false},
		"in somebody's profile":     {func(m *certs.Manager) { m.RootPayload() }, false, false},
		"somebody signed in":        {func(m *certs.Manager) { m.Seen() }, false, false},
		"and the box was restarted": {func(m *certs.Manager) { m.Seen() }, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			b.setNames("box", "box.local", "localhost")
			var domains []string
			open := func() *certs.Manager {
				c := b.config()
				c.Domains = func() []string { return domains }
				m, err := certs.Open(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				return m
			}
			m := open()
			before := b.read(t, "ca.crt")
			if err := m.Fit(t.Context()); err != nil || b.read(t, "ca.crt") != before {
				t.Fatalf("without a domain another was made: %v", err)
			}
			tt.meanwhile(m)
			if tt.restart {
				m = open()
			}
			domains = []string{"office.example"}
			b.setNames("box", "box.local", "localhost", "mail.office.example")
			if err := m.Fit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if changed := b.read(t, "ca.crt") != before; changed != tt.fits {
				t.Errorf("another CA: %v", changed)
			}
			_, err := m.Leaf().Verify(x509.VerifyOptions{DNSName: "mail.office.example", Roots: b.pool(t)})
			if (err == nil) != tt.fits {
				t.Errorf("by the domain's name: %v", err)
			}
			// Once only: somebody may have got it from the disk by now.
			after := b.read(t, "ca.crt")
			domains = append(domains, "branch.example")
			b.setNames("mail.office.example", "mail.branch.example")
			if err := m.Fit(t.Context()); err != nil || b.read(t, "ca.crt") != after {
				t.Errorf("for another domain another was made: %v", err)
			}
		})
	}
}

// TestACAThatKnewADomainStays, although it was not given out: it lies on the disk
// for devices.
func TestACAThatKnewADomainStays(t *testing.T) {
	b := newBox(t)
	m := b.constrained(t, "office.example")
	before := b.read(t, "ca.crt")
	b.setNames("mail.branch.example")
	if err := m.Fit(t.Context()); err != nil || b.read(t, "ca.crt") != before {
		t.Errorf("another was made: %v", err)
	}
}
