package imap_test

import (
	"context"
	"strings"
	"testing"

	imaplib "github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/imap"
)

func TestID(t *testing.T) {
	o := newOffice(t)
	const us = `* ID ("name" "Pillarbox" "vendor" "Pillarbox" "version" "1.2.3")`
	tests := map[string]string{
		"nothing told":     "ID NIL",
		"an empty list":    "ID ()",
		"name and version": `ID ("name" "Outlook" "version" "16")`,
		"a value of NIL":   `ID ("name" "x" "os" NIL)`,
	}
	for name, command := range tests {
		t.Run(name, func(t *testing.T) {
			c := o.dial()
			c.do(command, us, "OK ID completed")
			c.quiet("LOGIN alice secret")
			c.do(command, us, "OK ID completed")
		})
	}
}

// TestIDIsLoggedInOneLine: what a client says cannot forge log lines or fill the disk.
func TestIDIsLoggedInOneLine(t *testing.T) {
	o := newOffice(t)
	c := o.dial()
	c.quiet("ID (\"name\" {9+}\r\nx\r\nmsg=no \"version\" \"" + strings.Repeat("9", 900) + `")`)
	for line := range strings.Lines(o.log.String()) {
		if strings.HasPrefix(line, "msg=") || len(line) > 600 {
			t.Errorf("log line %q", line)
		}
	}
}

// TestWhoAClientIsIsTold: before and after the log-in, short and in UTF-8.
func TestWhoAClientIsIsTold(t *testing.T) {
	var told []imap.ClientID
	o := newOffice(t, func(c *imap.Config) {
		c.Named = func(_ context.Context, id imap.ClientID) { told = append(told, id) }
	})
	c := o.dial()
	c.quiet("ID NIL")
	c.quiet(`ID ("Name" "Scan" "vendor" "Acme")`)
	c.quiet("LOGIN alice secret")
	c.quiet("ID (\"name\" {3+}\r\n\xff\xfea \"version\" \"" + strings.Repeat("9", 900) + `" "os" "Linux")`)
	want := []imap.ClientID{{Name: "Scan"}, {Name: "?a", Version: strings.Repeat("9", 200), OS: "Linux"}}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
}

func TestIDByLibrary(t *testing.T) {
	c := newOffice(t).library(nil)
	data, err := c.ID(&imaplib.IDData{Name: "test"}).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if data.Name != "Pillarbox" || data.Version != "1.2.3" {
		t.Errorf("got %+v", data)
	}
}
