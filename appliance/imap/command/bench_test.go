package command_test

import (
	"io"
	"strings"
	"testing"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
)

// again gives the same octets for ever.
type again struct {
	text string
	pos  int
}

func (a *again) Read(p []byte) (int, error) {
	n := copy(p, a.text[a.pos:])
	a.pos = (a.pos + n) % len(a.text)
	return n, nil
}

func BenchmarkRead(b *testing.B) {
	for _, c := range []struct{ name, line string }{
		{"noop", "a1 NOOP"},
		{"select", "a2 SELECT \"INBOX\" (CONDSTORE)"},
		{"flag resync", "a3 UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE 123456)"},
		{"first sync", "a4 UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (References X-Priority)])"},
		{"fetch of 1000 UIDs", "a5 UID FETCH 1" + uids(1000) + " (FLAGS)"},
		{"store", "a6 UID STORE 4711 +FLAGS.SILENT (\\Seen)"},
		{"search", "a7 UID SEARCH RETURN (ALL) UNDELETED OR SUBJECT \"invoice\" FROM \"smith\" SINCE 1-Jan-2024"},
		{"literal", "a8 LOGIN {5+}\r\nsmith {6+}\r\nsesame"},
	} {
		b.Run(c.name, func(b *testing.B) {
			dec := wire.NewDecoder(&again{text: c.line + "\r\n"}, wire.Limits{})
			defer dec.Close()
			r := command.NewReader(dec)
			b.SetBytes(int64(len(c.line) + 2))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func uids(n int) string {
	var b []byte
	for i := range n {
		b = wire.AppendInt(append(b, ','), 3*i+10)
	}
	return string(b)
}

func BenchmarkAppend(b *testing.B) {
	body := strings.Repeat("x", 46<<10)
	dec := wire.NewDecoder(&again{text: "a APPEND INBOX (\\Seen) {47104+}\r\n" + body + "\r\n"}, wire.Limits{})
	defer dec.Close()
	r := command.NewReader(dec)
	buf := make([]byte, 32<<10)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		cmd, err := r.Read()
		if err != nil {
			b.Fatal(err)
		}
		a := cmd.Args.(*command.Append)
		m, err := a.Next()
		if err != nil {
			b.Fatal(err)
		}
		in, err := m.Accept()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, in, buf); err != nil {
			b.Fatal(err)
		}
		if m, err := a.Next(); m != nil || err != nil {
			b.Fatal(m, err)
		}
	}
}
