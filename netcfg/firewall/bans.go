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

// Ban drops the new connections of a source, or of a whole network, for a time.
// A source is an IPv4 address or an IPv6 /64; a longer IPv6 prefix means its
// /64. What is banned already gets the new time.
func (f *Firewall) Ban(ctx context.Context, source netip.Prefix, d time.Duration) error {
	return f.BanAll(ctx, []Ban{{Source: source, Left: d}})
}

// BanAll does what Ban does for many. Where one may not be banned, none is.
func (f *Firewall) BanAll(ctx context.Context, bans []Ban) error {
	var sets []set // those that are concerned, with what is to be added to each
	elements := map[string][]element{}
	place := make(map[netip.Prefix]int, len(bans))
	for _, b := range bans {
		source, err := bannable(b.Source)
		if err != nil {
			return err
		}
		if b.Left <= 0 {
			return fmt.Errorf("ban %s: it must last for a time", source)
		}
		s := banSet(familyOf(source.Addr()), uint8(source.Bits()))
		if i, ok := place[source]; ok {
			elements[s.name][i].left = b.Left // the last word counts
			continue
		}
		if elements[s.name] == nil {
			sets = append(sets, s)
		}
		place[source] = len(elements[s.name])
		elements[s.name] = append(elements[s.name], element{source: source, left: b.Left})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stands == NothingStands {
		return ErrNoTable
	}
	for i := range sets {
		if err := f.kernel.put(ctx, &sets[i], elements[sets[i].name]); err != nil {
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
	s := banSet(familyOf(source.Addr()), uint8(source.Bits()))

	return f.end(ctx, &s, source)
}

// Bans returns all bans, in no order.
func (f *Firewall) Bans(ctx context.Context) ([]Ban, error) { return f.list(ctx, banSets()) }

// Exempt lets a source's connections pass bans and bounds for a time, as far as
// the policy lets them pass: it is for the address that the administrator is
// just using. A time of 0 ends it.
func (f *Firewall) Exempt(ctx context.Context, a netip.Addr, d time.Duration) error {
	source := Source(a)
	if !source.IsValid() {
		return errors.New("exempt: there is no address")
	}
	s := exemptSets()[0]
	if source.Addr().Is6() {
		s = exemptSets()[1]
	}
	if d <= 0 {
		return f.end(ctx, &s, source)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stands == NothingStands {
		return ErrNoTable
	}
	if err := f.kernel.put(ctx, &s, []element{{source: source, left: d}}); err != nil {
		return fmt.Errorf("exempt: %w", err)
	}

	return nil
}

// Exemptions returns the sources that are exempt, in no order.
func (f *Firewall) Exemptions(ctx context.Context) ([]Ban, error) {
	return f.list(ctx, exemptSets())
}

// bannable returns a network, with what counts as one source at the least, if
// it may be banned.
func bannable(p netip.Prefix) (netip.Prefix, error) {
	if !p.IsValid() {
		return netip.Prefix{}, errors.New("ban: there is no source")
	}
	a, bits := p.Addr(), p.Bits()
	if a.Is4In6() {
		a, bits = a.Unmap(), max(bits-96, 0)
	}
	f := familyOf(a)
	p = netip.PrefixFrom(a, min(bits, int(sourceBits(f)))).Masked()
	switch {
	case p.Bits() < int(widestBan(f)):
		return netip.Prefix{}, fmt.Errorf("ban %s: a network that is banned is a /%d at the most", p, widestBan(f))
	case a.IsLoopback() || a.IsUnspecified() || a.IsMulticast():
		return netip.Prefix{}, fmt.Errorf("ban %s: no connection comes from there", p)
	case p.Overlaps(linkLocal()):
		return netip.Prefix{}, fmt.Errorf("ban %s: all link-local addresses are in one /64, the whole LAN would be banned", p)
	}

	return p, nil
}

// linkLocal is RFC 4291's, section 2.5.6.
func linkLocal() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfe, 0x80}), 10)
}

func (f *Firewall) end(ctx context.Context, s *set, source netip.Prefix) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stands == NothingStands {
		return nil
	}

	return f.kernel.take(ctx, s, []element{{source: source}})
}

func (f *Firewall) list(ctx context.Context, sets []set) ([]Ban, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stands == NothingStands {
		return nil, nil
	}
	var all []Ban
	for i := range sets {
		elements, err := f.kernel.sources(ctx, &sets[i])
		if err != nil {
			return nil, err
		}
		for _, e := range elements {
			all = append(all, Ban{Source: e.source, Left: e.left})
		}
	}

	return all, nil
}
