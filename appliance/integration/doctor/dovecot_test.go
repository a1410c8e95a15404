package doctor_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/doctor"
	"pillarbox/appliance/integration/rig"
)

// dovecot starts one with lines that are added to a good configuration.
func dovecot(t *testing.T, cert, key string, more ...string) *daemon {
	t.Helper()
	dir := folder(t)
	mail := filepath.Join(dir, "mail")
	for _, d := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(mail, d), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(mail, "cur/1:2,S"), "From: bob@office.example\nSubject: Hello\nDate: Fri, 27 Nov 2026 10:00:00 +0000\n\nHello\n")
	if err := filepath.WalkDir(mail, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(p, 65534, 65534)
	}); err != nil {
		t.Fatal(err)
	}
	users := write(t, filepath.Join(dir, "users"), user+":{PLAIN}"+password+":65534:65534::"+dir+"::\n")
	log := filepath.Join(dir, "dovecot.log")
	text := fmt.Sprintf(`
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[2]s
protocols = imap
listen = %[3]s, %[4]s
ssl = required
ssl_cert = <%[5]s
ssl_key = <%[6]s
ssl_min_protocol = TLSv1.2
auth_mechanisms = plain login
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:%[7]s
passdb {
  driver = passwd-file
  args = %[8]s
}
userdb {
  driver = passwd-file
  args = %[8]s
}
namespace inbox {
  inbox = yes
}
service imap-login {
  inet_listener imap {
    port = 143
  }
  inet_listener imaps {
    port = 993
    ssl = yes
  }
}
%[9]s
`, dir, log, mail4, mail6, cert, key, mail, users, strings.Join(more, "\n"))
	conf := write(t, filepath.Join(dir, "dovecot.conf"), text)
	d := run(t, log, nil, rig.Tool(t, "dovecot", "dovecot-imapd"), "-F", "-c", conf)
	return d
}

func request() *doctor.Request {
	return &doctor.Request{Host: mailName, User: user, Password: password}
}

func TestDovecotHealthy(t *testing.T) {
	names(t, office()...)
	p := newPKI(t)
	p.serve(t)
	cert, key := p.put(t, folder(t), issue{change: func(c *x509.Certificate) {
		c.OCSPServer = []string{p.url + "/ocsp"}
		c.IssuingCertificateURL = []string{p.url + "/intermediate"}
	}})
	d := dovecot(t, cert, key)
	d.await(t, mail4+":993")
	d.await(t, net.JoinHostPort(mail6, "993"))
	r := request()
	r.Write = true
	report := ask(t, p, r)
	expect(t, report)
	for _, timing := range []string{"TLS handshake 993", "IMAP log-in 993", "IMAP LIST 993", "IMAP SELECT 993", "IMAP FETCH 993", "IMAP IDLE 993", "IMAP delivery to IDLE notice 993", "IMAP log-in 143"} {
		if !strings.Contains(say(report), timing) {
			t.Errorf("%s was not measured\n%s", timing, say(report))
		}
	}
	t.Log(say(report))
}

// TestDovecotCertificates breaks the certificate, which all servers have alike.
func TestDovecotCertificates(t *testing.T) {
	breaks(t)
	names(t, office()...)
	p := newPKI(t)
	p.serve(t)
	day := 24 * time.Hour
	for i, tt := range []struct {
		name string
		issue
		want []string
	}{
		{"expired", issue{change: func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(-90*day), time.Now().Add(-day) }}, []string{"cert-expired"}},
		{"not yet valid", issue{change: func(c *x509.Certificate) { c.NotBefore = time.Now().Add(day) }}, []string{"cert-not-yet"}},
		{"to be renewed", issue{change: func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(-85*day), time.Now().Add(5*day) }}, []string{"cert-ends-soon"}},
		{"no names", issue{change: func(c *x509.Certificate) { c.DNSNames = nil }}, []string{"cert-no-names"}},
		{"another name", issue{change: func(c *x509.Certificate) { c.DNSNames = []string{"www.office.example"} }}, []string{"cert-name"}},
		{"weak key", issue{key: rsaKey(t, 1024)}, []string{"cert-weak-key"}},
		{"signed by SHA-1", issue{change: func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }}, []string{"cert-weak-signature"}},
		{"for clients only", issue{change: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }}, []string{"cert-not-for-servers"}},
		{"signed by itself", issue{self: true}, []string{"cert-self-signed"}},
		{"intermediate missing", issue{
			change: func(c *x509.Certificate) { c.IssuingCertificateURL = []string{p.url + "/intermediate"} },
			chain:  func(leaf, _, _ []byte) [][]byte { return [][]byte{leaf} },
		}, []string{"chain-incomplete"}},
		{"issuer unknown", issue{chain: func(leaf, _, _ []byte) [][]byte { return [][]byte{leaf} }}, []string{"cert-unknown-ca"}},
		{"out of order", issue{chain: func(leaf, between, root []byte) [][]byte { return [][]byte{leaf, root, between} }}, []string{"chain-order"}},
		{"too much", issue{chain: func(leaf, between, _ []byte) [][]byte { return [][]byte{leaf, between, newPKI(t).root.Raw} }}, []string{"note:chain-unneeded"}},
		{"revoked by OCSP", issue{revoked: true, change: func(c *x509.Certificate) { c.OCSPServer = []string{p.url + "/ocsp"} }}, []string{"cert-revoked"}},
		{"revoked by a list", issue{revoked: true, change: func(c *x509.Certificate) { c.CRLDistributionPoints = []string{p.url + "/list"} }}, []string{"cert-revoked"}},
		{"on a list, not revoked", issue{change: func(c *x509.Certificate) { c.CRLDistributionPoints = []string{p.url + "/list"} }}, nil},
		{"the CA does not answer", issue{change: func(c *x509.Certificate) { c.OCSPServer = []string{p.url + "/nothing"} }}, []string{"note:revocation-unknown"}},
		{"must staple", issue{change: func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 3, 2, 1, 5}}}
		}}, []string{"staple-missing"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sampled(t, i)
			cert, key := p.put(t, folder(t), tt.issue)
			dovecot(t, cert, key, "ssl_cipher_list = ALL:!aNULL:!eNULL:!DHE:@SECLEVEL=0").await(t, mail4+":993")
			r := request()
			report := ask(t, p, r)
			expect(t, report, tt.want...)
			// Whose certificate cannot be trusted gets no password.
			for _, f := range report.Findings {
				if strings.HasPrefix(f.ID, "login-") {
					t.Errorf("it logged in: %s", f.What)
				}
			}
		})
	}
	t.Run("from another CA", func(t *testing.T) {
		cert, key := newPKI(t).put(t, folder(t), issue{chain: func(leaf, between, root []byte) [][]byte { return [][]byte{leaf, between, root} }})
		dovecot(t, cert, key).await(t, mail4+":993")
		expect(t, ask(t, p, request()), "cert-unknown-ca")
	})
}

// TestDovecotOnThisMachine: a server may trust the machine that it is on.
func TestDovecotOnThisMachine(t *testing.T) {
	names(t, append(office(), "host-record=client.office.example,"+client4)...)
	p := newPKI(t)
	cert, key := p.put(t, folder(t), issue{})
	dovecot(t, cert, key, "listen = "+client4).await(t, client4+":993")
	r := request()
	r.Host, r.Name = "client.office.example", mailName
	expect(t, ask(t, p, r))
}

func TestDovecotBroken(t *testing.T) {
	breaks(t)
	names(t, office()...)
	p := newPKI(t)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := p.put(t, folder(t), issue{key: p256})
	rsaCert, rsaFile := p.put(t, folder(t), issue{key: rsaKey(t, 2048)})
	for i, tt := range []struct {
		name   string
		config []string
		rsa    bool
		change func(*doctor.Request)
		want   []string
	}{
		{"old versions", []string{"ssl_min_protocol = TLSv1", "ssl_cipher_list = ALL:!aNULL:!eNULL:!3DES:@SECLEVEL=0"}, true, nil, []string{"tls-old", "note:tls-no-secrecy"}},
		{"anonymous ciphers", []string{"ssl_cipher_list = ALL:aNULL:eNULL:@SECLEVEL=0"}, true, nil, []string{"tls-weak-cipher"}},
		{"passwords in clear text", []string{"ssl = yes", "disable_plaintext_auth = no"}, false, nil, []string{"plain-login"}},
		{"no TLS at all", []string{"ssl = no", "disable_plaintext_auth = yes"}, false, nil, []string{"imaps-closed", "starttls-missing"}},
		{"IPv4 alone", []string{"listen = " + mail4}, false, nil, []string{"ipv6-silent"}},
		{"IPv6 alone", []string{"listen = " + mail6}, false, nil, []string{"ipv4-silent"}},
		{"993 closed", []string{"service imap-login {\n inet_listener imaps {\n port = 0\n }\n }"}, false, nil, []string{"imaps-closed"}},
		{"990 open", []string{"service imap-login {\n inet_listener old {\n port = 990\n ssl = yes\n }\n }"}, false, nil, []string{"note:imaps-990"}},
		{"a wrong password", nil, false, func(r *doctor.Request) { r.Password = "wrong" }, []string{"login-refused"}},
		{"the password database is gone", []string{"service auth {\n executable = /bin/false\n }"}, false, nil, []string{"greeting-fails"}},
		{"nobody may use the mail", []string{"first_valid_uid = 65535"}, false, nil, []string{"imap-fails"}},
		{"no IDLE", []string{"imap_capability = IMAP4rev1 SASL-IR LITERAL+", "protocol imap {\n imap_capability = IMAP4rev1 SASL-IR LITERAL+\n }"}, false, nil, []string{"idle-missing"}},
		{"the mail cannot be read", []string{"mail_location = maildir:/proc/nowhere"}, false, nil, []string{"imap-no-inbox"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sampled(t, i)
			c, k := cert, key
			if tt.rsa {
				c, k = rsaCert, rsaFile
			}
			d := dovecot(t, c, k, tt.config...)
			if tt.name == "IPv6 alone" {
				d.await(t, "["+mail6+"]:143")
			} else {
				d.await(t, mail4+":143")
			}
			r := request()
			if tt.change != nil {
				tt.change(r)
			}
			expect(t, ask(t, p, r), tt.want...)
		})
	}
}
