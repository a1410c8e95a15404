package firewall

import (
	"net/netip"
	"time"
)

// Stands is which ruleset the kernel has.
type Stands string

// What may stand.
const (
	PolicyStands   Stands = "policy"   // the one that was asked for
	PreviousStands Stands = "previous" // an earlier policy, because the new one could not be put there, or none is known yet
	MinimumStands  Stands = "minimum"  // the built-in one: only the administrator's pages, from the LAN
	NothingStands  Stands = "nothing"  // the machine is open
)

// Report says what Apply has done. It is filled also beside an error.
type Report struct {
	Stands   Stands   `json:"stands"`
	Revision string   `json:"revision,omitempty"` // of what stands; "" where an earlier run has put it there
	Changed  bool     `json:"changed"`            // the kernel's table was replaced
	Notes    []string `json:"notes,omitempty"`
}

// Ban is a source, or a network, whose new connections are dropped.
type Ban struct {
	Source netip.Prefix  `json:"source"` // an IPv4 address, an IPv6 /64, or a wider network
	Left   time.Duration `json:"left"`   // how long it still lasts
}

// Counter is what a rule has decided about.
type Counter struct {
	Name    string `json:"name"` // such as "imaps/refused"
	Why     string `json:"why,omitempty"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// SetState is how full a set is.
type SetState struct {
	Name     string `json:"name"`
	Elements int    `json:"elements"`
	Size     int    `json:"size"`
	Full     bool   `json:"full,omitempty"`
}

// State is how the firewall is.
type State struct {
	Stands   Stands     `json:"stands"`
	Revision string     `json:"revision,omitempty"`
	Counters []Counter  `json:"counters,omitempty"`
	Sets     []SetState `json:"sets,omitempty"`
	Missing  []string   `json:"missing,omitempty"` // features that the kernel lacks, in words
	Notes    []string   `json:"notes,omitempty"`
	Problem  string     `json:"problem,omitempty"` // why the policy does not stand, or differs from the kernel's table
}

// Decision is what happens to a packet, and why.
type Decision struct {
	Accepted bool     `json:"accepted"`
	Rule     string   `json:"rule"`           // the one that decides; its counter has the same name
	Why      string   `json:"why"`            // in plain words
	Path     []string `json:"path,omitempty"` // the rules that had a say before, by name
}
