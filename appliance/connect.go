package appliance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"pillarbox/appliance/control"
	"pillarbox/storage"
)

// startTime is how long a server that is starting may keep a command waiting
// between taking the folder's lock and opening the control socket.
const startTime = 5 * time.Second

// Errors of Connect that callers tell apart.
var (
	ErrNoData = errors.New("the data folder does not exist")
	ErrInUse  = errors.New("another process holds the data folder and does not answer")
)

// Connect returns a client for a data folder: of the server that runs on it,
// or, if none does, of this process, which then holds the folder until close
// is called. With create a folder that is missing is made.
func Connect(ctx context.Context, c *Config, create bool) (client *control.Client, stop func() error, err error) {
	if _, err := os.Stat(c.Dir); errors.Is(err, fs.ErrNotExist) && !create {
		return nil, nil, fmt.Errorf("%w: %s", ErrNoData, c.Dir)
	}
	for deadline := time.Now().Add(startTime); ; {
		client, err := control.Dial(ctx, c.Dir)
		if err == nil {
			return client, func() error { client.Close(); return nil }, nil
		}
		if !errors.Is(err, control.ErrNoServer) {
			return nil, nil, err
		}
		o, err := openOffice(ctx, c, nil, nil)
		if err == nil {
			client, stopServing := control.Local(ctx, o.handler, c.Logger)
			return client, func() error { return errors.Join(stopServing(), o.close(c.Logger)) }, nil
		}
		if !errors.Is(err, storage.ErrLocked) {
			return nil, nil, err
		}
		if time.Now().After(deadline) {
			return nil, nil, fmt.Errorf("%w: %s", ErrInUse, c.Dir)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}
