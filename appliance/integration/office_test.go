package integration_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"pillarbox/appliance/integration/rig"
)

// binary is the program under test, and template the data folder of an office
// with Ada's and Bob's accounts; both are made once.
var binary, template string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pillarbox-binary")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if binary, err = rig.Build(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	template = filepath.Join(dir, "data")
	for address, password := range map[string]string{ada: adaPassword, bob: bobPassword} {
		cmd := exec.Command(binary, "account", "add", address, "--password-stdin", "--data", template)
		cmd.Stdin = strings.NewReader(password + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "add %s: %v\n%s", address, err, out)
			return 1
		}
	}
	return m.Run()
}

// The two people of the tests' office.
const (
	ada         = "ada@office.example"
	adaPassword = "Wood-stove 4 Lantern"
	bob         = "bob@office.example"
	bobPassword = `quote " and back\slash`
)

// openOffice starts a box with Ada's and Bob's accounts, on a copy of the
// template: a data folder may be copied as a whole.
func openOffice(t testing.TB) *rig.Box {
	t.Helper()
	box := rig.NewBox(t, binary)
	(&rig.Command{Path: "cp", Args: []string{"-a", template, box.Dir}}).MustRun(t)
	box.Start(t)
	return box
}

// connect connects go-imap's client without logging in.
func connect(t testing.TB, box *rig.Box, addr string, options *imapclient.Options) *imapclient.Client {
	t.Helper()
	if options == nil {
		options = &imapclient.Options{}
	}
	options.TLSConfig = box.TLS(t)
	c, err := imapclient.DialTLS(addr, options)
	if err != nil {
		t.Fatalf("dial %s: %v", addr, err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.WaitGreeting(); err != nil {
		t.Fatalf("greeting: %v", err)
	}
	return c
}

// asAda connects go-imap's client to 993 and logs Ada in.
func asAda(t testing.TB, box *rig.Box, options *imapclient.Options) *imapclient.Client {
	t.Helper()
	c := connect(t, box, box.IMAPS(t, "tcp4"), options)
	if err := c.Login(ada, adaPassword).Wait(); err != nil {
		t.Fatalf("log in: %v", err)
	}
	return c
}

func selectMailbox(t testing.TB, c *imapclient.Client, mailbox string) *imap.SelectData {
	t.Helper()
	data, err := c.Select(mailbox, nil).Wait()
	if err != nil {
		t.Fatalf("select %s: %v", mailbox, err)
	}
	return data
}

func createMailbox(t testing.TB, c *imapclient.Client, mailbox string) {
	t.Helper()
	if err := c.Create(mailbox, nil).Wait(); err != nil {
		t.Fatalf("create %s: %v", mailbox, err)
	}
}

func appendMessage(c *imapclient.Client, mailbox string, message []byte, options *imap.AppendOptions) (*imap.AppendData, error) {
	cmd := c.Append(mailbox, int64(len(message)), options)
	_, writeErr := cmd.Write(message)
	closeErr := cmd.Close()
	data, err := cmd.Wait()
	return data, cmp.Or(err, writeErr, closeErr)
}

func mustAppend(t testing.TB, c *imapclient.Client, mailbox string, message []byte, flags ...imap.Flag) imap.UID {
	t.Helper()
	data, err := appendMessage(c, mailbox, message, &imap.AppendOptions{Flags: flags})
	if err != nil {
		t.Fatalf("append to %s: %v", mailbox, err)
	}
	return data.UID
}

// everyMessage stands for all messages of a mailbox, by UID.
func everyMessage() imap.UIDSet { return imap.UIDSet{imap.UIDRange{Start: 1, Stop: 0}} }

// bodies fetches the whole of every message of the selected mailbox.
func bodies(t testing.TB, c *imapclient.Client) map[imap.UID][]byte {
	t.Helper()
	all := map[imap.UID][]byte{}
	cmd := c.Fetch(everyMessage(), &imap.FetchOptions{
		UID:         true,
		BodySection: []*imap.FetchItemBodySection{{Peek: true}},
	})
	for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
		var uid imap.UID
		var body []byte
		for item := msg.Next(); item != nil; item = msg.Next() {
			switch item := item.(type) {
			case imapclient.FetchItemDataUID:
				uid = item.UID
			case imapclient.FetchItemDataBodySection:
				var err error
				if body, err = io.ReadAll(item.Literal); err != nil {
					t.Fatalf("read a body: %v", err)
				}
			}
		}
		all[uid] = body
	}
	if err := cmd.Close(); err != nil {
		t.Fatalf("fetch bodies: %v", err)
	}
	return all
}

// letter is a small message that can be told from others.
func letter(subject string) []byte {
	return []byte("From: Carla <carla@elsewhere.example>\r\n" +
		"To: ada@office.example\r\n" +
		"Subject: " + subject + "\r\n" +
		"Date: Mon, 02 Nov 2026 09:30:00 +0100\r\n" +
		"Message-ID: <" + subject + "@elsewhere.example>\r\n" +
		"\r\n" +
		"This is " + subject + ".\r\n")
}
