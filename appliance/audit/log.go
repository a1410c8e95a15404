package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"
)

const (
	day = 24 * time.Hour

	// tick is how often Run looks whether there is something to do.
	tick = time.Minute

	// A checkpoint is made after so many records, or so long after one.
	checkpointRecords = 256
	checkpointAfter   = time.Hour

	// lastSend is what the log server may take of the time to stop.
	lastSend = 3 * time.Second

	// retainEvery is how often retention runs; the first time is after that
	// too, when the clock has long been set.
	retainEvery = time.Hour
)

// Keep says how long a book is kept.
type Keep struct {
	Age  time.Duration
	Size int64 // octets
}

// DefaultKeep returns how long a book is kept if nobody says otherwise.
func DefaultKeep(b Book) Keep {
	if b == Acts {
		return Keep{Age: 3 * 365 * day, Size: 16 << 20}
	}

	return Keep{Age: 90 * day, Size: 48 << 20}
}

// Sender carries checkpoints to where the box cannot change them.
type Sender interface {
	Send(ctx context.Context, c *Checkpoint) error
}

// Memory remembers elsewhere that there is a record, so that it is missed where
// all of it is taken away.
type Memory interface {
	Recorded() (bool, error)
	SetRecorded(ctx context.Context) error
}

// Config says where a Log is and how long it is kept.
type Config struct {
	Dir    string       // must not be empty; made when the first record is
	Logger *slog.Logger // must not be nil
	Acts   Keep         // zero fields mean DefaultKeep
	Access Keep
	Sender Sender // nil means that checkpoints stay here
	Memory Memory // nil means that nobody remembers

	SegmentSize int64 // octets of one file; 0 means ledger's default
}

// Log is the record. It is safe for concurrent use. One process at a time may
// have the folder: the caller holds the lock of the data folder.
type Log struct {
	dir     string
	log     *slog.Logger
	sender  Sender
	memory  Memory
	specs   map[Kind]Spec
	acts    *book
	access  *book
	summary *summary
	flushMu sync.Mutex

	mu     sync.Mutex
	key    ed25519.PrivateKey // nil until it is needed
	mark   *Checkpoint        // the newest on the disk
	unsent *Checkpoint        // the newest that is not sent yet
	fault  error              // of the last write; nil if it succeeded
	known  bool               // memory has been told
}

// New returns a Log. Nothing is read or written before the first record or
// question, so that a command which has nothing to record leaves no trace, and
// a record that cannot be opened keeps no mail from being served.
func New(c *Config) *Log {
	l := &Log{dir: c.Dir, log: c.Logger, sender: c.Sender, memory: c.Memory, specs: map[Kind]Spec{}, summary: newSummary()}
	for _, s := range Kinds() {
		l.specs[s.Kind] = s
	}
	open := func(b Book, k Keep) *book {
		made := &book{name: b, dir: filepath.Join(c.Dir, string(b)), segment: c.SegmentSize}
		made.setKeep(k)
		return made
	}
	l.acts, l.access = open(Acts, c.Acts), open(Access, c.Access)

	return l
}

func (l *Log) book(b Book) *book {
	if b == Acts {
		return l.acts
	}

	return l.access
}

// Keep returns how long a book is kept.
func (l *Log) Keep(b Book) Keep { return l.book(b).kept() }

// SetKeep says how long the books are kept from now on; zero fields mean
// DefaultKeep. What is too old by it is removed within an hour.
func (l *Log) SetKeep(acts, access Keep) {
	l.acts.setKeep(acts)
	l.access.setKeep(access)
}

// Record records an event. It returns when that is on the disk, or, of a kind
// that is summarised, at once. It does not end with ctx: what was done is
// recorded though the one who asked for it has gone.
func (l *Log) Record(ctx context.Context, e Event) error {
	s, ok := l.specs[e.Kind]
	if !ok || s.Book == "" {
		return fmt.Errorf("record event: there is no kind %q", e.Kind)
	}
	now := time.Now()
	if s.Window > 0 {
		l.summary.add(now, s, e.Count, e.values())
		return nil
	}
	if err := l.write(l.book(s.Book), entry{now, e.Kind, e.values()}); err != nil {
		l.log.ErrorContext(ctx, "an act could not be recorded", "kind", string(e.Kind), "err", err)
		return fmt.Errorf("record %s: %w", e.Kind, err)
	}

	return nil
}

// write appends to a book and remembers whether that works.
func (l *Log) write(b *book, entries ...entry) error {
	err := l.ready()
	if err == nil {
		err = b.append(entries...)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = err

	return err
}

// Health returns an error while records cannot be written.
func (l *Log) Health() error {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.fault
}

// Run writes summaries and checkpoints and removes what is too old, until ctx
// ends. Close writes the rest.
func (l *Log) Run(ctx context.Context) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	started := time.Now() // with the monotonic clock
	retained := started
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if err := l.flush(false); err != nil {
			l.log.ErrorContext(ctx, "sign-ins could not be recorded", "err", err)
		}
		if err := l.checkpointIfDue(ctx); err != nil {
			l.log.ErrorContext(ctx, "no checkpoint of the audit record could be made", "err", err)
		}
		l.send(ctx)
		if time.Since(retained) >= retainEvery {
			retained = time.Now()
			if err := l.retain(retained); err != nil {
				l.log.ErrorContext(ctx, "old audit records could not be removed", "err", err)
			}
		}
	}
}

// Flush writes what is counted and not written yet.
func (l *Log) Flush() error { return l.flush(true) }

func (l *Log) flush(all bool) error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()

	return l.summary.flush(time.Now(), all, func(b Book, entries ...entry) error { return l.write(l.book(b), entries...) })
}

// Close writes what is counted, makes a checkpoint if there is something new,
// sends it, and lets the files go.
func (l *Log) Close() error {
	err := l.Flush()
	if l.acts.used() || l.access.used() {
		if _, cpErr := l.checkpoint(true); cpErr != nil {
			err = errors.Join(err, cpErr)
		}
		ctx, cancel := context.WithTimeout(context.Background(), lastSend)
		defer cancel()
		l.send(ctx)
	}
	if err = errors.Join(err, l.acts.close(), l.access.close()); err != nil {
		return fmt.Errorf("close the audit record: %w", err)
	}

	return nil
}
