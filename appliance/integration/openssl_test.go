package integration_test

import (
	"path/filepath"
	"strings"
	"testing"

	"pillarbox/appliance/integration/rig"
)

// sClient runs openssl s_client against an address, says what is on stdin and
// then leaves.
func sClient(t *testing.T, addr, stdin string, args ...string) *rig.Output {
	t.Helper()
	cmd := rig.Command{
		Path:  rig.Tool(t, "openssl", "openssl"),
		Args:  append([]string{"s_client", "-connect", addr, "-crlf", "-ign_eof"}, args...),
		Stdin: []byte(stdin),
	}
	return cmd.Run(t)
}

const goodbye = "a1 CAPABILITY\na2 LOGOUT\n"

func TestOpenSSLTrustsTheBox(t *testing.T) {
	box := openOffice(t)
	tests := []struct {
		name string
		addr string
		args []string
		ok   bool
	}{
		{"localhost on 993", box.IMAPS(t, "tcp4"), []string{"-verify_hostname", "localhost"}, true},
		{"localhost on 990", box.Legacy(t, "tcp4"), []string{"-verify_hostname", "localhost"}, true},
		{"its IPv4 address", box.IMAPS(t, "tcp4"), []string{"-verify_ip", "127.0.0.1"}, true},
		{"its IPv6 address", box.IMAPS(t, "tcp6"), []string{"-verify_ip", "::1"}, true},
		{"TLS 1.2", box.IMAPS(t, "tcp4"), []string{"-tls1_2", "-verify_hostname", "localhost"}, true},
		{"TLS 1.3", box.IMAPS(t, "tcp4"), []string{"-tls1_3", "-verify_hostname", "localhost"}, true},
		{"another's name", box.IMAPS(t, "tcp4"), []string{"-verify_hostname", "mail.elsewhere.example"}, false},
		{"another's address", box.IMAPS(t, "tcp4"), []string{"-verify_ip", "192.0.2.1"}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out := sClient(t, test.addr, goodbye,
				append(test.args, "-CAfile", box.CAFile(), "-verify_return_error", "-purpose", "sslserver")...)
			spoke := strings.Contains(out.All(), "a2 OK")
			if verified := strings.Contains(out.All(), "Verify return code: 0 (ok)"); spoke != test.ok || test.ok && !verified {
				t.Errorf("trusted: %v, spoke: %v, want %v\n%s", verified, spoke, test.ok, out.All())
			}
		})
	}
}

func TestOldProtocolsAreRefused(t *testing.T) {
	box := openOffice(t)
	tests := []struct {
		name string
		args []string
	}{
		{"TLS 1.0", []string{"-tls1", "-cipher", "ALL:@SECLEVEL=0"}},
		{"TLS 1.1", []string{"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}},
		{"RSA key exchange", []string{"-tls1_2", "-cipher", "AES128-SHA:AES256-SHA:AES128-GCM-SHA256"}},
		{"CBC without authenticated encryption", []string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, addr := range []string{box.IMAPS(t, "tcp4"), box.Legacy(t, "tcp6")} {
				out := sClient(t, addr, goodbye, test.args...)
				if strings.Contains(out.All(), "* OK") || !strings.Contains(out.All(), "Cipher is (NONE)") {
					t.Errorf("%s speaks it:\n%s", addr, out.All())
				}
				if !strings.Contains(out.All(), "alert") {
					t.Errorf("%s does not refuse it by an alert:\n%s", addr, out.All())
				}
			}
		})
	}
}

func TestTheWholeChainIsPresented(t *testing.T) {
	box := openOffice(t)
	out := sClient(t, box.IMAPS(t, "tcp4"), goodbye, "-showcerts", "-CAfile", box.CAFile())
	if n := strings.Count(out.All(), "BEGIN CERTIFICATE"); n < 1 {
		t.Fatalf("no certificate shown:\n%s", out.All())
	}
	if !strings.Contains(out.All(), "Verify return code: 0 (ok)") {
		t.Errorf("the chain does not lead to the CA:\n%s", out.All())
	}
}

func TestOpenSSLResumesItsSession(t *testing.T) {
	box := openOffice(t)
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		t.Run(version, func(t *testing.T) {
			ticket := filepath.Join(t.TempDir(), "ticket")
			first := sClient(t, box.IMAPS(t, "tcp4"), goodbye, version, "-sess_out", ticket)
			if !strings.Contains(first.All(), "New, TLSv1") {
				t.Fatalf("the first session is not new:\n%s", first.All())
			}
			second := sClient(t, box.Legacy(t, "tcp4"), goodbye, version, "-sess_in", ticket)
			if !strings.Contains(second.All(), "Reused, TLSv1") {
				t.Errorf("the session is not resumed, not even on the other port:\n%s", second.All())
			}
		})
	}
}

func TestPlainTextOnATLSPortIsLoggedInWords(t *testing.T) {
	box := openOffice(t)
	out := (&rig.Command{
		Path:  rig.Tool(t, "curl", "curl"),
		Args:  []string{"--silent", "--max-time", "20", "telnet://" + box.IMAPS(t, "tcp4")},
		Stdin: []byte("a1 LOGIN ada secret-in-the-clear\r\n"),
	}).Run(t)
	if strings.Contains(out.All(), "a1 ") {
		t.Errorf("the plain text was answered: %s", out.All())
	}
	line := box.WaitLog(t, "TLS handshake failed", "IMAP without encryption")
	if strings.Contains(line, "secret-in-the-clear") {
		t.Errorf("the log repeats what the client said: %s", line)
	}
}
