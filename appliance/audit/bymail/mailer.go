package bymail

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"pillarbox/appliance/audit"
)

const (
	// every is from one message to the next.
	every = 24 * time.Hour

	// tick is how often is looked whether it is time, and retry how long after a
	// message could not be delivered.
	tick  = time.Minute
	retry = 15 * time.Minute
)

// Config describes a Mailer. All fields must be set.
type Config struct {
	Logger   *slog.Logger
	Hostname string // of the box
	// Checkpoint makes a checkpoint of all that is recorded.
	Checkpoint func(ctx context.Context) (*audit.Checkpoint, error)
	// Deliver hands a message over, durably.
	Deliver func(ctx context.Context, to string, message io.Reader) error
	// Last returns to whom the last message went and when, and SetLast keeps
	// that.
	Last    func() (Sent, error)
	SetLast func(ctx context.Context, s Sent) error
}

// Sent is a message that was delivered.
type Sent struct {
	To string    `json:"to"`
	At time.Time `json:"at"`
}

// Mailer writes messages. Its methods may be called at once.
type Mailer struct {
	conf Config
	wake chan struct{}

	mu    sync.Mutex
	to    string    // "" means nobody
	again time.Time // not before then what failed is tried again
	fault error     // of the last try; nil if it succeeded
}

// New returns a Mailer that writes to nobody.
func New(c *Config) *Mailer { return &Mailer{conf: *c, wake: make(chan struct{}, 1)} }

// SetTo says who is written to; "" means nobody. Somebody new gets a message at
// once, to see that it comes.
func (m *Mailer) SetTo(to string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.to == to {
		return
	}
	m.to, m.again, m.fault = to, time.Time{}, nil
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Health returns an error while messages do not arrive.
func (m *Mailer) Health() error {
	m.mu.Lock()
	defer m.mu.Unlock()

	return m.fault
}

// Run writes a message whenever it is time, until ctx ends.
func (m *Mailer) Run(ctx context.Context) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-m.wake:
		}
		m.writeIfDue(ctx)
	}
}

func (m *Mailer) writeIfDue(ctx context.Context) {
	m.mu.Lock()
	to, again := m.to, m.again
	m.mu.Unlock()
	now := time.Now()
	if to == "" || now.Before(again) {
		return
	}
	last, err := m.conf.Last()
	switch {
	case err == nil && last.To == to && !due(last.At, now):
		return
	case err == nil:
		err = m.write(ctx, to)
	}
	if err != nil && ctx.Err() != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.to != to {
		return
	}
	m.fault, m.again = nil, time.Time{}
	if err != nil {
		m.fault, m.again = fmt.Errorf("mail a checkpoint to %s: %w", to, err), now.Add(retry)
		m.conf.Logger.WarnContext(ctx, "a checkpoint of the audit record could not be mailed; it is tried again", "to", to, "err", err)
	}
}

// due tells whether a day has passed. A clock that was set back by more than that
// makes no message wait.
func due(last, now time.Time) bool {
	age := now.Sub(last)

	return age >= every || age < -every
}

func (m *Mailer) write(ctx context.Context, to string) error {
	c, err := m.conf.Checkpoint(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	if err := m.conf.Deliver(ctx, to, bytes.NewReader(m.message(to, c, now))); err != nil {
		return err
	}
	// It lies there: whoever stops the box now does not get it twice.
	if err := m.conf.SetLast(context.WithoutCancel(ctx), Sent{to, now}); err != nil {
		return errors.Join(errors.New("it was delivered, and will be again, for that could not be written down"), err)
	}

	return nil
}

// message composes one (RFC 5322). The checkpoint is a line of some 400 octets,
// which may have 998 (section 2.1.1).
func (m *Mailer) message(to string, c *audit.Checkpoint, now time.Time) []byte {
	host := m.conf.Hostname
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("From: Pillarbox <audit@%s>", host)
	line("To: <%s>", to)
	line("Subject: Checkpoint of the audit record of %s, %s", host, c.Time.UTC().Format(time.DateOnly))
	line("Date: %s", now.Format(time.RFC1123Z))
	line("Message-ID: <%s@%s>", rand.Text(), host)
	line("Auto-Submitted: auto-generated") // RFC 3834, section 5
	line("MIME-Version: 1.0")
	line("Content-Type: text/plain; charset=utf-8")
	line("Content-Transfer-Encoding: 8bit")
	line("")
	line("This line tells, signed by the box, how far its record of who did what was:")
	line("")
	line("%s", c)
	line("")
	line("Keep this message where the box cannot reach it: on another computer, or")
	line("forwarded to somebody elsewhere. What lies in a mailbox on the box alone proves")
	line("nothing against whoever holds the box.")
	line("")
	line("To find out whether the record until then is still as it was, save the message")
	line("as a file, and on the box say")
	line("")
	line("    pillarbox audit verify --kept FILE")
	line("")
	line("A message like this comes each day. If none comes, ask why.")

	return b.Bytes()
}
