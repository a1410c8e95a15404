package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/sync/errgroup"

	"pillarbox/storage"
)

// parallelAppends bounds how many accounts get a message at the same time.
const parallelAppends = 8

// Config says what a Pipeline works with.
type Config struct {
	Directory Directory    // must not be nil
	Store     Store        // must not be nil
	Hostname  string       // named in Received; must not be empty
	Logger    *slog.Logger // must not be nil

	// Observe is told of each message that arrives: for how many recipients it
	// was delivered or not, its octets, and how long that took; nil means nobody.
	Observe func(ok, failed int, octets int64, took time.Duration)

	Now func() time.Time // nil means time.Now
}

// Directory knows who receives mail. It returns an error that wraps
// ErrUnknownRecipient where a recipient leads to nobody.
type Directory interface {
	Resolve(ctx context.Context, recipient string) ([]Account, error)
	// Admits returns an error that wraps ErrNotAdmitted where a recipient takes
	// mail from some senders only, and not from this one.
	Admits(ctx context.Context, sender, recipient string) error
}

// Account is one that a recipient address leads to.
type Account struct {
	ID      storage.AccountID
	Address string // its main address
}

// Store keeps mail. *storage.Store is one.
type Store interface {
	Stage(ctx context.Context, r io.Reader) (*storage.Staged, error)
	Account(ctx context.Context, id storage.AccountID) (*storage.Account, error)
	MaxMessage() int64 // octets that Stage takes
}

// Envelope is what the transport tells of a message that arrives.
type Envelope struct {
	From       string   // "" is the null reverse-path
	Recipients []string // as the transport gave them
	Mailbox    string   // "" means INBOX; any other is created if it is missing
	Helo       string   // how the peer introduced itself; may be empty
	Remote     string   // where it connected from; may be empty
	With       string   // the protocol (RFC 5321, section 4.4), such as "LMTP"; may be empty
	Own        bool     // the box or its administrator sends it: every recipient takes it
}

// Result tells what became of a message for one recipient.
type Result struct {
	Recipient string
	Places    []Place // where it lies now, an account each; some, even if Err is set
	Err       error   // see ReasonOf
}

// Place is where a message went.
type Place struct {
	Account     string // the account's address
	Mailbox     string
	UIDValidity uint32
	UID         imap.UID
}

// Pipeline delivers messages. Its methods may be called from several goroutines.
type Pipeline struct {
	directory Directory
	store     Store
	hostname  string
	log       *slog.Logger
	now       func() time.Time
	observe   func(ok, failed int, octets int64, took time.Duration)
}

// New returns a Pipeline.
func New(c *Config) *Pipeline {
	p := &Pipeline{directory: c.Directory, store: c.Store, hostname: c.Hostname, log: c.Logger, now: c.Now, observe: c.Observe}
	if p.observe == nil {
		p.observe = func(int, int, int64, time.Duration) {}
	}
	if p.now == nil {
		p.now = time.Now
	}

	return p
}

// Known tells whether a recipient leads to an account.
func (p *Pipeline) Known(ctx context.Context, recipient string) error {
	_, err := p.resolve(ctx, recipient)

	return err
}

// Check tells whether mail of a sender for a recipient would find an account.
func (p *Pipeline) Check(ctx context.Context, sender, recipient string) error {
	if err := p.Known(ctx, recipient); err != nil {
		return err
	}

	return p.admits(ctx, sender, recipient)
}

func (p *Pipeline) admits(ctx context.Context, sender, recipient string) error {
	if err := p.directory.Admits(ctx, sender, recipient); err != nil {
		return fmt.Errorf("admit sender: %w", err)
	}

	return nil
}

// Deliver reads a message that arrives to its end and delivers it. The results
// stand in the order of the recipients.
func (p *Pipeline) Deliver(ctx context.Context, env *Envelope, r io.Reader) []Result {
	results, targets := p.targets(ctx, env)
	size, began := int64(0), time.Now()
	defer func() {
		failed := 0
		for i := range results {
			if results[i].Err != nil {
				failed++
			}
		}
		p.observe(len(results)-failed, failed, size, time.Since(began))
	}()
	id := newID()
	log := p.log.With("id", id)
	if len(targets) == 0 {
		logResults(ctx, log, env, results, 0)
		return results
	}

	trace := &traceReader{r: r}
	staged, err := p.store.Stage(ctx, trace)
	if err != nil {
		failAll(results, p.stageError(err))
		logResults(ctx, log, env, results, 0)
		return results
	}
	defer p.closeStaged(ctx, staged)
	size = staged.Size()

	fields, err := trace.fields()
	if err != nil {
		failAll(results, err)
		logResults(ctx, log, env, results, staged.Size())
		return results
	}
	stamp := p.now()
	p.appendAll(ctx, results, targets, func(t *target) (Place, error) {
		if fields.deliveredTo(t.account.Address) {
			return Place{}, fmt.Errorf("%w: it has been delivered to %s before", ErrLoop, t.account.Address)
		}
		m := storage.AppendMessage{
			Body:         staged,
			Prefix:       prefix(env, t, p.hostname, id, stamp),
			InternalDate: stamp,
		}
		placed, err := p.put(ctx, t.account, env.Mailbox, []storage.AppendMessage{m})
		if err != nil {
			return Place{}, err
		}

		return placed[0], nil
	})
	logResults(ctx, log, env, results, staged.Size())

	return results
}

// target is an account that a message is for.
type target struct {
	account   Account
	recipient string // the first address that led to it
	results   []int  // which results depend on it
}

// targets resolves recipients; an account appears once.
func (p *Pipeline) targets(ctx context.Context, env *Envelope) ([]Result, []*target) {
	results := make([]Result, len(env.Recipients))
	var targets []*target
	byID := map[storage.AccountID]*target{}
	for i, rcpt := range env.Recipients {
		results[i].Recipient = rcpt
		accounts, err := p.resolve(ctx, rcpt)
		if err == nil && !env.Own {
			err = p.admits(ctx, env.From, rcpt)
		}
		if err != nil {
			results[i].Err = err
			continue
		}
		for _, a := range accounts {
			t := byID[a.ID]
			if t == nil {
				t = &target{account: a, recipient: rcpt}
				byID[a.ID] = t
				targets = append(targets, t)
			}
			t.results = append(t.results, i)
		}
	}

	return results, targets
}

func (p *Pipeline) resolve(ctx context.Context, recipient string) ([]Account, error) {
	accounts, err := p.directory.Resolve(ctx, recipient)
	if err != nil {
		return nil, fmt.Errorf("resolve recipient: %w", err)
	}
	if len(accounts) == 0 {
		return nil, fmt.Errorf("resolve recipient: %w", ErrUnknownRecipient)
	}

	return accounts, nil
}

// appendAll calls put for each target and notes in results what came of it.
func (p *Pipeline) appendAll(ctx context.Context, results []Result, targets []*target, put func(*target) (Place, error)) {
	places := make([]Place, len(targets))
	errs := make([]error, len(targets))
	if len(targets) == 1 {
		places[0], errs[0] = put(targets[0])
	} else {
		var g errgroup.Group
		g.SetLimit(parallelAppends)
		for i, t := range targets {
			g.Go(func() error {
				places[i], errs[i] = put(t)
				return nil
			})
		}
		_ = g.Wait() // the functions return no error
	}
	for i, t := range targets {
		for _, r := range t.results {
			if errs[i] != nil {
				results[r].Err = errors.Join(results[r].Err, fmt.Errorf("file for %s: %w", t.account.Address, errs[i]))
				continue
			}
			results[r].Places = append(results[r].Places, places[i])
		}
	}
}

// put appends messages to an account's mailbox, all or none.
func (p *Pipeline) put(ctx context.Context, acct Account, mailbox string, msgs []storage.AppendMessage) ([]Place, error) {
	a, err := p.store.Account(ctx, acct.ID)
	if err != nil {
		return nil, fmt.Errorf("open account: %w", err)
	}
	if mailbox == "" {
		mailbox = storage.Inbox
	}
	box, err := openMailbox(ctx, a, mailbox)
	if err != nil {
		return nil, err
	}
	res, err := a.Append(ctx, box.ID, msgs)
	if err != nil {
		return nil, fmt.Errorf("append to %s: %w", box.Name, err)
	}
	places := make([]Place, len(res.UIDs))
	for i, uid := range res.UIDs {
		places[i] = Place{Account: acct.Address, Mailbox: box.Name, UIDValidity: res.UIDValidity, UID: uid}
	}

	return places, nil
}

// openMailbox finds a mailbox, or makes it. Another session may make it at
// the same moment.
func openMailbox(ctx context.Context, a *storage.Account, name string) (*storage.Mailbox, error) {
	if box := a.Mailbox(name); box != nil {
		return box, nil
	}
	box, err := a.CreateMailbox(ctx, storage.NewMailbox{Name: name, Subscribed: true})
	if errors.Is(err, storage.ErrMailboxExists) {
		if box := a.Mailbox(name); box != nil {
			return box, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("mailbox %q: %w", name, err)
	}

	return box, nil
}

func (p *Pipeline) closeStaged(ctx context.Context, s *storage.Staged) {
	if err := s.Close(); err != nil {
		p.log.WarnContext(ctx, "staged message not removed; it will be at the next start", "err", err)
	}
}

func failAll(results []Result, err error) {
	for i := range results {
		if results[i].Err == nil {
			results[i].Err = err
		}
	}
}

// logResults writes a line for each place a message went to and for each
// recipient that did not get it.
func logResults(ctx context.Context, log *slog.Logger, env *Envelope, results []Result, size int64) {
	log = log.With("from", env.From, "remote", env.Remote, "size", size)
	for i := range results {
		r := &results[i]
		for _, place := range r.Places {
			log.InfoContext(ctx, "message delivered", "recipient", r.Recipient,
				"account", place.Account, "mailbox", place.Mailbox, "uid", uint32(place.UID))
		}
		if r.Err != nil {
			log.WarnContext(ctx, "message refused", "recipient", r.Recipient, "reason", ReasonOf(r.Err), "err", r.Err)
		}
	}
}
