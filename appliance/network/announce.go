package network

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"pillarbox/netcfg"
	"pillarbox/netcfg/mdns"
)

const (
	// listenTime is how often it is looked who listens.
	listenTime = 10 * time.Second

	// maxSockets bounds what is read of the kernel's list of sockets, in octets:
	// some 2,000 lines. Those that listen come first.
	maxSockets = 256 << 10

	// fallbackHost is the name of a machine whose own one cannot be told.
	fallbackHost = "pillarbox"
)

// announcer makes the box known on its managed interfaces by multicast DNS. A
// nil one does nothing.
type announcer struct {
	log       *slog.Logger
	services  []mdns.Service
	responder *mdns.Responder
}

// newAnnouncer returns an announcer of those of some services that really
// listen. It tells held the name whenever that changes.
func newAnnouncer(log *slog.Logger, host string, services []mdns.Service, held func(name string)) (*announcer, error) {
	name, _, _ := strings.Cut(host, ".")
	if !mdns.ValidHost(name) || strings.EqualFold(name, "localhost") {
		name = fallbackHost
	}
	r, err := mdns.New(&mdns.Config{Logger: log, Host: name, Services: services, Held: held})
	if err == nil {
		err = r.Announce(nil) // until they are seen to listen
	}

	return &announcer{log: log, services: services, responder: r}, err
}

// learn takes the interfaces on which the box is to be known.
func (a *announcer) learn(n *netcfg.Status) {
	if a == nil {
		return
	}
	var known mdns.Network
	for _, i := range n.Managed() {
		if !i.Up || !i.Carrier {
			continue
		}
		link := mdns.Interface{Index: i.Index, Name: i.Name}
		for _, address := range i.Addresses {
			if !address.Clashes && !address.Deprecated && !address.Tentative {
				link.Addresses = append(link.Addresses, address.Prefix)
			}
		}
		known.Interfaces = append(known.Interfaces, link)
	}
	a.responder.Set(known)
}

// run announces until the context ends, whose error it returns.
func (a *announcer) run(ctx context.Context) error {
	if a == nil {
		return nil
	}
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return a.responder.Run(ctx) })
	all.Go(func() error { return a.follow(ctx) })

	return all.Wait()
}

// follow has those services announced that listen.
func (a *announcer) follow(ctx context.Context) error {
	ticker := time.NewTicker(listenTime)
	defer ticker.Stop()
	said := ""
	for {
		ports, err := listening()
		if err == nil {
			err = a.responder.Announce(slices.DeleteFunc(slices.Clone(a.services), func(s mdns.Service) bool { return !ports[s.Port] }))
		}
		if err != nil && err.Error() != said {
			said = err.Error()
			a.log.Warn("find what is to be announced", "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// listening returns the TCP ports on which somebody listens for others than
// this machine.
func listening() (map[uint16]bool, error) {
	ports := map[uint16]bool{}
	for _, name := range []string{"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"} {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err == nil {
			err = errors.Join(addListening(ports, io.LimitReader(f, maxSockets)), f.Close())
		}
		if err != nil {
			return nil, fmt.Errorf("list who listens: %w", err)
		}
	}

	return ports, nil
}

// addListening reads a list of sockets as in proc_net_tcp(5).
func addListening(ports map[uint16]bool, list io.Reader) error {
	const (
		listens   = "0A"
		loopback4 = "7F"                               // the end of 127.x.x.x
		mapped    = "0000000000000000FFFF0000"         // ::ffff:, before IPv4
		loopback6 = "00000000000000000000000001000000" // ::1
	)
	lines := bufio.NewScanner(list)
	for lines.Scan() {
		fields := strings.Fields(lines.Text()) // its number, here, there, state, …
		if len(fields) < 4 || fields[3] != listens {
			continue
		}
		address, port, _ := strings.Cut(fields[1], ":")
		address = strings.TrimPrefix(address, mapped)
		if address == loopback6 || len(address) == 8 && strings.HasSuffix(address, loopback4) {
			continue
		}
		n, err := strconv.ParseUint(port, 16, 16)
		if err != nil {
			continue // the heading
		}
		ports[uint16(n)] = true
	}

	return lines.Err()
}
