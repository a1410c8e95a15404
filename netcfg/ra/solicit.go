package ra

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"golang.org/x/net/ipv6"
)

// RFC 4861, section 10.
const (
	solicitations  = 3
	solicitPause   = 4 * time.Second
	solicitHops    = 255 // or routers leave it unread
	allRouters     = "ff02::2"
	routerSolicits = 133
)

// Solicit asks the routers on a link to advertise at once, three times with
// pauses, unless enough says that it need not go on. The kernel does so only
// when a link comes up, which may be long ago.
func Solicit(ctx context.Context, name string, enough func() bool) error {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return fmt.Errorf("ask for routers on %s: %w", name, err)
	}
	var last error
	for n := range solicitations {
		if n > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(solicitPause):
			}
		}
		if enough() {
			return nil
		}
		if last = solicit(link); last != nil {
			last = fmt.Errorf("ask for routers on %s: %w", name, last)
		}
	}

	return last
}

func solicit(link *net.Interface) error {
	// The kernel puts the checksum in (RFC 3542, section 3.1).
	c, err := net.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		return err
	}
	defer c.Close() // what is sent is sent
	p := ipv6.NewPacketConn(c)
	// Nothing is read from it.
	var none ipv6.ICMPFilter
	none.SetAll(true)
	if err := p.SetICMPFilter(&none); err != nil {
		return err
	}
	message := []byte{routerSolicits, 0, 0, 0, 0, 0, 0, 0}
	// Go remembers for a minute which index a name had, and another device may
	// have the name now.
	zone := strconv.Itoa(link.Index)
	_, err = p.WriteTo(message, &ipv6.ControlMessage{HopLimit: solicitHops, IfIndex: link.Index},
		&net.IPAddr{IP: net.ParseIP(allRouters), Zone: zone})

	return err
}
