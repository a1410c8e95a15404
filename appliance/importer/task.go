package importer

import (
	"context"
	"io"
	"log/slog"
	"path"
	"strings"
	"sync"
	"time"

	"pillarbox/storage"
)

// Stager takes messages in, see [storage.Store].
type Stager interface {
	Stage(ctx context.Context, r io.Reader) (*storage.Staged, error)
	MaxMessage() int64
}

// Config says what an Engine works with. Stager and Logger must not be nil.
type Config struct {
	Stager Stager
	Logger *slog.Logger
	// Quarantine is the folder for the octets of messages that cannot be taken;
	// "" means that they are only named.
	Quarantine string
	// Room fails where the disk has no room for so many octets of such a message;
	// nil means that nobody looks.
	Room func(octets int64) error
	// Pause is how long the first try again waits, each further one twice as
	// long up to a minute; 0 means a second.
	Pause time.Duration
	// Tries is how often something is tried that fails; 0 means 8.
	Tries int
}

// Engine moves mail in. Its methods may be called from several goroutines, for
// different accounts.
type Engine struct {
	stager     Stager
	log        *slog.Logger
	quarantine string
	room       func(octets int64) error
	pause      time.Duration
	tries      int

	mu    sync.Mutex
	turns map[storage.AccountID]chan struct{} // full while mail moves into the account
}

// New returns an Engine.
func New(c *Config) *Engine {
	e := &Engine{turns: map[storage.AccountID]chan struct{}{}, stager: c.Stager, log: c.Logger, quarantine: c.Quarantine, room: c.Room, pause: c.Pause, tries: c.Tries}
	if e.pause == 0 {
		e.pause = time.Second
	}
	if e.tries == 0 {
		e.tries = 8
	}
	return e
}

// turn waits until nothing else moves mail into an account: two runs that
// compare at the same time would both take what is new. The caller calls done.
func (e *Engine) turn(ctx context.Context, id storage.AccountID) (done func(), err error) {
	e.mu.Lock()
	ch := e.turns[id]
	if ch == nil {
		ch = make(chan struct{}, 1)
		e.turns[id] = ch
	}
	e.mu.Unlock()
	select {
	case ch <- struct{}{}:
		return func() { <-ch }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Options say what is to be moved and how.
type Options struct {
	// KeepUIDs numbers empty mailboxes as the source does, so that programs need
	// not fetch everything again. Nobody must deliver to them before the
	// cut-over; where somebody does, the mailbox gets a new UIDVALIDITY.
	KeepUIDs bool `json:"keep_uids,omitempty"`
	// Expunge removes here what was expunged at the source.
	Expunge bool `json:"expunge,omitempty"`
	// Shared takes also what others share.
	Shared bool `json:"shared,omitempty"`
	// Retry tries quarantined messages again.
	Retry bool `json:"retry,omitempty"`
	// Only and Except are patterns (as path.Match has them, of names with "/"
	// between levels) of the mailboxes to take and to leave out; a mailbox below
	// one that matches matches.
	Only   []string `json:"only,omitempty"`
	Except []string `json:"except,omitempty"`
	// Into is the mailbox below which all is put; "" means that mailboxes keep
	// their places.
	Into string `json:"into,omitempty"`

	BytesPerSecond    int64   `json:"bytes_per_second,omitempty"`    // 0: no limit
	MessagesPerSecond float64 `json:"messages_per_second,omitempty"` // 0: no limit
}

// Validate returns the first thing that is wrong.
func (o *Options) Validate() error {
	for _, pattern := range append(append([]string{}, o.Only...), o.Except...) {
		if _, err := path.Match(pattern, ""); err != nil {
			return &patternError{pattern}
		}
	}
	if o.Into != "" {
		if _, err := storage.CanonicalName(o.Into); err != nil {
			return err
		}
	}
	return nil
}

type patternError struct{ pattern string }

func (e *patternError) Error() string { return "the pattern " + e.pattern + " cannot be understood" }

// wants tells whether a mailbox is to be taken.
func (o *Options) wants(levels []string) bool {
	matches := func(patterns []string) bool {
		for _, p := range patterns {
			for n := range levels {
				if ok, _ := path.Match(p, strings.Join(levels[:n+1], "/")); ok {
					return true
				}
			}
		}
		return false
	}
	return (len(o.Only) == 0 || matches(o.Only)) && !matches(o.Except)
}

// Task is one person's move.
type Task struct {
	Source  Source
	Account *storage.Account
	Address string // of the account, for reports
	Options Options
	// Thorough lists also mailboxes in which only flags can have changed, where
	// the source does not tell; without it that is done now and then.
	Thorough bool
	// Progress is told of what happens; nil means that nobody wants to know.
	Progress *Progress
}
