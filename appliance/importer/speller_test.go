package importer

import (
	"bufio"
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	imapwire "pillarbox/appliance/imap/wire"
)

// FuzzSpell has any octets for a mailbox's name go to the library and back.
func FuzzSpell(f *testing.F) {
	for _, s := range []string{"INBOX", "R&D", "R&-D", "Gr\xf6\xdfe", "Gr&APY-e", "&Jjo!", "&2D0-", "a\"b\\c", "&94A-", "a&AGE-", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, octets string) {
		name, odd := spell(octets)
		again, err := imapwire.DecodeUTF7(encodeUTF7(name))
		if err != nil || again != name {
			t.Fatalf("%q is not kept: %q %v", name, again, err)
		}
		sent := encodeUTF7(name)
		if odd {
			back, marked := octetsOf(name)
			if sent = back; !marked && octets != "" {
				t.Fatalf("%q has no mark", name)
			}
		}
		if sent != octets {
			t.Fatalf("%q comes back as %q", octets, sent)
		}
		if strings.ContainsAny(octets, "\x00\r\n") {
			return
		}
		s := &speller{on: true}
		line := append(appendQuoted([]byte("T1 EXAMINE "), encodeUTF7(name)), " (CONDSTORE)\r\n"...)
		want := append(appendQuoted([]byte("T1 EXAMINE "), octets), " (CONDSTORE)\r\n"...)
		if got := s.send(line); !bytes.Equal(got, want) {
			t.Fatalf("it goes out as %q, not %q", got, want)
		}
	})
}

var aboutNames = regexp.MustCompile(`(?i)\* (LIST|LSUB|STATUS|ACL) `)

// FuzzSpeller has a server say anything. What has nothing of mailboxes' names in
// it comes out as it went in, in whatever pieces it comes.
func FuzzSpeller(f *testing.F) {
	for _, s := range []string{
		"* OK [CAPABILITY IMAP4rev1] ready\r\n", "* LIST (\\HasNoChildren) \"/\" \"R&D\"\r\nT1 OK\r\n",
		"* LIST () NIL {3}\r\n\xf6\xdfe\r\n", "* 1 FETCH (BODY[] {5}\r\nhello)\r\n", "* STATUS Gr\xf6 (MESSAGES 1)\r\n",
		"* LSUB () \"/\" a\r\n", "* ACL \"R&D\" ada lrs\r\n", "* OK {5}\r\n* LIST () \"\" \"\xff\"\r\n", "* LIST () \"/\" {99999}\r\n", "* LIST (",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, said string) {
		read := func(r io.Reader) string {
			s := &speller{on: true, in: bufio.NewReaderSize(r, spellLine)}
			out, _ := io.ReadAll(io.LimitReader(s, 4<<20))
			return string(out)
		}
		whole := read(strings.NewReader(said))
		if slow := read(iotest.OneByteReader(strings.NewReader(said))); slow != whole {
			t.Fatalf("in pieces it is %q, and %q at once", slow, whole)
		}
		if !aboutNames.MatchString(said) && whole != said {
			t.Fatalf("%q became %q", said, whole)
		}
	})
}
