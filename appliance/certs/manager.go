package certs

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

const (
	caCert       = "ca.crt"
	caKey        = "ca.key"
	caCertBefore = "ca.crt.before" // the CA that was replaced
	caKeyBefore  = "ca.key.before" // while a new CA is made
	serverCert   = "server.crt"
	serverKey    = "server.key"
	devicesCert  = "devices.crt" // the CA of devices
	devicesKey   = "devices.key"
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
	// Domains returns the office's mail domains, to which a CA that is made now
	// is limited, beside the box's names; nil means none.
	Domains func() []string
	// Interval is how often Run looks at the files and names; 0 means 30 s.
	Interval time.Duration
	// Roots are those that everybody trusts; nil means the system's, or, where
	// it has none, those that the program brings along.
	Roots *x509.CertPool
	// HTTPAddr and TLSAddr are where an ACME CA looks for proofs; "" means ports
	// 80 and 443 of all addresses. They are open only while it looks.
	HTTPAddr, TLSAddr string
	// Open has the firewall let the CA in to one of these two ports, or not any
	// more; nil means that nothing stands in its way.
	Open func(ctx context.Context, port int, open bool) error
	// Resolver answers about DNS zones, HOST:PORT; "" means the system's.
	Resolver string
	// Ask tells whether a client is asked for a certificate of its own, and Known
	// returns an error for one that is not a device's; nil means that nobody is
	// asked. They are called in each handshake.
	Ask   func(c net.Conn) Ask
	Known func(c *x509.Certificate) error
	// Inside lets what a certificate names be fetched from this machine: for tests.
	Inside bool
}

// Taken is a certificate that was taken into use.
type Taken struct {
	Leaf   *x509.Certificate
	Before *x509.Certificate // nil at the start
	Issued bool              // it was made now; otherwise it was found on the disk
}

// Manager holds the certificate that listeners present. Its methods may be
// called from several goroutines.
type Manager struct {
	dir      string
	log      *slog.Logger
	now      func() time.Time
	names    func() []string
	domains  func() []string
	taken    func(Taken)
	interval time.Duration
	roots    *x509.CertPool
	outside  *http.Client
	acmeHTTP *http.Client
	ca429    *caTransport // of acmeHTTP
	resolver string
	configs  configs
	ask      func(net.Conn) Ask
	known    func(*x509.Certificate) error

	devicesMaking sync.Mutex // held by who makes the devices' CA

	inUse   inUse
	proofs  proofs
	renewal renewal

	current     atomic.Pointer[served]          // the pair in server.crt; never nil once Open has returned
	rsa         atomic.Pointer[tls.Certificate] // our CA's leaf for old clients; nil until one came
	public      atomic.Pointer[public]          // of another source; nil if there is none
	settings    atomic.Pointer[Settings]
	fault       atomic.Pointer[error] // why the files on disk cannot be used; nil if they can
	publicFault atomic.Pointer[error] // why the other source cannot

	unseen atomic.Bool // see Seen

	changing sync.Mutex // held during Use
	mu       sync.Mutex // held by who reads or writes files of our CA
	ca       *authority
	seen     stamp     // of the files that were looked at last
	reminded time.Time // when an expiry was announced
	urgency  int       // of what was announced then

	// What is stapled, and when it is asked for anew: tendPublic's alone.
	stapled    *public
	stapleNext time.Time

	rsaFailed bool
	leftOut   []string // names that the CA may not certify
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
	m := &Manager{
		dir: c.Dir, log: c.Logger, now: c.Now, names: c.Names, domains: c.Domains, taken: c.Taken, interval: c.Interval,
		roots: c.Roots, outside: outside(c.Inside), resolver: c.Resolver,
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.names == nil {
		m.names = SystemNames
	}
	if m.interval == 0 {
		m.interval = 30 * time.Second
	}
	if m.domains == nil {
		m.domains = func() []string { return nil }
	}
	m.ask, m.known = c.Ask, c.Known
	if m.ask == nil {
		m.ask = func(net.Conn) Ask { return AskNothing }
	}
	m.settings.Store(&Settings{})
	m.inUse.now, m.inUse.names = m.now, map[string]*NameInUse{}
	m.makeConfigs()
	m.ca429 = &caTransport{now: m.now, next: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: c.Roots}, MaxResponseHeaderBytes: 64 << 10,
		TLSHandshakeTimeout: 30 * time.Second, ResponseHeaderTimeout: time.Minute, IdleConnTimeout: time.Minute,
	}}
	m.acmeHTTP = &http.Client{Timeout: 2 * time.Minute, Transport: m.ca429}
	m.proofs = proofs{
		log: m.log, http: cmp.Or(c.HTTPAddr, ":80"), tls: cmp.Or(c.TLSAddr, ":443"), config: m.TLSConfig, provider: m.openProvider,
		open:  c.Open,
		texts: map[string]string{}, certs: map[string]*tls.Certificate{},
	}
	if m.proofs.open == nil {
		m.proofs.open = func(context.Context, int, bool) error { return nil }
	}
	if err := m.open(ctx); err != nil {
		return nil, fmt.Errorf("open certificates: %w", err)
	}
	return m, nil
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
	ca, err := openAuthority(m.dir, m.now(), m.log, m.domains, m.names)
	if err != nil {
		return err
	}
	m.ca = ca
	_, err = os.Stat(filepath.Join(m.dir, caUnseen))
	m.unseen.Store(err == nil)
	m.seen = m.stamp()
	m.openRSA()
	m.openSource()
	if err := m.inUse.open(m.dir); err != nil {
		m.log.Warn("the names by which mail programs connected are seen anew", "err", err)
	}
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
func (m *Manager) TLSConfig() *tls.Config { return m.configs[choice{}] }

// CAFile returns the path of the certificate that clients have to trust.
func (m *Manager) CAFile() string { return filepath.Join(m.dir, caCert) }

// Leaf returns the certificate that is presented first. It must not be changed.
func (m *Manager) Leaf() *x509.Certificate { return m.served()[0].Leaf }

// leafOrNil is Leaf also before there is one.
func (m *Manager) leafOrNil() *x509.Certificate {
	if m.current.Load() == nil {
		return nil
	}
	return m.Leaf()
}

// Own tells whether the certificate that is presented is an administrator's,
// so that clients need not trust our CA.
func (m *Manager) Own() bool {
	if p := m.public.Load(); p != nil && len(p.pairs) > 0 {
		return true
	}
	s := m.current.Load()
	return !s.ours && !s.temporary
}

// Health returns an error that says what is wrong with the certificate and
// what to do, as far as clients are concerned. It waits for no file.
func (m *Manager) Health() error {
	if p := m.public.Load(); p != nil {
		return m.healthOf(p)
	}
	if fault := m.publicFault.Load(); fault != nil {
		return fmt.Errorf("the settings of certificates cannot be read (%w), and one of the box's own CA is served: set the source anew with pillarbox cert use", *fault)
	}
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
	var ordered sync.WaitGroup
	ordered.Go(func() { m.tendPublic(ctx) })
	defer ordered.Wait()
	t := time.NewTicker(m.interval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return m.inUse.save(m.dir, true)
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
	if err := m.inUse.save(m.dir, false); err != nil {
		m.log.Warn("the names by which mail programs connect could not be kept", "err", err)
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
	before := m.leafOrNil()
	m.current.Store(s)
	m.fault.Store(nil)
	m.announce(before, s.issued)
}

// announce tells of a certificate that is presented in the place of another.
func (m *Manager) announce(before *x509.Certificate, made bool) {
	leaf := m.Leaf()
	if before != nil && before.Equal(leaf) {
		return
	}
	m.reminded, m.urgency = time.Time{}, 0 // that was about another
	m.log.Info("a certificate was taken into use", "names", sans(leaf), "expires", leaf.NotAfter, "issuer", leaf.Issuer.String())
	if m.taken != nil && (before != nil || made) {
		m.taken(Taken{Leaf: leaf, Before: before, Issued: made})
	}
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
