package state

import (
	"fmt"
	"net/netip"
	"time"
)

// Observed is what the kernel has.
type Observed struct {
	Links  []Link  `json:"links"`
	Routes []Route `json:"routes"`
}

// Kinds of links. What is neither is a device, or something that others made.
const (
	KindBridge = "bridge"
	KindVLAN   = "vlan"
)

// Link is an interface as the kernel has it.
type Link struct {
	Index   int    `json:"index"`
	Name    string `json:"name"`
	Kind    string `json:"kind,omitempty"`
	MAC     string `json:"mac,omitempty"`
	Wired   bool   `json:"wired"` // an Ethernet device: neither wireless nor made by software
	MTU     int    `json:"mtu"`
	Up      bool   `json:"up"`
	Carrier bool   `json:"carrier"` // the cable has a machine at its other end
	Master  string `json:"master,omitempty"`
	Ours    bool   `json:"ours,omitempty"` // this program made it
	VLANID  int    `json:"vlan_id,omitempty"`
	Parent  string `json:"parent,omitempty"`

	Addresses []Address         `json:"addresses,omitempty"`
	Settings  map[string]string `json:"settings,omitempty"` // of Setting's keys
}

// Address is an address of a link.
type Address struct {
	Prefix  netip.Prefix `json:"prefix"`
	Dynamic bool         `json:"dynamic,omitempty"` // it has an end
	Expires time.Time    `json:"expires,omitzero"`  // zero means never
	// Tentative and Conflict tell how far the kernel is with finding out
	// whether another host has the (IPv6) address. For IPv4 it finds out
	// nothing.
	Tentative bool `json:"tentative,omitempty"`
	Conflict  bool `json:"conflict,omitempty"`
	// Deprecated says that its network is being given up (RFC 4862, section
	// 5.5.4): what is there goes on, nothing new begins with it.
	Deprecated bool `json:"deprecated,omitempty"`
}

func (a Address) String() string { return a.Prefix.String() }

// Where a route comes from, by the kernel's numbers (rtnetlink(7)).
const (
	ProtocolKernel = 2
	ProtocolStatic = 4
	ProtocolRA     = 9
	ProtocolDHCP   = 16
)

// Route is a unicast route of the main table.
type Route struct {
	Link     string       `json:"link"`
	To       netip.Prefix `json:"to"`
	Gateway  netip.Addr   `json:"gateway,omitzero"`
	OnLink   bool         `json:"on_link,omitempty"` // the gateway is on the link although no network says so
	Metric   int          `json:"metric,omitempty"`
	Protocol int          `json:"protocol,omitempty"`
}

func (r Route) String() string {
	text := r.To.String()
	if r.To.Bits() == 0 {
		text = "default"
		if r.To.Addr().Is6() {
			text = "default (IPv6)"
		}
	}
	if r.Gateway.IsValid() {
		text += " via " + r.Gateway.String()
	}
	if r.Metric != 0 {
		text += fmt.Sprintf(" metric %d", r.Metric)
	}

	return text
}

// Find returns the link with a name, or nil.
func (o *Observed) Find(name string) *Link {
	for i := range o.Links {
		if o.Links[i].Name == name {
			return &o.Links[i]
		}
	}

	return nil
}

// Advertised is what the routers on a link advertise beside addresses.
type Advertised struct {
	DNS    []netip.Addr
	Search []string
}

// Acquired is what a DHCP server gave for an interface. The zero value says that
// it gave nothing, or that it took away what it gave.
type Acquired struct {
	Address netip.Prefix
	Expires time.Time
	Routes  []Route // their link, metric and protocol are not set
	MTU     int
	DNS     []netip.Addr
	Search  []string
	NTP     []string
}
