package integration_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/integration/rig"
)

// collected returns a folder's files, sorted.
func collected(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(raw))
	}
	slices.Sort(all)
	return all
}

// keeper makes a program that keeps what it is handed on its standard input,
// and returns the folder where and the program.
func keeper(t *testing.T, home string) (mail, program string) {
	t.Helper()
	mail, program = filepath.Join(home, "mail"), filepath.Join(home, "keep")
	if err := os.Mkdir(mail, 0o700); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\ncat > \"$(mktemp %s/XXXXXXXX)\"\n", mail)
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return mail, program
}

// fillInbox puts mail of every kind into Ada's INBOX and returns it as a
// program stores it that makes every line end LF.
func fillInbox(t *testing.T, box *rig.Box) []string {
	t.Helper()
	c := asAda(t, box, nil)
	var all []string
	for i := range 12 {
		mustAppend(t, c, "INBOX", rig.Message(i))
		all = append(all, string(rig.WithLF(rig.Message(i))))
	}
	slices.Sort(all)
	return all
}

// TestGetmailCollectsAll lets getmail collect twice: all messages, and the
// second time only what is new. getmail writes the header anew, so the bodies
// are compared, byte for byte.
func TestGetmailCollectsAll(t *testing.T) {
	program := rig.Tool(t, "getmail", "getmail6")
	box := openOffice(t)
	want := parts(fillInbox(t, box))
	c := asAda(t, box, nil)
	// getmail may miss the end of its own child on a busy machine, and then
	// waits for ever (6.18). So it is given up after a minute, and begins anew.
	for range 5 {
		g := newGetmail(t, box, program)
		if !g.collect(t) {
			continue
		}
		if diff := cmp.Diff(want, parts(collected(t, g.mail))); diff != "" {
			t.Fatalf("getmail stored something else (-box +getmail):\n%s", diff)
		}
		mustAppend(t, c, "INBOX", letter("later"))
		done := g.collect(t)
		uids := uidOf(t, c, "INBOX", "later")
		storeFlag(t, c, uids, imap.StoreFlagsAdd, imap.FlagDeleted)
		if err := c.UIDExpunge(uids).Close(); err != nil {
			t.Fatal(err)
		}
		if !done {
			continue
		}
		if got := collected(t, g.mail); len(got) != len(want)+1 || count(got, "Subject: later\n") != 1 {
			t.Errorf("the second time %d messages are there, want one more than %d", len(got), len(want))
		}
		return
	}
	t.Fatal("getmail hangs each time")
}

// parts returns the Message-ID and the body of each message.
func parts(mails []string) []string {
	var all []string
	for _, m := range mails {
		head, body, _ := strings.Cut(m, "\n\n")
		for line := range strings.Lines(head + "\n") {
			if strings.HasPrefix(line, "Message-ID:") {
				all = append(all, line+body)
			}
		}
	}
	slices.Sort(all)
	return all
}

// getmail is a getmail with a configuration and a memory of its own.
type getmail struct{ program, home, mail string }

func newGetmail(t *testing.T, box *rig.Box, program string) *getmail {
	t.Helper()
	home := t.TempDir()
	mail, keep := keeper(t, home)
	_, port, _ := strings.Cut(box.IMAPS(t, "tcp4"), ":")
	config := fmt.Sprintf(`[retriever]
type = SimpleIMAPSSLRetriever
server = localhost
port = %s
username = %s
password = %s
ca_certs = %s
mailboxes = ("INBOX",)

[destination]
type = MDA_external
path = %s
unixfrom = false
allow_root_commands = true

[options]
read_all = false
delete = false
delivered_to = false
received = false
`, port, ada, adaPassword, box.CAFile(), keep)
	if err := os.WriteFile(filepath.Join(home, "getmailrc"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return &getmail{program, home, mail}
}

// collect runs getmail once; false if it did not come to an end.
func (g *getmail) collect(t *testing.T) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, g.program, "--getmaildir", g.home, "--rcfile", "getmailrc")
	cmd.Env = append(os.Environ(), "HOME="+g.home)
	cmd.WaitDelay = time.Second // its child may hold the pipe
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Logf("getmail hangs:\n%s", out)
		return false
	}
	if err != nil {
		t.Fatalf("getmail: %v\n%s", err, out)
	}
	return true
}

// TestFetchmailCollectsAndDeletes lets fetchmail take all mail away, byte for
// byte but for the Return-Path that it puts in front.
func TestFetchmailCollectsAndDeletes(t *testing.T) {
	box := openOffice(t)
	want := fillInbox(t, box)
	home := t.TempDir()
	mail, keep := keeper(t, home)
	_, port, _ := strings.Cut(box.IMAPS(t, "tcp4"), ":")
	config := fmt.Sprintf(`set no bouncemail
set invisible
poll localhost protocol IMAP service %s
  user "%s" password "%s" is root here
  ssl sslcertck sslcertfile "%s" sslproto "TLS1.2+"
  no rewrite fetchall nokeep mda "%s"
`, port, ada, adaPassword, box.CAFile(), keep)
	rc := filepath.Join(home, "fetchmailrc")
	if err := os.WriteFile(rc, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	(&rig.Command{
		Path: rig.Tool(t, "fetchmail", "fetchmail"),
		Args: []string{"-f", rc, "--pidfile", filepath.Join(home, "pid"), "--nosyslog", "-v"},
		Env:  []string{"HOME=" + home, "FETCHMAILHOME=" + home},
	}).MustRun(t)
	got := collected(t, mail)
	for i, m := range got {
		if first, rest, ok := bytes.Cut([]byte(m), []byte("\n")); ok && bytes.HasPrefix(first, []byte("Return-Path: ")) {
			got[i] = string(rest)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("fetchmail stored something else (-box +fetchmail):\n%s", diff)
	}
	if n := selectMailbox(t, asAda(t, box, nil), "INBOX").NumMessages; n != 0 {
		t.Errorf("%d messages are left in INBOX", n)
	}
}
