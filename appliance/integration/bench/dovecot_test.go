package bench_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"pillarbox/appliance/integration/rig"
)

// dovecot is a Dovecot of Debian's with a configuration, folders, users and a
// port of its own. It shows the certificate that the box shows.
type dovecot struct {
	storage string // sdbox or maildir
	dir     string
	box     *rig.Box
	port    int
	users   []string
	fsync   string // mail_fsync
	cmd     *exec.Cmd
	ended   chan struct{}
}

// dovecotConfig makes Dovecot as fast as it gets without giving up what the box
// promises: log-in processes that serve many clients, passwords
// that are cheap to verify, room for all idle connections; but every message and index change synced to
// the disk (mail_fsync=always), except while it is filled. It still does not
// sync the folders of sdbox and the index's own rewrites; what it answers may
// be lost with them.
var dovecotConfig = template.Must(template.New("").Parse(`
base_dir = {{.Dir}}/run
state_dir = {{.Dir}}/state
log_path = {{.Dir}}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = required
ssl_min_protocol = TLSv1.2
ssl_cert = <{{.Certs}}/server.crt
ssl_key = <{{.Certs}}/server.key
auth_mechanisms = plain login
{{if .Self}}default_internal_user = {{.Self}}
default_login_user = {{.Self}}
default_internal_group = {{.SelfGroup}}
{{end}}first_valid_uid = {{.UID}}
first_valid_gid = {{.GID}}
passdb {
  driver = passwd-file
  args = {{.Dir}}/users
}
userdb {
  driver = static
  args = uid={{.UID}} gid={{.GID}} home={{.Dir}}/home/%u
}
mail_location = {{.Storage}}:~/mail
mail_fsync = {{.Fsync}}
mail_max_userip_connections = 1000
namespace inbox {
  inbox = yes
}
service imap-login {
  service_count = 0
  process_min_avail = 2
  process_limit = 2
  client_limit = 1000
  {{if .Self}}chroot ={{end}}
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = {{.Port}}
    ssl = yes
  }
}
service imap {
  process_limit = 1000
}
service anvil {
  client_limit = 2000
  {{if .Self}}chroot ={{end}}
}
service auth {
  client_limit = 4000
}
service lmtp {
  process_min_avail = 1
  unix_listener {{.Dir}}/lmtp {
    mode = 0600
  }
}
`))

// newDovecot prepares one; Start runs it.
func newDovecot(t *testing.T, storage string, box *rig.Box) *dovecot {
	t.Helper()
	rig.Tool(t, "dovecot", "dovecot-imapd")
	if _, err := os.Stat("/usr/lib/dovecot/lmtp"); err != nil {
		rig.Need(t, "Dovecot's LMTP is not installed (apt-get install dovecot-lmtpd)")
	}
	// Where its users without privileges can get to, and short for sockets.
	dir, err := os.MkdirTemp("", "dovecot")
	if err != nil {
		t.Fatal(err)
	}
	d := &dovecot{storage: storage, dir: dir, box: box, port: freePort(t), fsync: "never"}
	t.Cleanup(func() {
		if d.cmd != nil {
			d.stop(t)
		}
		if log, err := os.ReadFile(filepath.Join(dir, "dovecot.log")); err == nil && t.Failed() {
			t.Logf("Dovecot's log:\n%s", log[max(0, len(log)-4000):])
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	home := filepath.Join(dir, "home")
	uid, gid := d.owner()
	for _, err := range []error{os.Chmod(dir, 0o755), os.Mkdir(home, 0o700), os.Chown(home, uid, gid)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

func (d *dovecot) configure(t *testing.T) {
	t.Helper()
	c := struct {
		Dir, Certs, Storage, Fsync, Self, SelfGroup string
		UID, GID, Port                              int
	}{Dir: d.dir, Certs: filepath.Dir(d.box.CAFile()), Storage: d.storage, Fsync: d.fsync, Port: d.port}
	if c.UID, c.GID = d.owner(); os.Getuid() != 0 {
		c.Self, c.SelfGroup = strconv.Itoa(c.UID), strconv.Itoa(c.GID)
	}
	var conf bytes.Buffer
	if err := dovecotConfig.Execute(&conf, c); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.config(), conf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// owner is whose the mail is: Dovecot refuses root.
func (d *dovecot) owner() (uid, gid int) {
	if os.Getuid() == 0 {
		return 65534, 65534
	}
	return os.Getuid(), os.Getgid()
}

func (d *dovecot) config() string { return filepath.Join(d.dir, "dovecot.conf") }

func (d *dovecot) name() string { return "dovecot-" + d.storage }

// addAccount gives a user the password by a hash that costs nothing: the box
// verifies an argon2id hash once and then knows the credential for a while,
// Dovecot with a file of users would do so at each log-in.
func (d *dovecot) addAccount(t *testing.T, address string) {
	t.Helper()
	d.configure(t)
	out, err := exec.Command("doveadm", "-c", d.config(), "pw", "-s", "SSHA256", "-p", password).Output()
	if err != nil {
		t.Fatal(err)
	}
	d.users = append(d.users, address+":"+strings.TrimSpace(string(out))+"\n")
	// The authentication process drops its privileges before it reads this.
	if err := os.WriteFile(filepath.Join(d.dir, "users"), []byte(strings.Join(d.users, "")), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (d *dovecot) start(t *testing.T) {
	t.Helper()
	d.configure(t)
	d.cmd = exec.Command("dovecot", "-F", "-c", d.config())
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		defer close(ended)
		_ = cmd.Wait()
	}(d.cmd, d.ended)
	for deadline := time.Now().Add(30 * time.Second); ; {
		w, err := rig.DialWire(d.addr(t), d.tls(t))
		if err == nil {
			w.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("dovecot does not answer: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (d *dovecot) stop(t *testing.T) {
	t.Helper()
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
	case <-time.After(30 * time.Second):
		t.Error("dovecot does not end")
		_ = d.cmd.Process.Kill()
	}
	d.cmd = nil
}

// forget removes what Dovecot keeps of messages that clients asked for before.
func (d *dovecot) forget(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(d.dir, "home"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Name() == "dovecot.index.cache" {
			err = os.Remove(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// filled ends the time in which nothing need be durable.
func (d *dovecot) filled(t *testing.T) {
	t.Helper()
	d.stop(t)
	d.fsync = "always"
	d.start(t)
}

func (d *dovecot) addr(*testing.T) string       { return fmt.Sprintf("127.0.0.1:%d", d.port) }
func (d *dovecot) tls(t *testing.T) *tls.Config { return trust(t, d.box) }
func (d *dovecot) lmtp() (network, addr string) { return "unix", filepath.Join(d.dir, "lmtp") }
func (d *dovecot) pid() int                     { return d.cmd.Process.Pid }
