package appliance_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pillarbox/appliance/control"
	"pillarbox/appliance/health"
)

// TestTheFirstStepsLeaveNoCertificateThatLacksAName: a box makes its CA before it
// is told of the office's mail domain, and nobody has got it by then.
func TestTheFirstStepsLeaveNoCertificateThatLacksAName(t *testing.T) {
	r := start(t, config(filepath.Join(t.TempDir(), "data")))
	withClient(t, r.dir, false, func(c *control.Client) {
		_, err := c.AmendSettings(t.Context(), &control.AmendSettings{Set: json.RawMessage(`{"office": {"domain": "office.example"}}`)})
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			pem, err := os.ReadFile(r.CAFile())
			if err != nil {
				t.Fatal(err)
			}
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(pem)
			conn, err := tls.Dial("tcp", r.Addresses("imaps")[0], &tls.Config{RootCAs: pool, ServerName: "imap.office.example"})
			if err == nil {
				conn.Close()
				break
			}
			if time.Now().After(end) {
				t.Fatalf("it has no certificate for the office's domain: %v", err)
			}
		}
		s, err := c.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(s.Health, func(h health.Condition) bool { return h.Name == "certificate-names" }); i >= 0 {
			t.Errorf("it needs attention: %+v", s.Health[i])
		}
	})
}
