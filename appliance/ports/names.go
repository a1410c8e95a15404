package ports

import (
	"context"
	"net/netip"
	"time"
)

// Finder tells the names of machines.
type Finder interface {
	// Find returns the name of the machine that has an address, and who told it;
	// "" where nobody knows. local says that it is in the office's networks.
	Find(ctx context.Context, addr netip.Addr, local bool) (name, by string)
}

// How machines' names are asked for: one after the other, so many at a time.
const (
	askEvery   = 10 * time.Second
	askAtOnce  = 8
	askFor     = 4 * time.Second // at most, for one name
	askAgain   = 12 * time.Hour
	maxUnnamed = 512
)

// unnamed is an address whose name is to be asked for: of an account's client,
// or, where account is "", of a stranger in the office.
type unnamed struct {
	account string
	addr    netip.Addr
}

// ask has a name asked for unless it is known, or there is too much to ask for:
// then it is when somebody comes from there again. inv.mu is held.
func (inv *Inventory) ask(account string, addr netip.Addr, asked int64, now time.Time) {
	if addr.IsLoopback() { // this machine itself
		return
	}
	if inv.conf.Find != nil && len(inv.unnamed) < maxUnnamed && asked <= now.Add(-askAgain).Unix() {
		inv.unnamed[unnamed{account, addr}] = inv.local(addr)
	}
}

// findNames asks for names until ctx ends.
func (inv *Inventory) findNames(ctx context.Context) {
	if inv.conf.Find == nil {
		return
	}
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		for q, local := range inv.questions() {
			asking, done := context.WithTimeout(ctx, askFor)
			name, by := inv.conf.Find.Find(asking, q.addr, local)
			done()
			if ctx.Err() != nil {
				return
			}
			inv.name(q, cleanHost(name), clean(by, maxNameBy))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// questions takes some of the addresses to ask about.
func (inv *Inventory) questions() map[unnamed]bool {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	some := map[unnamed]bool{}
	for q, local := range inv.unnamed {
		if len(some) < askAtOnce {
			some[q] = local
			delete(inv.unnamed, q)
		}
	}
	return some
}

// name notes what a machine is called; "" means that nobody knows. A name that
// was known stays until there is another one.
func (inv *Inventory) name(q unnamed, name, by string) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	now := inv.now().Unix()
	if q.account == "" {
		if s := inv.inside.all[placeOf(q.addr)]; s != nil {
			if s.Asked = now; name != "" {
				s.Name, s.NameBy = name, by
			}
			inv.inside.changed[shardOf(s.Network)] = true
		}
		return
	}
	a := inv.accounts[q.account]
	if a == nil {
		return
	}
	for _, r := range a.records {
		for i := range r.Addresses {
			if at := &r.Addresses[i]; at.Addr == q.addr {
				if at.Asked = now; name != "" {
					at.Name, at.NameBy = name, by
				}
				a.changed = true
			}
		}
	}
}
