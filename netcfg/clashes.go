package netcfg

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"pillarbox/netcfg/arp"
	"pillarbox/netcfg/state"
)

// clashes knows which addresses other hosts have as well. For IPv6 the kernel
// finds out once, and never uses such an address (RFC 4862, section 5.4); for
// IPv4 it does not ask, so we do for those that were set by hand (DHCP's are
// asked for before they are used).
type clashes struct {
	working sync.WaitGroup

	mu    sync.Mutex
	known map[place]finding
	busy  bool
}

// place is an address on a link.
type place struct {
	link   int
	prefix netip.Prefix
}

// finding is what was found out last, and when.
type finding struct {
	taken bool
	at    time.Time
}

// recheckAudits is after how many audits an IPv4 address is asked for again
// that seemed free.
const recheckAudits = 10

// again returns steps by which the kernel asks again for IPv6 addresses that
// are desired and that another host had: that may be gone.
func (c *clashes) again(t *state.Target, o *state.Observed, pause time.Duration) state.Plan {
	c.mu.Lock()
	defer c.mu.Unlock()
	var p state.Plan
	for i := range t.Links {
		l := o.Find(t.Links[i].Name)
		if l == nil {
			continue
		}
		for _, w := range t.Links[i].Addresses {
			at := place{link: l.Index, prefix: w.Prefix}
			f, known := c.known[at]
			if !known || !f.taken || w.Prefix.Addr().Is4() || time.Since(f.at) < pause {
				continue
			}
			c.known[at] = finding{taken: true, at: time.Now()}
			for _, do := range []state.Verb{state.Remove, state.Add} {
				p = append(p, state.Step{Do: do, What: state.TheAddress, Link: l.Name, Address: &w})
			}
		}
	}

	return p
}

// mark marks the addresses of managed links that other hosts have, and says so
// in words. What was marked stays so until it is known to be free.
func (c *clashes) mark(t *state.Target, o *state.Observed) []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var problems []error
	there := map[place]bool{}
	for i := range o.Links {
		l := &o.Links[i]
		if t.Find(l.Name) == nil || !l.Carrier {
			continue
		}
		for n := range l.Addresses {
			a := &l.Addresses[n]
			at := place{link: l.Index, prefix: a.Prefix}
			f, known := c.known[at]
			switch {
			case a.Conflict && !known:
				c.known[at] = finding{taken: true, at: time.Now()}
			case a.Prefix.Addr().Is6() && !a.Conflict && !a.Tentative:
				delete(c.known, at)
				f.taken = false
			}
			there[at] = true
			if a.Conflict = a.Conflict || f.taken; a.Conflict {
				problems = append(problems, fmt.Errorf("%s: another host has the address %s", l.Name, a.Prefix.Addr()))
			}
		}
	}
	for at := range c.known {
		if !there[at] {
			delete(c.known, at) // another cable, another network
		}
	}

	return problems
}

// check finds out about IPv4 addresses, one after the other, and nudges the
// manager if something is new. One that another host has is asked for again at
// every audit.
func (c *clashes) check(ctx context.Context, m *Manager, t *state.Target, o *state.Observed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy {
		return
	}
	todo := map[place]string{}
	for i := range t.Links {
		l := o.Find(t.Links[i].Name)
		if l == nil || !l.Up || !l.Carrier || l.MAC == "" {
			continue
		}
		for _, a := range t.Links[i].Addresses {
			at := place{link: l.Index, prefix: a.Prefix}
			f, known := c.known[at]
			if !slices.ContainsFunc(l.Addresses, func(have state.Address) bool { return have.Prefix == a.Prefix }) {
				continue
			}
			due := recheckAudits * m.Audit
			if f.taken {
				due = m.Audit
			}
			if a.Prefix.Addr().Is4() && !a.Dynamic && (!known || time.Since(f.at) >= due) {
				todo[at] = l.Name
			}
		}
	}
	if len(todo) == 0 {
		return
	}
	c.busy = true
	c.working.Go(func() { c.ask(ctx, m.Logger, m.nudge, todo) })
}

func (c *clashes) ask(ctx context.Context, log *slog.Logger, nudge func(), todo map[place]string) {
	changed, began := false, time.Now()
	for at, name := range todo {
		taken := false
		l, err := net.InterfaceByName(name)
		if err == nil && l.Index == at.link {
			taken, err = arp.Taken(ctx, l, at.prefix.Addr())
		}
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			log.Info("find out whether the address is free", "link", name, "address", at.prefix, "err", err)
		}
		c.mu.Lock()
		changed = changed || c.known[at].taken != taken
		c.known[at] = finding{taken: taken, at: began}
		c.mu.Unlock()
	}
	c.mu.Lock()
	c.busy = false
	c.mu.Unlock()
	if changed {
		nudge()
	}
}

// wait waits until nothing is asked any more.
func (c *clashes) wait() { c.working.Wait() }
