package hostnames

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Config says whom to ask.
type Config struct {
	Resolver *net.Resolver // nil means net.DefaultResolver
	MDNSPort int           // 0 means 5353
}

// Names asks for names. It is safe for concurrent use.
type Names struct {
	resolver *net.Resolver
	port     int
}

// New returns a Names.
func New(c *Config) *Names {
	n := &Names{resolver: c.Resolver, port: cmp.Or(c.MDNSPort, 5353)}
	if n.resolver == nil {
		n.resolver = net.DefaultResolver
	}

	return n
}

// How long an answer may take.
const (
	dnsTime  = 2 * time.Second
	mdnsTime = time.Second
)

// Find returns what the machine at an address is called and who says so, "dns"
// or "mdns"; "" where nobody does. local says that it is in an own network.
func (n *Names) Find(ctx context.Context, addr netip.Addr, local bool) (name, by string) {
	if name := n.ask(ctx, addr, local); name != "" {
		return name, "dns"
	}
	if !local {
		return "", ""
	}
	ctx, done := context.WithTimeout(ctx, mdnsTime)
	defer done()
	if name, err := n.askMachine(ctx, addr); err == nil {
		return name, "mdns"
	}

	return "", ""
}

// ask asks the DNS.
func (n *Names) ask(ctx context.Context, addr netip.Addr, local bool) string {
	ctx, done := context.WithTimeout(ctx, dnsTime)
	defer done()
	names, err := n.resolver.LookupAddr(ctx, addr.String())
	if err != nil || len(names) == 0 {
		return ""
	}
	name := strings.TrimSuffix(names[0], ".")
	if local {
		return name
	}
	back, err := n.resolver.LookupNetIP(ctx, "ip", names[0])
	if err != nil {
		return ""
	}
	for _, b := range back {
		if b.Unmap() == addr {
			return name
		}
	}

	return ""
}

// maxAnswer bounds a packet in octets (RFC 6762, section 17).
const maxAnswer = 9000

var errNoName = errors.New("the answer has no name")

// askMachine asks the machine itself.
func (n *Names) askMachine(ctx context.Context, addr netip.Addr) (string, error) {
	question := dnsmessage.Question{Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET}
	var err error
	if question.Name, err = dnsmessage.NewName(reverse(addr)); err != nil {
		return "", fmt.Errorf("name of %s: %w", addr, err)
	}
	query := dnsmessage.Message{Header: dnsmessage.Header{ID: uint16(rand.Uint32())}, Questions: []dnsmessage.Question{question}}
	packet, err := query.Pack()
	if err != nil {
		return "", fmt.Errorf("pack question: %w", err)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", netip.AddrPortFrom(addr, uint16(n.port)).String())
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", addr, err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", fmt.Errorf("ask %s: %w", addr, err)
		}
	}
	if _, err := conn.Write(packet); err != nil {
		return "", fmt.Errorf("ask %s: %w", addr, err)
	}
	answer := make([]byte, maxAnswer)
	for {
		size, err := conn.Read(answer)
		if err != nil {
			return "", fmt.Errorf("ask %s: %w", addr, err)
		}
		if name, err := Parse(answer[:size], query.ID, question); err == nil {
			return name, nil
		}
	}
}

// Parse finds the name in a machine's answer to a question.
func Parse(packet []byte, id uint16, question dnsmessage.Question) (string, error) {
	var p dnsmessage.Parser
	h, err := p.Start(packet)
	if err != nil {
		return "", fmt.Errorf("read answer: %w", err)
	}
	if !h.Response || h.ID != id {
		return "", errNoName
	}
	if err := p.SkipAllQuestions(); err != nil {
		return "", fmt.Errorf("read answer: %w", err)
	}
	for {
		head, err := p.AnswerHeader()
		if err != nil {
			return "", errNoName
		}
		if head.Type != dnsmessage.TypePTR || !strings.EqualFold(head.Name.String(), question.Name.String()) {
			if err := p.SkipAnswer(); err != nil {
				return "", fmt.Errorf("read answer: %w", err)
			}
			continue
		}
		r, err := p.PTRResource()
		if err != nil {
			return "", fmt.Errorf("read answer: %w", err)
		}
		return strings.TrimSuffix(r.PTR.String(), "."), nil
	}
}

// reverse returns the name under which the DNS has an address's name.
func reverse(a netip.Addr) string {
	var b strings.Builder
	if a.Is4() {
		octets := a.As4()
		for i := range octets {
			fmt.Fprintf(&b, "%d.", octets[len(octets)-1-i])
		}
		return b.String() + "in-addr.arpa."
	}
	octets := a.As16()
	for i := range octets {
		o := octets[len(octets)-1-i]
		fmt.Fprintf(&b, "%x.%x.", o&15, o>>4)
	}

	return b.String() + "ip6.arpa."
}
