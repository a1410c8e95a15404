package certs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	awaitTime  = 5 * time.Minute // for a record to be on all name servers
	awaitEvery = 2 * time.Second
	maxServers = 16
)

// zones asks the name servers that answer for a name. A resolver would keep for
// a while that a record is not there yet.
type zones struct {
	// resolver is HOST:PORT; "" means the system's. The name servers are then
	// asked on the same port.
	resolver string
}

// await waits until all name servers of a name have a TXT record.
func (z *zones) await(ctx context.Context, name, value string) error {
	ctx, cancel := context.WithTimeout(ctx, awaitTime)
	defer cancel()
	name = dns.Fqdn(name)
	servers, err := z.servers(ctx, name)
	if err != nil {
		return err
	}
	for {
		missing := slices.IndexFunc(servers, func(s string) bool { return !z.has(ctx, s, name, value) })
		if missing < 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not have it", servers[missing])
		case <-time.After(awaitEvery):
		}
	}
}

func (z *zones) has(ctx context.Context, server, name, value string) bool {
	answer, err := z.ask(ctx, server, name, dns.TypeTXT)
	if err != nil {
		return false
	}
	for _, rr := range answer.Answer {
		switch rr := rr.(type) {
		case *dns.TXT:
			if strings.Join(rr.Txt, "") == value {
				return true
			}
		case *dns.CNAME:
			return true // it lies elsewhere, where we do not follow
		}
	}
	return false
}

// servers returns the addresses of the name servers of the zone of a name.
func (z *zones) servers(ctx context.Context, name string) ([]string, error) {
	resolver, port := z.resolver, "53"
	if resolver == "" {
		conf, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil || len(conf.Servers) == 0 {
			return nil, errors.Join(errors.New("no name server is known"), err)
		}
		resolver = net.JoinHostPort(conf.Servers[0], conf.Port)
	} else if _, p, err := net.SplitHostPort(resolver); err == nil {
		port = p
	}
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		answer, err := z.ask(ctx, resolver, name[off:], dns.TypeNS)
		if err != nil {
			return nil, err
		}
		var all []string
		for _, rr := range answer.Answer {
			if ns, ok := rr.(*dns.NS); ok && len(all) < maxServers {
				all = append(all, z.addresses(ctx, resolver, ns.Ns, port)...)
			}
		}
		if len(all) > 0 {
			return all, nil
		}
	}
	return nil, fmt.Errorf("no name server of %s is known", name)
}

// addresses returns one address of a name server.
func (z *zones) addresses(ctx context.Context, resolver, host, port string) []string {
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		answer, err := z.ask(ctx, resolver, host, kind)
		if err != nil {
			continue
		}
		for _, rr := range answer.Answer {
			switch rr := rr.(type) {
			case *dns.A:
				return []string{net.JoinHostPort(rr.A.String(), port)}
			case *dns.AAAA:
				return []string{net.JoinHostPort(rr.AAAA.String(), port)}
			}
		}
	}
	return nil
}

func (z *zones) ask(ctx context.Context, server, name string, kind uint16) (*dns.Msg, error) {
	msg := new(dns.Msg)
	msg.SetQuestion(name, kind)
	answer, _, err := (&dns.Client{Timeout: 5 * time.Second}).ExchangeContext(ctx, msg, server)
	if err == nil && answer.Truncated {
		answer, _, err = (&dns.Client{Net: "tcp", Timeout: 5 * time.Second}).ExchangeContext(ctx, msg, server)
	}
	if err != nil {
		return nil, fmt.Errorf("ask the name server %s: %w", server, err)
	}
	return answer, nil
}
