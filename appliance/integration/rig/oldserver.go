package rig

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	accounts "os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// CyrusFolder names where Cyrus's imapd lies. Debian does not install it beside
// Dovecot's, so .ci/run unpacks the package there.
const CyrusFolder = "PILLARBOX_CYRUS"

// Of the people of an OldServer.
const (
	OldPassword   = "the-old-password"
	OldAdmin      = "cyrus" // who may sign in for others
	OldAdminPass  = "the-administrators"
	oldServerWait = 30 * time.Second
)

// OldServer is another mail server with people, from which mail moves in. It
// listens on 993 and 990 (TLS from the start) and 143 (STARTTLS) of an address
// of its own, and needs root for that.
type OldServer struct {
	Host string
	CA   []byte // PEM
	Dir  string
	Log  string

	cmd   *exec.Cmd
	ended chan struct{}
}

// oldServer prepares the folder of one.
func oldServer(t testing.TB) (s *OldServer, cert, key string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("skipped: only root may use port 993")
	}
	// Where users without privileges can get to, and short for sockets.
	dir, err := os.MkdirTemp("", "old")
	if err != nil {
		t.Fatal(err)
	}
	s = &OldServer{Dir: dir, Log: filepath.Join(dir, "log"), Host: fmt.Sprintf("127.%d.%d.%d", 10+rand.N(200), rand.N(250), 1+rand.N(250))}
	t.Cleanup(func() {
		s.Stop(t)
		if log, err := os.ReadFile(s.Log); err == nil && t.Failed() {
			t.Logf("the old server's log:\n%s", log[max(0, len(log)-3000):])
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cert, key, s.CA = Certificate(t, dir, s.Host)
	return s, cert, key
}

// Dovecot starts Debian's with these people, and with lines that are added to
// its configuration. "{dir}" in them stands for its folder.
func Dovecot(t testing.TB, people []string, more ...string) *OldServer {
	t.Helper()
	program := Tool(t, "dovecot", "dovecot-imapd")
	s, cert, key := oldServer(t)
	home := filepath.Join(s.Dir, "home")
	if err := errors.Join(os.Mkdir(home, 0o700), os.Chown(home, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	var users strings.Builder
	for _, p := range people {
		fmt.Fprintf(&users, "%s:{PLAIN}%s\n", p, OldPassword)
	}
	write(t, filepath.Join(s.Dir, "users"), users.String())
	write(t, filepath.Join(s.Dir, "masters"), OldAdmin+":{PLAIN}"+OldAdminPass+"\n")
	extra := strings.ReplaceAll(strings.Join(more, "\n"), "{dir}", s.Dir)
	if !strings.Contains(extra, "namespace inbox") {
		extra += "\nnamespace inbox {\n  inbox = yes\n  separator = /\n  mailbox Sent {\n    special_use = \\Sent\n  }\n}\n"
	}
	if !strings.Contains(extra, "mail_location") {
		extra += "\nmail_location = sdbox:~/mail\n"
	}
	conf := write(t, filepath.Join(s.Dir, "dovecot.conf"), fmt.Sprintf(`
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/log
protocols = imap
listen = %[2]s
ssl = required
ssl_cert = <%[3]s
ssl_key = <%[4]s
auth_mechanisms = plain login
auth_master_user_separator = *
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 100
mail_fsync = never
auth_failure_delay = 0 secs
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
passdb {
  driver = passwd-file
  master = yes
  args = %[1]s/masters
}
passdb {
  driver = passwd-file
  args = %[1]s/users
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=%[1]s/home/%%u
}
service imap-login {
  service_count = 0
  process_min_avail = 1
  inet_listener imap {
    port = 143
  }
  inet_listener imaps {
    port = 993
    ssl = yes
  }
  inet_listener imaps-legacy {
    port = 990
    ssl = yes
  }
}
%[5]s
`, s.Dir, s.Host, cert, key, extra))
	s.start(t, program, "-F", "-c", conf)
	return s
}

// Cyrus starts Debian's with these people, and with lines that are added to
// imapd.conf.
func Cyrus(t testing.TB, people []string, more ...string) *OldServer {
	t.Helper()
	const bin = "/usr/lib/cyrus/bin"
	imapd := filepath.Join(bin, "imapd")
	if dir := os.Getenv(CyrusFolder); dir != "" {
		imapd = filepath.Join(dir, imapd)
	}
	for _, program := range []string{imapd, bin + "/master"} {
		if _, err := os.Stat(program); err != nil {
			Need(t, "Cyrus is not there (cyrus-common, and cyrus-imapd unpacked where %s says): %v", CyrusFolder, err)
		}
	}
	s, cert, key := oldServer(t)
	sasldb := filepath.Join(s.Dir, "sasldb")
	passwd := Tool(t, "saslpasswd2", "sasl2-bin")
	add := func(name, password string) {
		user, domain, ok := strings.Cut(name, "@")
		if !ok {
			domain = "mail.old.example" // the server's own name
		}
		(&Command{Path: passwd, Args: []string{"-p", "-c", "-f", sasldb, "-u", domain, user}, Stdin: []byte(password)}).MustRun(t)
	}
	for _, p := range people {
		add(p, OldPassword)
	}
	add(OldAdmin, OldAdminPass)
	conf := write(t, filepath.Join(s.Dir, "imapd.conf"), fmt.Sprintf(`configdirectory: %[1]s/conf
partition-default: %[1]s/spool
defaultpartition: default
admins: %[2]s
proxyservers: %[2]s
servername: mail.old.example
virtdomains: userid
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: %[3]s
sasl_mech_list: PLAIN LOGIN
tls_server_cert: %[4]s
tls_server_key: %[5]s
tls_session_timeout: 0
allowplaintext: no
autocreate_quota: 0
autocreate_post: yes
syslog_prefix: old
idlesocket: %[1]s/idle
notifysocket: %[1]s/notify
%[6]s
`, s.Dir, OldAdmin, sasldb, cert, key, strings.Join(more, "\n")))
	services := write(t, filepath.Join(s.Dir, "cyrus.conf"), fmt.Sprintf(`START {
  recover cmd="%[1]s/ctl_cyrusdb -C %[2]s -r"
  idled cmd="%[5]s -C %[2]s"
}
SERVICES {
  imap cmd="%[3]s -C %[2]s" listen="%[4]s:143" prefork=0
  imaps cmd="%[3]s -s -C %[2]s" listen="%[4]s:993" prefork=0
  legacy cmd="%[3]s -s -C %[2]s" listen="%[4]s:990" prefork=0
}
EVENTS {
}
`, bin, conf, imapd, s.Host, filepath.Join(filepath.Dir(imapd), "idled")))
	u, err := accounts.Lookup("cyrus")
	if err != nil {
		Need(t, "%v", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	for _, sub := range []string{"spool", "conf/db", "conf/socket", "conf/proc", "conf/log", "conf/msg", "conf/sync", "conf/quota", "conf/user", "conf/ptclient", "conf/lock"} {
		if err := os.MkdirAll(filepath.Join(s.Dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := filepath.WalkDir(s.Dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(p, uid, gid)
	}); err != nil {
		t.Fatal(err)
	}
	s.start(t, bin+"/master", "-D", "-C", conf, "-M", services, "-p", filepath.Join(s.Dir, "pid"))
	return s
}

func (s *OldServer) start(t testing.TB, path string, args ...string) {
	t.Helper()
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command(path, args...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.ended = make(chan struct{})
	go func() {
		_ = s.cmd.Wait() // it is told to end
		close(s.ended)
	}()
	for end := time.Now().Add(oldServerWait); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(s.Host, "993"), time.Second)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			text, _ := os.ReadFile(s.Log)
			t.Fatalf("%s does not listen: %v\n%s", path, err, text)
		}
	}
}

// Stop ends the server.
func (s *OldServer) Stop(t testing.TB) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-s.ended:
	case <-time.After(10 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	s.cmd = nil
}

// Client signs somebody in.
func (s *OldServer) Client(t testing.TB, user string) *imapclient.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CA)
	c, err := imapclient.DialTLS(net.JoinHostPort(s.Host, "993"), &imapclient.Options{TLSConfig: &tls.Config{RootCAs: roots}})
	if err == nil {
		err = c.Login(user, OldPassword).Wait()
	}
	if err != nil {
		t.Fatalf("sign in to the old server: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// OldMessage is one that is put into an OldServer.
type OldMessage struct {
	Raw   []byte
	Flags []imap.Flag
	Date  time.Time
}

// Put appends messages to a mailbox, which it makes. It returns the number of
// those that the server took: it may refuse broken ones.
func Put(t testing.TB, c *imapclient.Client, mailbox string, msgs ...OldMessage) int {
	t.Helper()
	if mailbox != "INBOX" {
		_ = c.Create(mailbox, nil).Wait() // it may be there
	}
	var on []*imapclient.AppendCommand
	n := 0
	collect := func() {
		for _, cmd := range on {
			_, err := cmd.Wait()
			var no *imap.Error
			switch {
			case err == nil:
				n++
			case !errors.As(err, &no):
				t.Fatalf("append to the old server: %v", err)
			}
		}
		on = on[:0]
	}
	for _, m := range msgs {
		cmd := c.Append(mailbox, int64(len(m.Raw)), &imap.AppendOptions{Flags: m.Flags, Time: m.Date})
		_, err := cmd.Write(m.Raw)
		// The server may refuse the literal; Wait tells.
		_ = errors.Join(err, cmd.Close())
		if on = append(on, cmd); len(on) == 16 {
			collect()
		}
	}
	collect()
	return n
}

// Contents lists a mailbox: "UID flags date" and the text of each message.
func Contents(t testing.TB, c *imapclient.Client, mailbox string) map[imap.UID]*imapclient.FetchMessageBuffer {
	t.Helper()
	if _, err := c.Select(mailbox, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		t.Fatalf("select %s: %v", mailbox, err)
	}
	out := map[imap.UID]*imapclient.FetchMessageBuffer{}
	list, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{
		UID: true, Flags: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}},
	}).Collect()
	if err != nil {
		t.Fatalf("fetch %s: %v", mailbox, err)
	}
	for _, m := range list {
		out[m.UID] = m
	}
	return out
}

// Corpus makes n messages, of which one in ten is of RealMail, good and broken:
// no two are the same. Sizes go from 200 octets to 100 KB.
func Corpus(t testing.TB, n int) []OldMessage {
	t.Helper()
	real := RealMail(t)
	out := make([]OldMessage, n)
	for i := range out {
		when := time.Date(2011, 3, 1, 8, 0, 0, 0, time.FixedZone("", 3600)).Add(time.Duration(i) * 37 * time.Minute)
		m := OldMessage{Date: when, Flags: [][]imap.Flag{nil, {imap.FlagSeen}, {imap.FlagSeen, imap.FlagAnswered}, {imap.FlagFlagged, "$Forwarded"}, {imap.FlagSeen, "work"}}[i%5]}
		if i%10 == 3 {
			m.Raw = append(fmt.Appendf(nil, "X-Number: %d\r\n", i), bytes.ReplaceAll(real[i/10%len(real)].Wire, []byte{0}, []byte{'0'})...)
		} else {
			m.Raw = fmt.Appendf(nil, "From: Ann <ann@old.example>\r\nTo: bob@old.example\r\nSubject: message %d\r\nDate: %s\r\nMessage-ID: <%d@old.example>\r\n\r\n",
				i, when.Format(time.RFC1123Z), i)
			m.Raw = append(m.Raw, strings.Repeat(fmt.Sprintf("Line of message %d, which says little.\r\n", i), []int{1, 20, 60, 200, 2000}[i*7%5])...)
		}
		out[i] = m
	}
	return out
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}
