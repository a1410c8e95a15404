package appliance

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	"pillarbox/appliance/access"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/imap"
)

func TestASharedShortNameIsExplainedToTheLogAlone(t *testing.T) {
	var log bytes.Buffer
	o := testOffice(t)
	for _, address := range []string{"ben@office.example", "ben@branch.example"} {
		if _, err := o.directory.Add(t.Context(), directory.NewAccount{Address: address, Password: "long enough"}); err != nil {
			t.Fatal(err)
		}
	}
	s := testSignIn(o, slog.New(slog.NewTextHandler(&log, nil)))
	remote := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}
	for _, tt := range []struct {
		login  string
		logged bool
	}{{"nobody", false}, {"ben", true}} {
		if _, err := s.Authenticate(t.Context(), tt.login, "long enough", remote); !errors.Is(err, imap.ErrCredentials) {
			t.Errorf("%s: %v", tt.login, err)
		}
		if got := strings.Contains(log.String(), "several accounts share"); got != tt.logged {
			t.Errorf("%s: logged %q", tt.login, log.String())
		}
	}
}

// TestABanSparesAPasswordThatWasRight is an account that somebody guesses at
// from behind the same address.
func TestABanSparesAPasswordThatWasRight(t *testing.T) {
	o := testOffice(t)
	for _, address := range []string{"anna@office.example", "ben@office.example"} {
		if _, err := o.directory.Add(t.Context(), directory.NewAccount{Address: address, Password: "long enough"}); err != nil {
			t.Fatal(err)
		}
	}
	s := testSignIn(o, slog.New(slog.DiscardHandler))
	from := func(host byte) net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, host), Port: 4711} }
	try := func(login, password string, host byte) error {
		_, err := s.Authenticate(t.Context(), login, password, from(host))
		return err
	}
	want := func(what string, got, want error) {
		t.Helper()
		if !errors.Is(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	want("before", try("anna", "long enough", 1), nil)
	guesses := func(host byte) {
		for i := range 12 { // ten, and what faded meanwhile
			o.bans.Failed(&access.Attempt{Remote: from(host), Account: "anna@office.example", Credential: strings.Repeat("x", i+1)})
		}
	}
	guesses(1)
	want("the same again", try("Anna", "long enough", 1), nil)
	want("another password", try("anna", "long enough too", 1), errBanned)
	want("another account", try("ben", "wrong", 1), imap.ErrCredentials)
	want("from elsewhere", try("anna", "long enough", 2), nil)

	// Guesses that a ban refuses count, until the address is banned.
	want("a name that nobody has", try("nobody", "wrong", 3), imap.ErrCredentials)
	guesses(3)
	for i := range 30 {
		if !o.bans.Connects(from(3)) {
			break
		}
		want("a guess", try("anna", strings.Repeat("y", i+1), 3), errBanned)
	}
	if o.bans.Connects(from(3)) {
		t.Error("the guesser is not banned")
	}
	want("a connection that is open still", try("ben", "long enough", 3), errBanned)
}

// TestABanHoldsForEverySpelling has somebody guess at one account by all the names
// that lead to it.
func TestABanHoldsForEverySpelling(t *testing.T) {
	o := testOffice(t)
	if _, err := o.directory.Add(t.Context(), directory.NewAccount{Address: "anna@office.example", Password: "long enough"}); err != nil {
		t.Fatal(err)
	}
	s := testSignIn(o, slog.New(slog.DiscardHandler))
	remote := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}
	spellings := []string{
		"anna@office.example", "anna", "ANNA", "Anna@Office.Example",
		"anna@\uff4fffice.example", "anna@office\u3002example", "anna@off\u00adice.example", // full width, another dot, a soft hyphen
	}
	for i := range 12 { // ten, and what faded meanwhile
		o.bans.Failed(&access.Attempt{Remote: remote, Account: s.dir.Spelling(spellings[i%len(spellings)]), Credential: strings.Repeat("x", i+1)})
	}
	for _, login := range spellings {
		if _, err := s.Authenticate(t.Context(), login, "long enough", remote); !errors.Is(err, errBanned) {
			t.Errorf("%q: %v, want %v", login, err, errBanned)
		}
	}
	// Short names that nobody has are counted like those that somebody has.
	if got, want := s.dir.Spelling("Nobody"), s.dir.Spelling("nobody@office.example"); got != want {
		t.Errorf("counted as %q, and as %q", got, want)
	}
	if got := s.dir.Spelling("no body"); got != "no body" {
		t.Errorf("what is no name is counted as %q", got)
	}
}
