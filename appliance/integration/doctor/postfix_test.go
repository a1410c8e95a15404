package doctor_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pillarbox/appliance/doctor"
	"pillarbox/appliance/integration/rig"
)

// postfix starts one that takes mail for ada, and mail of hers on 465 and 587,
// with lines that are added to a good configuration.
func postfix(t *testing.T, cert, key string, more ...string) *daemon {
	t.Helper()
	path := rig.Tool(t, "postfix", "postfix")
	rig.Tool(t, "dovecot", "dovecot-imapd")
	dir := folder(t)
	socket := dovecotAuth(t)
	for _, d := range []string{"queue", "data", "conf"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("chown", "postfix", filepath.Join(dir, "data")).CombinedOutput(); err != nil {
		t.Fatalf("chown: %v\n%s", err, out)
	}
	conf := filepath.Join(dir, "conf")
	log := filepath.Join(dir, "log")
	write(t, filepath.Join(conf, "main.cf"), fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
mail_owner = postfix
maillog_file = %[2]s
maillog_file_prefixes = %[1]s
myhostname = %[3]s
mydestination =
virtual_mailbox_domains = office.example
virtual_mailbox_maps = inline:{ada@office.example=ada}
virtual_mailbox_base = %[1]s
inet_interfaces = %[4]s, %[5]s
inet_protocols = all
mynetworks =
smtpd_tls_cert_file = %[6]s
smtpd_tls_key_file = %[7]s
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = %[8]s
smtpd_tls_protocols = >=TLSv1.2
smtpd_tls_mandatory_protocols = >=TLSv1.2
smtpd_tls_ciphers = high
smtpd_tls_exclude_ciphers = aNULL
tls_random_source = dev:/dev/urandom
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
%[9]s
`, dir, log, mailName, mail4, "["+mail6+"]", cert, key, socket, strings.Join(more, "\n")))
	write(t, filepath.Join(conf, "master.cf"), `smtp inet n - n - - smtpd
submission inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=yes
smtps inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`)
	out, err := exec.Command(path, "-c", conf, "check").CombinedOutput()
	if err != nil {
		t.Fatalf("postfix check: %v\n%s", err, out)
	}
	return run(t, log, nil, "/usr/lib/postfix/sbin/master", "-c", conf, "-d")
}

// dovecotAuth runs Dovecot for the passwords alone and returns its socket.
func dovecotAuth(t *testing.T) string {
	t.Helper()
	dir := folder(t)
	users := write(t, filepath.Join(dir, "users"), user+":{PLAIN}"+password+":65534:65534::"+dir+"::\n")
	log := filepath.Join(dir, "log")
	conf := write(t, filepath.Join(dir, "dovecot.conf"), fmt.Sprintf(`
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[2]s
protocols =
ssl = no
auth_mechanisms = plain login
passdb {
  driver = passwd-file
  args = %[3]s
}
userdb {
  driver = passwd-file
  args = %[3]s
}
service auth {
  unix_listener %[1]s/auth {
    mode = 0666
  }
}
`, dir, log, users))
	run(t, log, nil, "/usr/sbin/dovecot", "-F", "-c", conf)
	return filepath.Join(dir, "auth")
}

func TestPostfixHealthy(t *testing.T) {
	names(t, office()...)
	p := newPKI(t)
	cert, key := p.put(t, folder(t), issue{})
	d := postfix(t, cert, key)
	for _, address := range []string{mail4, mail6} { // it opens one after the other
		for _, port := range []string{"25", "587"} {
			d.await(t, net.JoinHostPort(address, port))
		}
	}
	report := ask(t, p, request())
	expect(t, report)
	for _, timing := range []string{"SMTP log-in 465", "SMTP log-in 587", "SMTP recipient 25"} {
		if !strings.Contains(say(report), timing) {
			t.Errorf("%s was not measured\n%s", timing, say(report))
		}
	}
}

func TestPostfixBroken(t *testing.T) {
	breaks(t)
	// The name, as dnsmasq has it without the reverse of its addresses.
	forward := []string{"address=/" + mailName + "/" + mail4, "address=/" + mailName + "/" + mail6}
	elsewhere := append(slices.Clone(forward), "ptr-record=10.2.0.192.in-addr.arpa,host.office.example", "host-record=host.office.example,192.0.2.99")
	p := newPKI(t)
	cert, key := p.put(t, folder(t), issue{})
	for i, tt := range []struct {
		name    string
		records []string
		config  []string
		change  func(*doctor.Request)
		want    []string
	}{
		{"passwords in clear text", nil, []string{"smtpd_tls_auth_only = no"}, nil, []string{"plain-login"}},
		{"no STARTTLS", nil, []string{"smtpd_tls_security_level = none"}, nil, []string{"starttls-missing", "starttls-missing-smtp"}},
		{"anonymous ciphers", nil, []string{"smtpd_tls_exclude_ciphers =", "tls_high_cipherlist = ALL:aNULL:@SECLEVEL=0"}, nil, []string{"tls-weak-cipher"}},
		{"old versions alone", nil, []string{"smtpd_tls_protocols = <=TLSv1.1", "smtpd_tls_mandatory_protocols = <=TLSv1.1", "tls_high_cipherlist = ALL:!aNULL:!eNULL:!DHE:@SECLEVEL=0"}, nil, []string{"tls-no-modern"}},
		{"no TLS 1.3", nil, []string{"smtpd_tls_protocols = TLSv1.2", "smtpd_tls_mandatory_protocols = TLSv1.2"}, nil, []string{"note:tls-no-13"}},
		{"a recipient whom nobody knows", nil, []string{"virtual_mailbox_maps = inline:{bob@office.example=bob}"}, nil, []string{"rcpt-refused"}},
		{"greylisting", nil, []string{"smtpd_recipient_restrictions = check_recipient_access inline:{ada@office.example=DEFER}"}, nil, []string{"rcpt-later"}},
		{"a wrong password", nil, nil, func(r *doctor.Request) { r.Password = "wrong" }, []string{"login-refused"}},
		{"no passwords on the ports for sending", nil, []string{"smtpd_sasl_exceptions_networks = 0.0.0.0/0"}, nil, []string{"no-login"}},
		{"no reverse DNS", forward, nil, nil, []string{"reverse-missing"}},
		{"a reverse name that leads elsewhere", elsewhere, nil, nil, []string{"reverse-mismatch", "reverse-missing"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sampled(t, i)
			records := office()
			if tt.records != nil {
				records = append(records[1:], tt.records...)
			}
			names(t, records...)
			postfix(t, cert, key, tt.config...).await(t, mail4+":25")
			r := request()
			if tt.change != nil {
				tt.change(r)
			}
			expect(t, ask(t, p, r), tt.want...)
		})
	}
}
