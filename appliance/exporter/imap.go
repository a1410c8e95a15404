package exporter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/importer"
)

// How often a connection is made anew, and what is waited before, while nothing
// gets on.
const (
	retries   = 6
	firstWait = time.Second
	mostWait  = 5 * time.Minute
)

// IMAP is an account of another server.
type IMAP struct {
	server *importer.Server
	way    *importer.Way
	prefix string

	session *importer.Session // nil until it is needed, and after it was lost
	reached bool              // there was one
	names   *imapNames
}

// NewIMAP exports to a server. A nil way is the usual one. With a prefix all
// goes below a mailbox of that name.
func NewIMAP(server *importer.Server, way *importer.Way, prefix string) *IMAP {
	if way == nil {
		way = &importer.Way{}
	}

	return &IMAP{server: server, way: way, prefix: prefix}
}

// String implements Target.
func (t *IMAP) String() string { return "imap " + t.server.User + "@" + t.server.Host }

// Begin implements Target.
func (t *IMAP) Begin(ctx context.Context, _ string, boxes []Mailbox) error {
	return t.try(ctx, nil, func(c *importer.Session) (err error) {
		t.names, err = lookAround(c, t.prefix)
		if err == nil {
			t.names.resolve(boxes)
		}
		return err
	})
}

// Put implements Target. A connection that was lost begins the mailbox anew, by
// what is there then.
func (t *IMAP) Put(ctx context.Context, j *Job, mb *Mailbox, msgs []Message) error {
	name := t.names.to[mb.Name]
	j.box.To = name
	for _, r := range t.names.remarks[mb.Name] {
		j.remark("%s", r)
	}
	b := &imapBox{name: name, mailbox: mb, job: j, counted: map[imap.UID]bool{}, absent: map[imap.UID]bool{}, taken: map[imap.UID]imap.UID{}, sums: map[imap.UID]octets{}}

	return t.try(ctx, &b.moved, func(c *importer.Session) error { return b.put(ctx, c, t.names, msgs) })
}

// Finish implements Target.
func (t *IMAP) Finish(context.Context, *Report) error { return nil }

// Close implements Target.
func (t *IMAP) Close() error {
	if t.session != nil {
		t.session.End()
		t.session = nil
	}

	return nil
}

// try calls f with a session until it works, or fails for a reason that does not
// pass. Moved tells, where it is not nil, that something got on meanwhile.
func (t *IMAP) try(ctx context.Context, moved *bool, f func(c *importer.Session) error) error {
	wait := firstWait
	for n := 0; ; n++ {
		err := t.once(ctx, f)
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		var busy *importer.BusyError
		var refused *imap.Error
		var usage *UsageError
		isBusy := errors.As(err, &busy)
		switch {
		case !isBusy && (errors.As(err, &refused) || errors.As(err, &usage) || errors.Is(err, errFull) || errors.Is(err, errBox)):
			return err
		case !isBusy && !t.reached:
			return fmt.Errorf("the server cannot be used: %w", err)
		case errors.Is(err, importer.ErrSignIn), errors.Is(err, importer.ErrTrust), errors.Is(err, importer.ErrRefused):
			return err
		}
		if moved != nil && *moved {
			n, wait, *moved = 0, firstWait, false
		}
		if n >= retries {
			return fmt.Errorf("%w: %w", errConnection, err)
		}
		if isBusy {
			wait = max(wait, min(busy.For, mostWait))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, mostWait)
	}
}

func (t *IMAP) once(ctx context.Context, f func(c *importer.Session) error) error {
	if t.session == nil {
		var err error
		if t.session, err = t.server.Connect(ctx, t.way); err != nil {
			return err
		}
		t.reached = true
	}
	stop := t.session.Bind(ctx)
	err := f(t.session)
	var no *imap.Error
	if !stop() || err != nil && !errors.As(err, &no) {
		t.session.Abort()
		t.session = nil
	}

	return importer.AsBusy(err)
}

// errBox says that the box, and not the target, is the reason.
var errBox = errors.New("the box's own mail cannot be read")
