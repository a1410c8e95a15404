package bymail_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/audit/bymail"
)

// desk is who hands messages over, and what was noted of them.
type desk struct {
	t   *testing.T
	log *audit.Log

	mu    sync.Mutex
	full  error
	got   []string // addressees
	texts []string
	last  bymail.Sent
}

func (d *desk) deliver(_ context.Context, to string, message io.Reader) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full != nil {
		return d.full
	}
	text, err := io.ReadAll(message)
	if err != nil {
		return err
	}
	d.got, d.texts = append(d.got, to), append(d.texts, string(text))
	return nil
}

// start runs a Mailer until stop is called.
func (d *desk) start(to string) (m *bymail.Mailer, stop func()) {
	m = bymail.New(&bymail.Config{
		Logger: slog.New(slog.DiscardHandler), Hostname: "mail.office.example", Checkpoint: d.log.Checkpoint, Deliver: d.deliver,
		Last: func() (bymail.Sent, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.last, nil
		},
		SetLast: func(_ context.Context, s bymail.Sent) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.last = s
			return nil
		},
	})
	m.SetTo(to)
	ctx, cancel := context.WithCancel(d.t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	synctest.Wait()
	return m, func() {
		cancel()
		if err := <-done; err != nil {
			d.t.Error(err)
		}
	}
}

func (d *desk) had(n int, when string) {
	d.t.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.got) != n {
		d.t.Errorf("%s: %d messages, want %d", when, len(d.got), n)
	}
}

func run(t *testing.T, f func(t *testing.T, d *desk)) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{t: t, log: audit.New(&audit.Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})}
		f(t, d)
		if err := d.log.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestACheckpointComesEachDay(t *testing.T) {
	run(t, func(t *testing.T, d *desk) {
		m, stop := d.start("anna@office.example")
		d.had(1, "at once")
		time.Sleep(23 * time.Hour)
		d.had(1, "before a day has passed")
		time.Sleep(2 * time.Hour)
		d.had(2, "after a day")
		m.SetTo("ben@office.example")
		d.had(3, "to somebody new")
		m.SetTo("")
		time.Sleep(48 * time.Hour)
		d.had(3, "to nobody")
		stop()

		_, stop = d.start("ben@office.example")
		defer stop()
		d.had(4, "after two days without")
		if strings.Join(d.got, " ") != "anna@office.example anna@office.example ben@office.example ben@office.example" {
			t.Errorf("to %q", d.got)
		}
	})
}

func TestARestartSendsNothingTwice(t *testing.T) {
	run(t, func(t *testing.T, d *desk) {
		for range 3 {
			_, stop := d.start("anna@office.example")
			time.Sleep(time.Hour)
			stop()
		}
		d.had(1, "started three times")
		// The clock was a year ahead when the last one was written.
		d.last.At = d.last.At.AddDate(1, 0, 0)
		_, stop := d.start("anna@office.example")
		defer stop()
		d.had(2, "after the clock was set back")
	})
}

func TestWhatCannotBeDeliveredIsToldAndTriedAgain(t *testing.T) {
	run(t, func(t *testing.T, d *desk) {
		d.full = errors.New("the disk is full")
		m, stop := d.start("anna@office.example")
		defer stop()
		if err := m.Health(); err == nil || !strings.Contains(err.Error(), "anna@office.example: the disk is full") {
			t.Errorf("health: %v", err)
		}
		d.mu.Lock()
		d.full = nil
		d.mu.Unlock()
		time.Sleep(20 * time.Minute)
		d.had(1, "later")
		if err := m.Health(); err != nil {
			t.Error(err)
		}
	})
}

func TestTheMessageHasTheCheckpointOnALineOfItsOwn(t *testing.T) {
	run(t, func(t *testing.T, d *desk) {
		_, stop := d.start("anna@office.example")
		defer stop()
		d.had(1, "at once")
		m, err := mail.ReadMessage(strings.NewReader(d.texts[0]))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(m.Body)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for line := range strings.SplitSeq(string(body), "\r\n") {
			if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
				t.Errorf("a line of %d octets: %q", len(line), line)
			}
			if strings.HasPrefix(line, audit.CheckpointPrefix) {
				found++
				if _, err := audit.ParseCheckpoint(line); err != nil {
					t.Error(err)
				}
			}
		}
		if found != 1 || m.Header.Get("Subject") != "Checkpoint of the audit record of mail.office.example, 2000-01-01" ||
			m.Header.Get("To") != "<anna@office.example>" || m.Header.Get("Auto-Submitted") != "auto-generated" {
			t.Errorf("%d checkpoints in:\n%s", found, d.texts[0])
		}
	})
}
