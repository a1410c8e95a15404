package link

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"pillarbox/netcfg/state"
)

// alias marks the links that this program has made.
const alias = "made by pillarbox"

// dumpTries bounds how often a list is read anew because it changed meanwhile.
const dumpTries = 5

// Observe returns what the kernel has now.
func Observe() (state.Observed, error) {
	links, err := dump(netlink.LinkList)
	if err != nil {
		return state.Observed{}, fmt.Errorf("list links: %w", err)
	}
	var o state.Observed
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	for _, l := range links {
		o.Links = append(o.Links, observed(l, names))
	}
	addresses, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return state.Observed{}, fmt.Errorf("list addresses: %w", err)
	}
	now := time.Now()
	for _, a := range addresses {
		l := o.Find(names[a.LinkIndex])
		if prefix, ok := fromNet(a.IPNet.IP, a.IPNet.Mask); ok && l != nil {
			l.Addresses = append(l.Addresses, address(prefix, &a, now))
		}
	}
	routes, err := dump(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_ALL,
			&netlink.Route{Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNICAST}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE)
	})
	if err != nil {
		return state.Observed{}, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		if route, ok := route(&r, names); ok {
			o.Routes = append(o.Routes, route)
		}
	}

	return o, nil
}

// dump reads a list until it was read in one piece.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	for try := 1; ; try++ {
		all, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) || try == dumpTries {
			return all, err
		}
	}
}

func observed(l netlink.Link, names map[int]string) state.Link {
	a := l.Attrs()
	o := state.Link{
		Index:    a.Index,
		Name:     a.Name,
		MAC:      a.HardwareAddr.String(),
		MTU:      a.MTU,
		Up:       a.RawFlags&unix.IFF_UP != 0,
		Carrier:  a.RawFlags&unix.IFF_LOWER_UP != 0,
		Master:   names[a.MasterIndex],
		Ours:     a.Alias == alias,
		Settings: settings(a.Name),
	}
	switch l := l.(type) {
	case *netlink.Bridge:
		o.Kind = state.KindBridge
	case *netlink.Vlan:
		o.Kind, o.VLANID, o.Parent = state.KindVLAN, l.VlanId, names[a.ParentIndex]
	default:
		if kind := l.Type(); kind != "device" {
			o.Kind = kind
		}
		// A container's cable is a veth.
		o.Wired = a.EncapType == "ether" && (o.Kind == "" || o.Kind == "veth") && !wireless(a.Name)
	}

	return o
}

// wireless tells whether a device has a radio.
func wireless(name string) bool {
	_, err := os.Stat(filepath.Join("/sys/class/net", filepath.Base(name), "phy80211"))

	return err == nil
}

// settings returns what the kernel says of a link; without those of IPv6 if it
// has none.
func settings(name string) map[string]string {
	all := map[string]string{}
	for _, key := range state.Settings() {
		for _, file := range settingFiles(name, key) {
			text, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			value := strings.TrimSpace(string(text))
			if old, ok := all[key]; ok && old != value {
				value = "" // it is one thing for IPv4 and another for IPv6
			}
			all[key] = value
		}
	}

	return all
}

// set writes a setting. That the kernel has no IPv6 is no fault where it has
// the same setting for IPv4.
func set(name, key, value string) error {
	var (
		failed []error
		done   bool
	)
	for _, file := range settingFiles(name, key) {
		if err := os.WriteFile(file, []byte(value), 0); err != nil {
			failed = append(failed, err)
			continue
		}
		done = true
	}
	if done {
		failed = slices.DeleteFunc(failed, func(err error) bool { return errors.Is(err, fs.ErrNotExist) })
	}

	return errors.Join(failed...)
}

func settingFiles(name, key string) []string {
	file := func(family string) string {
		return filepath.Join("/proc/sys/net", family, "conf", filepath.Base(name), key)
	}
	if key == state.SettingSkipDown {
		return []string{file("ipv4"), file("ipv6")}
	}

	return []string{file("ipv6")}
}

func address(prefix netip.Prefix, a *netlink.Addr, now time.Time) state.Address {
	out := state.Address{
		Prefix:    prefix,
		Dynamic:   a.Flags&unix.IFA_F_PERMANENT == 0,
		Tentative: a.Flags&unix.IFA_F_TENTATIVE != 0,
		Conflict:  a.Flags&unix.IFA_F_DADFAILED != 0,

		Deprecated: a.Flags&unix.IFA_F_DEPRECATED != 0,
	}
	// The kernel's word for ever is all ones.
	if out.Dynamic && uint32(a.ValidLft) != ^uint32(0) {
		out.Expires = now.Add(time.Duration(a.ValidLft) * time.Second)
	}

	return out
}

func route(r *netlink.Route, names map[int]string) (state.Route, bool) {
	name := names[r.LinkIndex]
	out := state.Route{Link: name, Metric: r.Priority, Protocol: int(r.Protocol), OnLink: r.Flags&unix.RTNH_F_ONLINK != 0}
	if name == "" || len(r.MultiPath) > 0 {
		return out, false
	}
	if gateway, ok := netip.AddrFromSlice(r.Gw); ok {
		out.Gateway = gateway.Unmap()
	}
	var ok bool
	if r.Dst != nil {
		out.To, ok = fromNet(r.Dst.IP, r.Dst.Mask)
	} else {
		ok = true
		out.To = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if r.Family == netlink.FAMILY_V6 {
			out.To = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
	}

	return out, ok
}

func fromNet(ip []byte, mask []byte) (netip.Prefix, bool) {
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return netip.Prefix{}, false
	}
	if len(mask) == 4 {
		a = a.Unmap()
	}
	ones := 0
	for _, b := range mask {
		for ; b&0x80 != 0; b <<= 1 {
			ones++
		}
	}
	p := netip.PrefixFrom(a, ones)

	return p, p.IsValid()
}
