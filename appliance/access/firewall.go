package access

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Firewall keeps banned networks from reaching this program at all. Both acts
// may be repeated.
type Firewall interface {
	// Ban lets no new connection of a network through for a time, from now.
	// An IPv6 network is a /64 at the least.
	Ban(ctx context.Context, network netip.Prefix, d time.Duration) error
	// Unban ends that; a network that is not banned is no error.
	Unban(ctx context.Context, network netip.Prefix) error
}

const (
	// tellAll is how often the firewall is told everything again: it may have
	// begun anew, and a ban that was cut short below goes on.
	tellAll = 5 * time.Minute
	// longestPush is the most that the firewall is told at once. Should this
	// program go, so do its bans, within that time.
	longestPush = time.Hour

	firstRetry = time.Second
	lastRetry  = time.Minute
	tellTime   = 10 * time.Second // for one act
	// maxRefusals is after how many acts that failed no more are tried for now.
	maxRefusals = 3
)

// push has the firewall told of a network. Link-local addresses, and single
// ones of a private IPv6 network, are the Listener's alone: their /64 is the
// whole office. b.mu is held.
func (b *Bans) push(p netip.Prefix) {
	a := p.Addr()
	if b.conf.Firewall == nil || a.IsLoopback() || a.Is6() && (a.IsLinkLocalUnicast() || p.Bits() > 64) {
		return
	}
	if len(b.unpushed) >= 2*maxRecords {
		return // it has been gone for long; what holds is told again and again
	}
	b.unpushed[p] = struct{}{}
	b.wake()
}

func (b *Bans) wake() {
	select {
	case b.pushing <- struct{}{}:
	default: // it is awake
	}
}

// pushOverlapping has the firewall told of the bans that a change of who is
// spared concerns. b.mu is held.
func (b *Bans) pushOverlapping(network netip.Prefix) {
	for k := range b.records {
		if k.account == "" && k.network.Overlaps(network) {
			b.push(k.network)
		}
	}
}

// Resync has the firewall told of all bans: it has begun anew.
func (b *Bans) Resync() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k := range b.records {
		if k.account == "" {
			b.push(k.network)
		}
	}
}

// keepFirewall tells the firewall what changed, and everything now and then.
func (b *Bans) keepFirewall(ctx context.Context) {
	all := time.NewTicker(tellAll)
	defer all.Stop()
	b.Resync()
	retry := time.Duration(0) // while it cannot be told
	for {
		select {
		case <-b.pushing:
		case <-all.C:
			b.Resync()
			continue
		case <-ctx.Done():
			return
		}
		switch err := b.tellFirewall(ctx); {
		case err == nil && retry > 0:
			retry = 0
			b.log.Info("the firewall is told of bans again")
			continue
		case err == nil:
			continue
		case ctx.Err() != nil:
			return
		case retry == 0:
			b.log.Warn("the firewall cannot be told of bans; they hold without it", "err", err)
		}
		retry = max(firstRetry, min(2*retry, lastRetry))
		select {
		case <-time.After(retry):
		case <-ctx.Done():
			return
		}
		// It may have lost more than what it was not told.
		b.Resync()
		b.wake()
	}
}

// tellFirewall tells what is to be told. Nothing is locked meanwhile. One ban
// that is not taken does not keep the others back; where several are not,
// nobody is there.
func (b *Bans) tellFirewall(ctx context.Context) error {
	b.mu.Lock()
	todo := slices.SortedFunc(maps.Keys(b.unpushed), netip.Prefix.Compare)
	clear(b.unpushed)
	b.mu.Unlock()
	var failed []netip.Prefix
	var last error
	for i, p := range todo {
		err := b.tellOne(ctx, p)
		if err == nil {
			continue
		}
		last = err
		if failed = append(failed, p); len(failed) == maxRefusals {
			failed = append(failed, todo[i+1:]...)
			break
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range failed {
		b.unpushed[p] = struct{}{}
	}
	return last
}

func (b *Bans) tellOne(ctx context.Context, p netip.Prefix) error {
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	b.mu.Lock()
	left := b.pushable(p, b.now())
	b.mu.Unlock()
	if left > 0 {
		return b.conf.Firewall.Ban(ctx, p, left)
	}
	return b.conf.Firewall.Unban(ctx, p)
}

// pushable returns for how long the firewall is to keep a network out; 0 means
// not at all. A network in which somebody is spared is left to the Listener,
// which can tell them apart. b.mu is held.
func (b *Bans) pushable(p netip.Prefix, now time.Time) time.Duration {
	r := b.records[banKey{network: p}]
	if r == nil || !r.active(now) {
		return 0
	}
	for a := range b.allowed {
		if a.Overlaps(p) {
			return 0
		}
	}
	for a, until := range b.exempt {
		if now.Before(until) && p.Contains(a) {
			return 0
		}
	}
	return min(r.Until.Sub(now), longestPush)
}
