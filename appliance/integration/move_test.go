package integration_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/integration/rig"
	"pillarbox/appliance/mailfile"
)

const (
	movedShort = 300 // messages that move
	movedFull  = 2000
	moveKills  = 4 // of the command and of the server, in turn, of each kind of move
	moveAfter  = 900 * time.Millisecond
)

// TestMovesKilledAtAnyMoment kills the command that moves mail, and the server
// that it works with, again and again: out to Maildir and to mbox, and in from
// the Maildir to somebody else. In the end each message is there once, with its
// octets, flags, date and UID. PILLARBOX_KILLS says how often.
func TestMovesKilledAtAnyMoment(t *testing.T) {
	box := openOffice(t)
	n := movedFull
	if testing.Short() {
		n = movedShort
	}
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	layMaildir(t, source, n)
	box.Command(nil, "deliver", "--to", ada, "--mailbox", "Archive/2024", source).MustRun(t)

	kills := moveKills
	if text := os.Getenv("PILLARBOX_KILLS"); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	out, flat := filepath.Join(dir, "maildir"), filepath.Join(dir, "mbox")
	killed := 0
	moves := [][]string{
		{"export", "maildir", out, "--account", ada, "--mailbox", "Archive/2024", "--verify-all"},
		{"export", "mbox", flat, "--account", ada, "--mailbox", "Archive/2024", "--verify-all"},
		{"import", "files", out, "--account", bob, "--keep-uids"},
	}
	for _, args := range moves {
		for i := range kills {
			killed += killMove(t, box, args, i%2 == 1)
		}
		got := box.Command(nil, append(args, "--json")...).MustRun(t)
		if args[0] == "import" {
			var r struct {
				Total    struct{ Taken, Claimed, Known, Quarantined int }
				Verified struct{ Messages int }
			}
			decode(t, got.Stdout, &r)
			if r.Total.Taken+r.Total.Claimed+r.Total.Known != n || r.Total.Quarantined != 0 || r.Verified.Messages != n {
				t.Errorf("%v: %+v", args, r)
			}
			continue
		}
		var r struct {
			Reports []struct {
				Total struct{ Put, Known, Verified, Refused int }
			}
		}
		decode(t, got.Stdout, &r)
		if total := r.Reports[0].Total; total.Put+total.Known != n || total.Verified != n || total.Refused != 0 {
			t.Errorf("%v: %+v", args, total)
		}
	}
	if killed == 0 {
		t.Error("nothing was killed before its end")
	}
	t.Logf("%d moves were killed before their end", killed)

	back := filepath.Join(dir, "back")
	box.Command(nil, "export", "mbox", back, "--account", bob, "--mailbox", "Archive/2024").MustRun(t)
	want := readMoved(t, source)
	for i := range want {
		want[i] = fmt.Sprintf("%d %s", i+1, want[i]) // the UIDs of a mailbox that was filled at once
	}
	for name, tree := range map[string]string{"to Maildir": out, "to mbox": flat, "in to somebody else": back} {
		got := readMoved(t, tree)
		if diff := cmp.Diff(len(want), len(got)); diff != "" {
			t.Fatalf("%s: the messages (-want +got):\n%s", name, diff)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%s: message %d is\n%.200s\nand\n%.200s\nis wanted", name, i+1, got[i], want[i])
			}
		}
	}
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

// layMaildir makes a Maildir of made and real messages, good and broken.
func layMaildir(t *testing.T, dir string, n int) {
	t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	corpus := rig.Corpus(t, n)
	flags := []string{"", "S", "RS", "F", "DT"}
	for i, m := range corpus {
		path := filepath.Join(dir, "cur", fmt.Sprintf("%d.x%d.host:2,%s", m.Date.Unix(), i, flags[i%len(flags)]))
		if err := errors.Join(os.WriteFile(path, m.Raw, 0o600), os.Chtimes(path, m.Date, m.Date)); err != nil {
			t.Fatal(err)
		}
	}
}

// readMoved tells of all messages of the one mailbox in a tree that has any.
func readMoved(t *testing.T, dir string) (all []string) {
	t.Helper()
	tree, err := mailfile.OpenTree(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tree.Folders {
		s, err := tree.Open(f)
		if err != nil {
			t.Fatal(err)
		}
		for m, err := range s.Messages(t.Context()) {
			if err != nil {
				t.Fatalf("%s: %v", m.Name, err)
			}
			r, err := m.Open()
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(r)
			if err := errors.Join(err, r.Close()); err != nil {
				t.Fatal(err)
			}
			one := fmt.Sprintf("%v %d\n%s", m.Flags, m.Date.Unix(), text)
			if m.UID != 0 {
				one = fmt.Sprintf("%d %s", m.UID, one)
			}
			all = append(all, one)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// killMove begins a move and kills it, or the server, after a moment. It returns
// 1 if that was before its end.
func killMove(t *testing.T, box *rig.Box, args []string, server bool) int {
	t.Helper()
	cmd := exec.Command(box.Binary, append(args, "--data", box.Dir)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("%v, before anything was killed: %v\n%s", args, err, &said)
		}
		return 0
	case <-time.After(time.Duration(rand.Int64N(int64(moveAfter)))):
	}
	if server {
		box.Kill(t)
	} else if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	var err error
	select {
	case err = <-ended:
	case <-time.After(time.Minute):
		t.Fatalf("%v does not end when the server is killed", args)
	}
	if server {
		box.Start(t)
		if err == nil {
			return 0 // it was ready just before
		}
		if text := said.String(); strings.Contains(text, "panic") || strings.Contains(text, "goroutine") {
			t.Errorf("%v: %s", args, text)
		}
	}
	return 1
}

// TestExportToAnotherServer has the command line export to a real Dovecot, by
// the running server and without one.
func TestExportToAnotherServer(t *testing.T) {
	old := rig.Dovecot(t, []string{"ada"})
	box := openOffice(t)
	source := filepath.Join(t.TempDir(), "source")
	layMaildir(t, source, 20)
	box.Command(nil, "deliver", "--to", ada, "--mailbox", "Archive/2024", source).MustRun(t)
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, old.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	export := func(password string, more ...string) *rig.Output {
		args := append([]string{"export", "imap", "--account", ada, "--host", old.Host, "--user", "ada", "--password-stdin"}, more...)
		return box.Command([]byte(password+"\n"), args...).Run(t)
	}
	for name, tc := range map[string]struct {
		out  *rig.Output
		want string
	}{
		"a certificate that nobody knows": {export(rig.OldPassword), "fingerprint"},
		"a wrong password":                {export("wrong", "--ca", ca), "refuses the log-in"},
		"nobody there":                    {export(rig.OldPassword, "--ca", ca, "--port", "1"), "connection refused"},
	} {
		if tc.out.Err == nil || !strings.Contains(tc.out.All(), tc.want) || strings.Contains(tc.out.All(), rig.OldPassword) {
			t.Errorf("%s: %v\n%s", name, tc.out.Err, tc.out.All())
		}
	}
	if out := export(rig.OldPassword, "--ca", ca, "--port", "990"); out.Err != nil || !strings.Contains(string(out.Stdout), "20 messages moved") {
		t.Errorf("%v\n%s", out.Err, out.All())
	}
	box.Stop(t)
	if out := export(rig.OldPassword, "--ca", ca); out.Err != nil || !strings.Contains(string(out.Stdout), "0 messages moved (0 B), 20 were there") {
		t.Errorf("without a server: %v\n%s", out.Err, out.All())
	}
	if n := len(rig.Contents(t, old.Client(t, "ada"), "Archive/2024")); n != 20 {
		t.Errorf("%d messages there", n)
	}
}
