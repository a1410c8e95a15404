package appliance

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"pillarbox/appliance/config"
)

// webReach tells from where the pages may be opened: from the networks that this
// machine is in, private ones, and those of the settings. The firewall, where
// there is one, says the same; but it lets everybody in while a certificate
// authority looks for a proof.
type webReach struct {
	more    []netip.Prefix
	current func() config.Version

	mu   sync.Mutex
	own  []netip.Prefix // of this machine's interfaces
	read time.Time
}

// ownFor is how long the machine's addresses are taken as read.
const ownFor = 10 * time.Second

func (r *webReach) inside(addr netip.Addr) bool {
	in := func(networks []netip.Prefix) bool {
		return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr) })
	}
	switch {
	case !addr.IsValid():
		return false
	case addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || in(r.more) || in(r.networks()):
		return true
	}
	d := r.current().Document
	rule := d.Firewall.Rule("https")

	return rule.From == "anyone" || in(d.Firewall.LAN) || rule.From == "networks" && in(rule.Networks)
}

// networks returns those that this machine is in.
func (r *webReach) networks() []netip.Prefix {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.read) < ownFor {
		return r.own
	}
	r.own, r.read = nil, time.Now()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			r.own = append(r.own, p.Masked())
		}
	}

	return r.own
}
