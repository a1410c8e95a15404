package integration_test

import (
	"encoding/json"
	"encoding/xml"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pillarbox/appliance/integration/rig"
)

// full has testssl look at everything on every port under every policy, which
// takes a quarter of an hour, and not only at protocols, ciphers and the
// certificate on one.
func full() bool { return os.Getenv("PILLARBOX_TESTSSL") == "full" }

// finding is what testssl says of one thing.
type finding struct {
	ID       string `json:"id"`
	Severity string `json:"severity"`
	Finding  string `json:"finding"`
}

// harmless are findings above "low" that are so by design, with the reason.
func harmless(f finding) bool {
	switch {
	case slices.Contains([]string{"OK", "INFO", "LOW", "DEBUG"}, f.Severity):
		return true
	case f.ID == "engine_problem": // of the program itself: it lacks GOST
		return true
	case strings.HasPrefix(f.ID, "cert_revocation"):
		// The box's own CA publishes no list of what it has revoked: its leaves
		// are the box's, live for 90 days and are replaced, not revoked.
		return strings.Contains(f.Finding, "Neither CRL nor OCSP URI provided")
	}
	return false
}

// TestScannersFindNothing on either port, under either policy.
func TestScannersFindNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("scanning takes minutes")
	}
	box := openOffice(t)
	for _, policy := range []string{"intermediate", "modern"} {
		if policy == "modern" {
			box.Command(nil, "cert", "use", "private", "--policy", policy).MustRun(t)
			box.Command(nil, "network", "confirm").MustRun(t)
		}
		for port, addr := range map[string]string{"993": box.IMAPS(t, "tcp4"), "990": box.Legacy(t, "tcp4")} {
			t.Run("sslscan/"+policy+"/"+port, func(t *testing.T) { sslscan(t, policy, addr) })
			if policy == "intermediate" && port == "993" || full() {
				t.Run("testssl/"+policy+"/"+port, func(t *testing.T) { testssl(t, box, addr) })
			}
		}
	}
}

func testssl(t *testing.T, box *rig.Box, addr string) {
	file := filepath.Join(t.TempDir(), "findings.json")
	args := []string{"--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--add-ca", box.CAFile(), "--jsonfile", file}
	least := 50 // findings
	if !full() {
		args, least = append(args, "--protocols", "--std", "--server-defaults"), 30
	}
	cmd := rig.Command{Path: rig.Tool(t, "testssl", "testssl.sh"), Args: append(args, addr)}
	out := cmd.Run(t) // its status counts what it found, harmless or not
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.All())
	}
	var all []finding
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, f := range all {
		seen[f.ID] = f.Finding
		if !harmless(f) {
			t.Errorf("%s: %s (%s)", f.ID, f.Finding, f.Severity)
		}
	}
	if len(seen) < least || !strings.HasPrefix(seen["TLS1_3"], "offered") || !strings.HasPrefix(seen["TLS1_1"], "not offered") {
		t.Errorf("it has not looked at everything: %d findings, TLS 1.3 %q, TLS 1.1 %q\n%s", len(seen), seen["TLS1_3"], seen["TLS1_1"], out.All())
	}
	for id, text := range seen {
		if strings.HasPrefix(id, "cert_chain_of_trust") && !strings.HasPrefix(text, "passed") {
			t.Errorf("%s: %s", id, text)
		}
	}
}

// scan is what sslscan found.
type scan struct {
	Protocols []struct {
		Type    string `xml:"type,attr"`
		Version string `xml:"version,attr"`
		Enabled bool   `xml:"enabled,attr"`
	} `xml:"ssltest>protocol"`
	Ciphers []struct {
		Version  string `xml:"sslversion,attr"`
		Bits     int    `xml:"bits,attr"`
		Cipher   string `xml:"cipher,attr"`
		Strength string `xml:"strength,attr"`
	} `xml:"ssltest>cipher"`
	Renegotiation struct {
		Supported bool `xml:"supported,attr"`
	} `xml:"ssltest>renegotiation"`
	Heartbleed []struct {
		Vulnerable bool `xml:"vulnerable,attr"`
	} `xml:"ssltest>heartbleed"`
}

func sslscan(t *testing.T, policy, addr string) {
	file := filepath.Join(t.TempDir(), "scan.xml")
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	cmd := rig.Command{Path: rig.Tool(t, "sslscan", "sslscan"), Args: []string{"--no-colour", "--xml=" + file, "--sni-name=localhost", "127.0.0.1:" + port}}
	out := cmd.MustRun(t)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s scan
	if err := xml.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"ssl2": false, "ssl3": false, "tls1.0": false, "tls1.1": false, "tls1.2": policy == "intermediate", "tls1.3": true}
	for _, p := range s.Protocols {
		if p.Enabled != want[p.Type+p.Version] && p.Type+p.Version != "ssl2" || p.Type == "ssl" && p.Enabled {
			t.Errorf("%s %s is enabled: %v", p.Type, p.Version, p.Enabled)
		}
	}
	if len(s.Protocols) < 6 || len(s.Ciphers) < 3 {
		t.Errorf("it found %d protocols and %d ciphers:\n%s", len(s.Protocols), len(s.Ciphers), out.All())
	}
	for _, c := range s.Ciphers {
		aead := strings.Contains(c.Cipher, "GCM") || strings.Contains(c.Cipher, "CHACHA20")
		if !aead || c.Bits < 128 || c.Strength == "weak" || c.Version == "TLSv1.2" && !strings.HasPrefix(c.Cipher, "ECDHE-") {
			t.Errorf("it takes %+v", c)
		}
	}
	for _, h := range s.Heartbleed {
		if h.Vulnerable {
			t.Error("heartbleed")
		}
	}
	if s.Renegotiation.Supported {
		t.Error("sessions can be renegotiated")
	}
}
