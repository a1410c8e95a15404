package mailfile_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/mailfile"
)

func TestMboxWithContentLength(t *testing.T) {
	const from = "From bob@example.org Thu Jan  1 10:00:00 2026\n"
	const inner = "x\n\n" + from + ">From y\n"
	counted := func(body string) string { return fmt.Sprintf("%sContent-Length: %d\n\n%s", from, len(body), body) }
	bodies := func(t *testing.T, text string) (all []string) {
		for _, m := range readAll(t, write(t, "m", text)) {
			_, body, _ := strings.Cut(m.Body, "\r\n\r\n")
			all = append(all, strings.ReplaceAll(body, "\r\n", "\n"))
		}
		return all
	}
	for name, tc := range map[string]struct {
		in   string
		want []string
	}{
		"a message within is none of the mbox": {counted(inner) + "\n" + counted("z\n") + "\n", []string{inner, "z\n"}},
		"at the end of the file":               {counted(inner), []string{inner}},
		"the last line's end is not counted":   {strings.Replace(counted(inner), "Length: 57", "Length: 56", 1) + "\n" + counted("z\n"), []string{inner, "z\n"}},
		"only the first message's is wrong":    {from + "Content-Length: 5\n\nx\n\n" + counted(inner), []string{"x\n", "x\n", ""}},
		"too long":                             {from + "Content-Length: 99999999999\n\nx\n\n" + from + "\n", []string{"x\n", ""}},
		"in the middle of a line":              {from + "Content-Length: 1\n\nabc\n\n" + from + "a: b\n\ny\n", []string{"abc\n", "y\n"}},
		"negative":                             {from + "Content-Length: -1\n\nabc\n", []string{"abc\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, bodies(t, tc.in)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatProgramsKeepInAnMbox(t *testing.T) {
	const from = "From bob@example.org Thu Jan  1 10:00:00 2026\n"
	text := from + "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1275660208 0000000024 $Work later\nStatus: RO\n\nThis text is part of the internal format\n\n" +
		from + "Status: RO\nX-Keywords: $Work  later \\Seen\nX-UID: 17\n\nx\n\n" +
		from + "X-Mozilla-Status: 0009\nX-Mozilla-Keys: $label1 NonJunk                \n\nx\n"
	s, err := mailfile.Open(write(t, "m", text))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var got []string
	for m, err := range s.Messages(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d %v internal=%v expunged=%v", m.UID, m.Flags, m.Internal, m.Expunged))
	}
	want := []string{
		`0 [\Seen] internal=true expunged=false`,
		`17 [$Work \Seen later] internal=false expunged=false`,
		`0 [$label1 NonJunk \Deleted \Seen] internal=false expunged=true`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if s.UIDValidity != 1275660208 || s.UIDNext != 25 {
		t.Errorf("UIDVALIDITY %d, UIDNEXT %d", s.UIDValidity, s.UIDNext)
	}
}

func TestWhatTheExportWrites(t *testing.T) {
	message := "a: b\r\n\r\nFrom x\n\r>From y\r\n\x00no end"
	e := mailfile.Exported{
		UIDValidity: 4_000_000_000, UID: 17, Flags: []imap.Flag{"$Forwarded", `\Answered`, `\Deleted`, `\Draft`, `\Flagged`, `\Seen`, "kw"},
		Date: time.Date(2025, 6, 7, 8, 9, 10, 0, time.FixedZone("", 7200)), Size: int64(len(message)), SHA256: sha256.Sum256([]byte(message)), Verbatim: true,
	}
	text := "From pillarbox Thu Jan  1 10:00:00 2026\n" + string(e.Lines()) + strings.ReplaceAll(strings.ReplaceAll(message, "\n\r>From", "\n\r>From"), "From x", ">From x") + "\n\n"
	s, err := mailfile.Open(write(t, "m", text+strings.Replace(text, "uid=17", "uid=18", 1)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := 0
	for m, err := range s.Messages(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if err := s.Settle(m); err != nil {
			t.Fatal(err)
		}
		if got := readMessage(t, m); got != message {
			t.Errorf("%q, want %q", got, message)
		}
		e.UID = imap.UID(16 + n)
		if m.Exported == nil || !m.Date.Equal(e.Date) || m.UID != e.UID {
			t.Fatalf("%+v", m)
		}
		got := *m.Exported
		got.Date = e.Date
		if diff := cmp.Diff(e, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(e.Flags, m.Flags); diff != "" {
			t.Errorf("flags (-want +got):\n%s", diff)
		}
	}
	if n != 2 || s.UIDValidity != e.UIDValidity {
		t.Errorf("%d messages, UIDVALIDITY %d", n, s.UIDValidity)
	}
}

func FuzzExportedMessage(f *testing.F) {
	e := mailfile.Exported{UID: 1, Date: time.Unix(0, 0), Size: 3}
	f.Add(e.Lines(), "abc\n")
	f.Add([]byte("X-Pillarbox-Export: 1; lines=16; uid=1\n"), "")
	f.Add([]byte("Status: RO\nX-Mozilla-Status: 1007\nContent-Length: 3\n\n"), "abc\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, lines []byte, message string) {
		path := dir + "/m"
		text := "From x Thu Jan  1 10:00:00 2026\n" + string(lines) + message
		writeTo(t, path, text)
		for _, m := range readAll(t, path) {
			if m.Err || len(m.Body) > 2*len(text) {
				t.Errorf("%+v", m)
			}
		}
	})
}

// TestNothingIsHiddenByOurOwnLines has in front of a message what our export writes,
// with more than it does.
func TestNothingIsHiddenByOurOwnLines(t *testing.T) {
	const body = "Subject: x\r\n\r\nshort\r\n"
	e := mailfile.Exported{UID: 1, Date: time.Unix(0, 0), Size: int64(len(body)), SHA256: sha256.Sum256([]byte(body))}
	for name, more := range map[string]string{
		"a very long line":  "X-Long: " + strings.Repeat("x", 200_000) + "\n",
		"lines of our own":  strings.Repeat("Status: "+strings.Repeat("x", 60_000)+"\n", 5) + "From: hidden@example.org\n",
		"a line of another": "From: hidden@example.org\n",
	} {
		lines := strings.Replace(string(e.Lines()), "lines=3", fmt.Sprintf("lines=%d", 3+strings.Count(more, "\n")), 1)
		s, err := mailfile.Open(write(t, "m", "From x Thu Jan  1 10:00:00 2026\n"+lines+more+"Subject: x\n\nshort\n\n"))
		if err != nil {
			t.Fatal(err)
		}
		for m, err := range s.Messages(t.Context()) {
			if err := errors.Join(err, s.Settle(m)); err != nil {
				t.Fatal(err)
			}
			if got := readMessage(t, m); !strings.Contains(got, more[:8]) || !strings.Contains(got, "X-Pillarbox-Export") {
				t.Errorf("%s: it is hidden: %.100q", name, got)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
