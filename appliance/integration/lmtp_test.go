package integration_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/integration/rig"
)

func swaks(t *testing.T, args ...string) *rig.Output {
	t.Helper()
	cmd := rig.Command{
		Path: rig.Tool(t, "swaks", "swaks"),
		Args: append([]string{"--protocol", "LMTP", "--from", "carla@elsewhere.example"}, args...),
	}
	return cmd.Run(t)
}

// tcp returns swaks's options for LMTP over TCP.
func tcp(t *testing.T, box *rig.Box) []string {
	t.Helper()
	host, port, _ := strings.Cut(box.LMTP(t), ":")
	return []string{"--server", host, "--port", port}
}

func TestSwaksDeliversByTCPAndSocket(t *testing.T) {
	box := openOffice(t)
	c := asAda(t, box, nil)
	message := rig.Message(8)
	file := filepath.Join(t.TempDir(), "message.eml")
	if err := os.WriteFile(file, message, 0o600); err != nil {
		t.Fatal(err)
	}
	ways := []struct {
		name string
		args []string
	}{
		{"tcp", tcp(t, box)},
		{"unix socket", []string{"--socket", box.LMTPSocket()}},
	}
	for i, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			out := swaks(t, append(way.args, "--to", ada, "--data", "@"+file)...)
			if out.Err != nil {
				t.Fatalf("%v\n%s", out.Err, out.All())
			}
			if got := selectMailbox(t, c, "INBOX").NumMessages; got != uint32(i+1) {
				t.Fatalf("INBOX has %d messages, want %d", got, i+1)
			}
			// swaks ends the text with one more line end.
			compareMail(t, way.name, append(message, "\r\n"...), inOrder(t, c)[i])
		})
	}
}

func TestEachRecipientGetsAnAnswerOfItsOwn(t *testing.T) {
	box := openOffice(t)
	out := swaks(t, append(tcp(t, box), "--to", ada+",nobody@office.example,"+bob)...)
	text := out.All()
	if !strings.Contains(text, "550 5.1.1") {
		t.Errorf("an unknown recipient is not refused by 550 5.1.1:\n%s", text)
	}
	if n := strings.Count(text, "250 2.0.0"); n < 2 {
		t.Errorf("%d of two recipients were accepted after DATA:\n%s", n, text)
	}
	for _, login := range []struct{ user, password string }{{ada, adaPassword}, {bob, bobPassword}} {
		c := connect(t, box, box.IMAPS(t, "tcp4"), nil)
		if err := c.Login(login.user, login.password).Wait(); err != nil {
			t.Fatal(err)
		}
		if got := selectMailbox(t, c, "INBOX").NumMessages; got != 1 {
			t.Errorf("%s has %d messages, want 1", login.user, got)
		}
	}
}

func TestAGroupOfTheOfficeTakesNoMailFromOutside(t *testing.T) {
	box := openOffice(t)
	for _, args := range [][]string{
		{"add", "team@office.example", ada, bob}, {"add", "all@office.example", "team@office.example", ada},
		{"set", "team@office.example", "--writers", "office"},
	} {
		box.Command(nil, append([]string{"group"}, args...)...).MustRun(t)
	}
	if text := swaks(t, append(tcp(t, box), "--to", "team@office.example")...).All(); !strings.Contains(text, "550 5.7.2") {
		t.Errorf("a stranger is not refused by 550 5.7.2:\n%s", text)
	}
	if out := swaks(t, append(tcp(t, box), "--from", bob, "--to", "all@office.example,team@office.example,"+ada)...); out.Err != nil {
		t.Fatalf("%v\n%s", out.Err, out.All())
	}
	for _, login := range []struct{ user, password string }{{ada, adaPassword}, {bob, bobPassword}} {
		c := connect(t, box, box.IMAPS(t, "tcp4"), nil)
		if err := c.Login(login.user, login.password).Wait(); err != nil {
			t.Fatal(err)
		}
		if got := selectMailbox(t, c, "INBOX").NumMessages; got != 1 {
			t.Errorf("%s has %d messages, want 1", login.user, got)
		}
	}
}

func TestAMessageForSeveralPeopleIsStoredOnce(t *testing.T) {
	box := openOffice(t)
	before := diskUse(t, box.Dir)
	l, err := rig.DialLMTP("unix", box.LMTPSocket())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	message := append(letter("big"), bytes.Repeat([]byte(strings.Repeat("x", 76)+"\r\n"), 100_000)...)
	answers, err := l.Deliver("carla@elsewhere.example", []string{ada, bob}, message)
	if err != nil {
		t.Fatal(err)
	}
	for i, answer := range answers {
		if answer != nil {
			t.Fatalf("recipient %d: %v", i+1, answer)
		}
	}
	grown := diskUse(t, box.Dir) - before
	if limit := int64(len(message)) * 3 / 2; grown > limit {
		t.Errorf("the data grew by %d octets for one message of %d to two people", grown, len(message))
	}
	c := asAda(t, box, nil)
	selectMailbox(t, c, "INBOX")
	if got := inOrder(t, c)[0]; !bytes.HasSuffix(got, message) {
		t.Errorf("Ada's copy is not what was delivered")
	}
}

// diskUse adds up the blocks of a folder's files, each inode once.
func diskUse(t *testing.T, dir string) int64 {
	t.Helper()
	var total int64
	seen := map[uint64]bool{}
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		if !seen[stat.Ino] {
			seen[stat.Ino] = true
			total += stat.Blocks * 512
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

func TestAMessageTooBigIsRefusedByLMTP(t *testing.T) {
	box := openOffice(t)
	l, err := rig.DialLMTP("tcp", box.LMTP(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	message := append(letter("huge"), bytes.Repeat([]byte(strings.Repeat("x", 998)+"\r\n"), 60_000)...)
	answers, err := l.Deliver("carla@elsewhere.example", []string{ada}, message)
	if err == nil && answers[0] == nil {
		t.Fatal("a message of 60 MB was accepted")
	}
	if text := errors.Join(append(answers, err)...).Error(); !strings.Contains(text, "552") || !strings.Contains(text, "5.3.4") {
		t.Errorf("refused with %s, want 552 5.3.4", text)
	}
}

func TestTheLimitOfAMessageHoldsForEveryWay(t *testing.T) {
	box := rig.NewBox(t, binary)
	box.Args = []string{"--max-message", "1M"}
	box.AddAccount(t, ada, adaPassword)
	box.Start(t)
	message := append(letter("two megabytes"), bytes.Repeat([]byte(strings.Repeat("x", 998)+"\r\n"), 2000)...)
	c := asAda(t, box, nil)

	if got := c.Caps(); !got.Has("APPENDLIMIT=1048576") {
		t.Errorf("the capabilities do not tell the limit: %v", got)
	}
	_, err := appendMessage(c, "INBOX", message, nil)
	var answer *imap.Error
	if !errors.As(err, &answer) || answer.Code != imap.ResponseCodeTooBig {
		t.Errorf("APPEND is answered by %v, want TOOBIG", err)
	}
	if out := box.Command(message, "deliver", "--to", ada).Run(t); out.Err == nil {
		t.Errorf("deliver takes it:\n%s", out.All())
	}
	l, err := rig.DialLMTP("unix", box.LMTPSocket())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if answers, err := l.Deliver("carla@elsewhere.example", []string{ada}, message); err == nil && answers[0] == nil {
		t.Error("LMTP takes it")
	}
	// go-imap's client closes itself after a literal that was refused.
	if got := selectMailbox(t, asAda(t, box, nil), "INBOX").NumMessages; got != 0 {
		t.Errorf("INBOX has %d messages", got)
	}
}
