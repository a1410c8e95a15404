package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"pillarbox/appliance/config"
	"pillarbox/appliance/smtp"
)

// listener is an open port with the name by which the log calls it.
type listener struct {
	net.Listener

	name      string
	probe     probe
	inherited bool // systemd has opened it

	mu    sync.Mutex
	ended chan struct{} // closed by Close; nil until it retires
}

// retire stops listening. Accept returns when the listener is closed, so that
// its service goes on for those who are connected.
func (l *listener) retire() error {
	l.mu.Lock()
	if l.ended == nil {
		l.ended = make(chan struct{})
	}
	l.mu.Unlock()

	return l.Listener.Close()
}

// rest waits, if the listener has retired, until it is closed.
func (l *listener) rest() {
	if ended := l.retirement(); ended != nil {
		<-ended
	}
}

// retirement returns nil until the listener retires.
func (l *listener) retirement() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.ended
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended == nil {
		return l.Listener.Close()
	}
	select {
	case <-l.ended:
	default:
		close(l.ended)
	}

	return nil
}

// Names of listeners in the log.
const (
	nameIMAPS  = "imaps"
	nameLegacy = "imaps-legacy"
	nameLMTP   = "lmtp"
	nameHTTP   = "http"
	nameHTTPS  = "https"

	nameMetrics = "metrics" // not for mail, and opened by metricsPort alone
)

// address returns what a client is told: HOST:PORT or unix:PATH.
func (l *listener) address() string {
	if a := l.Addr(); a.Network() != "unix" {
		return a.String()
	}

	return "unix:" + l.Addr().String()
}

// openListeners opens all of those ports that are to be open, or none. Where
// systemd opened sockets, no service listens that has neither one of them nor an
// address in c.
func openListeners(ctx context.Context, c *Config, ports config.Ports) (all []*listener, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, closeListeners(all))
			all = nil
		}
	}()
	if all, err = inherit(); err != nil {
		return all, err
	}
	inherited := slices.Clone(all)
	wants := func(name string, addrs []string) bool {
		switch {
		case len(inherited) == 0 || !has(inherited, name) && addrs != nil:
			return true
		case addrs != nil:
			c.Logger.WarnContext(ctx, "systemd's sockets are used in place of the addresses given", "listener", name)
		}
		return false
	}
	for _, w := range []struct {
		name           string
		addrs          []string
		port, fallback int
		open           bool
	}{
		{nameIMAPS, c.IMAPS, portIMAPS, fallbackIMAPS, !ports.NoIMAPS},
		{nameLegacy, c.IMAPSLegacy, portIMAPSLegacy, fallbackLegacy, ports.IMAPSLegacy},
	} {
		if !wants(w.name, w.addrs) || !w.open {
			continue
		}
		opened, err := listenAt(ctx, c, w.name, w.addrs, w.port, w.fallback)
		all = append(all, opened...)
		if err != nil {
			return all, err
		}
	}
	for _, w := range []struct {
		name           string
		addrs          []string
		port, fallback int
	}{
		{nameHTTP, c.HTTP, portHTTP, fallbackHTTP},
		{nameHTTPS, c.HTTPS, portHTTPS, fallbackHTTPS},
	} {
		if !wants(w.name, w.addrs) || w.addrs == nil && c.IMAPS != nil {
			continue
		}
		opened, err := listenAt(ctx, c, w.name, w.addrs, w.port, w.fallback)
		if err != nil && w.addrs == nil {
			// Nobody asked for them by number: another program may have both, and
			// mail matters more.
			c.Logger.WarnContext(ctx, "the pages are not shown on this port", "listener", w.name, "err", errors.Join(err, closeListeners(opened)))
			continue
		}
		all = append(all, opened...)
		if err != nil {
			return all, err
		}
	}
	if !wants(nameLMTP, c.LMTP) {
		return all, nil
	}
	for _, addr := range lmtpAddresses(ctx, c) {
		if addr == Off {
			continue
		}
		ln, err := smtp.Listen(ctx, addr)
		if err != nil {
			return all, err
		}
		all = append(all, &listener{Listener: ln, name: nameLMTP})
	}

	return all, nil
}

// listenAt opens the addresses that were given, or the usual port.
func listenAt(ctx context.Context, c *Config, name string, addrs []string, port, fallback int) ([]*listener, error) {
	if addrs == nil {
		return listenDefault(ctx, c, name, port, fallback)
	}

	return listenTLS(ctx, name, addrs)
}

// lmtpAddresses returns where LMTP listens.
func lmtpAddresses(ctx context.Context, c *Config) []string {
	if c.LMTP != nil {
		return c.LMTP
	}
	path := filepath.Join(c.Dir, "lmtp.sock")
	if len(path) > smtp.MaxSocketPath {
		c.Logger.WarnContext(ctx, "LMTP is off: the data folder's path is too long for a socket in it; give --lmtp an address", "path", path)
		return nil
	}

	return []string{"unix:" + path}
}

// listenDefault opens a port that nobody asked for by number, or the one that
// stands in for it.
func listenDefault(ctx context.Context, c *Config, name string, port, fallback int) ([]*listener, error) {
	opened, err := listenTLS(ctx, name, defaultAddresses(c, port))
	web := name == nameHTTP || name == nameHTTPS
	gives := errors.Is(err, syscall.EACCES) || (c.Loopback || web) && errors.Is(err, syscall.EADDRINUSE)
	if !gives {
		return opened, err
	}
	c.Logger.LogAttrs(ctx, slog.LevelWarn, "another port is taken", slog.String("listener", name),
		slog.Int("wanted", port), slog.Int("port", fallback), slog.Any("err", errors.Join(err, closeListeners(opened))))

	return listenTLS(ctx, name, defaultAddresses(c, fallback))
}

func defaultAddresses(c *Config, port int) []string {
	p := strconv.Itoa(port)
	if !c.Loopback {
		return []string{":" + p}
	}
	addrs := []string{"127.0.0.1:" + p}
	// A container may have no IPv6 at all.
	if ln, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		if ln.Close() == nil {
			addrs = append(addrs, "[::1]:"+p)
		}
	}

	return addrs
}

func listenTLS(ctx context.Context, name string, addrs []string) ([]*listener, error) {
	var opened []*listener
	for _, addr := range addrs {
		if addr == Off {
			continue
		}
		var lc net.ListenConfig
		ln, err := lc.Listen(ctx, "tcp", addr)
		if err != nil {
			return opened, fmt.Errorf("listen for %s: %w", name, explainListen(err))
		}
		opened = append(opened, &listener{Listener: ln, name: name})
	}

	return opened, nil
}

// explainListen adds what to do.
func explainListen(err error) error {
	switch {
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: ports below 1024 are for root, or for a program with the capability CAP_NET_BIND_SERVICE", err)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: another program listens there; stop it or choose another address", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w: this machine does not have that address", err)
	}

	return err
}

func closeListeners(all []*listener) error {
	var errs []error
	for _, l := range slices.Backward(all) {
		errs = append(errs, l.Close())
	}

	return errors.Join(errs...)
}
