package smtp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
)

// ErrNotLoopback says that an address can be reached from other machines.
var ErrNotLoopback = errors.New("LMTP asks for no password and is served on loopback addresses and unix sockets only")

// MaxSocketPath is how long the path of a unix socket may be, in octets; the
// kernel's limit is 108 with the NUL at its end.
const MaxSocketPath = 107

// Listen opens a listener: "unix:PATH" or a loopback "HOST:PORT".
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return listenUnix(ctx, path)
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen for LMTP: %w", err)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.Unmap().IsLoopback()) {
		return nil, fmt.Errorf("listen for LMTP on %s: %w", addr, ErrNotLoopback)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for LMTP: %w", err)
	}

	return ln, nil
}

// listenUnix takes the place of a socket that nobody listens on any more, and
// of nothing else.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if len(path) > MaxSocketPath {
		return nil, fmt.Errorf("listen for LMTP on %s: the path of a socket has at most %d octets", path, MaxSocketPath)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, fmt.Errorf("listen for LMTP: %w", err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for LMTP: %w", err)
	}
	// The group may deliver, such as Postfix's when it is given to it.
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for LMTP: %w", err), ln.Close())
	}

	return ln, nil
}

func removeStale(ctx context.Context, path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(fmt.Errorf("%s is in use by another server", path), conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}

	return os.Remove(path)
}
