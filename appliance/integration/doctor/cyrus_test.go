package doctor_test

import (
	"fmt"
	"os"
	"os/exec"
	accounts "os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pillarbox/appliance/doctor"
	"pillarbox/appliance/integration/rig"
)

// cyrusFolder names where Cyrus's imapd lies. Debian does not install it beside
// Dovecot's, so .ci/run unpacks the package there.
const cyrusFolder = "PILLARBOX_CYRUS"

// cyrus starts one with IMAP, IMAPS and LMTP, with lines that are added to a good
// configuration.
func cyrus(t *testing.T, cert, key string, more ...string) *daemon {
	t.Helper()
	const bin = "/usr/lib/cyrus/bin"
	imapd := filepath.Join(bin, "imapd")
	if dir := os.Getenv(cyrusFolder); dir != "" {
		imapd = filepath.Join(dir, imapd)
	}
	for _, program := range []string{imapd, bin + "/master"} {
		if _, err := os.Stat(program); err != nil {
			rig.Need(t, "Cyrus is not there (cyrus-common, and cyrus-imapd unpacked where %s says): %v", cyrusFolder, err)
		}
	}
	dir := folder(t)
	sasldb := filepath.Join(dir, "sasldb")
	c := exec.Command(rig.Tool(t, "saslpasswd2", "sasl2-bin"), "-p", "-c", "-f", sasldb, "-u", "office.example", "ada")
	c.Stdin = strings.NewReader(password)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("saslpasswd2: %v\n%s", err, out)
	}
	conf := write(t, filepath.Join(dir, "imapd.conf"), fmt.Sprintf(`configdirectory: %[1]s/conf
partition-default: %[1]s/spool
defaultpartition: default
admins: cyrus
servername: %[2]s
virtdomains: userid
unixhierarchysep: yes
altnamespace: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: %[3]s
sasl_mech_list: PLAIN LOGIN
tls_server_key: %[4]s
tls_session_timeout: 0
syslog_prefix: lab
idlesocket: %[1]s/idle
notifysocket: %[1]s/notify
lmtpsocket: %[1]s/lmtp
%[5]s
`, dir, mailName, sasldb, key, strings.Join(more, "\n")))
	for _, usual := range []string{"tls_versions: tls1_2 tls1_3\n", "allowplaintext: no\n", "autocreate_quota: 0\n", "tls_server_cert: " + cert + "\n"} {
		key, _, _ := strings.Cut(usual, ":")
		if !strings.Contains(strings.Join(more, "\n"), key) {
			appendTo(t, conf, usual)
		}
	}
	services := write(t, filepath.Join(dir, "cyrus.conf"), fmt.Sprintf(`START {
  recover cmd="%[1]s/ctl_cyrusdb -C %[2]s -r"
  idled cmd="%[5]s -C %[2]s"
}
SERVICES {
  imap cmd="%[3]s -C %[2]s" listen="%[4]s:143" prefork=0
  imaps cmd="%[3]s -s -C %[2]s" listen="%[4]s:993" prefork=0
  lmtp cmd="%[1]s/lmtpd -a -C %[2]s" listen="%[4]s:24" prefork=0
}
EVENTS {
}
`, bin, conf, imapd, mail4, filepath.Join(filepath.Dir(imapd), "idled")))
	own(t, dir, "cyrus")
	return run(t, filepath.Join(dir, "log"), nil, bin+"/master", "-D", "-C", conf, "-M", services, "-p", filepath.Join(dir, "pid"))
}

func appendTo(t *testing.T, name, text string) {
	t.Helper()
	old, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	write(t, name, string(old)+text)
}

// own makes the folders of Cyrus and gives all to its user.
func own(t *testing.T, dir, name string) {
	t.Helper()
	u, err := accounts.Lookup(name)
	if err != nil {
		rig.Need(t, "%v", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	for _, sub := range []string{"spool", "conf/db", "conf/socket", "conf/proc", "conf/log", "conf/msg", "conf/sync", "conf/quota", "conf/user", "conf/ptclient", "conf/lock"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(p, uid, gid)
	}); err != nil {
		t.Fatal(err)
	}
}

// four is an office whose server has IPv4 alone.
func four() []string {
	records := office()
	records[0] = "host-record=" + mailName + "," + mail4
	return records
}

func TestCyrusHealthy(t *testing.T) {
	names(t, four()...)
	p := newPKI(t)
	cert, key := p.put(t, folder(t), issue{})
	d := cyrus(t, cert, key)
	d.await(t, mail4+":993")
	r := request()
	r.Write = true
	expect(t, ask(t, p, r))
	t.Run("LMTP", func(t *testing.T) {
		r := request()
		r.Port = 24
		// The address is one that is kept for documentation, not a private one.
		report := ask(t, p, r)
		expect(t, report, "lmtp-public")
		if !strings.Contains(say(report), "SMTP recipient 24") {
			t.Error("LMTP did not take the recipient\n" + say(report))
		}
		r.User = "nobody@office.example"
		expect(t, ask(t, p, r), "lmtp-public", "rcpt-refused")
	})
}

func TestCyrusBroken(t *testing.T) {
	breaks(t)
	names(t, four()...)
	p := newPKI(t)
	cert, key := p.put(t, folder(t), issue{key: rsaKey(t, 2048)})
	for i, tt := range []struct {
		name   string
		config []string
		change func(*doctor.Request)
		want   []string
	}{
		{"passwords in clear text", []string{"allowplaintext: yes"}, nil, []string{"plain-login"}},
		{"old versions", []string{"tls_versions: tls1_0 tls1_1 tls1_2 tls1_3", "tls_ciphers: ALL:!aNULL:!eNULL:!DHE:@SECLEVEL=0"}, nil, []string{"tls-old"}},
		{"anonymous ciphers", []string{"tls_ciphers: ALL:aNULL:@SECLEVEL=0"}, nil, []string{"tls-weak-cipher", "tls-weak-group"}},
		{"no certificate", []string{"tls_server_cert: /nonexistent"}, nil, []string{"tls-fails", "tls-fails"}},
		{"a wrong password", nil, func(r *doctor.Request) { r.Password = "wrong" }, []string{"login-refused"}},
		{"somebody without a mailbox", []string{"autocreate_quota: -1"}, nil, []string{"imap-no-inbox"}},
		{"no IDLE", []string{"imapidlepoll: 0"}, nil, []string{"idle-missing"}},
		{"another name", nil, func(r *doctor.Request) { r.Name = "imap.office.example" }, []string{"cert-name"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sampled(t, i)
			cyrus(t, cert, key, tt.config...).await(t, mail4+":143")
			r := request()
			if tt.change != nil {
				tt.change(r)
			}
			expect(t, ask(t, p, r), tt.want...)
		})
	}
}
