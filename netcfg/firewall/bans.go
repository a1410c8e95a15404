package firewall

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// ErrNoTable says that there is nowhere to put a ban: nothing was applied yet.
var ErrNoTable = errors.New("no ruleset stands: apply a policy first")

// Ban drops the new connections of a source for a time: an IPv4 address or an
// IPv6 /64. A longer IPv6 prefix means its /64. A source that is banned already
// gets the new time.
func (f *Firewall) Ban(ctx context.Context, source netip.Prefix, d time.Duration) error {
	return f.BanAll(ctx, []Ban{{Source: source, Left: d}})
}

// BanAll does what Ban does for many sources. Where one cannot be banned, none
// is.
func (f *Firewall) BanAll(ctx context.Context, bans []Ban) error {
	lists := map[string][]element{}
	place := make(map[netip.Prefix]int, len(bans))
	for _, b := range bans {
		source, err := bannable(b.Source)
		if err != nil {
			return err
		}
		if b.Left <= 0 {
			return fmt.Errorf("ban %s: it must last for a time", source)
		}
		name := listOf(source, bans4, bans6)
		if i, ok := place[source]; ok {
			lists[name][i].left = b.Left // the last word counts
			continue
		}
		place[source] = len(lists[name])
		lists[name] = append(lists[name], element{source: source, left: b.Left})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stands == NothingStands {
		return ErrNoTable
	}
	for _, name := range []string{bans4, bans6} {
		if err := f.kernel.put(ctx, name, lists[name]); err != nil {
			return fmt.Errorf("ban: %w", err)
		}
	}

	return nil
}

// Unban ends a ban. It is no error if there is none.
func (f *Firewall) Unban(ctx context.Context, source netip.Prefix) error {
	source, err := bannable(source)
	if err != nil {
		return err
	}

	return f.end(ctx, listOf(source, bans4, bans6), source)
}

// Bans returns all bans, in no order.
func (f *Firewall) Bans(ctx context.Context) ([]Ban, error) { return f.list(ctx, bans4, bans6) }

// Exempt lets a source's connections pass bans and bounds for a time, as far as
// the policy lets them pass: it is for the address that the administrator is
// just using. A time of 0 ends it.
func (f *Firewall) Exempt(ctx context.Context, a netip.Addr, d time.Duration) error {
	source := Source(a)
	if !source.IsValid() {
		return errors.New("exempt: there is no address")
	}
	name := listOf(source, exempt4, exempt6)
	if d <= 0 {
		return f.end(ctx, name, source)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stands == NothingStands {
		return ErrNoTable
	}
	if err := f.kernel.put(ctx, name, []element{{source: source, left: d}}); err != nil {
		return fmt.Errorf("exempt: %w", err)
	}

	return nil
}

// Exemptions returns the sources that are exempt, in no order.
func (f *Firewall) Exemptions(ctx context.Context) ([]Ban, error) {
	return f.list(ctx, exempt4, exempt6)
}

// bannable returns what counts as one source, if it may be banned.
func bannable(p netip.Prefix) (netip.Prefix, error) {
	a := p.Addr().Unmap()
	least := 64
	switch {
	case !p.IsValid():
		return netip.Prefix{}, errors.New("ban: there is no source")
	case a.Is4():
		least = 32
		if p.Addr().Is4In6() {
			least = 128
		}
	}
	switch {
	case p.Bits() < least:
		return netip.Prefix{}, fmt.Errorf("ban %s: that is more than one source; it must be an IPv4 address or an IPv6 /64", p)
	case a.IsLoopback() || a.IsUnspecified() || a.IsMulticast():
		return netip.Prefix{}, fmt.Errorf("ban %s: no connection comes from there", p)
	case a.Is6() && a.IsLinkLocalUnicast():
		return netip.Prefix{}, fmt.Errorf("ban %s: all link-local addresses are in one /64, the whole LAN would be banned", p)
	}

	return Source(a), nil
}

func listOf(source netip.Prefix, name4, name6 string) string {
	if source.Addr().Is4() {
		return name4
	}

	return name6
}

func (f *Firewall) end(ctx context.Context, name string, source netip.Prefix) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stands == NothingStands {
		return nil
	}

	return f.kernel.take(ctx, name, []element{{source: source}})
}

func (f *Firewall) list(ctx context.Context, names ...string) ([]Ban, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stands == NothingStands {
		return nil, nil
	}
	var all []Ban
	for _, name := range names {
		elements, err := f.kernel.sources(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, e := range elements {
			all = append(all, Ban{Source: e.source, Left: e.left})
		}
	}

	return all, nil
}
