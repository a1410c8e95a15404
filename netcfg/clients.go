package netcfg

import (
	"context"
	"net"
	"time"

	"pillarbox/netcfg/dhcp"
	"pillarbox/netcfg/state"
)

// client is a DHCP client that runs. It lives as long as its link has a
// carrier: a cable that is plugged in again may lead to another network.
type client struct {
	index int    // of the link: a name may come back with another device
	mac   string // that of a bridge of others changes with its ports
	stop  context.CancelFunc
	done  chan struct{}
}

// keepClients starts and stops DHCP clients as links come and go.
func (m *Manager) keepClients(ctx context.Context, t *state.Target, o *state.Observed) {
	m.stopClients(func(name string) bool {
		want, have := t.Find(name), o.Find(name)
		return want == nil || !want.DHCP || have == nil || !have.Up || !have.Carrier ||
			have.Index != m.clients[name].index || have.MAC != m.clients[name].mac
	})
	m.mu.Lock()
	for name := range m.leases {
		if want := t.Find(name); want == nil || !want.DHCP {
			delete(m.leases, name) // should it be asked again, nothing is decided
		}
	}
	m.mu.Unlock()
	for i := range t.Links {
		l := o.Find(t.Links[i].Name)
		if !t.Links[i].DHCP || l == nil || !l.Up || !l.Carrier || m.clients[l.Name] != nil {
			continue
		}
		ctx, stop := context.WithCancel(ctx)
		c := &client{index: l.Index, mac: l.MAC, stop: stop, done: make(chan struct{})}
		m.clients[l.Name] = c
		go func() {
			defer close(c.done)
			m.keepLease(ctx, l.Name, l.MAC)
		}()
	}
}

// stopClients stops the clients that f picks and waits for them.
func (m *Manager) stopClients(f func(name string) bool) {
	for name, c := range m.clients {
		if f(name) {
			c.stop()
			<-c.done
			delete(m.clients, name)
		}
	}
}

// keepLease runs a DHCP client on a link.
func (m *Manager) keepLease(ctx context.Context, name, hardware string) {
	log := m.Logger.With("link", name)
	mac, err := net.ParseMAC(hardware)
	if err != nil {
		log.Error("ask DHCP", "err", err)
		return
	}
	for ctx.Err() == nil {
		conn, err := dhcp.Open(name)
		if err != nil {
			log.Error("ask DHCP", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(lastRetry):
			}
			continue
		}
		_ = dhcp.New(&dhcp.Config{
			Conn: conn, MAC: mac, ID: dhcp.Identifier(m.Identity, mac), Hostname: m.Hostname, Logger: log,
			Previous: m.previous(name, mac), MaxLease: m.MaxLease, Release: m.Release,
			Decided: func(l *dhcp.Lease) { m.decided(name, mac, l) },
		}).Run(ctx) // the error is the context's
		if err := conn.Close(); err != nil {
			log.Warn("close the DHCP client", "err", err)
		}
	}
}

// previous returns the lease that a link had.
func (m *Manager) previous(name string, mac net.HardwareAddr) *dhcp.Lease {
	m.mu.Lock()
	l := m.leases[name]
	m.mu.Unlock()
	if l != nil {
		return l
	}
	l, err := m.Leases.Load(mac)
	if err != nil {
		m.Logger.Warn("the lease of an earlier run", "link", name, "err", err)
	}

	return l
}

// decided takes what a DHCP client has found out.
func (m *Manager) decided(name string, mac net.HardwareAddr, l *dhcp.Lease) {
	m.mu.Lock()
	m.leases[name] = l
	old := m.saved[name]
	m.mu.Unlock()
	m.nudge()
	var err error
	switch {
	case l == nil:
		err = m.Leases.Forget(mac)
		old = savedLease{}
	case old.lease == nil || old.lease.Address != l.Address || l.Acquired.Sub(old.at) > saveTime:
		err = m.Leases.Save(mac, l)
		old = savedLease{lease: l, at: l.Acquired}
	}
	if err != nil {
		m.Logger.Warn("keep the lease", "link", name, "err", err)
	}
	m.mu.Lock()
	m.saved[name] = old
	m.mu.Unlock()
}
