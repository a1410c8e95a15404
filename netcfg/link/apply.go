package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"pillarbox/netcfg/state"
)

// ErrMTU says that a device cannot have an MTU.
var ErrMTU = errors.New("the device cannot send packets of this size")

// ErrNoVLAN says that the kernel cannot make VLANs.
var ErrNoVLAN = errors.New("this machine's kernel has no VLANs (8021q): that network needs an interface of its own")

// Apply carries out a plan. A step that fails does not keep those of other
// links from being done; the error names all that failed.
func Apply(p state.Plan) error {
	var failed []error
	broken := map[string]bool{}
	for _, s := range p {
		if broken[s.Link] {
			continue
		}
		if err := do(s); err != nil {
			failed = append(failed, fmt.Errorf("%s: %s: %w", s.Link, s, err))
			broken[s.Link] = s.What == state.TheLink
		}
	}

	return errors.Join(failed...)
}

// do carries out one step. The link is looked up by its name each time: it may
// have been unplugged, and another one plugged in.
func do(s state.Step) error {
	if s.Do == state.Create {
		return create(s.Make)
	}
	l, err := netlink.LinkByName(s.Link)
	if err != nil {
		return err
	}
	switch s.What {
	case state.TheLink:
		if l.Attrs().Alias != alias {
			return errors.New("it was made by others")
		}
		return netlink.LinkDel(l)
	case state.TheSetting:
		return set(s.Link, s.Key, s.To)
	case state.TheMTU:
		mtu, err := strconv.Atoi(s.To)
		if err != nil {
			return err
		}
		err = netlink.LinkSetMTU(l, mtu)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ERANGE) {
			return ErrMTU
		}
		return err
	case state.TheMaster:
		if s.To == "" {
			return netlink.LinkSetNoMaster(l)
		}
		master, err := netlink.LinkByName(s.To)
		if err != nil {
			return err
		}
		return netlink.LinkSetMaster(l, master)
	case state.TheState:
		return netlink.LinkSetUp(l)
	case state.TheAddress:
		return doAddress(l, s)
	case state.TheRoute:
		return doRoute(l, s)
	}

	return fmt.Errorf("no such step: %s %s", s.Do, s.What)
}

func create(t *state.LinkTarget) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = t.Name
	if t.MAC != "" {
		mac, err := net.ParseMAC(t.MAC)
		if err != nil {
			return err
		}
		attrs.HardwareAddr = mac
	}
	var l netlink.Link
	switch t.Kind {
	case state.KindBridge:
		l = &netlink.Bridge{LinkAttrs: attrs}
	case state.KindVLAN:
		parent, err := netlink.LinkByName(t.Parent)
		if err != nil {
			return err
		}
		attrs.ParentIndex = parent.Attrs().Index
		l = &netlink.Vlan{LinkAttrs: attrs, VlanId: t.VLANID}
	default:
		return state.ErrAbsent
	}
	err := netlink.LinkAdd(l)
	if t.Kind == state.KindVLAN && errors.Is(err, unix.EOPNOTSUPP) {
		return ErrNoVLAN
	}
	if err != nil {
		return err
	}
	// Without the mark it would never be taken away again.
	if err := netlink.LinkSetAlias(l, alias); err != nil {
		return errors.Join(err, netlink.LinkDel(l))
	}

	return nil
}

func doAddress(l netlink.Link, s state.Step) error {
	a := &netlink.Addr{IPNet: toNet(s.Address.Prefix)}
	if s.Do == state.Remove {
		err := netlink.AddrDel(l, a)
		if errors.Is(err, unix.EADDRNOTAVAIL) {
			return nil // it has expired
		}
		return err
	}
	if end := s.Address.Expires; !end.IsZero() {
		// None would mean for ever.
		a.ValidLft = max(1, int((time.Until(end)+time.Second-1)/time.Second))
		a.PreferedLft = a.ValidLft
	}

	return netlink.AddrReplace(l, a)
}

func doRoute(l netlink.Link, s state.Step) error {
	r := &netlink.Route{
		LinkIndex: l.Attrs().Index,
		Dst:       toNet(s.Route.To.Masked()),
		Priority:  s.Route.Metric,
		Protocol:  netlink.RouteProtocol(s.Route.Protocol),
		Table:     unix.RT_TABLE_MAIN,
	}
	if g := s.Route.Gateway; g.IsValid() {
		r.Gw = net.IP(g.AsSlice())
	} else if s.Route.To.Addr().Is4() {
		r.Scope = netlink.SCOPE_LINK
	}
	if s.Do == state.Remove {
		err := netlink.RouteDel(r)
		if errors.Is(err, unix.ESRCH) {
			return nil // it went with its address
		}
		return err
	}
	if s.Route.OnLink {
		r.Flags = int(netlink.FLAG_ONLINK)
	}

	return netlink.RouteReplace(r)
}

func toNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
