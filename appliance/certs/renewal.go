package certs

import (
	"context"
	"crypto/x509"
	"sync"
	"time"
)

const (
	// firstRetry and lastRetry bound how long a failed renewal waits: Let's
	// Encrypt allows five failures of a name in an hour.
	firstRetry = 20 * time.Minute
	lastRetry  = 12 * time.Hour
	// askCA is how often the CA is asked when it wants a renewal (RFC 9773).
	askCA = 6 * time.Hour
)

// renewal knows when an ordered certificate is to be renewed and how the last
// try went.
type renewal struct {
	mu       sync.Mutex
	next     time.Time // no try before
	failures int
	err      error
	advised  map[string]time.Time // by fingerprint: what the CA wants
	asked    time.Time
}

// at returns when a certificate is to be renewed: when the CA wants it, and
// otherwise when a third of its life is left.
func (r *renewal) at(leaf *x509.Certificate) time.Time {
	due := leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 3)
	r.mu.Lock()
	defer r.mu.Unlock()
	// A CA that advises later than that would leave no time for a failure.
	if t, ok := r.advised[fingerprint(leaf)]; ok && t.Before(due) {
		return t
	}
	return due
}

func (r *renewal) waits(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	// Not if the clock went back by years meanwhile.
	return now.Before(r.next) && r.next.Sub(now) <= 8*day
}

func (r *renewal) failed(now, until time.Time, err error) (next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait := min(firstRetry<<min(r.failures, 10), lastRetry)
	r.failures++
	r.err = err
	if r.next = now.Add(wait); until.After(r.next) {
		r.next = until
	}
	return r.next
}

func (r *renewal) done() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures, r.err, r.next = 0, nil, time.Time{}
}

// lastError tells why the last try failed, nil if it did not.
func (r *renewal) lastError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// tendPublic renews certificates of an ACME CA and staples what CAs say of those
// in use, until ctx ends.
func (m *Manager) tendPublic(ctx context.Context) {
	t := time.NewTicker(m.interval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if m.Settings().source() == ACME && !m.renewal.waits(m.now()) {
				m.renewOrder(ctx)
			}
			m.staple(ctx)
		}
	}
}

// renewOrder renews if that is due.
func (m *Manager) renewOrder(ctx context.Context) {
	m.changing.Lock()
	defer m.changing.Unlock()
	s := m.Settings()
	if s.source() != ACME { // changed meanwhile
		return
	}
	src := &acmeSource{m, s.ACME}
	m.askAdvice(ctx, src)
	made, err := src.obtain(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return
		}
		next := m.renewal.failed(m.now(), m.ca429.waitUntil(), err)
		m.log.Error("the certificate could not be renewed; the present one stays", "err", err, "next", next)
		return
	}
	m.renewal.done()
	if !made && m.publicFault.Load() == nil {
		return
	}
	pairs, err := src.load()
	if err != nil {
		m.publicFault.Store(&err)
		m.log.Error("the renewed certificate could not be loaded", "err", err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.usePublic(ACME, pairs, made)
}

// Renew renews at once what can be renewed: the leaf of our CA, or the ordered
// certificate.
func (m *Manager) Renew(ctx context.Context) error {
	m.changing.Lock()
	defer m.changing.Unlock()
	s := m.Settings()
	if s.source() != ACME {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.renewOwn()
	}
	src := &acmeSource{m, s.ACME}
	pairs, err := src.load()
	if err == nil {
		for _, p := range pairs {
			m.renewal.advise(p.Leaf, m.now())
		}
	}
	if _, err := src.obtain(ctx); err != nil {
		m.renewal.failed(m.now(), m.ca429.waitUntil(), err)
		return err
	}
	m.renewal.done()
	if pairs, err = src.load(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.usePublic(ACME, pairs, true)
	return nil
}

func (r *renewal) advise(leaf *x509.Certificate, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advised = map[string]time.Time{fingerprint(leaf): at}
}

// askAdvice asks the CA when it wants the certificate to be renewed. A CA that
// does not know is not asked less often: it costs one request.
func (m *Manager) askAdvice(ctx context.Context, src *acmeSource) {
	now := m.now()
	if now.Sub(m.renewal.asked) < askCA && !now.Before(m.renewal.asked) {
		return
	}
	m.renewal.asked = now
	pairs, err := src.load()
	if err != nil || len(pairs) == 0 {
		return
	}
	c, err := src.client()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	info, err := c.GetRenewalInfo(ctx, pairs[0].Leaf)
	if err != nil || !info.HasWindow() {
		m.log.Debug("the CA gives no advice when to renew", "err", err)
		return
	}
	m.renewal.advise(pairs[0].Leaf, info.SelectedTime)
}

// whyNotRenewed is the end of a sentence about the last failure.
func (m *Manager) whyNotRenewed(p *public) string {
	if err := m.renewal.lastError(); p.source == ACME && err != nil {
		return " (" + err.Error() + ")"
	}
	return ""
}
