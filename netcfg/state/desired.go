package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
)

// Version is the version of the file's form. Parse refuses a newer one.
const Version = 1

// MaxSize bounds the file.
const MaxSize = 256 << 10

// Bounds on what a file may ask for.
const (
	maxInterfaces = 64
	maxAddresses  = 32 // of one interface and family
	maxServers    = 8  // name servers, and time servers
	maxSearch     = 6
	maxPorts      = 32 // of a bridge
)

// Desired is how the network should be.
type Desired struct {
	Version    int         `json:"version"`
	Interfaces []Interface `json:"interfaces"`

	// DNS and Search take the place of what DHCP gives. Empty means that DHCP
	// decides.
	DNS    []netip.Addr `json:"dns,omitempty"`
	Search []string     `json:"search,omitempty"`

	// NTP are time servers, which are trusted before those that DHCP gives.
	NTP []string `json:"ntp,omitempty"`
}

// Interface is one interface that is to be managed. Exactly one of Name, MAC and
// FirstWired says which; a bridge and a VLAN have a name.
type Interface struct {
	Name       string `json:"name,omitempty"`
	MAC        string `json:"mac,omitempty"`
	FirstWired bool   `json:"first_wired,omitempty"`

	MTU    int     `json:"mtu,omitempty"` // 0 means DHCP's, or else what it is
	IPv4   IPv4    `json:"ipv4,omitzero"`
	IPv6   IPv6    `json:"ipv6,omitzero"`
	Bridge *Bridge `json:"bridge,omitempty"`
	VLAN   *VLAN   `json:"vlan,omitempty"`
}

// Methods by which an interface gets its addresses.
const (
	MethodDHCP   = "dhcp"
	MethodStatic = "static"
	MethodSLAAC  = "slaac"
	MethodOff    = "off"
)

// IPv4 is how an interface gets its IPv4 addresses.
type IPv4 struct {
	Method    string         `json:"method,omitempty"` // dhcp, static or off; "" means off
	Addresses []netip.Prefix `json:"addresses,omitempty"`
	Gateway   netip.Addr     `json:"gateway,omitzero"`
}

// IPv6 is how an interface gets its IPv6 addresses.
type IPv6 struct {
	// Method is slaac, static or off; "" means slaac: an address that nobody
	// asks for does no harm, and its lack does.
	Method string `json:"method,omitempty"`
	// Addresses are added to those of SLAAC; unique local ones (fc00::/7) are
	// welcome beside them.
	Addresses []netip.Prefix `json:"addresses,omitempty"`
	Gateway   netip.Addr     `json:"gateway,omitzero"`
}

// Bridge makes an interface of several.
type Bridge struct {
	Ports []string `json:"ports"`
}

// VLAN makes an interface of the frames with one tag (IEEE 802.1Q).
type VLAN struct {
	Parent string `json:"parent"`
	ID     int    `json:"id"`
}

// Default is what a fresh box does: it asks DHCP on its first wired interface.
func Default() Desired {
	return Desired{Version: Version, Interfaces: []Interface{{FirstWired: true, IPv4: IPv4{Method: MethodDHCP}}}}
}

// Parse reads a file. The error names all that is wrong with it.
func Parse(r io.Reader) (Desired, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return Desired{}, fmt.Errorf("read the network's settings: %w", err)
	}
	if len(text) > MaxSize {
		return Desired{}, fmt.Errorf("read the network's settings: they are longer than %d bytes", MaxSize)
	}
	var d Desired
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return Desired{}, fmt.Errorf("read the network's settings: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Desired{}, errors.New("read the network's settings: something follows after their end")
	}
	if err := d.Validate(); err != nil {
		return Desired{}, err
	}

	return d, nil
}

var (
	linkName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$`)
	domainName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,62}\.?)*$`)
	timeServer = regexp.MustCompile(`^[A-Za-z0-9:][A-Za-z0-9.:-]{0,252}$`)
)

// problems collects what is wrong, each with the place in the file.
type problems []error

func (p *problems) add(path, format string, args ...any) {
	*p = append(*p, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
}

// Validate returns all that is wrong, joined.
func (d *Desired) Validate() error {
	var p problems
	if d.Version != Version {
		p.add("version", "%d is not known; this program knows %d", d.Version, Version)
	}
	if len(d.Interfaces) > maxInterfaces {
		p.add("interfaces", "more than %d", maxInterfaces)
		return errors.Join(p...)
	}
	seen := map[string]bool{}
	for i := range d.Interfaces {
		path := fmt.Sprintf("interfaces[%d]", i)
		d.Interfaces[i].validate(&p, path)
		key := d.Interfaces[i].Label()
		if seen[key] {
			p.add(path, "%s is there twice", key)
		}
		seen[key] = true
	}
	if len(d.DNS) > maxServers {
		p.add("dns", "more than %d", maxServers)
	}
	for i, a := range d.DNS {
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() {
			p.add(fmt.Sprintf("dns[%d]", i), "%s is not the address of a server", a)
		}
	}
	if len(d.Search) > maxSearch {
		p.add("search", "more than %d", maxSearch)
	}
	for i, s := range d.Search {
		if !ValidDomain(s) {
			p.add(fmt.Sprintf("search[%d]", i), "%q is not a domain", s)
		}
	}
	if len(d.NTP) > maxServers {
		p.add("ntp", "more than %d", maxServers)
	}
	for i, s := range d.NTP {
		if !timeServer.MatchString(s) {
			p.add(fmt.Sprintf("ntp[%d]", i), "%q is not a server", s)
		}
	}

	return errors.Join(p...)
}

// ValidDomain tells whether a name can stand in the resolver's configuration.
func ValidDomain(name string) bool {
	return len(name) <= 253 && domainName.MatchString(name)
}

// Label says in words which interface is meant.
func (i *Interface) Label() string {
	switch {
	case i.Name != "":
		return i.Name
	case i.MAC != "":
		return i.MAC
	}

	return "the first wired interface"
}

func (i *Interface) validate(p *problems, path string) {
	ways := 0
	for _, given := range []bool{i.Name != "", i.MAC != "", i.FirstWired} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		p.add(path, "exactly one of name, mac and first_wired must say which interface is meant")
	}
	if i.Name != "" {
		validateName(p, path+".name", i.Name)
	}
	if i.MAC != "" {
		if mac, err := net.ParseMAC(i.MAC); err != nil || len(mac) != 6 {
			p.add(path+".mac", "%q is not a hardware address such as 02:00:00:00:00:01", i.MAC)
		}
	}
	if i.MTU != 0 && (i.MTU < minMTU6 || i.MTU > maxMTU) {
		p.add(path+".mtu", "%d is not between %d and %d", i.MTU, minMTU6, maxMTU)
	}
	if (i.Bridge != nil || i.VLAN != nil) && i.Name == "" || i.Bridge != nil && i.VLAN != nil {
		p.add(path, "a bridge or a VLAN is one of both and has a name")
	}
	if i.Bridge != nil {
		if len(i.Bridge.Ports) == 0 || len(i.Bridge.Ports) > maxPorts {
			p.add(path+".bridge.ports", "a bridge has 1 to %d ports", maxPorts)
		}
		for n, port := range i.Bridge.Ports {
			validateName(p, fmt.Sprintf("%s.bridge.ports[%d]", path, n), port)
			if port == i.Name {
				p.add(path+".bridge.ports", "a bridge cannot be its own port")
			}
		}
	}
	if i.VLAN != nil {
		validateName(p, path+".vlan.parent", i.VLAN.Parent)
		if i.VLAN.ID < 1 || i.VLAN.ID > 4094 {
			p.add(path+".vlan.id", "%d is not between 1 and 4094", i.VLAN.ID)
		}
	}
	i.IPv4.validate(p, path+".ipv4")
	i.IPv6.validate(p, path+".ipv6")
}

// validateName keeps names out that would lead elsewhere in /proc/sys, and the
// loopback interface, which is nobody's to change.
func validateName(p *problems, path, name string) {
	if !linkName.MatchString(name) || name == "all" || name == "default" {
		p.add(path, "%q is not the name of an interface", name)
	}
	if name == "lo" {
		p.add(path, "the loopback interface is not managed")
	}
}

func (v *IPv4) validate(p *problems, path string) {
	switch v.Method {
	case "", MethodOff, MethodDHCP:
		if len(v.Addresses) > 0 || v.Gateway.IsValid() {
			p.add(path, "addresses and gateway belong to the method static")
		}
	case MethodStatic:
		if len(v.Addresses) == 0 {
			p.add(path+".addresses", "the method static needs one")
		}
	default:
		p.add(path+".method", "%q is neither dhcp, static nor off", v.Method)
	}
	validateAddresses(p, path, v.Addresses, v.Gateway, netip.Addr.Is4)
}

func (v *IPv6) validate(p *problems, path string) {
	switch v.Method {
	case "", MethodSLAAC:
		if v.Gateway.IsValid() {
			p.add(path+".gateway", "with slaac the router says it")
		}
	case MethodStatic:
		if len(v.Addresses) == 0 {
			p.add(path+".addresses", "the method static needs one")
		}
	case MethodOff:
		if len(v.Addresses) > 0 || v.Gateway.IsValid() {
			p.add(path, "addresses and gateway belong to the methods slaac and static")
		}
	default:
		p.add(path+".method", "%q is neither slaac, static nor off", v.Method)
	}
	validateAddresses(p, path, v.Addresses, v.Gateway, func(a netip.Addr) bool { return a.Is6() && !a.Is4In6() && a.Zone() == "" })
}

func validateAddresses(p *problems, path string, all []netip.Prefix, gateway netip.Addr, family func(netip.Addr) bool) {
	if len(all) > maxAddresses {
		p.add(path+".addresses", "more than %d", maxAddresses)
	}
	seen := map[netip.Addr]bool{}
	reached := false
	for n, a := range all {
		at := fmt.Sprintf("%s.addresses[%d]", path, n)
		if !a.IsValid() || !family(a.Addr()) || !ValidHost(a) || a.Addr().IsLinkLocalUnicast() && a.Addr().Is6() {
			p.add(at, "%s is not an address that a host can have, with the length of its network", a)
			continue
		}
		if seen[a.Addr()] {
			p.add(at, "%s is there twice", a.Addr())
		}
		seen[a.Addr()] = true
		reached = reached || a.Contains(gateway)
	}
	if !gateway.IsValid() {
		return
	}
	linkLocal := gateway.Is6() && gateway.IsLinkLocalUnicast()
	if !family(gateway) || seen[gateway] || !reached && !linkLocal {
		p.add(path+".gateway", "%s is not another address in a network of the interface", gateway)
	}
}

// Bounds of an MTU: IPv6 needs 1280 (RFC 8200, section 5).
const (
	minMTU6 = 1280
	maxMTU  = 65535
)

// ValidHost tells whether a host can have an address in a network: it is
// unicast and neither the network's own nor its broadcast address.
func ValidHost(p netip.Prefix) bool {
	a := p.Addr()
	if !p.IsValid() || p.Bits() == 0 || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() {
		return false
	}
	if !a.Is4() {
		return true
	}
	b := a.As4()
	if b[0] == 0 || b[0] >= 240 {
		return false
	}
	if p.Bits() >= 31 { // RFC 3021
		return true
	}
	host := uint32(1)<<(32-p.Bits()) - 1
	n := (uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])) & host

	return n != 0 && n != host
}
