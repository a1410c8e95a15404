package appliance

import (
	"context"
	"errors"
	"slices"
	"sync"

	"pillarbox/appliance/config"
)

// legacyPort opens and closes port 990 while the box runs. Who is connected when
// it is closed may finish.
type legacyPort struct {
	conf *Config // as it was given

	mu    sync.Mutex
	fixed string // why it stays closed whatever the configuration says; "" if it does not
	open  []*listener
	serve func(l *listener) // serves one; nil before the box runs
}

// take takes over those of the listeners that are for port 990.
func (p *legacyPort) take(all []*listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	systemd := false
	for _, l := range all {
		systemd = systemd || l.inherited
		if l.name == nameLegacy {
			p.open = append(p.open, l)
		}
	}
	switch {
	case slices.Contains(p.conf.IMAPSLegacy, Off):
		p.fixed = "the server was started without it (--imaps-legacy off)"
	case systemd && len(p.open) == 0 && p.conf.IMAPSLegacy == nil:
		p.fixed = "systemd opens the ports of this machine, and not this one"
	}
}

var errInherited = errors.New("systemd opens port 990 on this machine: systemctl mask --now pillarbox-imaps-legacy.socket closes it")

// Name implements config.Applier.
func (p *legacyPort) Name() string { return "ports" }

// Follows implements config.Follower.
func (*legacyPort) Follows() {}

// Check implements config.Applier.
func (p *legacyPort) Check(_ context.Context, from, to *config.Document) (r config.Report, err error) {
	if from.Ports == to.Ports {
		return r, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.inherited():
		return r, errInherited
	case p.fixed != "":
		r.Notes = append(r.Notes, "port 990 stays closed: "+p.fixed)
	case to.Ports.IMAPSLegacy:
		r.Steps = append(r.Steps, "open port 990 for IMAP")
	default:
		r.Steps = append(r.Steps, "close port 990; who is connected there may finish")
	}

	return r, nil
}

// Try implements config.Applier.
func (p *legacyPort) Try(ctx context.Context, t *config.Trial) ([]string, error) {
	return nil, p.set(ctx, t.To.Ports.IMAPSLegacy)
}

// Hold implements config.Applier.
func (p *legacyPort) Hold(ctx context.Context, d *config.Document) error {
	return p.set(ctx, d.Ports.IMAPSLegacy)
}

// listeners returns those that are open.
func (p *legacyPort) listeners() []*listener {
	p.mu.Lock()
	defer p.mu.Unlock()

	return slices.Clone(p.open)
}

// check finds out whether they take connections.
func (p *legacyPort) check(ctx context.Context) error {
	for _, l := range p.listeners() {
		// One that was just closed takes no connections, and need not.
		if err := l.check(ctx); err != nil && l.retirement() == nil {
			return err
		}
	}

	return nil
}

// start serves what was opened at the start.
func (p *legacyPort) start(serve func(l *listener)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serve = serve
	for _, l := range p.open {
		serve(l)
	}
}

// inherited tells whether systemd has opened the port. p.mu is held.
func (p *legacyPort) inherited() bool {
	return slices.ContainsFunc(p.open, func(l *listener) bool { return l.inherited })
}

// set opens or closes the port.
func (p *legacyPort) set(ctx context.Context, open bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.serve == nil || (len(p.open) > 0) == open || p.fixed != "":
		return nil
	case p.inherited():
		return errInherited
	case !open:
		var errs []error
		for _, l := range p.open {
			p.conf.Logger.InfoContext(ctx, "port closed", "listener", l.name, "addr", l.address())
			errs = append(errs, l.retire())
		}
		p.open = nil
		return errors.Join(errs...)
	}
	listeners, err := openLegacy(context.WithoutCancel(ctx), p.conf)
	if err != nil {
		return errors.Join(err, closeListeners(listeners))
	}
	for _, l := range listeners {
		p.serve(l)
	}
	p.open = listeners

	return nil
}
