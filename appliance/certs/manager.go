package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

const (
	caCert     = "ca.crt"
	caKey      = "ca.key"
	serverCert = "server.crt"
	serverKey  = "server.key"
)

// Config says where certificates lie and what they are to name.
type Config struct {
	Dir    string           // must not be empty; made if missing
	Logger *slog.Logger     // must not be nil
	Now    func() time.Time // nil means time.Now

	// Names returns the host names (ASCII) and IP addresses that the box is
	// reached by. It is asked again at each Interval. nil means SystemNames.
	Names func() []string
	// Taken is told of each certificate that is made, or that takes another's
	// place; nil means nobody. It is called while files are held: it must
	// return soon and not call the Manager.
	Taken func(Taken)
	// Interval is how often Run looks at the files and names; 0 means 30 s.
	Interval time.Duration
}

// Taken is a certificate that was taken into use.
type Taken struct {
	Leaf   *x509.Certificate
	Before *x509.Certificate // nil at the start
	Issued bool              // it was made now, by our CA; otherwise it was found on the disk
}

// Manager holds the certificate that listeners present. Its methods may be
// called from several goroutines.
type Manager struct {
	dir      string
	log      *slog.Logger
	now      func() time.Time
	names    func() []string
	taken    func(Taken)
	interval time.Duration
	tls      *tls.Config
	current  atomic.Pointer[served] // never nil once Open has returned
	fault    atomic.Pointer[error]  // why the files on disk cannot be used; nil if they can

	mu       sync.Mutex // held by who reads or writes files
	ca       *authority
	seen     stamp     // of the files that were looked at last
	reminded time.Time // when an expiry was announced
	urgency  int       // of what was announced then
}

// served is the certificate in use. It is immutable.
type served struct {
	*tls.Certificate
	ours      bool // our CA signed it, and it is ours to renew
	issued    bool // in this moment
	temporary bool // it stands in for one that cannot be used
}

// Open loads the CA and the certificate, and makes those that are missing.
func Open(ctx context.Context, c *Config) (*Manager, error) {
	m := &Manager{dir: c.Dir, log: c.Logger, now: c.Now, names: c.Names, taken: c.Taken, interval: c.Interval}
	if m.now == nil {
		m.now = time.Now
	}
	if m.names == nil {
		m.names = SystemNames
	}
	if m.interval == 0 {
		m.interval = 30 * time.Second
	}
	m.tls = &tls.Config{
		MinVersion:   tls.VersionTLS12,
		CipherSuites: suites12,
		// Go begins with small records for the sake of the first octets of a
		// web page; a mail program wants the whole answer.
		DynamicRecordSizingDisabled: true,
		GetCertificate:              func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return m.current.Load().Certificate, nil },
	}
	if err := m.open(ctx); err != nil {
		return nil, fmt.Errorf("open certificates: %w", err)
	}
	return m, nil
}

// suites12 are the suites for TLS 1.2 that have forward secrecy and AEAD. Go's
// default has CBC suites with SHA-1 as well.
var suites12 = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

func (m *Manager) open(ctx context.Context) error {
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return err
	}
	if err := removeTemporary(m.dir); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	ca, err := openAuthority(m.dir, m.now(), m.log)
	if err != nil {
		return err
	}
	m.ca = ca
	m.seen = m.stamp()
	s, err := m.read()
	switch {
	case err == nil:
		m.use(s)
	case m.replaceable():
		if err := m.issue(); err != nil {
			return err
		}
	default:
		m.log.Error("the certificate on disk cannot be used; one of our own CA is served until it is mended",
			"file", filepath.Join(m.dir, serverCert), "err", err)
		unusable := err
		if s, err = m.temporary(); err != nil {
			return err
		}
		m.use(s)
		m.fault.Store(&unusable)
	}
	return m.maintain()
}

// TLSConfig returns the configuration that all listeners share, and with it
// their session tickets. It must not be changed.
func (m *Manager) TLSConfig() *tls.Config { return m.tls }

// CAFile returns the path of the certificate that clients have to trust.
func (m *Manager) CAFile() string { return filepath.Join(m.dir, caCert) }

// Leaf returns the certificate that is presented now. It must not be changed.
func (m *Manager) Leaf() *x509.Certificate { return m.current.Load().Leaf }

// Own tells whether the certificate that is presented is an administrator's,
// so that clients need not trust our CA.
func (m *Manager) Own() bool {
	s := m.current.Load()
	return !s.ours && !s.temporary
}

// Health returns an error that says what is wrong with the certificate and
// what to do, as far as clients are concerned. It waits for no file.
func (m *Manager) Health() error {
	s, cert, key := m.current.Load(), filepath.Join(m.dir, serverCert), filepath.Join(m.dir, serverKey)
	if fault := m.fault.Load(); fault != nil {
		instead := "the one before it stays in use"
		if s.temporary {
			instead = "one of the box's own CA is served instead, which other devices may not trust"
		}
		return fmt.Errorf("the certificate in %s cannot be used (%w); %s: put a pair that matches into %s and %s, or delete both to have one of the box's own",
			cert, *fault, instead, serverCert, serverKey)
	}
	if m.now().After(s.Leaf.NotAfter) {
		return fmt.Errorf("the certificate in %s has expired on %s, and mail programs refuse it: put a new one in its place, or delete it and %s to have one of the box's own",
			cert, s.Leaf.NotAfter.UTC().Format(time.DateOnly), key)
	}
	return nil
}

// Reload takes the certificate on disk into use, and renews it if that is due.
// If it cannot be used the present one stays, and the error says why.
func (m *Manager) Reload(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("reload certificate: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen = m.stamp()
	if err := m.load(); err != nil {
		return fmt.Errorf("reload certificate: %w", err)
	}
	return nil
}

// Run reloads the certificate when its files change and renews it in time,
// until ctx ends.
func (m *Manager) Run(ctx context.Context) error {
	t := time.NewTicker(m.interval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			m.check()
		}
	}
}

// check does what Run does at each tick.
func (m *Manager) check() {
	m.mu.Lock()
	defer m.mu.Unlock()
	var err error
	if s := m.stamp(); s != m.seen {
		m.seen = s
		err = m.load()
	} else {
		err = m.maintain()
	}
	if err != nil {
		m.log.Error("the certificate could not be reloaded; the present one stays", "err", err, "expires", m.Leaf().NotAfter)
	}
}

// load reads the pair on disk and takes it into use.
func (m *Manager) load() error {
	s, err := m.read()
	switch {
	case err == nil:
		m.use(s)
	case errors.Is(err, fs.ErrNotExist) && m.replaceable():
		return m.issue()
	default:
		m.fault.Store(&err)
		return err
	}
	return m.maintain()
}

func (m *Manager) use(s *served) {
	old := m.current.Swap(s)
	m.fault.Store(nil)
	if old != nil && old.Leaf.Equal(s.Leaf) {
		return
	}
	m.reminded = time.Time{} // that was about another
	m.log.Info("a certificate was taken into use", "names", sans(s.Leaf), "expires", s.Leaf.NotAfter, "issuer", s.Leaf.Issuer.String())
	if m.taken == nil || old == nil && !s.issued {
		return
	}
	t := Taken{Leaf: s.Leaf, Issued: s.issued}
	if old != nil {
		t.Before = old.Leaf
	}
	m.taken(t)
}

// read loads the pair on disk, whoever issued it.
func (m *Manager) read() (*served, error) {
	c, err := tls.LoadX509KeyPair(filepath.Join(m.dir, serverCert), filepath.Join(m.dir, serverKey))
	if err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	return &served{Certificate: &c, ours: m.ca.signed(c.Leaf)}, nil
}

// replaceable tells whether the files on disk are ours, so that a new
// certificate may be written over them. A key without a certificate may be
// half of an administrator's pair; if it serves us it is kept.
func (m *Manager) replaceable() bool {
	_, err := readKey(filepath.Join(m.dir, serverKey))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	b, err := os.ReadFile(filepath.Join(m.dir, serverCert))
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	leaf, err := parseCertificate(b)
	return err == nil && m.ca.signed(leaf)
}

// stamp changes when one of the server's files does.
type stamp [2]struct {
	modified int64
	size     int64
}

func (m *Manager) stamp() (s stamp) {
	for i, name := range [...]string{serverCert, serverKey} {
		if fi, err := os.Stat(filepath.Join(m.dir, name)); err == nil {
			s[i].modified, s[i].size = fi.ModTime().UnixNano(), fi.Size()
		}
	}
	return s
}
