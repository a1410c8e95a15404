package appliance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"pillarbox/appliance/config"
)

// mailPorts opens and closes the ports for IMAP while the box runs. Who is
// connected when one is closed may finish. One of them is always open.
type mailPorts struct {
	imaps, legacy mailPort
}

func newMailPorts(c *Config) *mailPorts {
	return &mailPorts{
		imaps:  mailPort{conf: c, name: nameIMAPS, number: portIMAPS, fallback: fallbackIMAPS, addrs: c.IMAPS, flag: "--imaps"},
		legacy: mailPort{conf: c, name: nameLegacy, number: portIMAPSLegacy, fallback: fallbackLegacy, addrs: c.IMAPSLegacy, flag: "--imaps-legacy"},
	}
}

// all returns them, 993 first.
func (p *mailPorts) all() []*mailPort { return []*mailPort{&p.imaps, &p.legacy} }

// take takes over those of the listeners that are for IMAP, and returns the others.
func (p *mailPorts) take(listeners []*listener) (others []*listener) {
	systemd := slices.ContainsFunc(listeners, func(l *listener) bool { return l.inherited })
	for _, port := range p.all() {
		port.take(listeners, systemd)
	}

	return slices.DeleteFunc(slices.Clone(listeners), func(l *listener) bool { return l.name == nameIMAPS || l.name == nameLegacy })
}

// Name implements config.Applier.
func (*mailPorts) Name() string { return "ports" }

// Follows implements config.Follower.
func (*mailPorts) Follows() {}

// Check implements config.Applier.
func (p *mailPorts) Check(_ context.Context, from, to *config.Document) (r config.Report, err error) {
	open := false
	for _, port := range p.all() {
		open = open || port.wanted(to) && port.fixed() == ""
		if port.wanted(from) == port.wanted(to) {
			continue
		}
		if err := port.check(port.wanted(to), &r); err != nil {
			return r, err
		}
	}
	if !open && (p.imaps.wanted(from) != p.imaps.wanted(to) || p.legacy.wanted(from) != p.legacy.wanted(to)) {
		return r, errors.New("ports: nobody could read mail any more: the other port stays closed as the server was started")
	}

	return r, nil
}

// Try implements config.Applier.
func (p *mailPorts) Try(ctx context.Context, t *config.Trial) ([]string, error) {
	return nil, p.set(ctx, t.To)
}

// Hold implements config.Applier.
func (p *mailPorts) Hold(ctx context.Context, d *config.Document) error { return p.set(ctx, d) }

// set opens before it closes.
func (p *mailPorts) set(ctx context.Context, d *config.Document) error {
	ports := p.all()
	slices.SortStableFunc(ports, func(a, b *mailPort) int {
		switch {
		case a.wanted(d) == b.wanted(d):
			return 0
		case a.wanted(d):
			return -1
		}
		return 1
	})
	for _, port := range ports {
		if err := port.set(ctx, port.wanted(d)); err != nil {
			return err
		}
	}

	return nil
}

// listeners returns those that are open.
func (p *mailPorts) listeners() []*listener {
	return append(p.imaps.listeners(), p.legacy.listeners()...)
}

// start serves what was opened at the start.
func (p *mailPorts) start(serve func(l *listener)) {
	p.imaps.start(serve)
	p.legacy.start(serve)
}

// close closes what nobody has begun to serve.
func (p *mailPorts) close() error {
	return closeListeners(p.listeners())
}

// mailPort is one port for IMAP.
type mailPort struct {
	conf             *Config // as it was given
	name             string
	number, fallback int
	addrs            []string // nil means the usual
	flag             string   // by which they were given

	mu    sync.Mutex
	stays string // why it stays closed whatever the configuration says; "" if it does not
	open  []*listener
	serve func(l *listener) // serves one; nil before the box runs
}

// wanted tells whether the configuration has it open.
func (p *mailPort) wanted(d *config.Document) bool {
	if p.name == nameIMAPS {
		return !d.Ports.NoIMAPS
	}

	return d.Ports.IMAPSLegacy
}

func (p *mailPort) take(all []*listener, systemd bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range all {
		if l.name == p.name {
			p.open = append(p.open, l)
		}
	}
	switch {
	case slices.Contains(p.addrs, Off):
		p.stays = fmt.Sprintf("the server was started without it (%s off)", p.flag)
	case systemd && len(p.open) == 0 && p.addrs == nil:
		p.stays = "systemd opens the ports of this machine, and not this one"
	}
}

func (p *mailPort) fixed() string {
	p.mu.Lock()
	defer p.mu.Unlock()

	return p.stays
}

// inherits tells whether systemd has opened the port. p.mu is held.
func (p *mailPort) inherits() bool {
	return slices.ContainsFunc(p.open, func(l *listener) bool { return l.inherited })
}

func (p *mailPort) errInherited() error {
	return fmt.Errorf("systemd opens port %d on this machine: systemctl mask --now pillarbox-%s.socket closes it", p.number, p.name)
}

// check tells what it takes to open or close it.
func (p *mailPort) check(open bool, r *config.Report) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.inherits():
		return p.errInherited()
	case p.stays != "":
		r.Notes = append(r.Notes, fmt.Sprintf("port %d stays closed: %s", p.number, p.stays))
	case open:
		r.Steps = append(r.Steps, fmt.Sprintf("open port %d for IMAP", p.number))
	default:
		r.Steps = append(r.Steps, fmt.Sprintf("close port %d; who is connected there may finish", p.number))
	}

	return nil
}

func (p *mailPort) listeners() []*listener {
	p.mu.Lock()
	defer p.mu.Unlock()

	return slices.Clone(p.open)
}

// answers finds out whether it takes connections.
func (p *mailPort) answers(ctx context.Context) error {
	for _, l := range p.listeners() {
		// One that was just closed takes no connections, and need not.
		if err := l.check(ctx); err != nil && l.retirement() == nil {
			return err
		}
	}

	return nil
}

func (p *mailPort) start(serve func(l *listener)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serve = serve
	for _, l := range p.open {
		serve(l)
	}
}

// set opens or closes the port.
func (p *mailPort) set(ctx context.Context, open bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.serve == nil || (len(p.open) > 0) == open || p.stays != "":
		return nil
	case p.inherits():
		return p.errInherited()
	case !open:
		var errs []error
		for _, l := range p.open {
			p.conf.Logger.InfoContext(ctx, "port closed", "listener", l.name, "addr", l.address())
			errs = append(errs, l.retire())
		}
		p.open = nil
		return errors.Join(errs...)
	}
	listeners, err := listenAt(context.WithoutCancel(ctx), p.conf, p.name, p.addrs, p.number, p.fallback)
	if err != nil {
		return errors.Join(err, closeListeners(listeners))
	}
	for _, l := range listeners {
		p.serve(l)
	}
	p.open = listeners

	return nil
}
