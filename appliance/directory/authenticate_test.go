package directory_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"pillarbox/appliance/directory"
	"pillarbox/storage"
)

func bprintf(w io.Writer, format string, a any) { fmt.Fprintf(w, format, a) }

var remote = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}

func TestAuthenticate(t *testing.T) {
	o := newOffice(t)
	anna := o.hire(t, "anna@office.example")
	o.hire(t, "ben@office.example")
	o.hire(t, "ben@branch.example")
	jürgen := o.hire(t, "jürgen@büro.example")
	if err := o.AddAlias(t.Context(), "sales@office.example", "anna@office.example"); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		login    string
		password string
		want     storage.AccountID
	}{
		{"full address", "anna@office.example", password, anna.ID},
		{"full address in capitals", "ANNA@Office.Example", password, anna.ID},
		{"local part", "Anna", password, anna.ID},
		{"international address", "JÜRGEN@xn--BRO-hoa.example", password, jürgen.ID},
		{"decomposed letters", "ju\u0308rgen", password, jürgen.ID},
		{"no-break spaces in the password", "anna", strings.ReplaceAll(password, " ", "\u00a0"), anna.ID},
		{"wrong password", "anna", "wrong horse battery", ""},
		{"password in other case", "anna", strings.ToUpper(password), ""},
		{"empty password", "anna", "", ""},
		{"huge password", "anna", strings.Repeat("x", 100_000), ""},
		{"password with a NUL", "anna", password + "\x00", ""},
		{"password that is not UTF-8", "anna", "\xff\xfe\xfd", ""},
		{"unknown name", "nobody", password, ""},
		{"unknown name and no password", "nobody", "", ""},
		{"local part of two accounts", "ben", password, ""},
		{"alias", "sales@office.example", password, ""},
		{"subaddress", "anna+x@office.example", password, ""},
		{"empty name", "", password, ""},
		{"nonsense", "@", password, ""},
		{"huge name", strings.Repeat("a", 100_000) + "@office.example", password, ""},
	}
	for _, state := range []string{"first", "again"} {
		for _, tt := range tests {
			t.Run(tt.name+", "+state, func(t *testing.T) {
				got, err := o.Authenticate(t.Context(), tt.login, tt.password, remote)
				if tt.want == "" {
					if !errors.Is(err, directory.ErrCredentials) {
						t.Errorf("error %v", err)
					}
					if err != nil && tt.password != "" && strings.Contains(err.Error(), tt.password) {
						t.Errorf("the error shows the password: %v", err)
					}
				} else if err != nil {
					t.Errorf("error %v", err)
				}
				if got.ID != tt.want {
					t.Errorf("account %q, want %q", got.ID, tt.want)
				}
			})
		}
	}
}

func TestASharedShortNameIsToldApart(t *testing.T) {
	o := newOffice(t)
	o.hire(t, "anna@office.example")
	o.hire(t, "ben@office.example")
	o.hire(t, "ben@branch.example")
	for login, want := range map[string]bool{"ben": true, "BEN": true, "anna": false, "nobody": false, "ben@home.example": false, "": false} {
		_, err := o.Authenticate(t.Context(), login, "wrong horse battery", remote)
		if !errors.Is(err, directory.ErrCredentials) || errors.Is(err, directory.ErrAmbiguous) != want {
			t.Errorf("%q: %v, want ambiguous %v", login, err, want)
		}
	}
}

func TestSetPassword(t *testing.T) {
	o := newOffice(t)
	a := o.hire(t, "anna@office.example")
	if _, err := o.Authenticate(t.Context(), "anna", password, remote); err != nil {
		t.Fatal(err)
	}
	if o.Remembered() != 1 {
		t.Errorf("%d passwords are remembered", o.Remembered())
	}
	var changes []directory.Change
	o.Watch(func(c directory.Change) { changes = append(changes, c) })
	if err := o.SetPassword(t.Context(), "anna@office.example", "another long one"); err != nil {
		t.Fatal(err)
	}
	if o.Remembered() != 0 {
		t.Errorf("%d passwords are remembered", o.Remembered())
	}
	if len(changes) != 1 || changes[0] != (directory.Change{Account: a.ID, What: directory.PasswordChanged}) {
		t.Errorf("changes %v", changes)
	}
	for _, restart := range []bool{false, true} {
		if restart {
			o.reopen(t)
		}
		if _, err := o.Authenticate(t.Context(), "anna", password, remote); !errors.Is(err, directory.ErrCredentials) {
			t.Errorf("the old password: %v", err)
		}
		if _, err := o.Authenticate(t.Context(), "anna", "another long one", remote); err != nil {
			t.Errorf("the new password: %v", err)
		}
	}
	if n := len(o.section(t, "directory/credentials")); n != 1 {
		t.Errorf("%d credentials", n)
	}
	if err := o.SetPassword(t.Context(), "ben@office.example", "another long one"); !errors.Is(err, directory.ErrNoAccount) {
		t.Errorf("of nobody: %v", err)
	}
}

func TestPasswordPolicy(t *testing.T) {
	o := newOffice(t)
	o.hire(t, "annagruber@office.example")
	tests := []struct {
		name     string
		password directory.Secret
		want     string
	}{
		{"seven characters", "seven77", "fewer than 8 characters"},
		{"eight octets but four characters", "öäüß", "fewer than 8 characters"},
		{"nothing", "", "it is empty"},
		{"one character over and over", "aaaaaaaaaa", "one character over and over"},
		{"the address", "annagruber@office.example", "the address or a part of it"},
		{"the local part", "AnnaGruber", "the address or a part of it"},
		{"the domain", "office.example", "the address or a part of it"},
		{"a control character", "line\nfeed12", "cannot be typed everywhere"},
		{"too long", directory.Secret(strings.Repeat("ab", 600)), "longer than 1024 octets"},
		{"eight characters", "öäüßÖÄÜ1", ""},
		{"words", "three plain words", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := o.SetPassword(t.Context(), "annagruber@office.example", tt.password)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, directory.ErrPassword) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// replaceHash puts a hash into the only credential there is.
func replaceHash(t *testing.T, o *office, hash string) (key string) {
	t.Helper()
	for k := range o.section(t, "directory/credentials") {
		key = k
	}
	o.put(t, "directory/credentials", key, `{"kind":"password","hash":"`+hash+`","created":"2026-05-04T09:00:00Z"}`)
	o.reopen(t)
	return key
}

func TestRehashWhenCostsWereRaised(t *testing.T) {
	o := newOffice(t)
	o.hire(t, "anna@office.example")
	weak := directory.HashWeakly(password)
	key := replaceHash(t, o, weak)
	if _, err := o.Authenticate(t.Context(), "anna", "wrong password", remote); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("wrong password: %v", err)
	}
	if !strings.Contains(o.section(t, "directory/credentials")[key], weak) {
		t.Error("rehashed by a wrong password")
	}
	if _, err := o.Authenticate(t.Context(), "anna", password, remote); err != nil {
		t.Fatal(err)
	}
	if got := o.section(t, "directory/credentials")[key]; !strings.Contains(got, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("stored: %s", got)
	}
	o.reopen(t)
	if _, err := o.Authenticate(t.Context(), "anna", password, remote); err != nil {
		t.Error(err)
	}
}

func TestDamagedCredentialKeepsOneOutNotAll(t *testing.T) {
	o := newOffice(t)
	o.hire(t, "anna@office.example")
	key := replaceHash(t, o, "$argon2id$v=19$m=4294967295,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA")
	o.hire(t, "ben@office.example")
	if !bytes.Contains(o.log.Bytes(), []byte(key)) {
		t.Error("nobody was told")
	}
	if _, err := o.Authenticate(t.Context(), "anna", password, remote); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("anna: %v", err)
	}
	if _, err := o.Authenticate(t.Context(), "ben", password, remote); err != nil {
		t.Errorf("ben: %v", err)
	}
}

func TestCacheExpires(t *testing.T) {
	o := newOffice(t)
	o.hire(t, "anna@office.example")
	login := func(ctx context.Context) error {
		_, err := o.Authenticate(ctx, "anna", password, remote)
		return err
	}
	if _, err := o.Authenticate(t.Context(), "anna", password, remote); err != nil {
		t.Fatal(err)
	}
	free := o.Hold()
	defer free()
	o.now = o.now.Add(4*time.Minute + 59*time.Second)
	if err := login(t.Context()); err != nil {
		t.Errorf("within five minutes: %v", err)
	}
	o.now = o.now.Add(time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := login(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after five minutes: %v", err)
	}
}

// TestGuessesLeaveAPlace has strangers guess without end while somebody signs in
// whose password is not remembered any more.
func TestGuessesLeaveAPlace(t *testing.T) {
	o := newOffice(t)
	o.hire(t, "anna@office.example")
	if _, err := o.Authenticate(t.Context(), "anna", password, remote); err != nil {
		t.Fatal(err)
	}
	defer o.HoldStrangers()()
	waits := func(what, login, password string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := o.Authenticate(ctx, login, password, remote); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", what, err)
		}
	}
	o.now = o.now.Add(23 * time.Hour)
	waits("a guess at the account", "anna", "some other one")
	waits("a guess at another", "nobody", password)
	if _, err := o.Authenticate(t.Context(), "anna", password, remote); err != nil {
		t.Errorf("what was right before: %v", err)
	}
	o.now = o.now.Add(25 * time.Hour)
	waits("what was right two days ago", "anna", password)
}

func TestCacheIsBounded(t *testing.T) {
	o := newOffice(t)
	o.FillCache(3 * directory.CacheSize)
	if got := o.Remembered(); got != directory.CacheSize {
		t.Errorf("%d passwords are remembered", got)
	}
}

func TestStormOfLogIns(t *testing.T) {
	o := newOffice(t)
	o.hire(t, "anna@office.example")
	o.hire(t, "ben@office.example")
	if _, err := o.Authenticate(t.Context(), "ben", password, remote); err != nil {
		t.Fatal(err)
	}
	free := o.Hold()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := o.Authenticate(ctx, "anna", "guess of a stranger", remote); !errors.Is(err, context.Canceled) {
				t.Errorf("while all places are taken: %v", err)
			}
		})
	}
	if _, err := o.Authenticate(t.Context(), "ben", password, remote); err != nil {
		t.Errorf("who logged in a minute ago: %v", err)
	}
	cancel()
	wg.Wait()
	free()
	if _, err := o.Authenticate(t.Context(), "anna", password, remote); err != nil {
		t.Errorf("after the storm: %v", err)
	}
}

func TestLogInUnderWayWhileTheAccountIsRemoved(t *testing.T) {
	o := newOffice(t)
	o.hire(t, "anna@office.example")
	free := o.Hold()
	done := make(chan error, 1)
	go func() {
		_, err := o.Authenticate(t.Context(), "anna", password, remote)
		done <- err
	}()
	// It has found the account and waits for its turn.
	time.Sleep(100 * time.Millisecond)
	if err := o.Remove(t.Context(), "anna@office.example"); err != nil {
		t.Fatal(err)
	}
	free()
	if err := <-done; !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("error %v", err)
	}
	if o.Remembered() != 0 {
		t.Error("its password is remembered")
	}
}

func TestWaitIsBounded(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		store := openStore(t, dir)
		defer store.Close()
		d, err := directory.New(&directory.Config{Store: store, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Hold()()
		start := time.Now()
		_, err = d.Authenticate(t.Context(), "anna", password, remote)
		if !errors.Is(err, directory.ErrBusy) || errors.Is(err, directory.ErrCredentials) {
			t.Errorf("error %v", err)
		}
		if waited := time.Since(start); waited != 10*time.Second {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestUnknownNameCostsTheSameWork(t *testing.T) {
	o := newOffice(t)
	o.hire(t, "anna@office.example")
	// By the clock of this process: others may take the processor at any time.
	spent := func() time.Duration {
		var use unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &use); err != nil {
			t.Fatal(err)
		}
		return time.Duration(use.Utime.Nano() + use.Stime.Nano())
	}
	cost := func(login, password string) time.Duration {
		start := spent()
		if _, err := o.Authenticate(t.Context(), login, password, remote); !errors.Is(err, directory.ErrCredentials) {
			t.Fatal(err)
		}
		return spent() - start
	}
	for _, tt := range []struct{ name, login, password string }{
		{"an unknown name", "nobody", "wrong horse battery"},
		{"an unknown address", "nobody@office.example", "wrong horse battery"},
		{"no name", "@@", "wrong horse battery"},
		{"an empty password", "anna", ""},
	} {
		// The runtime works on its own account too, so the least of some tries
		// counts. A name that costs nothing costs nothing at every try.
		known, other := time.Hour, time.Hour
		for try := 0; try < 3 || try < 30 && other < known/3; try++ {
			known = min(known, cost("anna", "wrong horse battery"))
			other = min(other, cost(tt.login, tt.password))
		}
		if other < known/3 {
			t.Errorf("%s takes %v, a known name %v", tt.name, other, known)
		}
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	o := newOffice(b)
	o.hire(b, "anna@office.example")
	for _, cold := range []bool{true, false} {
		name := "cached"
		if cold {
			name = "cold"
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if cold {
					o.Forget()
				}
				if _, err := o.Authenticate(b.Context(), "anna@office.example", password, remote); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
