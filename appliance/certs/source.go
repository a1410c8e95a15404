package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// source is where certificates come from. Whatever it has, the box's own CA
// serves those who ask for names that it lacks.
type source interface {
	// check adds to r what would keep the source from working.
	check(ctx context.Context, r *Report)
	// load returns its pairs from the disk, the best first, nil if it has none
	// of its own.
	load() ([]*tls.Certificate, error)
	// obtain sees to it that load returns what can be used from now on. It
	// tells whether that was made now.
	obtain(ctx context.Context) (made bool, err error)
}

// public is what a source other than our own CA has in use. It is immutable.
type public struct {
	source Source
	pairs  []*tls.Certificate // the best first; empty where it could not be loaded
}

func (m *Manager) sourceOf(s Settings) source {
	switch s.source() {
	case Uploaded:
		return &uploaded{m, s.Upload}
	case ACME:
		return &acmeSource{m, s.ACME}
	}
	return private{}
}

// private is the box's own CA and what lies in its files: Manager keeps them at
// all times.
type private struct{}

func (private) check(context.Context, *Report)       {}
func (private) load() ([]*tls.Certificate, error)    { return nil, nil }
func (private) obtain(context.Context) (bool, error) { return false, nil }

// uploaded is a chain and key that somebody uploaded. Each is a file of its
// own, chain and key in one, so that no crash leaves half of it.
type uploaded struct {
	m           *Manager
	fingerprint string
}

// keptUploads is how many uploads stay beside the one in use, to go back to.
const keptUploads = 3

func uploadFile(dir, fingerprint string) string {
	return filepath.Join(dir, "upload-"+fingerprint+".pem")
}

func (u *uploaded) check(ctx context.Context, r *Report) {
	b, err := readBundle(uploadFile(u.m.dir, u.fingerprint))
	if err != nil {
		r.block("not-there", "the uploaded certificate cannot be read: %v", err)
		return
	}
	_, found := u.m.checker().check(ctx, b, false)
	*r = *found
}

func (u *uploaded) load() ([]*tls.Certificate, error) {
	return loadPairs(uploadFile(u.m.dir, u.fingerprint))
}

func (u *uploaded) obtain(context.Context) (bool, error) { return false, nil }

// Keep checks a bundle and keeps it, so that it can be used by its fingerprint,
// which is empty if something blocks that. With fetch an intermediate that is
// missing is fetched from where the certificate says.
func (m *Manager) Keep(ctx context.Context, b *Bundle, fetch bool) (fingerprint string, r *Report, err error) {
	p, r := m.checker().check(ctx, b, fetch)
	if !r.OK() {
		return "", r, nil
	}
	text, err := encodePair(p)
	if err != nil {
		return "", r, err
	}
	path := uploadFile(m.dir, r.Certificate.SHA256)
	if err := writeFile(path, text, 0o600); err != nil {
		return "", r, fmt.Errorf("keep the uploaded certificate: %w", err)
	}
	m.forgetUploads(path)
	return r.Certificate.SHA256, r, nil
}

// CheckBundle checks a bundle and keeps nothing.
func (m *Manager) CheckBundle(ctx context.Context, b *Bundle, fetch bool) *Report {
	_, r := m.checker().check(ctx, b, fetch)
	return r
}

// forgetUploads removes old uploads, but not those in use.
func (m *Manager) forgetUploads(newest string) {
	all, err := filepath.Glob(uploadFile(m.dir, "*"))
	if err != nil {
		return
	}
	inUse := uploadFile(m.dir, m.settings.Load().Upload)
	all = slices.DeleteFunc(all, func(p string) bool { return p == newest || p == inUse })
	modified := func(path string) time.Time {
		fi, err := os.Stat(path)
		if err != nil {
			return time.Time{}
		}
		return fi.ModTime()
	}
	slices.SortFunc(all, func(a, b string) int { return modified(b).Compare(modified(a)) })
	for _, path := range all[min(len(all), keptUploads):] {
		if err := os.Remove(path); err != nil {
			m.log.Warn("an old uploaded certificate could not be removed", "file", path, "err", err)
		}
	}
}

func (m *Manager) checker() *checker {
	return &checker{
		now: m.now(), roots: m.roots, names: m.inUse.list(),
		fetch: func(ctx context.Context, url string) (*x509.Certificate, error) {
			return fetchIssuer(ctx, m.outside, url)
		},
	}
}

// encodePair returns chain and key in PEM.
func encodePair(p *pair) ([]byte, error) {
	key, err := encodeKey(p.key)
	if err != nil {
		return nil, err
	}
	var ders [][]byte
	for _, c := range p.chain {
		ders = append(ders, c.Raw)
	}
	return append(encodeChain(ders), key...), nil
}

func encodeKey(key any) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der}), nil
}

func readBundle(path string) (*Bundle, error) {
	f, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return ParseBundle([][]byte{f}, "")
}

// loadPairs reads a file of encodePair.
func loadPairs(path string) ([]*tls.Certificate, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := tls.X509KeyPair(b, b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return []*tls.Certificate{&c}, nil
}

// Settings returns what holds. It has secrets; see Settings.Redacted.
func (m *Manager) Settings() Settings { return *m.settings.Load() }

// Check reports what would keep settings from working, and changes nothing.
func (m *Manager) Check(ctx context.Context, s Settings) (*Report, error) {
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("check settings of certificates: %w", err)
	}
	r := &Report{Findings: []Finding{}}
	m.sourceOf(s).check(ctx, r)
	if r.Certificate == nil && s.source() == Private {
		r.Certificate = Summarise([]*x509.Certificate{m.current.Load().Leaf})
	}
	return r, ctx.Err()
}

// Use takes settings into use and returns those before, by which it can be
// taken back. Where the source has no certificate yet it gets one, which may
// take minutes. If anything fails nothing has changed; connections stay.
func (m *Manager) Use(ctx context.Context, s Settings) (old Settings, err error) {
	m.changing.Lock()
	defer m.changing.Unlock()
	old = m.Settings()
	if s.ACME == nil {
		s.ACME = old.ACME
	}
	r, err := m.Check(ctx, s)
	if err != nil {
		return old, err
	}
	if !r.OK() {
		return old, &ReportError{r}
	}
	src := m.sourceOf(s)
	made, err := src.obtain(ctx)
	if err != nil {
		return old, fmt.Errorf("get a certificate: %w", err)
	}
	pairs, err := src.load()
	if err != nil {
		return old, fmt.Errorf("load certificate: %w", err)
	}
	if err := writeSettings(m.dir, s); err != nil {
		return old, fmt.Errorf("keep settings of certificates: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settings.Store(&s)
	m.usePublic(s.source(), pairs, made)
	return old, nil
}

// usePublic puts the pairs of a source into use; without any our own CA serves
// alone. The caller holds m.mu.
func (m *Manager) usePublic(from Source, pairs []*tls.Certificate, made bool) {
	before := m.leafOrNil()
	if from == Private {
		m.public.Store(nil)
	} else {
		m.public.Store(&public{source: from, pairs: pairs})
	}
	m.publicFault.Store(nil)
	m.announce(before, made)
}

// openSource loads the settings and what they name. What cannot be loaded is a
// fault to be seen, and our own CA serves meanwhile.
func (m *Manager) openSource() {
	fail := func(err error) {
		m.log.Error("the certificate that is set cannot be used; one of the box's own CA is served until it is mended", "err", err)
		m.publicFault.Store(&err)
	}
	s, err := readSettings(m.dir)
	m.settings.Store(&s)
	if err != nil {
		fail(err)
		return
	}
	pairs, err := m.sourceOf(s).load()
	if s.source() != Private {
		m.public.Store(&public{source: s.source(), pairs: pairs})
	}
	if err != nil {
		fail(err)
	}
}
