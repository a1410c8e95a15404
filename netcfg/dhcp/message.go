package dhcp

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// maxMessage is what we receive at most: an Ethernet frame's payload without
// IP and UDP headers.
const maxMessage = 1472

// Identifier returns a client identifier (RFC 4361) made of the machine's
// identity, 32 hexadecimal digits, and the interface's address: the machine
// keeps its lease when its disk moves into another one. Without an identity it
// is the hardware address, as most clients send it.
func Identifier(machineID string, mac net.HardwareAddr) []byte {
	id, err := hex.DecodeString(strings.TrimSpace(machineID))
	if err != nil || len(id) != 16 {
		return append([]byte{1}, mac...)
	}
	// The identity itself is nobody's business on the network.
	hidden := sha256.Sum256(append([]byte("pillarbox dhcp "), id...))
	link := sha256.Sum256(mac)
	out := []byte{255}
	out = append(out, link[:4]...)              // IAID
	out = binary.BigEndian.AppendUint16(out, 4) // DUID-UUID, RFC 6355

	return append(out, hidden[:16]...)
}

// message returns a message to a server with what all of ours have.
func (c *Client) message(kind dhcpv4.MessageType, extra ...dhcpv4.Option) (*dhcpv4.DHCPv4, error) {
	m, err := dhcpv4.New(
		dhcpv4.WithHwAddr(c.MAC),
		dhcpv4.WithMessageType(kind),
		dhcpv4.WithOption(dhcpv4.OptClientIdentifier(c.ID)),
	)
	if err != nil {
		return nil, err
	}
	if kind == dhcpv4.MessageTypeDiscover || kind == dhcpv4.MessageTypeRequest {
		m.UpdateOption(dhcpv4.OptMaxMessageSize(maxMessage))
		m.UpdateOption(dhcpv4.OptParameterRequestList(
			dhcpv4.OptionSubnetMask, dhcpv4.OptionClasslessStaticRoute, dhcpv4.OptionRouter,
			dhcpv4.OptionDomainNameServer, dhcpv4.OptionDomainName, dhcpv4.OptionDNSDomainSearchList,
			dhcpv4.OptionNTPServers, dhcpv4.OptionInterfaceMTU,
			dhcpv4.OptionRenewTimeValue, dhcpv4.OptionRebindingTimeValue,
		))
		if c.Hostname != "" {
			m.UpdateOption(dhcpv4.OptHostName(c.Hostname))
		}
	}
	for _, o := range extra {
		m.UpdateOption(o)
	}

	return m, nil
}

// answers tells whether a message is an answer to ours.
func (c *Client) answers(m, to *dhcpv4.DHCPv4) bool {
	return m.OpCode == dhcpv4.OpcodeBootReply && m.TransactionID == to.TransactionID &&
		bytes.Equal(m.ClientHWAddr, c.MAC)
}

func requested(a netip.Addr) dhcpv4.Option { return dhcpv4.OptRequestedIPAddress(a.AsSlice()) }

func server(a netip.Addr) dhcpv4.Option { return dhcpv4.OptServerIdentifier(a.AsSlice()) }
