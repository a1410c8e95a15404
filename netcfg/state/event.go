package state

import (
	"fmt"
	"slices"
)

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	LinkCame       EventKind = "link-came" // plugged in, or made
	LinkWent       EventKind = "link-went"
	CarrierCame    EventKind = "carrier-came" // the cable has a machine at its other end
	CarrierWent    EventKind = "carrier-went"
	AddressCame    EventKind = "address-came"
	AddressWent    EventKind = "address-went"
	AddressClashes EventKind = "address-clashes" // another host has it
)

// Event is something that happened to a link.
type Event struct {
	Kind    EventKind `json:"kind"`
	Link    string    `json:"link"`
	Address *Address  `json:"address,omitempty"`
}

func (e Event) String() string {
	if e.Address != nil {
		return fmt.Sprintf("%s %s %s", e.Link, e.Kind, e.Address)
	}

	return fmt.Sprintf("%s %s", e.Link, e.Kind)
}

// Changes returns what happened between two observations. The kernel's own
// messages repeat themselves and can be lost; what is there cannot.
func Changes(before, after *Observed) []Event {
	var all []Event
	for i := range before.Links {
		l := &before.Links[i]
		if now := after.Find(l.Name); now == nil || now.Index != l.Index {
			all = append(all, Event{Kind: LinkWent, Link: l.Name})
		}
	}
	for i := range after.Links {
		l := &after.Links[i]
		old := before.Find(l.Name)
		if old == nil || old.Index != l.Index {
			all = append(all, Event{Kind: LinkCame, Link: l.Name})
			old = &Link{}
		}
		switch {
		case l.Carrier && !old.Carrier:
			all = append(all, Event{Kind: CarrierCame, Link: l.Name})
		case !l.Carrier && old.Carrier:
			all = append(all, Event{Kind: CarrierWent, Link: l.Name})
		}
		for _, a := range old.Addresses {
			if !slices.ContainsFunc(l.Addresses, func(b Address) bool { return b.Prefix == a.Prefix }) {
				all = append(all, Event{Kind: AddressWent, Link: l.Name, Address: &a})
			}
		}
		for _, a := range l.Addresses {
			n := slices.IndexFunc(old.Addresses, func(b Address) bool { return b.Prefix == a.Prefix })
			if n < 0 {
				all = append(all, Event{Kind: AddressCame, Link: l.Name, Address: &a})
			}
			if a.Conflict && (n < 0 || !old.Addresses[n].Conflict) {
				all = append(all, Event{Kind: AddressClashes, Link: l.Name, Address: &a})
			}
		}
	}

	return all
}
