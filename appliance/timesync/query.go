package timesync

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/beevik/ntp"
)

const (
	findTime  = 3 * time.Second // for the names of a group
	queryTime = 3 * time.Second

	// maxPerName bounds how many of a name's addresses are asked: the pool's
	// names have several.
	maxPerName = 2

	// maxAsked bounds how many servers of one group are asked.
	maxAsked = 8

	// leastError keeps a server from being taken for perfect: the way there
	// and the way back are never quite the same.
	leastError = time.Millisecond
)

// refusal is what a server says that does not want to be asked so often.
type refusal struct{ code string }

func (r *refusal) Error() string { return "it refuses: " + r.code }

// query asks one server, which is an address with or without a port.
func query(ctx context.Context, server string) (Sample, error) {
	r, err := ntp.QueryWithOptions(server, ntp.QueryOptions{
		Timeout: queryTime,
		Dialer: func(_, remote string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "udp", remote)
		},
	})
	if err != nil {
		return Sample{}, err
	}
	if r.IsKissOfDeath() {
		return Sample{}, &refusal{code: r.KissCode}
	}
	if err := r.Validate(); err != nil {
		return Sample{}, err
	}

	return Sample{Server: server, Offset: r.ClockOffset, Error: max(leastError, r.RootDistance), Stratum: int(r.Stratum)}, nil
}

// resolve returns the addresses of servers, a few of each name, without those
// that are there twice.
func resolve(ctx context.Context, names []string) ([]string, error) {
	var (
		all    []string
		failed []error
	)
	seen := map[string]bool{}
	for _, name := range names {
		host, port, err := net.SplitHostPort(name)
		if err != nil {
			host, port = name, "123"
		}
		addresses := []string{host}
		if net.ParseIP(host) == nil {
			if addresses, err = net.DefaultResolver.LookupHost(ctx, host); err != nil {
				failed = append(failed, fmt.Errorf("find the time server %s: %w", host, err))
				continue
			}
		}
		for _, a := range addresses[:min(len(addresses), maxPerName)] {
			server := net.JoinHostPort(a, port)
			if !seen[server] && len(all) < maxAsked {
				seen[server] = true
				all = append(all, server)
			}
		}
	}

	return all, errors.Join(failed...)
}
