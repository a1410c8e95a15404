package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Errors that callers tell apart. Their texts are fit for an administrator.
var (
	ErrNotBanned   = errors.New("not banned")
	ErrNotAllowed  = errors.New("not on the allow-list")
	ErrSpared      = errors.New("never banned")
	ErrBanWide     = errors.New("too wide for a ban")
	ErrBanTime     = errors.New("not a time for a ban: a second to ten years")
	ErrAllowedFull = errors.New("the allow-list is full")
)

const (
	// UsualBan is for how long an administrator bans who names no time.
	UsualBan = 24 * time.Hour
	maxBan   = 10 * 365 * 24 * time.Hour
	maxNote  = 200 // octets
)

// List returns the bans that hold, the newest first.
func (b *Bans) List() []Ban {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	list := []Ban{}
	for _, r := range b.records {
		if r.active(now) {
			list = append(list, r.shown())
		}
	}
	slices.SortFunc(list, func(x, y Ban) int {
		return cmp.Or(y.Since.Compare(x.Since), x.Network.Compare(y.Network), cmp.Compare(x.Account, y.Account))
	})
	return list
}

// shown is a copy that shares nothing.
func (r *banRecord) shown() Ban {
	s := r.Ban
	s.Tried = slices.Clone(s.Tried)
	return s
}

// Count returns how many bans hold.
func (b *Bans) Count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, n := b.now(), 0
	for _, r := range b.records {
		if r.active(now) {
			n++
		}
	}
	return n
}

// Add bans a network for an administrator; with an account only from signing in
// to that. Its connections are closed. It is stored when Add returns. The errors are ErrSpared for what is
// never banned, ErrBanWide and ErrBanTime.
func (b *Bans) Add(ctx context.Context, network netip.Prefix, account, reason string, d time.Duration) (Ban, error) {
	k := banKey{banNetwork(network), cleanText(account, maxAccountName)}
	if err := checkWidth(k); err != nil {
		return Ban{}, err
	}
	if d < time.Second || d > maxBan {
		return Ban{}, ErrBanTime
	}
	b.mu.Lock()
	now := b.now()
	if err := b.sparedWhole(network, now); err != nil {
		b.mu.Unlock()
		return Ban{}, err
	}
	r, ok := b.records[k]
	if !ok {
		b.makeRoom(now)
		r = &banRecord{Ban: Ban{Network: k.network, Account: k.account}}
	}
	r.Reason, r.Since, r.Until, r.Manual, r.Refused = cleanText(reason, maxNote), now, now.Add(d), true, 0
	r.Times++
	r.Attempts, r.Tried = 0, nil
	b.put(r)
	made := r.shown()
	b.mu.Unlock()
	b.cut(&made)
	return made, b.settle(ctx)
}

// checkWidth refuses what would lock out half the world, or an account from a
// network that no address is counted by.
func checkWidth(k banKey) error {
	least := 8
	if k.network.Addr().Is6() {
		least = 16
	}
	if k.network.Bits() < least {
		return fmt.Errorf("%s is %w: /%d at most", k.network, ErrBanWide, least)
	}
	if k.account != "" && k.network != banNetwork(netip.PrefixFrom(k.network.Addr(), k.network.Addr().BitLen())) {
		return fmt.Errorf("%s is %w for one account: that is for one address", k.network, ErrBanWide)
	}
	return nil
}

// sparedWhole tells why all of a network is never banned. b.mu is held.
func (b *Bans) sparedWhole(network netip.Prefix, now time.Time) error {
	if network.Addr().IsLoopback() && !b.conf.Loopback {
		return fmt.Errorf("%s is %w: it is this machine", network, ErrSpared)
	}
	if a := network.Addr(); a.IsMulticast() || a.IsUnspecified() {
		return fmt.Errorf("%s is %w: no connection comes from there", network, ErrSpared)
	}
	if now.Before(b.exempt[network.Addr()]) && network.IsSingleIP() {
		return fmt.Errorf("%s is %w: the administrator is there", network, ErrSpared)
	}
	for p := range b.allowed {
		if p.Bits() <= network.Bits() && p.Contains(network.Addr()) {
			return fmt.Errorf("%s is %w: %s is on the allow-list", network, ErrSpared, p)
		}
	}
	return nil
}

// Lift ends the bans of a network: with an account that one, without the ban of
// the network and those of all accounts from it. What was remembered is
// forgotten. It returns what it ended; ErrNotBanned if that is nothing.
func (b *Bans) Lift(ctx context.Context, network netip.Prefix, account string) ([]Ban, error) {
	network, account = banNetwork(network), cleanText(account, maxAccountName)
	var lifted []Ban
	b.mu.Lock()
	now := b.now()
	for k, r := range b.records {
		if k.network != network || account != "" && k.account != account {
			continue
		}
		if r.active(now) {
			lifted = append(lifted, r.shown())
		}
		b.remove(k)
	}
	if account == "" {
		b.suspects.drop(source{network})
	}
	err := fmt.Errorf("%s is %w", network, ErrNotBanned)
	if r := b.covering(network.Addr(), now); r != nil && len(lifted) == 0 {
		err = fmt.Errorf("%s is %w by itself; %s, to which it belongs, is", network, ErrNotBanned, r.Network)
	}
	b.mu.Unlock()
	if len(lifted) == 0 {
		return nil, err
	}
	slices.SortFunc(lifted, func(x, y Ban) int { return cmp.Compare(x.Account, y.Account) })
	return lifted, b.settle(ctx)
}

// AllowList returns the networks that are never banned.
func (b *Bans) AllowList() []Allowed {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := []Allowed{}
	for _, a := range b.allowed {
		list = append(list, *a)
	}
	slices.SortFunc(list, func(x, y Allowed) int { return x.Network.Compare(y.Network) })
	return list
}

// Allow puts a network on the allow-list. That is stored when Allow returns.
// Bans in it stay, and do not hold.
func (b *Bans) Allow(ctx context.Context, network netip.Prefix, note string) (Allowed, error) {
	network = network.Masked()
	b.mu.Lock()
	if _, ok := b.allowed[network]; !ok && len(b.allowed) >= maxAllowed {
		b.mu.Unlock()
		return Allowed{}, fmt.Errorf("%w: %d networks", ErrAllowedFull, maxAllowed)
	}
	a := &Allowed{Network: network, Note: cleanText(note, maxNote), Since: b.now()}
	b.allowed[network] = a
	b.allowChanged(network)
	b.mu.Unlock()
	return *a, b.settle(ctx)
}

// Disallow takes a network off the allow-list. ErrNotAllowed if it is not on it.
func (b *Bans) Disallow(ctx context.Context, network netip.Prefix) error {
	network = network.Masked()
	b.mu.Lock()
	if _, ok := b.allowed[network]; !ok {
		err := fmt.Errorf("%s is %w", network, ErrNotAllowed)
		for p := range b.allowed {
			if p.Overlaps(network) {
				err = fmt.Errorf("%s is %w by itself; %s is", network, ErrNotAllowed, p)
			}
		}
		b.mu.Unlock()
		return err
	}
	delete(b.allowed, network)
	b.allowChanged(network)
	b.mu.Unlock()
	return b.settle(ctx)
}

// allowChanged has an entry stored, and the firewall told what that means for
// the bans. b.mu is held.
func (b *Bans) allowChanged(network netip.Prefix) {
	b.unallowed[network] = struct{}{}
	b.pushOverlapping(network)
}

// Exempt spares the address at which an administrator is, for a while. What is
// known of it as a suspect is forgotten.
func (b *Bans) Exempt(addr netip.Addr, d time.Duration) {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if _, ok := b.exempt[addr]; !ok && len(b.exempt) >= maxExempt {
		b.endExemptions(now)
	}
	b.exempt[addr] = now.Add(d)
	b.suspects.drop(suspectOf(addr))
	b.pushOverlapping(netip.PrefixFrom(addr, addr.BitLen()))
}

// endExemptions forgets those that are over and, if there are still too many,
// the one that ends soonest. b.mu is held.
func (b *Bans) endExemptions(now time.Time) {
	var soonest netip.Addr
	for a, until := range b.exempt {
		if !now.Before(until) {
			delete(b.exempt, a)
			continue
		}
		if !soonest.IsValid() || until.Before(b.exempt[soonest]) {
			soonest = a
		}
	}
	if len(b.exempt) >= maxExempt {
		delete(b.exempt, soonest)
	}
}

// settle stores what an administrator changed. Where that fails the change
// holds nevertheless, and is stored with the next.
func (b *Bans) settle(ctx context.Context) error {
	if err := b.save(ctx); err != nil {
		return fmt.Errorf("it holds until the next start, but was not written down: %w", err)
	}
	return nil
}
