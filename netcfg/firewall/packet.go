package firewall

import "net/netip"

// Protocol is what is in an IP packet, by IANA's numbers.
type Protocol uint8

// The protocols that rules speak of.
const (
	ICMP   Protocol = 1
	IGMP   Protocol = 2
	TCP    Protocol = 6
	UDP    Protocol = 17
	ICMPv6 Protocol = 58
)

func (p Protocol) String() string {
	switch p {
	case ICMP:
		return "ICMP"
	case IGMP:
		return "IGMP"
	case TCP:
		return "TCP"
	case UDP:
		return "UDP"
	case ICMPv6:
		return "ICMPv6"
	}

	return "another protocol"
}

// ConnState is what the kernel knows of the connection that a packet is of.
type ConnState string

// The states of a connection.
const (
	New         ConnState = "new"
	Established ConnState = "established"
	Related     ConnState = "related" // such as an ICMP error about a connection
	Invalid     ConnState = "invalid"
	Untracked   ConnState = "untracked" // neighbour discovery
)

// Packet is a packet that arrives, as Explain is asked about it.
type Packet struct {
	Source netip.Addr `json:"source"`
	// Interface is where it arrives; "" means that of the LAN whose network the
	// source is in, or none of the LAN's.
	Interface  string    `json:"interface,omitempty"`
	Protocol   Protocol  `json:"protocol"`
	Port       uint16    `json:"port,omitempty"` // where it goes to: TCP and UDP
	SourcePort uint16    `json:"source_port,omitempty"`
	Type       uint8     `json:"type,omitempty"`      // ICMP and ICMPv6
	HopLimit   uint8     `json:"hop_limit,omitempty"` // in IPv4 the time to live
	State      ConnState `json:"state,omitempty"`     // "" means New

	// OverRate and OverConnections say that the source has already made use of
	// what one source may have; OverLimit that all sources together have (echo
	// requests).
	OverRate        bool `json:"over_rate,omitempty"`
	OverConnections bool `json:"over_connections,omitempty"`
	OverLimit       bool `json:"over_limit,omitempty"`
}
