package control_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/control"
	"pillarbox/appliance/delivery"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/mailfile"
	"pillarbox/appliance/sample"
	"pillarbox/storage"
)

const maxMessage = 4 << 20

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newHandler(t testing.TB) *control.Handler {
	t.Helper()

	return newHandlerAt(t, t.TempDir())
}

func newHandlerAt(t testing.TB, data string) *control.Handler {
	t.Helper()
	store, err := storage.Open(t.Context(), &storage.Config{Dir: data, Logger: discard(), MaxMessage: maxMessage})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	dir, err := directory.New(&directory.Config{Store: store, Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}

	return control.NewHandler(&control.Config{
		Directory: dir,
		Delivery: delivery.New(&delivery.Config{
			Directory: recipients{dir}, Store: store, Hostname: "mail.office.example", Logger: discard(),
		}),
		Store: store, Audit: newAudit(t, data), Logger: discard(), Version: "test",
	})
}

func newAudit(t testing.TB, data string) *audit.Log {
	t.Helper()
	l := audit.New(&audit.Config{Dir: filepath.Join(data, "audit"), Logger: discard()})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})

	return l
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

// newClient returns a client in memory, with an account anna.
func newClient(t *testing.T) *control.Client {
	t.Helper()
	c, stop := control.Local(t.Context(), newHandler(t), discard())
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	if _, err := c.AddAccount(t.Context(), control.NewAccount{Address: "anna@office.example", Password: "long enough"}); err != nil {
		t.Fatal(err)
	}

	return c
}

// serveSocket serves a handler on a folder's socket.
func serveSocket(t *testing.T, dir string) (stop func() error) {
	t.Helper()
	ln, err := control.Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	h := newHandler(t)
	go func() { ended <- control.Serve(ctx, ln, h, discard()) }()
	stop = func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})

	return stop
}

func TestTheSocket(t *testing.T) {
	for name, dir := range map[string]string{
		"short path":                          t.TempDir(),
		"path longer than a socket's address": filepath.Join(t.TempDir(), strings.Repeat("long", 25), strings.Repeat("path", 25)),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if _, err := control.Dial(t.Context(), dir); !errors.Is(err, control.ErrNoServer) {
				t.Errorf("without a server: %v, want ErrNoServer", err)
			}
			stop := serveSocket(t, dir)
			fi, err := os.Stat(filepath.Join(dir, "control.sock"))
			if err != nil || fi.Mode().Perm() != 0o600 {
				t.Errorf("mode of the socket: %v, %v", fi, err)
			}
			c, err := control.Dial(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			s, err := c.Status(t.Context())
			if err != nil || s.Version != "test" || s.PID != os.Getpid() {
				t.Errorf("status %+v, %v", s, err)
			}
			c.Close()
			if err := stop(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(dir, "control.sock")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the socket is left: %v", err)
			}
			if _, err := control.Dial(t.Context(), dir); !errors.Is(err, control.ErrNoServer) {
				t.Errorf("after the server: %v, want ErrNoServer", err)
			}
		})
	}
}

func TestASocketThatACrashLeftIsReplaced(t *testing.T) {
	dir := t.TempDir()
	old, err := net.Listen("unix", filepath.Join(dir, "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	old.(*net.UnixListener).SetUnlinkOnClose(false)
	old.Close()
	if _, err := control.Dial(t.Context(), dir); !errors.Is(err, control.ErrNoServer) {
		t.Errorf("dial: %v, want ErrNoServer", err)
	}
	serveSocket(t, dir)
	if _, err := control.Dial(t.Context(), dir); err != nil {
		t.Error(err)
	}
}

func TestErrorsHaveCodes(t *testing.T) {
	c := newClient(t)
	ctx := t.Context()
	for name, tc := range map[string]struct {
		do   func() error
		want string
	}{
		"account taken": {func() error {
			_, err := c.AddAccount(ctx, control.NewAccount{Address: "Anna@office.example", Password: "long enough"})
			return err
		}, control.CodeAddressTaken},
		"bad address": {func() error {
			_, err := c.AddAccount(ctx, control.NewAccount{Address: "a b", Password: "long enough"})
			return err
		}, control.CodeAddress},
		"bad password": {func() error {
			_, err := c.AddAccount(ctx, control.NewAccount{Address: "b@office.example", Password: "x"})
			return err
		}, control.CodePassword},
		"request too large": {func() error {
			_, err := c.AddAccount(ctx, control.NewAccount{Address: "b@office.example", Password: strings.Repeat("x", 100_000)})
			return err
		}, control.CodeRequest},
		"no account to remove":              {func() error { return c.RemoveAccount(ctx, "a/b?c@office.example") }, control.CodeNoAccount},
		"no account":                        {func() error { return c.SetPassword(ctx, "nobody@office.example", "long enough") }, control.CodeNoAccount},
		"bad password of the administrator": {func() error { return c.SetAdmin(ctx, "short") }, control.CodePassword},
		"no alias":                          {func() error { return c.RemoveAlias(ctx, "nobody@office.example") }, control.CodeNoAlias},
		"alias to nobody": {func() error {
			return c.AddAlias(ctx, directory.Alias{Address: "i@office.example", Targets: []string{"nobody@office.example"}})
		}, control.CodeAlias},
		"delivery to nobody": {func() error {
			return c.Deliver(ctx, control.Destination{To: "nobody@office.example"}, messages("x"), nil)
		}, control.CodeNoRecipient},
	} {
		t.Run(name, func(t *testing.T) {
			var e *control.Error
			if err := tc.do(); !errors.As(err, &e) || e.Code != tc.want {
				t.Errorf("%v (%+v), want the code %s", err, e, tc.want)
			}
		})
	}
}

// messages yields messages of these texts.
func messages(texts ...string) iter.Seq2[*mailfile.Message, error] {
	return func(yield func(*mailfile.Message, error) bool) {
		for i, text := range texts {
			m := mailfile.FromReader(fmt.Sprint(i), strings.NewReader(text))
			if !yield(m, nil) {
				return
			}
		}
	}
}

func TestMessagesKeepTheirOrder(t *testing.T) {
	c := newClient(t)
	var texts []string
	for m := range sample.Corpus(1, 400) {
		texts = append(texts, string(m))
	}
	texts[7] = strings.Repeat("x", maxMessage+1) // too big: named, and the rest goes on
	texts[9] = ""
	var got []string
	uid := 0
	err := c.Deliver(t.Context(), control.Destination{To: "anna@office.example", Mailbox: "In/Order"}, messages(texts...), func(o control.Outcome) {
		var e *control.Error
		switch {
		case errors.As(o.Err, &e):
			got = append(got, o.Name+" "+e.Code)
		case o.Err != nil:
			got = append(got, o.Name+" "+o.Err.Error())
		default:
			if uid++; len(o.Places) != 1 || int(o.Places[0].UID) != uid || o.Places[0].Mailbox != "In/Order" {
				t.Errorf("message %s lies at %+v, want UID %d", o.Name, o.Places, uid)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"7 too-big", "9 the file is empty"}, got); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
	if uid != 398 {
		t.Errorf("%d messages delivered, want 398", uid)
	}
	list, err := c.Accounts(t.Context())
	if err != nil || len(list) != 1 || list[0].UsedMessages != 398 {
		t.Errorf("accounts %+v, %v", list, err)
	}
	report, err := c.Check(t.Context(), func(f control.Finding) {
		if f.Problem != nil {
			t.Errorf("problem %+v", f.Problem)
		}
	})
	if err != nil || report.Messages != 398 || report.Problems != 0 {
		t.Errorf("report %+v, %v", report, err)
	}
}

func TestBrokenRequestsAreRefused(t *testing.T) {
	dir := t.TempDir()
	serveSocket(t, dir)
	c, err := control.Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AddAccount(t.Context(), control.NewAccount{Address: "anna@office.example", Password: "long enough"}); err != nil {
		t.Fatal(err)
	}
	raw := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", filepath.Join(dir, "control.sock"))
		},
	}}
	many := strings.Repeat(`{"size":1}`+"\nx", 300)
	for name, tc := range map[string]struct {
		method, path, body string
		want               int
	}{
		"unknown path":           {"GET", "/v2/status", "", 404},
		"change by GET":          {"GET", "/v1/check", "", 405},
		"fewer than no lines":    {"GET", "/v1/log?lines=-1", "", 400},
		"no number of lines":     {"GET", "/v1/log", "", 400},
		"a log that is not kept": {"GET", "/v1/log?lines=10", "", 200},
		"no JSON":                {"POST", "/v1/accounts", "x", 400},
		"unknown field":          {"POST", "/v1/accounts", `{"admin":true}`, 400},
		"two values":             {"POST", "/v1/accounts", `{}{}`, 400},
		"frame is no JSON":       {"POST", "/v1/messages?to=anna@office.example", "x\n", 400},
		"frame has no end":       {"POST", "/v1/messages?to=anna@office.example", strings.Repeat("x", 100_000), 400},
		"negative size":          {"POST", "/v1/messages?to=anna@office.example", `{"size":-2}` + "\n", 400},
		"message cut short":      {"POST", "/v1/messages?to=anna@office.example", `{"size":10}` + "\nabc", 400},
		"large, cut short":       {"POST", "/v1/messages?to=anna@office.example", `{"size":2000000}` + "\nabc", 400},
		"arriving, short":        {"POST", "/v1/messages?to=anna@office.example&from=", `{"size":10}` + "\nabc", 400},
		"too many frames":        {"POST", "/v1/messages?to=anna@office.example", many, 400},
		"no recipient":           {"POST", "/v1/messages", `{"size":1}` + "\nx", 404},
		"nothing":                {"POST", "/v1/messages?to=anna@office.example", "", 200},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), tc.method, "http://x"+tc.path, bytes.NewReader([]byte(tc.body)))
			if err != nil {
				t.Fatal(err)
			}
			res, err := raw.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != tc.want {
				t.Errorf("status %d, want %d (%s, %v)", res.StatusCode, tc.want, body, err)
			}
		})
	}
	list, err := c.Accounts(t.Context())
	if err != nil || len(list) != 1 || list[0].UsedMessages != 0 {
		t.Errorf("accounts %+v, %v: a message that was not whole was kept", list, err)
	}
}

func FuzzMessages(f *testing.F) {
	for _, seed := range []string{
		"", "x\n", `{"size":3,"flags":["\\Seen"],"date":"2026-01-02T03:04:05Z"}` + "\nabc" + `{"size":-1}` + "\nrest",
		`{"size":0}` + "\n", `{"size":9223372036854775807}` + "\nabc", `{"size":1,"flags":["a b","\u0000"]}` + "\nx",
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	h := newHandler(f)
	post := func(path string, body []byte) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body)))
		return w.Code
	}
	if code := post("/v1/accounts", []byte(`{"address":"anna@office.example","password":"long enough"}`)); code != http.StatusCreated {
		f.Fatalf("status %d", code)
	}
	f.Fuzz(func(t *testing.T, body []byte, arriving bool) {
		path := "/v1/messages?to=anna@office.example"
		if arriving {
			path += "&from=bob@example.org"
		}
		if code := post(path, body); code != http.StatusOK && code != http.StatusBadRequest {
			t.Errorf("status %d", code)
		}
	})
}

func TestADamagedAccountIsListedWithTheOthers(t *testing.T) {
	data := t.TempDir()
	serve := func(name string, f func(*testing.T, *control.Client)) {
		t.Run(name, func(t *testing.T) {
			c, stop := control.Local(t.Context(), newHandlerAt(t, data), discard())
			f(t, c)
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
	var anna storage.AccountID
	serve("made", func(t *testing.T, c *control.Client) {
		for _, address := range []string{"ben@office.example", "anna@office.example"} {
			a, err := c.AddAccount(t.Context(), control.NewAccount{Address: address, Password: "long enough"})
			if err != nil {
				t.Fatal(err)
			}
			anna = a.ID
		}
	})
	index := filepath.Join(data, "accounts", string(anna), "index.db")
	if err := os.WriteFile(index, bytes.Repeat([]byte("garbage "), 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	serve("listed", func(t *testing.T, c *control.Client) {
		all, err := c.Accounts(t.Context())
		if err != nil || len(all) != 2 {
			t.Fatalf("listed %+v, %v", all, err)
		}
		if all[0].Address != "anna@office.example" || !strings.Contains(all[0].Error, "damaged") || strings.Contains(all[0].Error, "\n") {
			t.Errorf("the damaged one: %+v", all[0])
		}
		if all[1].Address != "ben@office.example" || all[1].Error != "" {
			t.Errorf("the other: %+v", all[1])
		}
	})
}
