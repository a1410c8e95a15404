package timeset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Watch waits for the clock to be set. It sees what happens from its making on.
type Watch struct{ timer *os.File }

// New begins to watch.
func New() (*Watch, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch the clock: %w", err)
	}
	w := &Watch{timer: os.NewFile(uintptr(fd), "clock")}
	if err := w.arm(); err != nil {
		return nil, errors.Join(err, w.Close())
	}

	return w, nil
}

// arm sets the timer to a time that does not come; only a clock that is set
// ends it, see timerfd_create(2).
func (w *Watch) arm() error {
	conn, err := w.timer.SyscallConn()
	if err != nil {
		return fmt.Errorf("watch the clock: %w", err)
	}
	never := &unix.ItimerSpec{Value: unix.Timespec{Sec: 1 << 33}}
	var setErr error
	err = conn.Control(func(fd uintptr) {
		setErr = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, never, nil)
	})
	if err = errors.Join(err, setErr); err != nil {
		return fmt.Errorf("watch the clock: %w", err)
	}

	return nil
}

// Wait returns nil when the clock was set since New, or since the last Wait.
func (w *Watch) Wait(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = w.timer.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var expirations [8]byte
	_, err := w.timer.Read(expirations[:])
	for errors.Is(err, os.ErrDeadlineExceeded) {
		// It may have been meant for an earlier Wait.
		if err := w.timer.SetReadDeadline(time.Time{}); err != nil {
			return fmt.Errorf("watch the clock: %w", err)
		}
		if ctx.Err() != nil {
			break // the deadline may be the one that was just taken away
		}
		_, err = w.timer.Read(expirations[:])
	}
	switch {
	case errors.Is(err, unix.ECANCELED):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		return errors.New("watch the clock: the end of time has come")
	}

	return fmt.Errorf("watch the clock: %w", err)
}

// Close ends the watch.
func (w *Watch) Close() error { return w.timer.Close() }
