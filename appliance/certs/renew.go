package certs

import (
	"crypto/x509"
	"fmt"
	"path/filepath"
	"time"
)

const (
	// remindEvery is how often it is announced that something has failed.
	remindCABefore = 365 * 24 * time.Hour
	remindEvery    = 24 * time.Hour
)

// How urgent an announcement is. A more urgent one does not wait for the day
// to pass since the last; an expiry is announced once for each of the first.
const (
	in30Days = iota + 1
	in14Days
	in7Days
	in1Day
	cannotRenew
	hasExpired
)

// stage tells how near an expiry is, 0 if it is far.
func stage(left time.Duration) int {
	switch {
	case left <= 0:
		return hasExpired
	case left <= day:
		return in1Day
	case left <= 7*day:
		return in7Days
	case left <= 14*day:
		return in14Days
	case left <= 30*day:
		return in30Days
	}
	return 0
}

// maintain renews a certificate of our own when that is due, and announces the
// expiry of one that is not ours. The caller holds m.mu.
func (m *Manager) maintain() error {
	now := m.now()
	s := m.current.Load()
	m.inUse.setDomains(officeNames(m.domains(), m.names()))
	_, m.leftOut = permit(m.ca.cert, sift(m.names()))
	if err := m.maintainRSA(); err != nil {
		m.log.Error("the certificate with an RSA key could not be renewed", "err", err)
	}
	if p := m.public.Load(); p != nil && p.source == Uploaded && len(p.pairs) > 0 {
		m.remind(now, p.pairs[0].Leaf, "upload a new one (pillarbox cert upload), or use another source (pillarbox cert use)")
	}
	if !s.ours {
		if m.public.Load() == nil {
			m.remind(now, s.Leaf, "put a new one in its place, or delete it and its key to have one of our own")
		}
		return nil
	}
	why := m.due(now, s.Leaf)
	switch {
	case why == "":
		m.remindCA(now)
		return nil
	case m.ca.key == nil:
		m.remindStuck(now, s, why, "the CA's key is not here", caKey)
		return nil
	case !m.replaceable():
		m.remindStuck(now, s, why, "the files on disk are not ours and cannot be used", serverCert)
		return nil
	}
	m.log.Info("the certificate is renewed", "reason", why)
	return m.issue()
}

// due says why a certificate of our own ought to be renewed, "" if it need not be.
func (m *Manager) due(now time.Time, leaf *x509.Certificate) string {
	if leaf.CheckSignatureFrom(m.ca.cert) != nil {
		return "it is of the CA before"
	}
	// Two thirds of its life; what it was given a day early does not count.
	// A leaf that ends with the CA cannot be made to last longer.
	if now.After(leaf.NotBefore.Add(early+leafLife*2/3)) && leaf.NotAfter.Before(m.ca.cert.NotAfter) {
		return "it expires soon"
	}
	if missing := m.permitted().missing(leaf); missing != "" {
		return "it lacks the name " + missing
	}
	return ""
}

// renewOwn renews our CA's leaf at once. The caller holds m.mu.
func (m *Manager) renewOwn() error {
	switch {
	case !m.current.Load().ours || !m.replaceable():
		return fmt.Errorf("renew certificate: that in %s is not of the box's own CA; only who issued it can renew it", serverCert)
	case m.ca.key == nil:
		return fmt.Errorf("renew certificate: the CA's key is not here (%s)", filepath.Join(m.dir, caKey))
	}
	if m.rsa.Load() != nil {
		if err := m.issueRSA(); err != nil {
			return err
		}
	}
	return m.issue()
}

// issue makes a certificate, writes it and takes it into use.
func (m *Manager) issue() error {
	key, err := ensureKey(filepath.Join(m.dir, serverKey))
	if err != nil {
		return fmt.Errorf("make server key: %w", err)
	}
	c, err := m.ca.issue(key, m.permitted(), m.now())
	if err != nil {
		return fmt.Errorf("issue certificate: %w", err)
	}
	if err := writeFile(filepath.Join(m.dir, serverCert), encodeChain(c.Certificate), 0o644); err != nil {
		return fmt.Errorf("write certificate: %w", err)
	}
	m.seen = m.stamp()
	m.use(&served{Certificate: c, ours: true, issued: true})
	return nil
}

// temporary makes a certificate in memory alone, while the one on disk is an
// administrator's and cannot be used.
func (m *Manager) temporary() (*served, error) {
	key, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("make temporary key: %w", err)
	}
	c, err := m.ca.issue(key, m.permitted(), m.now())
	if err != nil {
		return nil, fmt.Errorf("issue temporary certificate: %w", err)
	}
	// It is not ours to renew on disk.
	return &served{Certificate: c, temporary: true}, nil
}

func (m *Manager) remind(now time.Time, leaf *x509.Certificate, todo string) {
	urgency := stage(leaf.NotAfter.Sub(now))
	once := urgency < hasExpired && urgency <= m.urgency && !m.reminded.IsZero()
	if urgency == 0 || once || !m.remindNow(now, urgency) {
		return
	}
	if urgency == hasExpired {
		m.log.Error("the certificate has expired; "+todo, "names", sans(leaf), "expired", leaf.NotAfter)
		return
	}
	m.log.Warn("the certificate expires soon; "+todo, "names", sans(leaf), "expires", leaf.NotAfter)
}

func (m *Manager) remindCA(now time.Time) {
	if m.ca.cert.NotAfter.Sub(now) < remindCABefore && m.remindNow(now, in30Days) {
		m.log.Warn("the private CA expires; plan a new one and its installation on every device",
			"file", m.CAFile(), "expires", m.ca.cert.NotAfter)
	}
}

func (m *Manager) remindStuck(now time.Time, s *served, why, but, file string) {
	urgency := cannotRenew
	if now.After(s.Leaf.NotAfter) {
		urgency = hasExpired
	}
	if m.remindNow(now, urgency) {
		m.log.Error("the certificate ought to be renewed and cannot be", "reason", why, "err", but,
			"file", filepath.Join(m.dir, file), "expires", s.Leaf.NotAfter)
	}
}

func (m *Manager) remindNow(now time.Time, urgency int) bool {
	since := now.Sub(m.reminded)
	if urgency <= m.urgency && since >= 0 && since < remindEvery {
		return false
	}
	m.reminded, m.urgency = now, urgency
	return true
}
