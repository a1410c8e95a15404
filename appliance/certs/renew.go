package certs

import (
	"fmt"
	"path/filepath"
	"time"
)

const (
	// remindBefore is when an expiry is announced that we cannot avert
	// ourselves, and remindEvery how often.
	remindBefore   = 21 * 24 * time.Hour
	remindCABefore = 365 * 24 * time.Hour
	remindEvery    = 24 * time.Hour
)

// How urgent an announcement is. A more urgent one does not wait for the day
// to pass since the last.
const (
	expiresSoon = iota
	cannotRenew
	hasExpired
)

// maintain renews a certificate of our own when that is due, and announces the
// expiry of one that is not ours. The caller holds m.mu.
func (m *Manager) maintain() error {
	now := m.now()
	s := m.current.Load()
	if !s.ours {
		m.remind(now, s)
		return nil
	}
	why := m.due(now, s)
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
func (m *Manager) due(now time.Time, s *served) string {
	// Two thirds of its life; what it was given a day early does not count.
	// A leaf that ends with the CA cannot be made to last longer.
	if now.After(s.Leaf.NotBefore.Add(early+leafLife*2/3)) && s.Leaf.NotAfter.Before(m.ca.cert.NotAfter) {
		return "it expires soon"
	}
	if missing := sift(m.names()).missing(s.Leaf); missing != "" {
		return "it lacks the name " + missing
	}
	return ""
}

// issue makes a certificate, writes it and takes it into use.
func (m *Manager) issue() error {
	key, err := ensureKey(filepath.Join(m.dir, serverKey))
	if err != nil {
		return fmt.Errorf("make server key: %w", err)
	}
	c, err := m.ca.issue(key, sift(m.names()), m.now())
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
	c, err := m.ca.issue(key, sift(m.names()), m.now())
	if err != nil {
		return nil, fmt.Errorf("issue temporary certificate: %w", err)
	}
	// It is not ours to renew on disk.
	return &served{Certificate: c, temporary: true}, nil
}

func (m *Manager) remind(now time.Time, s *served) {
	left := s.Leaf.NotAfter.Sub(now)
	urgency := expiresSoon
	if left <= 0 {
		urgency = hasExpired
	}
	if left > remindBefore || !m.remindNow(now, urgency) {
		return
	}
	if left <= 0 {
		m.log.Error("the certificate has expired; put a new one in its place, or delete it and its key to have one of our own",
			"file", filepath.Join(m.dir, serverCert), "expired", s.Leaf.NotAfter)
		return
	}
	m.log.Warn("the certificate expires soon; put a new one in its place, or delete it and its key to have one of our own",
		"file", filepath.Join(m.dir, serverCert), "expires", s.Leaf.NotAfter)
}

func (m *Manager) remindCA(now time.Time) {
	if m.ca.cert.NotAfter.Sub(now) < remindCABefore && m.remindNow(now, expiresSoon) {
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
