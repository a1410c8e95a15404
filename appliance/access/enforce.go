package access

import (
	"net"
	"net/netip"
	"time"
)

// Connects tells whether an address may connect, and counts if it may not.
func (b *Bans) Connects(remote net.Addr) bool {
	addr := addressOf(remote)
	if !addr.IsValid() {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.covering(addr, b.now())
	if r != nil {
		r.Refused++
	}
	return r == nil
}

// Refuses tells whether a sign-in is to be refused unchecked, for a ban of the
// address or of the account from there.
func (b *Bans) Refuses(remote net.Addr, account string) (Ban, bool) {
	addr := addressOf(remote)
	if !addr.IsValid() {
		return Ban{}, false
	}
	account = cleanText(account, maxAccountName)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	r := b.covering(addr, now)
	if r == nil && account != "" {
		r = b.records[banKey{suspectOf(addr).Prefix, account}]
		if r != nil && (!r.active(now) || b.spared(addr, now)) {
			r = nil
		}
	}
	if r == nil {
		return Ban{}, false
	}
	r.Refused++
	return r.Ban, true
}

// bans tells whether an address may not connect, without counting it.
func (b *Bans) bans(addr netip.Addr) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.covering(addr, b.now()) != nil
}

// knows tells whether somebody signed in from there not long ago.
func (b *Bans) knows(remote net.Addr) bool {
	addr := addressOf(remote)
	if !addr.IsValid() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.trusts(suspectOf(addr), b.now())
}

// covering returns the ban that holds for an address, nil if there is none.
// b.mu is held.
func (b *Bans) covering(addr netip.Addr, now time.Time) *banRecord {
	for bits, n := range b.lengths[family(addr)][:addr.BitLen()+1] {
		if n == 0 {
			continue
		}
		p, err := addr.Prefix(bits)
		if err != nil {
			continue
		}
		if r := b.records[banKey{network: p}]; r != nil && r.active(now) && !b.spared(addr, now) {
			return r
		}
	}
	return nil
}

// spared tells whether an address is never banned. b.mu is held.
func (b *Bans) spared(addr netip.Addr, now time.Time) bool {
	if addr.IsLoopback() && !b.conf.Loopback || now.Before(b.exempt[addr]) {
		return true
	}
	for p := range b.allowed {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// trusts tells whether somebody signed in from there not long ago. b.mu is held.
func (b *Bans) trusts(from source, now time.Time) bool {
	at, ok := b.trusted.get(from)
	return ok && now.Sub(time.Unix(at, 0)) < trustTime
}

// onBan has f called after each ban of a network.
func (b *Bans) onBan(f func(network netip.Prefix)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cutters = append(b.cutters, f)
}

// cut has the connections closed that a ban is about. b.mu is not held.
func (b *Bans) cut(made *Ban) {
	if made.Account != "" {
		return
	}
	b.mu.Lock()
	cutters := b.cutters
	b.mu.Unlock()
	for _, f := range cutters {
		f(made.Network)
	}
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}
