package appliance

import (
	"context"
	"encoding/pem"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"pillarbox/appliance/certs"
	"pillarbox/appliance/config"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/ports/sunset"
	"pillarbox/appliance/profile"
	"pillarbox/appliance/setup"
)

// clientSetup knows how mail programs connect, as a part of the configuration.
type clientSetup struct {
	office *office
	active atomic.Pointer[config.Document]
	open   atomic.Pointer[func() []*listener] // nil in a command
	named  atomic.Pointer[func()]             // is told when the office's domain may be another; nil in a command
}

// Name implements config.Applier.
func (*clientSetup) Name() string { return "client set-up" }

// Follows implements config.Follower.
func (*clientSetup) Follows() {}

// Check implements config.Applier.
func (*clientSetup) Check(_ context.Context, from, to *config.Document) (r config.Report, err error) {
	if !sameJSON(from.ClientSetup, to.ClientSetup) {
		r.Steps = append(r.Steps, "tell mail programs so when they set themselves up; those that are set up notice nothing")
	}

	return r, nil
}

// Try implements config.Applier.
func (s *clientSetup) Try(_ context.Context, t *config.Trial) ([]string, error) {
	s.active.Store(t.To)

	return nil, nil
}

// Hold implements config.Applier.
func (s *clientSetup) Hold(_ context.Context, d *config.Document) error {
	s.active.Store(d)
	if f := s.named.Load(); f != nil {
		(*f)()
	}

	return nil
}

// document returns what holds: in a command, what is stored.
func (s *clientSetup) document() (*config.Document, error) {
	if d := s.active.Load(); d != nil {
		return d, nil
	}
	d, err := config.Stored(sectionStore{s.office.store.System(), settingsSection})

	return &d, err
}

// Facts implements setup.Office.
func (s *clientSetup) Facts(ctx context.Context, client netip.Addr) (*setup.Facts, error) {
	d, err := s.document()
	if err != nil {
		return nil, err
	}
	m, err := s.office.openCerts(ctx)
	if err != nil {
		return nil, err
	}
	f := &setup.Facts{Office: d.Office.Name, Domains: s.office.domains(), Names: s.office.names(), Outgoing: outgoing(d.ClientSetup.Outgoing), Addresses: []netip.Addr{}}
	port := nameIMAPS
	imaps, legacy := s.port(nameIMAPS, portIMAPS), s.port(nameLegacy, portIMAPSLegacy)
	// What a plan has people leave is not what they are to be set up with.
	leaving, _ := s.leaving(nameIMAPS)
	_, refused := s.leaving(nameLegacy)
	switch {
	case d.Ports.NoIMAPS || imaps == 0 || leaving && legacy != 0:
		port, imaps = nameLegacy, legacy
	case d.Ports.IMAPSLegacy && legacy != 0 && !refused:
		f.Legacy = &setup.Legacy{Port: legacy}
		if !client.IsValid() { // those reasons are the office's
			s.reason(f.Legacy, d)
		}
	}
	f.IMAP = setup.Server{Host: s.host(d, f.Domains), Port: imaps, Security: setup.TLS}
	f.Names = append(f.Names, f.IMAP.Host)
	f.HTTP, f.HTTPS = s.port("http", 0), s.port("https", 0)
	if !s.office.conf.Loopback {
		f.Addresses = ownAddresses()
	}
	if !client.IsValid() {
		client = somebody(f.Addresses)
	}
	f.Mechanisms = s.office.policy.offers(&d.SignIn, port, client)
	if p := d.SignIn.Provider; p != nil {
		f.Provider = p.Issuer
	}
	if f.Private = m.Private(f.IMAP.Host); f.Private {
		if root, _ := pem.Decode(m.Root()); root != nil {
			f.Fingerprint = hash(root.Bytes)
		}
	}

	return f, nil
}

// leaving tells whether a plan has people leave a port, and refuses some there.
func (s *clientSetup) leaving(port string) (told, refuses bool) {
	if plans := s.office.plans.Load(); plans != nil {
		return plans.Leaving(port)
	}

	return false, false
}

// reason adds why port 990 is open, and until when, as far as somebody has said.
func (s *clientSetup) reason(l *setup.Legacy, d *config.Document) {
	l.Why = d.Firewall.Services[nameLegacy].Override
	plans := s.office.plans.Load()
	if plans == nil {
		return
	}
	if why := plans.Ownership().Why; why != "" {
		l.Why = why
	}
	plan, err := plans.Status(sunset.Leave990)
	if err != nil || plan.Started.IsZero() || !plan.Ended.IsZero() || plan.Hold != nil {
		return
	}
	for _, step := range plan.Steps {
		if step.Stage == sunset.Closed {
			l.Closes = step.Begins
		}
	}
}

// port returns the port of a listener, 0 if it is closed; in a command, that
// which it usually has.
func (s *clientSetup) port(name string, usual uint16) uint16 {
	open := s.open.Load()
	if open == nil {
		return usual
	}
	for _, l := range (*open)() {
		if a, ok := l.Addr().(*net.TCPAddr); ok && l.name == name {
			return a.AddrPort().Port()
		}
	}

	return 0
}

// server is host for who knows nothing of the settings.
func (s *clientSetup) server() string {
	d, err := s.document()
	if err != nil {
		s.office.log.Warn("the settings do not tell by which name programs know the box", "err", err)
		d = &config.Document{}
	}

	return s.host(d, s.office.domains())
}

// host returns the name by which programs are to know the box.
func (s *clientSetup) host(d *config.Document, domains []string) string {
	c := s.office.conf
	name := strings.ToLower(c.hostname())
	switch first, _, dotted := strings.Cut(name, "."); {
	case d.ClientSetup.Server != "":
		return d.ClientSetup.Server
	case len(c.Names) > 0:
		return strings.ToLower(c.Names[0])
	case c.Loopback:
		return "localhost"
	case c.NetworkSocket != "": // it answers to that by multicast DNS
		return first + ".local"
	case !dotted && len(domains) > 0:
		return "mail." + domains[0]
	}

	return name
}

// Person implements setup.Office.
func (s *clientSetup) Person(ctx context.Context, address string) (*setup.Person, error) {
	a, err := s.office.directory.Find(ctx, address)
	if errors.Is(err, directory.ErrNoAccount) || errors.Is(err, directory.ErrAddress) {
		return nil, &nobodyError{err}
	}
	if err != nil {
		return nil, err
	}

	return &setup.Person{Address: a.Address, Name: a.Name}, nil
}

// nobodyError is what the directory says of an address that nobody has.
type nobodyError struct{ error }

func (e *nobodyError) Unwrap() []error { return []error{e.error, setup.ErrNobody} }

func outgoing(o *config.Outgoing) *setup.Server {
	if o == nil {
		return nil
	}
	s := &setup.Server{Host: o.Server, Port: o.Port, Security: setup.TLS, Login: setup.OwnLogin}
	if o.Security == "starttls" {
		s.Security = setup.STARTTLS
	}
	switch o.SignIn {
	case "same":
		s.Login = setup.SameLogin
	case "none":
		s.Login = setup.NoLogin
	}

	return s
}

// ownAddresses returns the addresses by which others in the network reach this
// machine.
func ownAddresses() []netip.Addr {
	all := []netip.Addr{}
	for _, name := range certs.SystemNames() {
		if a, err := netip.ParseAddr(name); err == nil && a.IsGlobalUnicast() {
			all = append(all, a.Unmap())
		}
	}

	return all
}

// somebody returns an address that stands for those in the office.
func somebody(own []netip.Addr) netip.Addr {
	if i := slices.IndexFunc(own, netip.Addr.Is4); i >= 0 {
		return own[i]
	}

	return netip.IPv6LinkLocalAllNodes() // in no network that a rule names
}

// lateTrust shows the certificates, which are opened when they are needed.
type lateTrust struct{ office *office }

// Root implements setup.Trust.
func (t lateTrust) Root() []byte { return t.certs().Root() }

// RootPayload implements setup.Trust.
func (t lateTrust) RootPayload() profile.Payload { return t.certs().RootPayload() }

// Sign implements setup.Trust.
func (t lateTrust) Sign(text []byte) ([]byte, error) { return t.certs().Sign(text) }

// certs returns those that Facts has opened: nothing is asked of a Trust before.
func (t lateTrust) certs() *certs.Manager {
	t.office.certsOpening.Lock()
	defer t.office.certsOpening.Unlock()

	return t.office.certs
}
