package certs

import (
	"fmt"
	"strings"
	"time"
)

// healthOf tells what is wrong with the certificate of another source.
func (m *Manager) healthOf(p *public) error {
	if len(p.pairs) == 0 {
		return fmt.Errorf("the certificate that is set (%s) cannot be used (%w), and one of the box's own CA is served instead, which other devices may not trust: set the source anew with pillarbox cert use",
			p.source, errorOr(m.publicFault.Load()))
	}
	leaf := p.pairs[0].Leaf
	if m.now().After(leaf.NotAfter) {
		return fmt.Errorf("the certificate for %s has expired on %s, and mail programs refuse it%s: see pillarbox cert show",
			nameOf(leaf), leaf.NotAfter.UTC().Format(time.DateOnly), m.whyNotRenewed(p))
	}
	return nil
}

// Expiring returns an error while a certificate that nobody renews by itself,
// or whose renewal fails, is to expire within 30 days.
func (m *Manager) Expiring() error {
	now, s, p := m.now(), m.current.Load(), m.public.Load()
	leaf := m.Leaf()
	left := leaf.NotAfter.Sub(now)
	todo := "put a new one into server.crt and server.key, or delete both to have one of the box's own"
	switch {
	case left <= 0:
		return nil // Health says it
	case p != nil && p.source == ACME:
		// It is renewed when a third of its life is left.
		if life := leaf.NotAfter.Sub(leaf.NotBefore); left > life/4 && left > day {
			return nil
		}
		todo = "its renewal is late" + m.whyNotRenewed(p)
	case p != nil:
		todo = "get a new one from its CA and upload it (pillarbox cert upload), or use another source (pillarbox cert use)"
	case s.ours && left > leafLife/4:
		return nil
	case s.ours:
		todo = "it could not be renewed; the log says why"
	}
	if stage(left) == 0 {
		return nil
	}
	return fmt.Errorf("the certificate for %s expires on %s, in %s: %s", nameOf(leaf), leaf.NotAfter.UTC().Format(time.DateOnly), inDays(left), todo)
}

// NotCovered returns an error while mail programs use a name that no
// certificate holds, or our CA may not certify a name that the box has.
func (m *Manager) NotCovered() error {
	var missing []string
	for _, n := range m.NamesInUse() {
		if !n.Covered {
			missing = append(missing, n.Name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("mail programs connect by %s, which no certificate of the box holds, so that they warn or refuse: add it with --name, or to the names of the source (pillarbox cert names, pillarbox cert use)",
			strings.Join(missing, ", "))
	}
	m.mu.Lock()
	left := m.leftOut
	m.mu.Unlock()
	if left = uncovered(left, m.leaves()...); len(left) > 0 {
		return fmt.Errorf("the box's own CA was limited to other domains when it was made and cannot certify %s: use another source, or make a new CA (pillarbox cert new-ca), which every device then has to trust anew",
			strings.Join(left, ", "))
	}
	return nil
}

func inDays(left time.Duration) string {
	n := int(left / day)
	switch n {
	case 0:
		return "less than a day"
	case 1:
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}

func errorOr(err *error) error {
	if err == nil {
		return fmt.Errorf("it is not there")
	}
	return *err
}

// officeNames are the domains of the office: its mail domains, and the names of
// the box with more than one label.
func officeNames(domains, names []string) []string {
	all := append([]string(nil), domains...)
	for _, h := range sift(names).hosts {
		if strings.Contains(h, ".") || h == "localhost" {
			all = append(all, strings.TrimPrefix(h, "*."))
		}
	}
	return all
}
