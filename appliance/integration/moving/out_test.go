package moving_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pillarbox/appliance/exporter"
	"pillarbox/appliance/importer"
	"pillarbox/appliance/integration/rig"
)

// slowly lets a server be reached at so many octets a second, by an address of
// its own.
func slowly(t *testing.T, to string, rate int) (host, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	pace := make(chan struct{}, 1) // one after the other, of all connections
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				s, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer s.Close()
				go func() {
					_, _ = io.Copy(c, s)
					c.Close()
				}()
				buf := make([]byte, 16<<10)
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					pace <- struct{}{}
					time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
					<-pace
					if _, err := s.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	host, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}

	return host, port
}

// export runs a command of export's and reads the JSON that it prints.
func (o *office) export(stdin string, out any, args ...string) {
	o.t.Helper()
	args = append(append([]string{"export"}, args...), "--json")
	r := o.Command([]byte(stdin), args...).Run(o.t)
	if r.Err != nil {
		o.t.Fatalf("pillarbox %q: %v\n%s", args, r.Err, r.All())
	}
	if err := json.Unmarshal(r.Stdout, out); err != nil {
		o.t.Fatalf("%q: %v\n%s", args, err, r.All())
	}
}

// TestKilledWhileMailMovesOut kills the server at random moments of an export to
// Dovecot and to Cyrus that keeps its password. Each time it goes on by itself:
// in the end nothing is missing there and nothing is there twice.
func TestKilledWhileMailMovesOut(t *testing.T) {
	t.Parallel()
	n, kills := setting(t, "PILLARBOX_MOVE", 150), setting(t, "PILLARBOX_KILLS", 2)
	if testing.Short() {
		n, kills = 60, 1
	}
	seed := uint64(setting(t, "PILLARBOX_SEED", int(time.Now().UnixNano()%1e9)))
	t.Logf("PILLARBOX_SEED=%d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	for name, start := range map[string]func(testing.TB, []string, ...string) *rig.OldServer{"dovecot": rig.Dovecot, "cyrus": rig.Cyrus} {
		user := "ada"
		var more []string
		if name == "cyrus" {
			if n <= 150 {
				continue // the full form has it
			}
			user, more = "ada@old.example", []string{"altnamespace: yes", "unixhierarchysep: yes"}
		}
		t.Run(name, func(t *testing.T) {
			to := start(t, []string{user}, more...)
			o := open(t, to)
			corpus, size := rig.Corpus(t, n), 0
			for _, m := range corpus {
				size += len(m.Raw)
			}
			c := o.client()
			for i, mailbox := range []string{"INBOX", "Sent", "Archive/2024"} {
				rig.Put(t, c, mailbox, corpus[i*n/3:(i+1)*n/3]...)
			}
			host, port := slowly(t, to.Host+":993", size/(kills+1))
			var m exporter.Move
			o.export(rig.OldPassword+"\n", &m, "imap", "--host", host, "--port", port, "--name", to.Host, "--ca", o.ca, "--user", user,
				"--account", ada, "--keep-password", "--background", "--password-stdin")
			secret := filepath.Join(o.Dir, "exports", m.ID+".secret")
			if info, err := os.Stat(secret); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the kept password: %v %v", info, err)
			}
			for i := range kills {
				time.Sleep(time.Duration(300+dice.IntN(1200)) * time.Millisecond)
				o.export("", &m, "status", m.ID)
				o.Kill(t)
				o.Start(t)
				t.Logf("killed %d times, at %+v", i+1, m.People[0].Progress)
			}
			for end := time.Now().Add(5 * time.Minute); m.State != importer.Ended && time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
				o.export("", &m, "status", m.ID)
			}
			p := m.People[0]
			if p.Stage != importer.StageDone || p.OK == nil || !*p.OK || p.Total.Left != 0 {
				t.Errorf("%+v", p)
			}
			there := to.Client(t, user)
			for _, mailbox := range []string{"INBOX", "Sent", "Archive/2024"} {
				if want, got := texts(t, o.client(), mailbox), texts(t, there, mailbox); !maps.Equal(want, got) {
					t.Errorf("%s: %d messages that are different on the box, %d there", mailbox, len(want), len(got))
				}
			}
			if _, err := os.Stat(secret); !os.IsNotExist(err) {
				t.Errorf("the password is still there: %v", err)
			}
			o.leaksNothing()
		})
	}
}

// TestMoveOutBesideMbsync moves a whole account to an empty one of each server,
// by ourselves and by mbsync, and tells the times.
func TestMoveOutBesideMbsync(t *testing.T) {
	n := setting(t, fullVariable, 0)
	if n == 0 {
		t.Skipf("skipped: it takes minutes; %s=10000 runs it", fullVariable)
	}
	corpus := rig.Corpus(t, n)
	for name, start := range map[string]func(testing.TB, []string, ...string) *rig.OldServer{"dovecot": rig.Dovecot, "cyrus": rig.Cyrus} {
		t.Run(name, func(t *testing.T) {
			users := []string{"ada", "bob"}
			var more []string
			if name == "cyrus" {
				users, more = []string{"ada@old.example", "bob@old.example"}, []string{"altnamespace: yes", "unixhierarchysep: yes"}
			}
			to := start(t, users, more...)
			o := open(t, to)
			c := o.client()
			boxes := []string{"INBOX", "Sent", "Customers/2023", "Customers/2024"}
			taken := 0
			for i, b := range boxes {
				taken += rig.Put(t, c, b, corpus[i*n/len(boxes):(i+1)*n/len(boxes)]...)
			}
			var result struct{ Reports []exporter.Report }
			// By turns, since what else the machine does changes meanwhile.
			for turn, connections := range []string{"1", "4", "1", "4"} {
				args := []string{"export", "imap", "--host", to.Host, "--ca", o.ca, "--user", users[0], "--account", ada, "--connections", connections, "--prefix", fmt.Sprint("turn", turn), "--password-stdin", "--json"}
				begin := time.Now()
				out := o.Command([]byte(rig.OldPassword+"\n"), args...).Run(t)
				took := time.Since(begin)
				if err := json.Unmarshal(out.Stdout, &result); err != nil || len(result.Reports) != 1 {
					t.Fatalf("%v\n%s", err, out.All())
				}
				// Cyrus refuses messages whose header is not valid.
				r := result.Reports[0]
				if r.Total.Put+r.Total.Refused != int64(taken) || r.Total.Verified != r.Total.Put || len(r.Differences) > 0 || r.Total.Refused > 0 && name != "cyrus" {
					t.Errorf("%+v %q", r.Total, r.Differences)
				}
				t.Logf("ours by %s connections: %.1f s with the comparison, %.0f messages/s, the server takes %d MB",
					connections, took.Seconds(), float64(taken)/took.Seconds(), o.Memory(t)>>20)
			}
			o.mbsyncOut(users[1], taken)
		})
	}
}

// mbsyncOut moves the same to an account of its own.
func (o *office) mbsyncOut(user string, n int) {
	o.t.Helper()
	host, port := split(o.IMAPS(o.t, "tcp4"))
	begin := time.Now()
	out := o.runMbsync(fmt.Sprintf(`IMAPAccount box
Host %s
Port %s
User %s
Pass %s
SSLType IMAPS
CertificateFile %s

IMAPStore far
Account box

IMAPAccount other
Host %s
User %s
Pass %s
SSLType IMAPS
CertificateFile %s

IMAPStore near
Account other
`, host, port, ada, password, filepath.Join(filepath.Dir(o.CAFile()), "server.crt"),
		o.old.Host, user, rig.OldPassword, filepath.Join(o.old.Dir, "tls.crt")))
	took := time.Since(begin)
	if out.Err != nil {
		o.t.Logf("mbsync: %v\n%.2000s", out.Err, out.All())
	}
	o.t.Logf("mbsync: %.1f s, %.0f messages/s", took.Seconds(), float64(n)/took.Seconds())
}

// runMbsync has mbsync pull everything from the store far into the store near.
func (o *office) runMbsync(stores string) *rig.Output {
	o.t.Helper()
	program := rig.Tool(o.t, "mbsync", "isync")
	dir := o.t.TempDir()
	file := filepath.Join(dir, "mbsyncrc")
	conf := stores + fmt.Sprintf(`
Channel move
Far :far:
Near :near:
Patterns *
Create Near
Sync Pull
CopyArrivalDate yes
SyncState %s/
`, dir)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		o.t.Fatal(err)
	}

	return (&rig.Command{Path: program, Args: []string{"-c", file, "-a"}}).Run(o.t)
}
