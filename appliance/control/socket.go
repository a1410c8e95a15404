package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"pillarbox/appliance/peer"
)

const (
	socketName = "control.sock"
	maxSocket  = 100 // octets of a path; the kernel takes 108 at most
	stopTime   = 8 * time.Second
)

// Listen opens the socket of a data folder. The caller holds the folder's
// lock, so that a socket which is there already is a leftover.
func Listen(ctx context.Context, dir string) (net.Listener, error) {
	path, release, err := socketPath(dir)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	defer release()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	// Until here only the folder's mode, which is 0700, keeps others out.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open control socket: %w", err), ln.Close())
	}
	// With a path that is valid only now, the listener could not remove its socket.
	ln.(*net.UnixListener).SetUnlinkOnClose(false)

	return &listener{Listener: ln, path: filepath.Join(dir, socketName)}, nil
}

// listener removes its socket when it is closed.
type listener struct {
	net.Listener

	path string
}

func (l *listener) Close() error {
	err := l.Listener.Close()
	if err == nil {
		err = os.Remove(l.path)
	}

	return err
}

// socketPath returns a path by which the socket can be bound or reached, even
// where the folder's own path is longer than an address may be.
func socketPath(dir string) (path string, release func(), err error) {
	path = filepath.Join(dir, socketName)
	if len(path) <= maxSocket {
		return path, func() {}, nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	through := filepath.Join("/proc/self/fd", strconv.Itoa(int(d.Fd())), socketName)

	return through, func() { _ = d.Close() }, nil
}

// Serve answers requests until ctx is cancelled; those that run then are
// brought to their end, for a while.
func Serve(ctx context.Context, ln net.Listener, h *Handler, log *slog.Logger) error {
	srv := &http.Server{
		Handler:           h,
		ConnContext:       withActor,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		if err := srv.Shutdown(limit); err != nil {
			log.Warn("requests cut off", "err", errors.Join(err, srv.Close()))
		}
	})
	err := srv.Serve(peer.Only(ln, log))
	if !stop() {
		<-stopped
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve control socket: %w", err)
	}

	return nil
}
