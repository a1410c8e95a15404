package netcfg

import (
	"context"
	"slices"
	"time"

	"pillarbox/netcfg/ra"
	"pillarbox/netcfg/state"
)

// solicit asks the routers on a link, once for each time that its cable was
// plugged in.
type solicit struct {
	listens int // see Manager.listens
	stop    context.CancelFunc
	done    chan struct{}
}

// listen learns what routers advertise.
func (m *Manager) listen(ctx context.Context) {
	for ctx.Err() == nil {
		err := ra.Listen(ctx, func() {
			m.mu.Lock()
			m.listens++
			m.mu.Unlock()
			m.nudge()
		}, func(o *ra.Option) {
			m.mu.Lock()
			changed := m.routers.Learn(o, time.Now())
			m.mu.Unlock()
			if changed {
				m.nudge()
			}
		})
		if ctx.Err() != nil {
			return
		}
		m.Logger.Warn("the kernel's messages about routers were lost", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(watchPause):
		}
	}
}

// advertised returns what routers say, by the link's name. What was said on a
// link that has no cable any more is forgotten: the cable may lead elsewhere.
// m.mu is held.
func (m *Manager) advertised(o *state.Observed) map[string]state.Advertised {
	all := map[string]state.Advertised{}
	for _, index := range m.routers.Links() {
		if !slices.ContainsFunc(o.Links, func(l state.Link) bool { return l.Index == index && l.Carrier }) {
			m.routers.Forget(index)
		}
	}
	for _, l := range o.Links {
		if servers, domains := m.routers.Of(l.Index, time.Now()); len(servers)+len(domains) > 0 {
			all[l.Name] = state.Advertised{DNS: servers, Search: domains}
		}
	}

	return all
}

// keepSolicits asks routers where that has not been done yet.
func (m *Manager) keepSolicits(ctx context.Context, t *state.Target, o *state.Observed) {
	heard := map[int]string{} // links by index
	for i := range o.Links {
		l := &o.Links[i]
		if want := t.Find(l.Name); want != nil && want.SLAAC && l.Up && l.Carrier {
			heard[l.Index] = l.Name
		}
	}
	m.mu.Lock()
	listens := m.listens
	m.mu.Unlock()
	m.stopSolicits(func(index int) bool { return heard[index] == "" || m.solicits[index].listens != listens })
	for index, name := range heard {
		// Without an address nothing can be sent.
		if listens == 0 || m.solicits[index] != nil || !hasLinkLocal(o.Find(name)) {
			continue
		}
		ctx, stop := context.WithCancel(ctx)
		s := &solicit{listens: listens, stop: stop, done: make(chan struct{})}
		m.solicits[index] = s
		go func() {
			defer close(s.done)
			err := ra.Solicit(ctx, name, func() bool {
				m.mu.Lock()
				defer m.mu.Unlock()
				servers, _ := m.routers.Of(index, time.Now())
				return len(servers) > 0
			})
			if err != nil && ctx.Err() == nil {
				m.Logger.Info("ask for routers", "link", name, "err", err)
			}
		}()
	}
}

// hasLinkLocal tells whether a link has an IPv6 address that is known to be its
// own.
func hasLinkLocal(l *state.Link) bool {
	for _, a := range l.Addresses {
		if a.Prefix.Addr().Is6() && a.Prefix.Addr().IsLinkLocalUnicast() && !a.Tentative && !a.Conflict {
			return true
		}
	}

	return false
}

// stopSolicits stops those that f picks and waits for them.
func (m *Manager) stopSolicits(f func(index int) bool) {
	for index, s := range m.solicits {
		if f(index) {
			s.stop()
			<-s.done
			delete(m.solicits, index)
		}
	}
}
