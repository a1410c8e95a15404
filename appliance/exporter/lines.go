package exporter

import (
	"context"
	"errors"
	"sync"

	"pillarbox/appliance/importer"
)

// usualConnections is how many there are to a target where nothing else is said.
const usualConnections = 4

// lines are the connections to a server. Where it lets fewer in than are wanted,
// those that there are do all the work.
type lines struct {
	server *importer.Server
	way    *importer.Way
	most   int

	mu      sync.Mutex
	changed *sync.Cond // one was given back, or there is room for another
	free    []*importer.Session
	open    int // with those that are being opened
	limit   int
	reached bool // there was one
}

func newLines(server *importer.Server, way *importer.Way) *lines {
	l := &lines{server: server, way: way, most: server.Connections}
	if l.most == 0 {
		l.most = usualConnections
	}
	l.limit = l.most
	l.changed = sync.NewCond(&l.mu)

	return l
}

// take returns a connection that nobody uses, and waits for one where there may
// be no more.
func (l *lines) take(ctx context.Context) (*importer.Session, error) {
	defer context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.changed.Broadcast()
	})()
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch n := len(l.free); {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case n > 0:
			c := l.free[n-1]
			l.free = l.free[:n-1]
			return c, nil
		case l.open >= l.limit:
			l.changed.Wait()
			continue
		}
		l.open++
		l.mu.Unlock()
		c, err := l.server.Connect(ctx, l.way)
		l.mu.Lock()
		if err == nil {
			l.reached = true
			return c, nil
		}
		l.open--
		l.changed.Broadcast()
		if l.open == 0 || errors.Is(err, importer.ErrSignIn) || errors.Is(err, importer.ErrTrust) {
			l.limit = max(l.limit, 1)
			return nil, err
		}
		l.limit = l.open
	}
}

// give takes a connection back; one that is not good is ended.
func (l *lines) give(c *importer.Session, good bool) {
	if !good {
		c.Abort()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if good {
		l.free = append(l.free, c)
	} else {
		l.open--
	}
	l.changed.Broadcast()
}

// wasReached tells whether there was a connection.
func (l *lines) wasReached() bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.reached
}

// end ends those that nobody uses.
func (l *lines) end() {
	l.mu.Lock()
	free := l.free
	l.free, l.open = nil, l.open-len(l.free)
	l.mu.Unlock()
	for _, c := range free {
		c.End()
	}
}
