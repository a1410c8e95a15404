package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Config describes a client.
type Config struct {
	Conn     Conn             // must not be nil
	MAC      net.HardwareAddr // of the interface
	ID       []byte           // see Identifier
	Hostname string           // told to the server; "" means not
	Logger   *slog.Logger     // must not be nil

	// Previous is the lease of an earlier run, or nil.
	Previous *Lease

	// Decided is told each lease that holds now, and nil when none does any
	// more. It is not called while a previous lease is still being asked for.
	Decided func(*Lease)

	// MaxLease bounds how long a lease is believed; 0 means DefaultMaxLease.
	MaxLease time.Duration

	// Release gives the address back when Run ends.
	Release bool
}

// Client keeps a lease on one interface.
type Client struct {
	Config
	buf []byte
}

// New returns a client.
func New(c *Config) *Client {
	client := &Client{Config: *c, buf: make([]byte, maxMessage)}
	if client.MaxLease == 0 {
		client.MaxLease = DefaultMaxLease
	}

	return client
}

// Times between tries. RFC 2131, section 4.1, begins with four seconds; a box
// that has just been plugged in has somebody waiting.
const (
	firstTry = time.Second
	lastTry  = 64 * time.Second

	rebootTries  = 2
	requestTries = 3

	// declinePause follows a DECLINE (RFC 2131, section 3.1, step 5).
	declinePause = 10 * time.Second

	// renewPause is the shortest time between two tries to renew (RFC 2131,
	// section 4.4.5).
	renewPause = 60 * time.Second
)

var (
	errSilence = errors.New("no server answered")
	errRefused = errors.New("the server refused")
)

// Run keeps a lease until the context ends, whose error it returns.
func (c *Client) Run(ctx context.Context) error {
	lease := c.reboot(ctx, c.Previous)
	for ctx.Err() == nil {
		if lease == nil {
			lease = c.discover(ctx)
		}
		if lease == nil {
			break // the context ended
		}
		lease = c.hold(ctx, lease)
	}
	if c.Release && lease != nil {
		c.release(lease)
	}

	return ctx.Err()
}

// reboot asks for the lease of an earlier run (RFC 2131, section 3.2). It
// returns nil if that cannot be had.
func (c *Client) reboot(ctx context.Context, old *Lease) *Lease {
	// That its time seems to be over is no reason not to ask: a clock without
	// a battery knows no better at a start, and the server does.
	if old == nil {
		c.Decided(nil)
		return nil
	}
	m, err := c.message(dhcpv4.MessageTypeRequest, requested(old.Address.Addr()))
	if err != nil {
		c.Logger.Error("ask for the earlier address", "err", err)
		return nil
	}
	lease, err := c.ask(ctx, m, rebootTries, firstTry, broadcast(netip.Addr{}), nil)
	switch {
	case err == nil:
		c.bound("the address is the same as before", lease)
		return lease
	case errors.Is(err, errRefused):
		c.Logger.Info("the earlier address is not ours any more", "address", old.Address)
		c.Decided(nil)
	case ctx.Err() == nil:
		// The address may be in use still; it stays until its time is over or a
		// server gives another one.
		c.Logger.Info("ask for the earlier address", "address", old.Address, "err", err)
	}

	return nil
}

// discover looks for a server until one gives an address or the context ends.
func (c *Client) discover(ctx context.Context) *Lease {
	for pause := firstTry; ctx.Err() == nil; pause = min(2*pause, lastTry) {
		// A little randomness, or a whole street asks at once when power returns.
		wait := time.Duration(float64(pause) * (0.9 + 0.2*rand.Float64()))
		began := time.Now()
		lease, err := c.obtain(ctx, wait)
		if err == nil {
			c.bound("an address was given", lease)
			return lease
		}
		if ctx.Err() != nil {
			break
		}
		level := slog.LevelInfo
		if errors.Is(err, errSilence) && pause < lastTry {
			level = slog.LevelDebug // said once the tries are at their longest
		}
		c.Logger.Log(ctx, level, "look for a DHCP server", "err", err)
		// A refusal comes at once; it must not have us ask as fast.
		if rest := wait - time.Since(began); rest > 0 {
			sleep(ctx, rest)
		}
	}

	return nil
}

// obtain does one round of DISCOVER, OFFER, REQUEST and ACK.
func (c *Client) obtain(ctx context.Context, wait time.Duration) (*Lease, error) {
	discover, err := c.message(dhcpv4.MessageTypeDiscover)
	if err != nil {
		return nil, err
	}
	if c.Previous != nil {
		discover.UpdateOption(requested(c.Previous.Address.Addr()))
	}
	offer, err := c.ask(ctx, discover, 1, wait, broadcast(netip.Addr{}), nil)
	if err != nil {
		return nil, err
	}
	request, err := c.message(dhcpv4.MessageTypeRequest, requested(offer.Address.Addr()), server(offer.Server))
	if err != nil {
		return nil, err
	}
	// RFC 2131, section 4.4.1: the request has the offer's transaction.
	request.TransactionID = discover.TransactionID
	lease, err := c.ask(ctx, request, requestTries, firstTry, broadcast(netip.Addr{}), offer)
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", offer.Address.Addr(), err)
	}
	taken, err := c.Conn.Taken(ctx, lease.Address.Addr())
	if err != nil && ctx.Err() == nil {
		c.Logger.Warn("find out whether the address is free", "address", lease.Address, "err", err)
	}
	if taken {
		c.decline(lease)
		sleep(ctx, declinePause)
		return nil, fmt.Errorf("another host has %s", lease.Address.Addr())
	}

	return lease, nil
}

// hold keeps a lease. It returns when the lease does not hold any more, with
// nil, or when the context ends, with the lease.
func (c *Client) hold(ctx context.Context, lease *Lease) *Lease {
	for {
		if !sleep(ctx, time.Until(lease.Renew)) {
			return lease
		}
		renewed, err := c.renew(ctx, lease)
		switch {
		case err == nil:
			lease = renewed
			c.bound("the address was renewed", lease)
			continue
		case ctx.Err() != nil:
			return lease
		}
		c.Logger.Warn("the address is given up", "address", lease.Address, "err", err)
		c.Decided(nil)

		return nil
	}
}

// renew asks the server, and when it is silent for long any server, until the
// lease is over.
func (c *Client) renew(ctx context.Context, lease *Lease) (*Lease, error) {
	own := lease.Address.Addr()
	said := false
	for now := time.Now(); now.Before(lease.Expires) && ctx.Err() == nil; now = time.Now() {
		m, err := c.message(dhcpv4.MessageTypeRequest)
		if err != nil {
			return nil, err
		}
		m.ClientIPAddr = own.AsSlice()
		send, end := broadcast(own), lease.Expires
		from := (*Lease)(nil)
		if now.Before(lease.Rebind) {
			send, end = func(conn Conn, b []byte) error { return conn.Unicast(b, own, lease.Server) }, lease.Rebind
			from = lease
		} else if !said {
			said = true
			c.Logger.Warn("the DHCP server is silent; asking any", "server", lease.Server, "until", lease.Expires)
		}
		left := end.Sub(now)
		wait := min(left, max(left/2, renewPause))
		renewed, err := c.ask(ctx, m, 1, wait, send, from)
		switch {
		case errors.Is(err, errRefused), err == nil && renewed.Address.Addr() == own:
			return renewed, err
		case err == nil:
			return nil, fmt.Errorf("the server now gives %s", renewed.Address)
		}
		c.Logger.Debug("renew the address", "address", lease.Address, "err", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}

	return nil, errors.New("its time is over and no server answered")
}

// bound tells that a lease holds.
func (c *Client) bound(what string, l *Lease) {
	c.Logger.Info(what, "address", l.Address, "server", l.Server, "expires", l.Expires.UTC().Format(time.RFC3339))
	c.Previous = l
	c.Decided(l)
}

// ask sends a message up to so many times, waiting ever longer for an answer.
// chosen is the lease whose server alone may answer; nil means any server.
func (c *Client) ask(ctx context.Context, m *dhcpv4.DHCPv4, tries int, wait time.Duration, send sender, chosen *Lease) (*Lease, error) {
	began := time.Now()
	for try := range tries {
		// RFC 2131, section 4.4.1: the time of the lease begins when it is asked for.
		sent := time.Now()
		m.NumSeconds = uint16(min(sent.Sub(began)/time.Second, 1<<16-1))
		failed := send(c.Conn, m.ToBytes())
		if failed != nil {
			c.Logger.Debug("send to the DHCP server", "err", failed)
		}
		lease, err := c.answer(ctx, m, sent, wait<<try, chosen)
		if !errors.Is(err, errSilence) {
			return lease, err
		}
		if failed != nil {
			err = failed
		}
		if try == tries-1 {
			return nil, err
		}
	}

	return nil, errSilence
}

type sender func(conn Conn, b []byte) error

func broadcast(from netip.Addr) sender {
	return func(conn Conn, b []byte) error { return conn.Broadcast(b, from) }
}

// answer waits for an answer to a message.
func (c *Client) answer(ctx context.Context, to *dhcpv4.DHCPv4, sent time.Time, limit time.Duration, chosen *Lease) (*Lease, error) {
	within, stop := context.WithTimeout(ctx, limit)
	defer stop()
	want := dhcpv4.MessageTypeAck
	if to.MessageType() == dhcpv4.MessageTypeDiscover {
		want = dhcpv4.MessageTypeOffer
	}
	for {
		n, err := c.Conn.Receive(within, c.buf)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case within.Err() != nil:
			return nil, errSilence
		case err != nil:
			// The link may be gone; whoever watches it ends the context.
			c.Logger.Debug("receive from the DHCP server", "err", err)
			sleep(within, firstTry)
			continue
		}
		m, err := dhcpv4.FromBytes(c.buf[:n])
		if err != nil || !c.answers(m, to) {
			continue
		}
		if from, _ := address(m.ServerIdentifier()); chosen != nil && from != chosen.Server {
			continue
		}
		kind := m.MessageType()
		if kind == dhcpv4.MessageTypeNak && want == dhcpv4.MessageTypeAck {
			return nil, errRefused
		}
		if kind != want {
			continue
		}
		lease, err := Read(m, sent, c.MaxLease)
		if err != nil {
			c.Logger.Warn("an unusable answer of a DHCP server", "err", err)
			continue
		}

		return lease, nil
	}
}

func (c *Client) decline(l *Lease) {
	c.Logger.Warn("another host has the address that the DHCP server gave", "address", l.Address, "server", l.Server)
	m, err := c.message(dhcpv4.MessageTypeDecline, requested(l.Address.Addr()), server(l.Server))
	if err == nil {
		err = c.Conn.Broadcast(m.ToBytes(), netip.Addr{})
	}
	if err != nil {
		c.Logger.Warn("decline the address", "err", err)
	}
}

// release gives the address back. Nobody confirms it.
func (c *Client) release(l *Lease) {
	m, err := c.message(dhcpv4.MessageTypeRelease, server(l.Server))
	if err == nil {
		m.ClientIPAddr = l.Address.Addr().AsSlice()
		err = c.Conn.Unicast(m.ToBytes(), l.Address.Addr(), l.Server)
	}
	if err != nil {
		c.Logger.Warn("release the address", "address", l.Address, "err", err)
		return
	}
	c.Logger.Info("the address was released", "address", l.Address)
	c.Decided(nil)
}

// sleep tells whether the time went by before the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
