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

// IMAP is an account of another server. Each mailbox has a connection of its
// own, as long as there are enough of them, so that the messages of each arrive
// in their order.
type IMAP struct {
	lines  *lines
	user   string
	prefix string
	names  *imapNames
}

// NewIMAP exports to a server. A nil way is the usual one. With a prefix all
// goes below a mailbox of that name.
func NewIMAP(server *importer.Server, way *importer.Way, prefix string) *IMAP {
	if way == nil {
		way = &importer.Way{}
	}

	return &IMAP{lines: newLines(server, way), user: server.User + "@" + server.Host, prefix: prefix}
}

// String implements Target.
func (t *IMAP) String() string { return "imap " + t.user }

// Together is for how many mailboxes Put may be called at once.
func (t *IMAP) Together() int { return t.lines.most }

// Begin implements Target. The mailboxes are made here, those above before those
// below.
func (t *IMAP) Begin(ctx context.Context, _ string, boxes []Mailbox) error {
	return t.try(ctx, nil, func(c *importer.Session) (err error) {
		if t.names, err = lookAround(c, t.prefix); err != nil {
			return err
		}
		t.names.resolve(boxes)
		for i := range boxes {
			if err := t.names.make(c, &boxes[i]); err != nil {
				return err
			}
		}
		return nil
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

	return t.try(ctx, &b.moved, func(c *importer.Session) error { return b.put(ctx, c, msgs) })
}

// Finish implements Target.
func (t *IMAP) Finish(context.Context, *Report) error { return nil }

// Close implements Target.
func (t *IMAP) Close() error {
	t.lines.end()

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
		case !isBusy && !t.lines.wasReached():
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
	c, err := t.lines.take(ctx)
	if err != nil {
		return err
	}
	stop := c.Bind(ctx)
	err = f(c)
	var no *imap.Error
	good := stop() && (err == nil || errors.As(err, &no))
	t.lines.give(c, good)

	return importer.AsBusy(err)
}

// errBox says that the box, and not the target, is the reason.
var errBox = errors.New("the box's own mail cannot be read")
