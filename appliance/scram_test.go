package appliance

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	peer "github.com/xdg-go/scram"

	"pillarbox/appliance/access"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/imap"
)

// scramOffice is an office with Anna and what stands in front of it.
func scramOffice(t *testing.T) *signIn {
	t.Helper()
	o := testOffice(t)
	if _, err := o.directory.Add(t.Context(), directory.NewAccount{Address: "anna@office.example", Password: "long enough"}); err != nil {
		t.Fatal(err)
	}
	return testSignIn(o, slog.New(slog.DiscardHandler))
}

// from is a connection from an address, of which nothing else is asked.
type from struct {
	net.Conn
	host byte
}

// RemoteAddr implements net.Conn.
func (f from) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, f.host), Port: 4711} }

// prove signs in by SCRAM. The keys are of a client that remembers them.
func prove(t *testing.T, s *signIn, client *peer.Client, host byte) error {
	t.Helper()
	x := s.Begin(from{host: host}, "SCRAM-SHA-256")
	conv := client.NewConversation()
	message, err := conv.Step("")
	if err != nil {
		t.Fatal(err)
	}
	challenge, ident, err := x.Step(t.Context(), []byte(message))
	if err != nil || ident != nil {
		t.Fatalf("the first step gives %v, %v", ident, err)
	}
	if message, err = conv.Step(string(challenge)); err != nil {
		t.Fatal(err)
	}
	success, ident, err := x.Step(t.Context(), []byte(message))
	if err != nil {
		if ident != nil || success != nil {
			t.Errorf("a refusal comes with %v and %q", ident, success)
		}
		return err
	}
	if _, err := conv.Step(string(success)); err != nil || !conv.Valid() || ident.Address != "anna@office.example" {
		t.Errorf("let in as %+v: %v", ident, err)
	}
	return nil
}

func newPeer(t *testing.T, name, password string) *peer.Client {
	t.Helper()
	c, err := peer.SHA256.NewClient(name, password, "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSCRAMIsOfferedWithoutBindingWhereThereIsNoTLS(t *testing.T) {
	s := scramOffice(t)
	if got := strings.Join(s.Offered(from{}), " "); got != "PLAIN LOGIN SCRAM-SHA-256" {
		t.Errorf("offered %q", got)
	}
}

// TestAGuesserByScramIsBanned: the box does not see which password it is, and a
// telephone that repeats a stale one has its time; who goes on has guessed.
func TestAGuesserByScramIsBanned(t *testing.T) {
	s := scramOffice(t)
	right, wrong := newPeer(t, "Anna", "long enough"), newPeer(t, "anna", "a stale one")
	want := func(what string, got, want error) {
		t.Helper()
		if !errors.Is(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	want("before", prove(t, s, right, 1), nil)
	want("wrong", prove(t, s, wrong, 1), imap.ErrCredentials)
	fail := func(n int) {
		for range n { // as finish counts it, without the throttle's waits
			f := from{host: 1}.RemoteAddr()
			s.bans.Failed(&access.Attempt{Remote: f, Account: "anna@office.example", Credential: s.throttle.Unseen(f, "anna@office.example")})
		}
	}
	fail(100)
	want("right, after a telephone's day", prove(t, s, newPeer(t, "anna", "long enough"), 1), nil)
	fail(16 * 12)
	want("a guess", prove(t, s, wrong, 1), errBanned)
	want("what was right from there", prove(t, s, right, 1), nil)
	want("from elsewhere", prove(t, s, right, 2), nil)
}

// TestWhatIsNoScram is told apart from a wrong password.
func TestWhatIsNoScram(t *testing.T) {
	s := scramOffice(t)
	for message, want := range map[string]error{
		"":                             imap.ErrMessage,
		"n,,n=anna":                    imap.ErrMessage,
		"p=tls-exporter,,n=anna,r=abc": imap.ErrMessage, // not by this mechanism
		"y,,n=anna,r=abc":              nil,             // true: nothing can bind here
	} {
		x := s.Begin(from{}, "SCRAM-SHA-256")
		if _, _, err := x.Step(t.Context(), []byte(message)); !errors.Is(err, want) {
			t.Errorf("%q: %v", message, err)
		}
	}
	x := s.Begin(from{}, "SCRAM-SHA-256-PLUS")
	if _, _, err := x.Step(t.Context(), []byte("p=tls-exporter,,n=anna,r=abc")); !errors.Is(err, imap.ErrRefused) {
		t.Errorf("a binding that is not there: %v", err)
	}
}

// BenchmarkSignIn is what the server does for one, without the network: the
// client of SCRAM remembers its keys, as programs do.
func BenchmarkSignIn(b *testing.B) {
	o := testOffice(b)
	anna := "anna@office.example"
	if _, err := o.directory.Add(b.Context(), directory.NewAccount{Address: anna, Password: "long enough"}); err != nil {
		b.Fatal(err)
	}
	_, device, err := o.directory.AddDevice(b.Context(), anna, directory.NewDevice{Name: "telephone"})
	if err != nil {
		b.Fatal(err)
	}
	remote := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}
	s := testSignIn(o, slog.New(slog.DiscardHandler))
	for name, password := range map[string]string{"password remembered": "long enough", "device": string(device)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Authenticate(b.Context(), anna, password, remote); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("password", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer() // a directory that remembers nothing
			fresh, err := directory.New(&directory.Config{Store: o.store, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			if _, err := fresh.Authenticate(b.Context(), anna, "long enough", remote); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("SCRAM", func(b *testing.B) {
		client, err := peer.SHA256.NewClient(anna, "long enough", "")
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			x, conv := s.Begin(loopback{}, "SCRAM-SHA-256"), client.NewConversation()
			first, err1 := conv.Step("")
			challenge, _, err2 := x.Step(b.Context(), []byte(first))
			final, err3 := conv.Step(string(challenge))
			_, ident, err4 := x.Step(b.Context(), []byte(final))
			if err := errors.Join(err1, err2, err3, err4); err != nil || ident == nil {
				b.Fatal(ident, err)
			}
		}
	})
}

// loopback is a connection of this machine, whose sign-ins nobody counts.
type loopback struct{ net.Conn }

// RemoteAddr implements net.Conn.
func (loopback) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711} }
