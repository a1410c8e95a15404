package integration_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pillarbox/appliance/integration/rig"
)

func TestASecondServerIsRefused(t *testing.T) {
	box := openOffice(t)
	second := rig.Command{
		Path: binary,
		Args: []string{"serve", "--data", box.Dir, "--imaps", "127.0.0.1:0", "--imaps-legacy", "127.0.0.1:0",
			"--lmtp", "unix:" + filepath.Join(t.TempDir(), "lmtp.sock")},
	}
	out := second.Run(t)
	if out.Err == nil {
		t.Fatalf("a second server ran on the same data:\n%s", out.All())
	}
	if !strings.Contains(out.All(), "in use") {
		t.Errorf("the refusal does not say why:\n%s", out.All())
	}
	if strings.Contains(out.All(), "goroutine ") {
		t.Errorf("it ended by a panic:\n%s", out.All())
	}
	// The first is unharmed.
	mustAppend(t, asAda(t, box, nil), "INBOX", letter("still here"))
}

func TestDeliverWorksWithAndWithoutAServer(t *testing.T) {
	box := openOffice(t)
	box.Command(letter("with"), "deliver", "--to", ada, "--mailbox", "Archive").MustRun(t)
	box.Stop(t)
	box.Command(letter("without"), "deliver", "--to", ada, "--mailbox", "Archive").MustRun(t)
	box.AddAccount(t, "carla@office.example", adaPassword)
	box.Start(t)

	c := asAda(t, box, nil)
	selectMailbox(t, c, "Archive")
	got := inOrder(t, c)
	if len(got) != 2 {
		t.Fatalf("Archive has %d messages, want 2", len(got))
	}
	for i, name := range []string{"with", "without"} {
		if !bytes.HasSuffix(got[i], letter(name)) {
			t.Errorf("message %d is\n%s", i+1, got[i])
		}
	}
	c = connect(t, box, box.IMAPS(t, "tcp4"), nil)
	if err := c.Login("carla@office.example", adaPassword).Wait(); err != nil {
		t.Errorf("the account made without a server: %v", err)
	}
}

func TestDeliverReadsMboxAndMaildir(t *testing.T) {
	box := openOffice(t)
	dir := t.TempDir()
	mbox := filepath.Join(dir, "archive.mbox")
	var text []byte
	for i := range 3 {
		text = append(text, "From carla@elsewhere.example Mon Nov  2 09:30:00 2026\n"...)
		text = append(text, rig.WithLF(rig.Message(i))...)
		text = append(text, '\n')
	}
	if err := os.WriteFile(mbox, text, 0o600); err != nil {
		t.Fatal(err)
	}
	maildir := &replica{dir: dir}
	for i := 3; i < 6; i++ {
		maildir.put(t, "maildir", string(rune('0'+i)), "FS", rig.Message(i))
	}
	box.Command(nil, "deliver", "--to", ada, "--mailbox", "Old/Mail", mbox, filepath.Join(dir, "maildir")).MustRun(t)

	c := asAda(t, box, nil)
	selectMailbox(t, c, "Old/Mail")
	got := inOrder(t, c)
	if len(got) != 6 {
		t.Fatalf("%d messages arrived, want 6", len(got))
	}
	for i, body := range got {
		want := rig.Message(i)
		compareMail(t, fmt.Sprint("message ", i), want, body)
	}
}

func TestMistakesOnTheCommandLineAreExplained(t *testing.T) {
	box := openOffice(t)
	tests := []struct {
		name string
		cmd  *rig.Command
		want string
	}{
		{"an account that exists", box.Command([]byte("Another pass 1\n"), "account", "add", ada, "--password-stdin"), "in use already"},
		{"an address that is none", box.Command([]byte("Another pass 1\n"), "account", "add", "no address", "--password-stdin"), "address"},
		{"a recipient that is unknown", box.Command(letter("x"), "deliver", "--to", "nobody@office.example"), "nobody@office.example"},
		{"a file that is not there", box.Command(nil, "deliver", "--to", ada, "no-such-file.eml"), "no-such-file.eml"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out := test.cmd.Run(t)
			if out.Err == nil {
				t.Fatalf("it succeeded:\n%s", out.All())
			}
			if !strings.Contains(out.All(), test.want) || strings.Contains(out.All(), "goroutine ") {
				t.Errorf("the message does not mention %q:\n%s", test.want, out.All())
			}
		})
	}
}
