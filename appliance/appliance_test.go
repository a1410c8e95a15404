package appliance_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance"
	"pillarbox/appliance/control"
	"pillarbox/storage"
)

const password = "long enough"

// config is for a server on loopback with free ports.
func config(dir string) *appliance.Config {
	return &appliance.Config{
		Dir:         dir,
		Logger:      slog.New(slog.DiscardHandler),
		Version:     "test",
		IMAPS:       []string{"127.0.0.1:0"},
		IMAPSLegacy: []string{"127.0.0.1:0"},
		LMTP:        []string{"127.0.0.1:0"},
		Hostname:    "mail.office.example",
	}
}

// running is an appliance that runs.
type running struct {
	*appliance.Appliance

	dir    string
	cancel context.CancelFunc
	ended  chan error
}

func start(t *testing.T, c *appliance.Config) *running {
	t.Helper()
	a, err := appliance.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Appliance: a, dir: c.Dir, cancel: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})

	return r
}

func (r *running) stop() error {
	r.cancel()
	select {
	case err := <-r.ended:
		r.ended <- err
		return err
	case <-time.After(30 * time.Second):
		return errors.New("the appliance does not stop")
	}
}

// withClient calls f with a client for a data folder.
func withClient(t *testing.T, dir string, create bool, f func(*control.Client)) {
	t.Helper()
	c, stop, err := appliance.Connect(t.Context(), config(dir), create)
	if err != nil {
		t.Fatal(err)
	}
	f(c)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func addAnna(t *testing.T, dir string) {
	t.Helper()
	withClient(t, dir, true, func(c *control.Client) {
		if _, err := c.AddAccount(t.Context(), control.NewAccount{Address: "anna@office.example", Password: password}); err != nil {
			t.Fatal(err)
		}
	})
}

// talk is a conversation by lines.
type talk struct {
	t    *testing.T
	conn net.Conn
	br   *bufio.Reader
}

func newTalk(t *testing.T, conn net.Conn, err error) *talk {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}

	return &talk{t: t, conn: conn, br: bufio.NewReader(conn)}
}

// imap signs Anna in.
func (r *running) imap(t *testing.T, listener string) *talk {
	t.Helper()
	c := r.connect(t, listener)
	c.say("a LOGIN anna@office.example \""+password+"\"", "a OK")

	return c
}

func (r *running) connect(t *testing.T, listener string) *talk {
	t.Helper()
	pem, err := os.ReadFile(r.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	conn, err := tls.Dial("tcp", r.Addresses(listener)[0], &tls.Config{RootCAs: pool})
	c := newTalk(t, conn, err)
	c.expect("* OK")

	return c
}

// expect reads lines until one begins so.
func (c *talk) expect(prefix string) {
	c.t.Helper()
	var seen strings.Builder
	for {
		line, err := c.br.ReadString('\n')
		seen.WriteString(line)
		if strings.HasPrefix(line, prefix) {
			return
		}
		if err != nil {
			c.t.Fatalf("want %q, got %q: %v", prefix, seen.String(), err)
		}
	}
}

func (c *talk) say(line, want string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, line+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
	c.expect(want)
}

func TestStoppingFinishesWhatWasAcknowledged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	addAnna(t, dir)
	r := start(t, config(dir))
	idle, other := r.imap(t, "imaps"), r.imap(t, "imaps-legacy")
	idle.say("b SELECT INBOX", "b OK")
	idle.say("c IDLE", "+ ")

	// A message is on its way while the appliance stops.
	conn, err := net.Dial("tcp", r.Addresses("lmtp")[0])
	lmtp := newTalk(t, conn, err)
	lmtp.expect("220 ")
	lmtp.say("LHLO client.example", "250 ")
	lmtp.say("MAIL FROM:<>", "250 ")
	lmtp.say("RCPT TO:<anna@office.example>", "250 ")
	lmtp.say("DATA", "354 ")
	if _, err := io.WriteString(lmtp.conn, "Subject: a\r\n\r\nhalf"); err != nil {
		t.Fatal(err)
	}
	r.cancel()
	idle.expect("* BYE")
	other.expect("* BYE")
	lmtp.say(" and the rest\r\n.", "250 2.0.0")
	lmtp.expect("421 ")
	if err := r.stop(); err != nil {
		t.Fatalf("run: %v", err)
	}
	withClient(t, dir, false, func(c *control.Client) {
		list, err := c.Accounts(t.Context())
		if err != nil || len(list) != 1 || list[0].UsedMessages != 1 {
			t.Errorf("accounts %+v, %v; want one message", list, err)
		}
	})
}

func TestCommandsGoThroughTheServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	r := start(t, config(dir))
	addAnna(t, dir)
	c := r.imap(t, "imaps")
	withClient(t, dir, false, func(c *control.Client) {
		if err := c.SetPassword(t.Context(), "anna@office.example", "another one"); err != nil {
			t.Fatal(err)
		}
	})
	// Whoever knew only the old password is out.
	c.expect("* BYE")
	if _, err := appliance.New(t.Context(), config(dir)); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("a second server: %v, want ErrLocked", err)
	}
	// The refusal took nothing from the first.
	withClient(t, dir, false, func(c *control.Client) {
		if s, err := c.Status(t.Context()); err != nil || s.Version != "test" {
			t.Errorf("status %+v, %v", s, err)
		}
	})
}

func TestACommandWaitsForAServerThatStarts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	addAnna(t, dir)
	// Who holds the folder lets it go after a while.
	store, err := storage.Open(t.Context(), &storage.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(300*time.Millisecond, func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	withClient(t, dir, false, func(c *control.Client) {
		if _, err := c.Accounts(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestConnectSaysWhatIsMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, _, err := appliance.Connect(t.Context(), config(dir), false); !errors.Is(err, appliance.ErrNoData) {
		t.Errorf("no folder: %v, want ErrNoData", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder was made: %v", err)
	}
}

func TestAListenerThatCannotBeOpenedLeavesNothingBehind(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := filepath.Join(t.TempDir(), "data")
	c := config(dir)
	c.IMAPSLegacy = []string{taken.Addr().String()}
	_, err = appliance.New(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "another program listens there; stop it or choose another address") {
		t.Fatalf("error %v", err)
	}
	start(t, config(dir)) // the folder is free again
}

func TestConfigNamesAllThatIsWrong(t *testing.T) {
	c := &appliance.Config{
		IMAPS:       []string{"993", "off"},
		IMAPSLegacy: []string{"127.0.0.1:70000", "unix:/x"},
		LMTP:        []string{"unix:"},
		MaxMessage:  -1,
	}
	got := fmt.Sprint(c.Validate())
	for _, want := range []string{
		"data: must not be empty", `imaps: "993" is not HOST:PORT`, `imaps: "off" stands alone`,
		`imaps-legacy: "127.0.0.1:70000"`, `imaps-legacy: "unix:/x"`, "lmtp: unix: wants a path", "max-message: must not be negative",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
}

func TestTheSampleOfficeIsMadeOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	var first *appliance.Sample
	for range 2 {
		a, err := appliance.New(t.Context(), config(dir))
		if err != nil {
			t.Fatal(err)
		}
		s, err := a.Sample(t.Context())
		if err := errors.Join(err, a.Close()); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = s
		}
		for i, p := range s.People {
			if p != first.People[i] || len(p.Password) < 12 {
				t.Errorf("person %d is %v, was %v", i, p, first.People[i])
			}
		}
	}
	fi, err := os.Stat(filepath.Join(dir, "sample.json"))
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", fi, err)
	}
	withClient(t, dir, false, func(c *control.Client) {
		list, err := c.Accounts(t.Context())
		if err != nil || len(list) != 2 {
			t.Fatalf("accounts %+v, %v", list, err)
		}
		for _, a := range list {
			if a.UsedMessages != 192 {
				t.Errorf("%s has %d messages, want 192", a.Address, a.UsedMessages)
			}
		}
		if report, err := c.Check(t.Context(), func(control.Finding) {}); err != nil || report.Problems > 0 {
			t.Errorf("check: %+v, %v", report, err)
		}
	})
}

func TestASampleOfficeThatWasInterruptedIsMadeAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	a, err := appliance.New(t.Context(), config(dir))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := a.Sample(ctx); err == nil {
		t.Log("it was done before it could be interrupted")
	}
	if s, err := a.Sample(t.Context()); err != nil || !s.Whole {
		t.Errorf("sample %+v, %v", s, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	withClient(t, dir, false, func(c *control.Client) {
		list, err := c.Accounts(t.Context())
		if err != nil || len(list) != 2 || list[0].UsedMessages != 192 {
			t.Errorf("accounts %+v, %v", list, err)
		}
	})
}
