package smtp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/delivery"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/smtp"
	"pillarbox/storage"
)

const maxMessage = 1 << 20

// office is a server on loopback over real storage, with anna and ben.
type office struct {
	store *storage.Store
	dir   *directory.Directory
	addr  string
	stop  func() error // ends the server and waits for it
}

func newOffice(t testing.TB, limits smtp.Limits) *office {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := storage.Open(t.Context(), &storage.Config{Dir: t.TempDir(), Logger: log, MaxMessage: maxMessage})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := directory.New(&directory.Config{Store: store, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"anna", "ben"} {
		if _, err := dir.Add(t.Context(), directory.NewAccount{Address: name + "@office.example", Password: "long enough"}); err != nil {
			t.Fatal(err)
		}
	}
	ln, err := smtp.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := smtp.New(&smtp.Config{
		Deliverer: delivery.New(&delivery.Config{
			Directory: recipients{dir}, Store: store, Hostname: "mail.office.example", Logger: log,
		}),
		Hostname:   "mail.office.example",
		MaxMessage: maxMessage,
		Limits:     limits,
		Logger:     log,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx, ln) }()
	o := &office{store: store, dir: dir, addr: ln.Addr().String()}
	o.stop = func() error {
		cancel()
		select {
		case err := <-ended:
			ended <- err
			return err
		case <-time.After(20 * time.Second):
			return errors.New("the server does not end")
		}
	}
	t.Cleanup(func() {
		if err := o.stop(); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})

	return o
}

type recipients struct{ dir *directory.Directory }

func (r recipients) Resolve(ctx context.Context, address string) ([]delivery.Account, error) {
	found, err := r.dir.Resolve(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", delivery.ErrUnknownRecipient, err)
	}
	var all []delivery.Account
	for _, a := range found {
		all = append(all, delivery.Account{ID: a.ID, Address: a.Address})
	}

	return all, nil
}

func (r recipients) Admits(ctx context.Context, sender, recipient string) error {
	if err := r.dir.Admits(ctx, sender, recipient); err != nil {
		return fmt.Errorf("%w: %w", delivery.ErrNotAdmitted, err)
	}

	return nil
}

// mail returns the messages in an account's INBOX.
func (o *office) mail(t *testing.T, address string) []string {
	t.Helper()
	a, err := o.dir.Find(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	acct, err := o.store.Account(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	snap, err := acct.Snapshot(t.Context(), acct.Mailbox("INBOX").ID)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range snap.All(0) {
		body, err := acct.OpenBody(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size))
		if err := errors.Join(err, body.Close()); err != nil {
			t.Fatal(err)
		}
		all = append(all, string(b))
	}

	return all
}

// talk is a raw conversation.
type talk struct {
	t    *testing.T
	conn net.Conn
	br   *bufio.Reader
}

func (o *office) talk(t *testing.T) *talk {
	t.Helper()
	conn, err := net.Dial("tcp", o.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	c := &talk{t: t, conn: conn, br: bufio.NewReader(conn)}
	c.expect("220 ")

	return c
}

func (c *talk) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// expect reads one answer, of several lines if need be, and returns it.
func (c *talk) expect(prefix string) string {
	c.t.Helper()
	var answer strings.Builder
	for {
		line, err := c.br.ReadString('\n')
		answer.WriteString(line)
		if err != nil {
			c.t.Fatalf("read answer after %q: %v", answer.String(), err)
		}
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		if !strings.HasPrefix(line, prefix) {
			c.t.Fatalf("answer %q, want %q", line, prefix)
		}
		return answer.String()
	}
}

// say sends a line and expects an answer.
func (c *talk) say(line, want string) string {
	c.t.Helper()
	c.send(line + "\r\n")

	return c.expect(want)
}

// begin goes as far as the 354 of DATA.
func (c *talk) begin(to ...string) {
	c.t.Helper()
	c.say("LHLO client.example", "250 ")
	c.say("MAIL FROM:<bob@client.example>", "250 2.1.0")
	for _, r := range to {
		c.say("RCPT TO:<"+r+">", "250 2.1.5")
	}
	c.say("DATA", "354 ")
}

// ended tells whether the server has closed the connection.
func (c *talk) ended() bool {
	_, err := c.br.ReadByte()

	return err != nil
}

// withoutTrace takes away the three fields that delivery put in front.
func withoutTrace(t *testing.T, m string) string {
	t.Helper()
	for _, field := range []string{"Return-Path:", "Delivered-To:", "Received:"} {
		if !strings.HasPrefix(m, field) {
			t.Fatalf("the message has no %s here: %.200q", field, m)
		}
		for {
			_, m, _ = strings.Cut(m, "\r\n")
			if !strings.HasPrefix(m, "\t") {
				break
			}
		}
	}

	return m
}
