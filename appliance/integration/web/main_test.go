package web_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"pillarbox/appliance/integration/rig"
	"pillarbox/netcfg/netlab"
)

// binary is the program that is tested; toolDir is where what looks at its pages is.
var binary, toolDir string

// builtFor names the program for a test that runs in a network of its own.
const builtFor = "PILLARBOX_WEB_BINARY"

func TestMain(m *testing.M) {
	if netlab.Inside() {
		binary = os.Getenv(builtFor)
		netlab.Main(m)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pillarbox-binary")
	if err == nil {
		defer os.RemoveAll(dir)
		toolDir = dir
		binary, err = rig.Build(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}

	return m.Run()
}

// read returns the first message of a person's INBOX, by a real IMAP client.
func (o *office) read(t *testing.T, login, password string) string {
	t.Helper()
	config := o.TLS(t)
	config.ServerName = "localhost"
	c, err := imapclient.DialTLS(o.IMAPS(t, "tcp4"), &imapclient.Options{TLSConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(login, password).Wait(); err != nil {
		t.Fatalf("log in as %s: %v", login, err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	section := &imap.FetchItemBodySection{}
	cmd := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{section}})
	defer cmd.Close()
	msg := cmd.Next()
	if msg == nil {
		return ""
	}
	for item := msg.Next(); item != nil; item = msg.Next() {
		if body, ok := item.(imapclient.FetchItemDataBodySection); ok {
			text, err := io.ReadAll(body.Literal)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
	}

	return ""
}
