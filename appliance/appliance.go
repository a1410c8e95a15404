package appliance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"pillarbox/appliance/access"
	"pillarbox/appliance/audit"
	"pillarbox/appliance/certs"
	"pillarbox/appliance/config"
	"pillarbox/appliance/control"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/health"
	"pillarbox/appliance/imap"
	"pillarbox/appliance/metrics"
	"pillarbox/appliance/ports/sunset"
	"pillarbox/appliance/smtp"
)

// grace is how long sessions may take to finish when the appliance stops.
const grace = 10 * time.Second

// plainHint is for a client that does not speak TLS at once.
const plainHint = "* BYE This port speaks TLS from the first octet: choose SSL/TLS, not STARTTLS or none\r\n"

// Appliance is a server that holds a data folder. Its listeners are open from
// New on.
type Appliance struct {
	conf      Config
	log       *slog.Logger
	office    *office
	certs     *certs.Manager
	imap      *imap.Server
	access    *access.Listener
	signIn    *signIn
	smtp      *smtp.Server
	web       *web
	listeners []*listener // but those for IMAP
	ports     *mailPorts
	metrics   *metricsPort
	settings  *config.Manager
	plans     *sunset.Planner
	control   net.Listener
	health    *health.Tracker
	pace      pace
}

// New opens the data folder and the listeners. Run must follow, or Close.
func New(ctx context.Context, c *Config) (a *Appliance, err error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	a = &Appliance{conf: *c, log: c.Logger, health: c.Health, pace: usualPace}
	if a.health == nil {
		a.health = health.NewTracker(c.Logger.With("service", "health"))
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start: %w", err), a.Close())
			a = nil
		}
	}()
	if a.office, err = openOffice(ctx, c, a.describe, func() *config.Manager { return a.settings }); err != nil {
		return a, err
	}
	a.takeAdminHash(ctx)
	if a.certs, err = a.office.openCerts(ctx); err != nil {
		return a, err
	}
	a.ports = newMailPorts(c)
	a.office.pulse.since = time.Now()
	policy := a.office.policy
	a.metrics = &metricsPort{conf: c, tokens: metricsTokens{a.office.store.System()}}
	if a.settings, err = openSettings(ctx, c, a.office, a.ports, policy, a.metrics, auditSettings{a.office}, inventorySettings{a.office.ports}, a.office.clients); err != nil {
		return a, err
	}
	if c.Reset != nil {
		if err := a.settings.Renew(ctx, "the factory reset"); err != nil {
			return a, err
		}
	}
	// Before anybody can connect: the settings are applied later.
	current := a.settings.Current()
	if err := policy.use(&current.Document); err != nil {
		a.log.Error("the rules of signing in may not hold", "err", err)
	}
	a.awaitRules(ctx)
	listeners, err := openListeners(ctx, c, a.settings.Current().Document.Ports)
	if err != nil {
		return a, err
	}
	a.listeners = a.ports.take(listeners)
	if a.plans, err = a.openPlans(ctx); err != nil {
		return a, err
	}
	a.office.plans.Store(a.plans)
	if a.control, err = control.Listen(ctx, c.Dir); err != nil {
		return a, err
	}
	a.access = access.New(&access.Config{
		Logger:    a.log.With("service", "access"),
		Grace:     grace,
		PlainHint: plainHint,
		Observe:   a.recordHandshake,
		Refused:   a.office.metrics.Refused,
		Bans:      a.office.bans,

		BoundLoopback: c.BoundLoopback,
	})
	a.signIn = &signIn{
		dir: a.office.directory, throttle: access.NewThrottle(nil), bans: a.office.bans, policy: policy,
		log: a.log.With("service", "imap"),
	}
	a.imap = imap.New(&imap.Config{
		Accounts: a.office.store,
		Stager:   &stager{a.office.store, a.office.space},
		Auth:     a.signIn,
		Logger:   a.log.With("service", "imap"),
		Version:  c.Version,
		Limits:   imap.Limits{AppendSize: a.office.store.MaxMessage()},
		Describe: describeTLS,
		SignedIn: a.recordSignIn,
		Named:    seeName,
		Carried:  a.office.metrics.Command,

		Mechanisms: a.signIn,
		Notices:    notices{a.plans},
	})
	a.smtp = smtp.New(&smtp.Config{
		Deliverer:  a.office.delivery,
		Hostname:   c.hostname(),
		MaxMessage: a.office.store.MaxMessage(),
		Logger:     a.log.With("service", "lmtp"),
		Limits:     smtp.Limits{Grace: grace},
	})
	a.office.look.Store(&lookAround{a.present, a.pulseNow})
	listening := a.listening
	a.office.clients.open.Store(&listening)
	fit := a.fitCA
	a.office.clients.named.Store(&fit)
	if err := a.openWeb(a.signIn); err != nil {
		return a, err
	}
	a.metrics.server = &metrics.Server{
		Metrics: a.office.metrics, Logger: a.log.With("service", "metrics"), TLS: a.certs.TLSConfig(), Token: a.metrics.tokens.hash,
	}

	return a, nil
}

// Addresses returns where a listener ("imaps", "imaps-legacy", "lmtp") listens.
func (a *Appliance) Addresses(name string) []string {
	var addrs []string
	for _, l := range a.listening() {
		if l.name == name {
			addrs = append(addrs, l.address())
		}
	}

	return addrs
}

// listening returns what is open now.
func (a *Appliance) listening() []*listener {
	return append(a.ports.listeners(), a.listeners...)
}

// CAFile returns the path of the certificate that clients are to trust.
func (a *Appliance) CAFile() string { return a.certs.CAFile() }

// Reload takes a certificate that was changed on disk into use.
func (a *Appliance) Reload(ctx context.Context) error {
	a.notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
	defer a.notify(daemon.SdNotifyReady)

	return a.certs.Reload(ctx)
}

// Run serves until ctx is cancelled, or until a service fails. Then it
// finishes what was acknowledged and closes everything.
func (a *Appliance) Run(ctx context.Context) error {
	defer a.log.Info("stopped")
	a.recordStart(ctx)
	defer a.office.directory.Watch(a.disconnect)()
	// What is behind the listeners outlives them.
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	front, stopFront := context.WithCancel(ctx)
	defer stopFront()

	var inner, outer services
	inner.start(background, stopFront, "certs", a.certs.Run)
	inner.start(background, stopFront, "bans", a.office.bans.Run)
	inner.start(background, stopFront, "ports", a.office.ports.Run)
	inner.start(background, stopFront, "audit", a.office.audit.Run)
	inner.start(background, stopFront, "imports", a.office.imports.Run)
	inner.start(background, stopFront, "exports", a.office.exports.Run)
	inner.start(background, stopFront, "checkpoints", a.office.checkpoints.Run)
	inner.start(background, stopFront, "web", a.web.server.Run)
	inner.start(background, stopFront, "control", func(ctx context.Context) error {
		return control.Serve(ctx, a.control, a.office.handler, a.log.With("service", "control"))
	})
	serve := func(l *listener) {
		a.log.Info("listening", "listener", l.name, "addr", l.address())
		outer.start(front, stopFront, l.name, func(ctx context.Context) error { return a.serve(ctx, l) })
	}
	a.ports.start(serve)
	for _, l := range a.listeners {
		serve(l)
	}
	outer.start(front, stopFront, "metrics", a.metrics.run)
	inner.start(background, stopFront, "settings", a.settings.Run)
	if err := a.startSettings(front); err != nil {
		a.log.Error("the confirmed settings may not hold", "err", err)
	}
	if err := a.takeOldOffice(front); err != nil {
		a.log.Error("what an earlier version knew of the office is not in the settings yet", "err", err)
	}
	inner.start(background, stopFront, "plans", a.plans.Run)
	outer.start(front, stopFront, "health", a.watch)
	outer.start(front, stopFront, "accounts", a.watchAccounts)
	if c := a.conf.Conditions; c != "" {
		outer.start(front, stopFront, "conditions", func(ctx context.Context) error { a.health.Follow(ctx, c); return nil })
	}
	a.log.Info("ready", "version", a.conf.Version, "data", a.conf.Dir, "ca", a.CAFile())
	a.notify(daemon.SdNotifyReady)

	<-front.Done()
	a.notify(daemon.SdNotifyStopping)
	a.log.Info("stopping", "connections", a.access.Open())
	err := outer.wait()
	stopBackground()
	err = errors.Join(err, inner.wait())
	a.record(context.WithoutCancel(ctx), audit.Event{Kind: audit.ServerStopped, More: map[string]string{"version": a.conf.Version}})
	a.listeners, a.ports, a.control = nil, newMailPorts(&a.conf), nil // their services closed them

	return errors.Join(err, a.Close())
}

// Close lets go of what New opened, in reverse. Run calls it.
func (a *Appliance) Close() error {
	var errs []error
	if a.control != nil {
		errs = append(errs, a.control.Close())
	}
	errs = append(errs, closeListeners(a.listeners))
	if a.ports != nil {
		errs = append(errs, a.ports.close())
	}
	if a.office != nil {
		errs = append(errs, a.office.close(a.log))
	}
	a.control, a.listeners, a.ports, a.office = nil, nil, nil, nil

	return errors.Join(errs...)
}

// serve serves one listener until ctx is cancelled.
func (a *Appliance) serve(ctx context.Context, l *listener) error {
	switch l.name {
	case nameLMTP:
		return a.smtp.Serve(ctx, l)
	case nameHTTP, nameHTTPS:
		return a.web.serve(ctx, l, a.certs)
	}

	return a.access.Serve(ctx, l, l.name, a.certs.TLSConfig(), a.session)
}

// session serves a client whose handshake is done. A CA that looked has seen then
// what it came for, and was asked for no certificate, which may be required here.
func (a *Appliance) session(ctx context.Context, c *access.Conn) {
	if !certs.IsProof(c.ConnectionState()) {
		ctx, leaves := a.see(ctx, c)
		defer leaves()
		a.imap.ServeConn(ctx, c)
	}
}

// describeTLS tells the log by which version and cipher a client is connected.
func describeTLS(c net.Conn) []slog.Attr {
	t, ok := c.(*access.Conn)
	if !ok {
		return nil
	}
	state := t.ConnectionState()

	return []slog.Attr{
		slog.String("tls", tls.VersionName(state.Version)),
		slog.String("cipher", tls.CipherSuiteName(state.CipherSuite)),
	}
}

// fitCA makes the box's own CA fit the office's first mail domain.
func (a *Appliance) fitCA() {
	if err := a.certs.Fit(context.Background()); err != nil {
		a.log.Error("the private CA does not fit the mail domain", "err", err)
	}
}

// disconnect ends the sessions of an account that must log in anew, or never
// again.
func (a *Appliance) disconnect(c directory.Change) {
	switch c.What {
	case directory.AccountAdded:
		a.fitCA()
	case directory.AccountRemoved:
		a.office.ports.ForgetAccount(string(c.Account))
		a.imap.Disconnect(c.Account, "The account was removed")
	case directory.AccountSuspended:
		a.imap.Disconnect(c.Account, "The account was suspended")
	case directory.PasswordChanged:
		a.imap.Disconnect(c.Account, "The password was changed; log in with the new one")
	case directory.DeviceRevoked:
		a.office.ports.ForgetCredential(string(c.Account), c.Credential)
		a.imap.DisconnectCredential(c.Account, c.Credential, "This device was revoked")
	}
}

// notify tells systemd, where it is there.
func (a *Appliance) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		a.log.Warn("systemd not notified", "err", err)
	}
}

// services are goroutines that are waited for together.
type services struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

// start runs a service; if it fails, or ends before ctx, everything stops.
func (s *services) start(ctx context.Context, stop func(), name string, run func(context.Context) error) {
	s.wg.Go(func() {
		err := run(ctx)
		if err == nil && ctx.Err() == nil {
			err = errors.New("ended by itself")
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			s.mu.Lock()
			s.errs = append(s.errs, fmt.Errorf("%s: %w", name, err))
			s.mu.Unlock()
		}
		if ctx.Err() == nil {
			stop()
		}
	})
}

func (s *services) wait() error {
	s.wg.Wait()

	return errors.Join(s.errs...)
}
