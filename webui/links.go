package webui

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
)

// desiredLink is an interface of the network as the settings have it.
type desiredLink struct {
	Name       string         `json:"name,omitempty"`
	MAC        string         `json:"mac,omitempty"`
	FirstWired bool           `json:"first_wired,omitempty"`
	MTU        int            `json:"mtu,omitempty"`
	IPv4       desiredAddress `json:"ipv4,omitzero"`
	IPv6       desiredAddress `json:"ipv6,omitzero"`
	Bridge     *desiredBridge `json:"bridge,omitempty"`
	VLAN       *desiredVLAN   `json:"vlan,omitempty"`
}

type desiredAddress struct {
	Method    string   `json:"method,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
	Gateway   string   `json:"gateway,omitempty"`
}

type desiredBridge struct {
	Ports []string `json:"ports"`
}

type desiredVLAN struct {
	Parent string `json:"parent"`
	ID     int    `json:"id"`
}

// which names it as a form does: by nothing if it is the first with a socket.
func (l *desiredLink) which() string { return orElse(l.Name, l.MAC) }

// The kinds of interfaces; another is a device of the machine.
const (
	aBridge = "bridge"
	aVLAN   = "vlan"
)

// linkForm is what can be typed of one interface.
type linkForm struct {
	At   string // what the names of its fields end in
	Kind string
	New  bool // it is not in the settings yet

	Which                       string // a name or a hardware address; "" for the first with a socket
	Ports                       []string
	Parent, ID                  string
	Method, Address, Gateway    string // IPv4: dhcp, static or off
	Method6, Address6, Gateway6 string // slaac, static or off
	MTU                         string
	First                       bool // it is to be in front of the others
	Remove                      bool
	Asked                       bool // it has just been asked for
}

// Title is what the page calls it.
func (l *linkForm) Title() string {
	switch {
	case l.New && l.Kind == aBridge:
		return "A new bridge"
	case l.New && l.Kind == aVLAN:
		return "A new VLAN"
	case l.New:
		return "Another interface"
	case l.Kind == aBridge:
		return "Bridge " + l.Which
	case l.Kind == aVLAN:
		return "VLAN " + l.Which
	case l.Which == "":
		return "The first interface with a socket for a cable"
	}

	return "Interface " + l.Which
}

// HasPort tells whether an interface is a part of the bridge.
func (l *linkForm) HasPort(name string) bool { return slices.Contains(l.Ports, name) }

// Choices are what can be a part of the bridge: devices, and what is one though
// it is not there.
func (l *linkForm) Choices(devices []string) []string {
	all := slices.Concat(devices, l.Ports)
	slices.Sort(all)

	return slices.Compact(all)
}

// Words tells it to who only reads.
func (l *linkForm) Words() string {
	var all []string
	switch l.Kind {
	case aBridge:
		all = append(all, "made of "+strings.Join(l.Ports, " and "))
	case aVLAN:
		all = append(all, "number "+l.ID+" on "+l.Parent)
	}
	family := func(what, method, addresses, gateway string) {
		text := map[string]string{"dhcp": what + " from the network", "slaac": what + " from the router", "off": "no " + what, "static": what}[method]
		if method == "slaac" && addresses != "" {
			text += " and"
		}
		if addresses != "" {
			text += " " + addresses
		}
		if gateway != "" {
			text += " by the router " + gateway
		}
		all = append(all, text)
	}
	family("IPv4", l.Method, l.Address, l.Gateway)
	family("IPv6", l.Method6, l.Address6, l.Gateway6)
	if l.MTU != "" {
		all = append(all, "MTU "+l.MTU)
	}

	return sentence(strings.Join(all, "; "))
}

// linkForms are the forms of what the settings have.
func linkForms(all []desiredLink) (forms []*linkForm) {
	for i, l := range all {
		f := &linkForm{
			At: "-" + strconv.Itoa(i), Which: l.which(),
			Method: orElse(l.IPv4.Method, "off"), Address: strings.Join(l.IPv4.Addresses, " "), Gateway: l.IPv4.Gateway,
			Method6: orElse(l.IPv6.Method, "slaac"), Address6: strings.Join(l.IPv6.Addresses, " "), Gateway6: l.IPv6.Gateway,
		}
		if l.MTU != 0 {
			f.MTU = strconv.Itoa(l.MTU)
		}
		if l.Bridge != nil {
			f.Kind, f.Ports = aBridge, l.Bridge.Ports
		}
		if l.VLAN != nil {
			f.Kind, f.Parent, f.ID = aVLAN, l.VLAN.Parent, strconv.Itoa(l.VLAN.ID)
		}
		forms = append(forms, f)
	}

	return forms
}

// maxLinks is how many there can be in the settings.
const maxLinks = 64

// typedLinks reads the forms of all interfaces. What is there is what was sent:
// the settings may have become others meanwhile.
func (v *visit) typedLinks() (forms []*linkForm) {
	for i := range maxLinks {
		at := "-" + strconv.Itoa(i)
		if _, there := v.r.PostForm["kind"+at]; !there {
			break
		}
		kind := v.value("kind" + at)
		if kind != aBridge && kind != aVLAN {
			kind = ""
		}
		forms = append(forms, &linkForm{
			At: at, Kind: kind, New: v.value("new"+at) == "yes",
			Which: v.value("which" + at), Ports: v.r.PostForm["port"+at], Parent: v.value("parent" + at), ID: v.value("id" + at),
			Method: v.value("method" + at), Address: v.value("address" + at), Gateway: v.value("gateway" + at),
			Method6: v.value("method6" + at), Address6: v.value("address6" + at), Gateway6: v.value("gateway6" + at),
			MTU: v.value("mtu" + at), First: v.value("first"+at) == "yes", Remove: v.value("remove"+at) == "yes",
		})
	}

	return forms
}

// add has the form ask for one interface more; false where it knows no such kind.
func (f *networkForm) add(kind string) bool {
	if kind == "device" {
		kind = ""
	} else if kind != aBridge && kind != aVLAN {
		return false
	}
	if len(f.Links) < maxLinks {
		f.Links = append(f.Links, &linkForm{At: "-" + strconv.Itoa(len(f.Links)), Kind: kind, New: true, Asked: true, Method: "dhcp", Method6: "slaac"})
	}

	return true
}

// inOrder returns what is to stay, in its order.
func (f *networkForm) inOrder() []*linkForm {
	var front, back []*linkForm
	for _, l := range f.Links {
		switch {
		case l.Remove:
		case l.First:
			front = append(front, l)
		default:
			back = append(back, l)
		}
	}

	return append(front, back...)
}

// fields returns the names of the fields by the path below the interface.
func (l *linkForm) fields() map[string]string {
	all := map[string]string{
		"": "which", ".name": "which", ".mac": "which", ".mtu": "mtu", ".bridge.ports": "port", ".vlan.parent": "parent", ".vlan.id": "id",
		".ipv4": "address", ".ipv4.method": "method", ".ipv4.addresses": "address", ".ipv4.gateway": "gateway",
		".ipv6": "address6", ".ipv6.method": "method6", ".ipv6.addresses": "address6", ".ipv6.gateway": "gateway6",
	}
	for place, field := range maps.Clone(all) {
		all[place] = field + l.At
	}

	return all
}

// link makes of what was typed what the settings are to have. What is as it was
// before is written as it was.
func (l *linkForm) link(before []desiredLink, bad problems) desiredLink {
	var (
		d   desiredLink
		old desiredLink
	)
	for _, b := range before {
		if b.which() == l.Which {
			old = b
		}
	}
	switch hardware, err := net.ParseMAC(l.Which); {
	case l.Kind == "" && l.Which == "":
		d.FirstWired = true
	case l.Kind == "" && err == nil && len(hardware) == 6:
		d.MAC = l.Which
	case l.Which == "":
		bad.add("which"+l.At, "Give it a name, such as "+map[string]string{aBridge: "br0", aVLAN: "guests"}[l.Kind]+".")
	default:
		d.Name = l.Which
	}
	d.MTU = wholeNumber(l.MTU, "mtu"+l.At, bad)
	switch l.Kind {
	case aBridge:
		d.Bridge = &desiredBridge{Ports: l.Ports}
		if len(l.Ports) == 0 {
			bad.add("port"+l.At, "Choose at least one interface.")
		}
	case aVLAN:
		d.VLAN = &desiredVLAN{Parent: l.Parent, ID: wholeNumber(l.ID, "id"+l.At, bad)}
		if l.Parent == "" {
			bad.add("parent"+l.At, "Say on which interface its frames come.")
		}
		if l.ID == "" {
			bad.add("id"+l.At, "Type its number, from 1 to 4094.")
		}
	}
	d.IPv4 = family(l.Method, l.Address, l.Gateway, "", l.At, bad)
	d.IPv6 = family(l.Method6, l.Address6, l.Gateway6, "6", l.At, bad)
	if old.IPv4.Method == "" && d.IPv4.Method == "off" {
		d.IPv4.Method = ""
	}
	if old.IPv6.Method == "" && d.IPv6.Method == "slaac" {
		d.IPv6.Method = ""
	}

	return d
}

// family reads how an interface gets its addresses of one family.
func family(method, typed, gateway, suffix, at string, bad problems) desiredAddress {
	d := desiredAddress{Method: method}
	if method != "static" && method != "slaac" {
		return d
	}
	if typed != "" {
		d.Addresses = withLength(typed, "address"+suffix+at, bad)
	}
	if method == "slaac" {
		return d
	}
	if len(d.Addresses) == 0 {
		bad.add("address"+suffix+at, "An address is wanted, with the length of its network, such as 192.168.7.2/24.")
	}
	if d.Gateway = gateway; gateway != "" {
		if addresses(gateway, "gateway"+suffix+at, bad); len(words(gateway)) != 1 {
			bad.add("gateway"+suffix+at, "One address is wanted.")
		}
	}

	return d
}

// crossed finds what no interface can be twice.
func (f *networkForm) crossed(bad problems) {
	of := map[string]*linkForm{}
	for _, l := range f.inOrder() {
		if l.Kind != aBridge {
			continue
		}
		for _, port := range l.Ports {
			if other := of[port]; other != nil {
				bad.add("port"+l.At, port+" is a part of "+orElse(other.Which, "another bridge")+" already.")
			}
			of[port] = l
		}
	}
	for _, l := range f.inOrder() {
		if bridge := of[l.Which]; bridge != nil && l.Which != "" {
			bad.add("which"+l.At, l.Which+" becomes a part of "+orElse(bridge.Which, "a bridge")+", which has the addresses then. Remove it here, or leave it out there.")
		}
	}
}

// wholeNumber reads a number; 0 for nothing.
func wholeNumber(text, field string, bad problems) int {
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		bad.add(field, "“"+text+"” is no whole number.")
	}

	return n
}
