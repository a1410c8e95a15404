package ra

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"pillarbox/netcfg/state"
)

// Option is one option of an advertisement. It has either servers or domains.
type Option struct {
	Link     int // the index of the link that it came by
	Servers  []netip.Addr
	Domains  []string
	Lifetime time.Duration // 0 takes back what was advertised
}

// Types of options (RFC 8106, section 5).
const (
	typeServers = 25
	typeDomains = 31
)

const (
	headerSize = 16 // of the kernel's message, struct nduseroptmsg

	// unit is what an option's length counts, in octets.
	unit = 8

	// maxItems bounds what is taken of one option.
	maxItems = 8

	// maxLifetime is how long anything is believed; all ones means for ever
	// (RFC 8106, section 5.1). A router that is there says it again within half
	// an hour (RFC 4861, section 6.2.1), and one that lied may be gone.
	maxLifetime = 9000 * time.Second

	routerAdvertisement = 134
)

var errOther = errors.New("read an advertisement: it is about something else")

// Parse reads the body of one of the kernel's messages (RTM_NEWNDUSEROPT).
// Servers and domains that cannot be any are left out.
func Parse(b []byte) (Option, error) {
	if len(b) < headerSize {
		return Option{}, errors.New("read an advertisement: it is too short")
	}
	length := int(binary.NativeEndian.Uint16(b[2:]))
	if b[0] != unix.AF_INET6 || b[8] != routerAdvertisement {
		return Option{}, errOther
	}
	link := int(int32(binary.NativeEndian.Uint32(b[4:])))
	if link <= 0 || length > len(b)-headerSize {
		return Option{}, errors.New("read an advertisement: it does not fit its header")
	}
	// The kernel sends one option at a time, and then attributes of its own.
	o := b[headerSize : headerSize+length]
	if len(o) < 2*unit || int(o[1])*unit != len(o) {
		return Option{}, fmt.Errorf("read an advertisement: an option has %d octets", len(o))
	}
	out := Option{Link: link, Lifetime: min(time.Duration(binary.BigEndian.Uint32(o[4:]))*time.Second, maxLifetime)}
	switch o[0] {
	case typeServers:
		out.Servers = servers(o[unit:])
	case typeDomains:
		out.Domains = domains(o[unit:])
	default:
		return Option{}, errOther
	}

	return out, nil
}

// servers reads addresses; a last one that is cut off is left out.
func servers(b []byte) []netip.Addr {
	var all []netip.Addr
	for len(b) >= 16 && len(all) < maxItems {
		a := netip.AddrFrom16([16]byte(b))
		b = b[16:]
		if !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && !a.Is4In6() {
			all = append(all, a)
		}
	}

	return all
}

// domains reads names in the form of RFC 1035, section 3.1, which are followed
// by zeros (RFC 8106, section 5.2). Compression is not allowed.
func domains(b []byte) []string {
	var all []string
	for len(b) > 0 && len(all) < maxItems {
		var labels []string
		for {
			if len(b) == 0 {
				return all // it is cut off
			}
			n := int(b[0])
			if n > 63 || n >= len(b) && n > 0 {
				return all
			}
			label := string(b[1 : 1+n])
			b = b[1+n:]
			if n == 0 {
				break
			}
			labels = append(labels, label)
		}
		// Dots within a label would make other labels of it.
		name := strings.Join(labels, ".")
		if strings.Count(name, ".") == len(labels)-1 && state.ValidDomain(name) {
			all = append(all, strings.ToLower(name))
		}
	}

	return all
}
