package setup_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/certs"
	"pillarbox/appliance/profile"
	"pillarbox/appliance/setup"
)

// office is one with known facts.
type office struct {
	facts  setup.Facts
	people []setup.Person
}

func newOffice() *office {
	return &office{
		facts: setup.Facts{
			Domains: []string{"office.example", "other.example"},
			Names:   []string{"mail.office.example", "Pillarbox.local", "192.0.2.7", "::1"},
			IMAP:    setup.Server{Host: "mail.office.example", Port: 993, Security: setup.TLS},

			Mechanisms: []string{"PLAIN", "LOGIN", "SCRAM-SHA-256"},
			Private:    true, Fingerprint: "0A" + strings.Repeat(":0A", 31),
			Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")},
			HTTP:      80, HTTPS: 443,
		},
		people: []setup.Person{{Address: "ada@office.example", Name: "Ada <Lovelace>"}},
	}
}

func (o *office) Facts(context.Context, netip.Addr) (*setup.Facts, error) {
	f := o.facts
	return &f, nil
}

func (o *office) Person(_ context.Context, address string) (*setup.Person, error) {
	for _, p := range o.people {
		if p.Address == address {
			return &p, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", setup.ErrNobody, address)
}

// stranger is an office that is never asked for a person.
type stranger struct {
	*office
	t testing.TB
}

func (s stranger) Person(context.Context, string) (*setup.Person, error) {
	s.t.Error("whether somebody has an address was asked")
	return nil, setup.ErrNobody
}

// paper is a Trust that signs nothing.
type paper struct{}

func (paper) Root() []byte                     { return []byte("the CA\n") }
func (paper) RootPayload() profile.Payload     { return profile.Payload{Type: "com.apple.security.root"} }
func (paper) Sign(text []byte) ([]byte, error) { return text, nil }

func service(o setup.Office) *setup.Service {
	return setup.New(&setup.Config{
		Office: o, Trust: paper{}, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC) },
	})
}

// openCerts opens real certificates for the office.
func openCerts(t testing.TB) *certs.Manager {
	t.Helper()
	m, err := certs.Open(t.Context(), &certs.Config{
		Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler),
		Names: func() []string { return []string{"mail.office.example"} },
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

// ask asks a service as a stranger does: by "http://host/…" or "https://…".
func ask(t testing.TB, o *office, method, url, body string) reply {
	t.Helper()
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	r.RemoteAddr = "192.0.2.99:4711"
	w := httptest.NewRecorder()
	h := service(stranger{o, t}).Handler(r, strings.HasPrefix(url, "https:"))
	if h == nil {
		h = http.NotFoundHandler() // it is for somebody else
	}
	h.ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{w.Code, w.Result().Header, string(b)}
}

// tool runs a program and returns what it prints.
func tool(t *testing.T, in []byte, program string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", program)
		}
		t.Skipf("%s is not installed", program)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = bytes.NewReader(in)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", program, err, said.String())
	}
	return string(out)
}
