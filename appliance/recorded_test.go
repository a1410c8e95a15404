package appliance_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/control"
	"pillarbox/appliance/factory"
)

// TestWhatHappensAtTheDoorIsRecorded signs in, fails to, speaks the wrong
// protocol and changes the certificate.
func TestWhatHappensAtTheDoorIsRecorded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addAnna(t, dir)
	c := config(dir)
	c.Reset = &factory.Reset{KeepMail: true, Requested: time.Date(2026, 11, 27, 13, 0, 0, 0, time.UTC)}
	r := start(t, c)
	for range 3 {
		r.imap(t, "imaps").say("z LOGOUT", "z OK")
	}
	r.guessFrom(t.Context(), "127.0.0.1", 2, func(int) string { return "Anna@office.example" })
	r.guessFrom(t.Context(), "127.0.0.1", 1, func(int) string { return "anna" })
	plain, err := net.Dial("tcp", r.Addresses("imaps-legacy")[0])
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(plain, "GET / HTTP/1.0\r\n\r\n")
	if _, err := io.ReadAll(plain); err != nil {
		t.Fatal(err)
	}
	plain.Close()
	// The same pair written again is no other certificate; none at all is.
	if err := os.Remove(filepath.Join(dir, "certs", "server.crt")); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}

	var got []string
	withClient(t, dir, false, func(c *control.Client) {
		failed, err := c.AuditRecords(t.Context(), audit.Filter{Kinds: []string{string(audit.SignInFailed)}, Account: "Anna"})
		if err != nil || len(failed) != 2 {
			t.Errorf("Anna's failed sign-ins: %+v, %v", failed, err)
		}
		entries, err := c.AuditRecords(t.Context(), audit.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range []audit.Book{audit.Access, audit.Acts} {
			for _, e := range entries {
				if e.Book != b {
					continue
				}
				i := slices.IndexFunc(audit.Kinds(), func(s audit.Spec) bool { return s.Kind == e.Kind })
				for name := range e.Values {
					if i < 0 || !slices.Contains(audit.Kinds()[i].Values, name) {
						t.Errorf("%s has %s, of which audit.Kinds tells nothing", e.Kind, name)
					}
				}
				line := string(e.Kind)
				for _, name := range []string{"account", "remote", "count", "mechanism", "tls", "reason", "mail", "requested"} {
					if v := e.Values[name]; v != "" {
						line += " " + v
					}
				}
				got = append([]string{line}, got...)
			}
		}
		report, err := c.AuditVerify(t.Context())
		if err != nil || len(report.Findings) > 0 {
			t.Errorf("verified: %+v, %v", report, err)
		}
	})
	tls13 := tls.VersionName(tls.VersionTLS13)
	want := []string{
		"account.added anna@office.example",
		"audit.key",
		"certificate.made",
		"config.confirmed the factory reset",
		"factory.reset kept 2026-11-27T13:00:00Z",
		"server.started",
		"certificate.renewed",
		"server.stopped",
		"signin.ok anna@office.example 127.0.0.1 3 LOGIN " + tls13,
		"signin.failed anna@office.example 127.0.0.1 2 LOGIN " + tls13 + " wrong name or password",
		"handshake.done 127.0.0.1 6 " + tls13,
		"signin.failed anna@office.example 127.0.0.1 LOGIN " + tls13 + " wrong name or password",
		"handshake.failed 127.0.0.1 not TLS: the client speaks HTTP without encryption",
	}
	if d := cmp.Diff(strings.Join(want, "\n"), strings.Join(got, "\n")); d != "" {
		t.Errorf("recorded (-want +got):\n%s", d)
	}
}
