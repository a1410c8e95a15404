package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/beevik/ntp"
)

const (
	ntpTime = 3 * time.Second
	// clockOff is what shows in the order of mail, clockWrong what breaks TLS
	// and codes that depend on the time.
	clockOff   = 2 * time.Second
	clockWrong = time.Minute
)

func netipPort(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

// clockStep compares the clock of this machine with time servers.
func (x *examination) clockStep() step {
	return step{name: "the clock", run: func(ctx context.Context) bool {
		if len(x.TimeServers) == 0 {
			x.skip("the clock", "no time server was named")
			return true
		}
		for _, server := range x.TimeServers {
			r, err := ntp.QueryWithOptions(server, ntp.QueryOptions{
				Timeout: ntpTime,
				Dialer: func(_, remote string) (net.Conn, error) {
					d := net.Dialer{Resolver: x.resolver}
					return d.DialContext(ctx, "udp", remote)
				},
			})
			if err == nil {
				err = r.Validate()
			}
			if err != nil {
				x.skip("the clock by "+server, err.Error())
				continue
			}
			x.judgeClock(server, r.ClockOffset)
			return true
		}
		x.find("clock-unknown", "", "no time server answers: "+strings.Join(x.TimeServers, ", "), place{host: x.TimeServers[0]})
		return true
	}}
}

func (x *examination) judgeClock(server string, offset time.Duration) {
	id, way := "", "slow"
	if offset < 0 {
		way = "fast"
	}
	switch off := offset.Abs(); {
	case off > clockWrong:
		id = "clock-wrong"
	case off > clockOff:
		id = "clock-off"
	default:
		return
	}
	x.find(id, "", fmt.Sprintf("the clock of this machine is %s by %s, as %s says", way, offset.Abs().Round(time.Second), server), place{host: server})
}
