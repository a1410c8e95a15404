package imap_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const dovecotIMAP = "/usr/lib/dovecot/imap"

// dovecot runs Dovecot's imap process on its standard streams, over a folder
// of its own. It refuses to work as root.
func dovecot(t *testing.T) *client {
	t.Helper()
	if _, err := os.Stat(dovecotIMAP); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("Dovecot is not installed (apt-get install dovecot-imapd)")
		}
		t.Skip("Dovecot is not installed (apt-get install dovecot-imapd)")
	}
	dir, err := os.MkdirTemp("", "dovecot") // where a user without privileges can get to
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	conf := filepath.Join(dir, "dovecot.conf")
	text := fmt.Sprintf("base_dir=%[1]s/run\nlog_path=%[1]s/log\nmail_location=sdbox:%[1]s/mail\nfirst_valid_uid=1\nfirst_valid_gid=1\nssl=no\nprotocols=imap\n", dir)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(conf, 0o644); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	cmd := exec.Command(dovecotIMAP, "-c", conf)
	cmd.Env = append(os.Environ(), "USER=oracle", "HOME="+dir)
	if os.Geteuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	ours, theirs := net.Pipe()
	cmd.Stdin, cmd.Stdout = theirs, theirs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = ours.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	c := newClient(t, ours)
	if line := c.line(); !strings.HasPrefix(line, "* PREAUTH ") {
		t.Fatalf("greeting: %q", line)
	}
	return c
}

var (
	fetched    = regexp.MustCompile(`^\* (\d+) FETCH \(`)
	fetchUID   = regexp.MustCompile(`UID (\d+)`)
	fetchFlags = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
)

// toldBy sums up what a SELECT with QRESYNC told: the UIDs that vanished, and
// of each message that changed the number, UID and flags.
func toldBy(lines []string) (gone []int, changed []string) {
	for _, l := range lines {
		if m := vanished.FindStringSubmatch(l); m != nil {
			for r := range strings.SplitSeq(m[2], ",") {
				a, b, ok := strings.Cut(r, ":")
				lo, _ := strconv.Atoi(a)
				hi := lo
				if ok {
					hi, _ = strconv.Atoi(b)
				}
				for u := lo; u <= hi; u++ {
					gone = append(gone, u)
				}
			}
		} else if m := fetched.FindStringSubmatch(l); m != nil {
			uid := fetchUID.FindStringSubmatch(l)[1]
			flags := fetchFlags.FindStringSubmatch(l)[1]
			changed = append(changed, m[1]+" "+uid+" "+normal(strings.ReplaceAll(flags, `\Recent`, "")))
		}
	}
	slices.Sort(gone)
	return slices.Compact(gone), changed
}

// moment is a state of the mailbox that a client may have seen last.
type moment struct {
	params [2]string // UIDVALIDITY and mod-sequence of each server
	uids   []int
}

// look notes the present moment; both servers must have the same messages.
func look(t *testing.T, servers []*client) moment {
	t.Helper()
	var m moment
	for i, c := range servers {
		lines, _ := c.run("SELECT box")
		m.params[i] = number(t, lines, "UIDVALIDITY") + " " + number(t, lines, "HIGHESTMODSEQ")
		lines, _ = c.run("UID SEARCH ALL")
		c.quiet("UNSELECT")
		var uids []int
		for _, l := range lines {
			for f := range strings.FieldsSeq(strings.TrimPrefix(l, "* SEARCH")) {
				n, _ := strconv.Atoi(f)
				uids = append(uids, n)
			}
		}
		if i > 0 && !slices.Equal(uids, m.uids) {
			t.Fatalf("the servers have %v and %v", m.uids, uids)
		}
		m.uids = uids
	}
	return m
}

// known makes the last arguments of the QRESYNC parameter.
func (m *moment) known(r *rand.Rand) string {
	switch r.IntN(4) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf(" 1:%d", 1+r.IntN(80))
	}
	if len(m.uids) == 0 {
		return ""
	}
	var seqs, uids []int
	for i, uid := range m.uids {
		if r.IntN(6) == 0 {
			seqs, uids = append(seqs, i+1), append(uids, uid)
		}
	}
	if len(seqs) == 0 {
		return " " + join(m.uids)
	}
	return " " + join(m.uids) + " (" + join(seqs) + " " + join(uids) + ")"
}

// TestQResyncAsDovecot does the same to a mailbox here and at Dovecot, and
// returns to both as clients that saw it last at some moment before.
func TestQResyncAsDovecot(t *testing.T) {
	servers := []*client{newOffice(t).login(), dovecot(t)}
	for _, c := range servers {
		c.quiet("ENABLE QRESYNC")
		c.quiet("CREATE box")
	}
	r := rand.New(rand.NewPCG(7, 7))
	var moments []moment
	for range 60 {
		for range 1 + r.IntN(4) {
			lo := 1 + r.IntN(60)
			set := fmt.Sprintf("%d:%d", lo, lo+r.IntN(6))
			command := []string{
				"APPEND box {15+}\r\nSubject: x\r\n\r\nb", "APPEND box {15+}\r\nSubject: x\r\n\r\nb",
				"UID STORE " + set + ` +FLAGS.SILENT (\Flagged)`, "UID STORE " + set + ` -FLAGS.SILENT (\Flagged)`,
				"UID STORE " + set + ` +FLAGS.SILENT (\Deleted)`, "EXPUNGE",
			}[r.IntN(6)]
			for _, c := range servers {
				c.quiet("SELECT box")
				c.quiet(command)
				c.quiet("UNSELECT")
			}
		}
		moments = append(moments, look(t, servers))
		for range 5 {
			m := moments[r.IntN(len(moments))]
			known := m.known(r)
			var gone [2][]int
			var changed [2][]string
			for i, c := range servers {
				lines, tagged := c.run("SELECT box (QRESYNC (" + m.params[i] + known + "))")
				if !strings.HasPrefix(tagged, "OK ") {
					t.Fatalf("%q was answered %q", known, tagged)
				}
				gone[i], changed[i] = toldBy(lines)
				c.quiet("UNSELECT")
			}
			if d := cmp.Diff(gone[1], gone[0]); d != "" {
				t.Errorf("%q: vanished (-Dovecot +here):\n%s", known, d)
			}
			if d := cmp.Diff(changed[1], changed[0]); d != "" {
				t.Errorf("%q: changed (-Dovecot +here):\n%s", known, d)
			}
		}
	}
}
