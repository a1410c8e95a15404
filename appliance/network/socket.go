package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrRunning says that another process keeps the network already.
var ErrRunning = errors.New("another process keeps this box's network already")

// socket is where orders are taken. While it is open no other process gets it,
// so that no two change the same network.
type socket struct {
	net.Listener

	lock *os.File // held (flock), which the kernel ends with the process
}

// listen opens the socket. The error is ErrRunning where another process has
// it.
func listen(ctx context.Context, path string) (*socket, error) {
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("open the network's socket: %w", err)
	}
	ln, err := listenAt(ctx, path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the network's socket: %w", err), lock.Close())
	}

	return &socket{ln, lock}, nil
}

// lockFile returns the file, which it has locked and which names this process.
func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			pid, _ := io.ReadAll(io.LimitReader(f, 20))
			err = fmt.Errorf("%w: process %s", ErrRunning, strings.TrimSpace(string(pid)))
		}
		return nil, errors.Join(err, f.Close())
	}
	// For a person: a disk without room for a number is no reason to stay away.
	_ = f.Truncate(0)
	_, _ = fmt.Fprintln(f, os.Getpid())

	return f, nil
}

func listenAt(ctx context.Context, path string) (net.Listener, error) {
	// An earlier process may have had no time to remove it.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}

	return ln, nil
}

// Close ends listening, and then lets others.
func (s *socket) Close() error {
	err := s.Listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil // the server that served it has closed it
	}

	return errors.Join(err, s.lock.Close())
}
