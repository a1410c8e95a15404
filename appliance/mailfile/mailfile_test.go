package mailfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/mailfile"
)

// found is what a test sees of a message.
type found struct {
	Name  string
	Flags []imap.Flag
	Date  string
	Body  string
	Err   bool
}

func readAll(t *testing.T, path string) []found {
	t.Helper()
	s, err := mailfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var all []found
	for m, err := range s.Messages(t.Context()) {
		f := found{Name: m.Name, Flags: m.Flags, Err: err != nil}
		if err == nil {
			if err := s.Settle(m); err != nil {
				t.Fatal(err)
			}
			f.Flags, f.Body = m.Flags, readMessage(t, m)
			if !m.Date.IsZero() {
				f.Date = m.Date.UTC().Format(time.DateTime)
			}
		}
		all = append(all, f)
	}

	return all
}

func readMessage(t *testing.T, m *mailfile.Message) string {
	t.Helper()
	r, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}

	return string(b)
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}

	return path
}

func TestSingleMessage(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	for name, tc := range map[string]struct{ in, want string }{
		"CRLF":                            {"a: b\r\n\r\nc\r\n", "a: b\r\n\r\nc\r\n"},
		"CRLF first, then anything":       {"a: b\r\nc\n\rd\n", "a: b\r\nc\n\rd\n"},
		"LF":                              {"a: b\n\nc\n", "a: b\r\n\r\nc\r\n"},
		"LF first, CRLF within":           {"a: b\nc\r\nd\n", "a: b\r\nc\r\nd\r\n"},
		"LF and bare CR":                  {"a: b\nc\rd\n", "a: b\r\nc\rd\r\n"},
		"no line end at all":              {"abc", "abc"},
		"LF, no line end at the end":      {"a\nb", "a\r\nb"},
		"NUL and 8 bits":                  {"a\n\x00\xff\n", "a\r\n\x00\xff\r\n"},
		"a long line":                     {"a\n" + long + "\nb\n", "a\r\n" + long + "\r\nb\r\n"},
		"a first line beyond the buffer":  {long + "\nb\n", long + "\nb\n"},
		"CR at the buffer's end, then LF": {"a\n" + long[:64<<10-3] + "\r\nb\n", "a\r\n" + long[:64<<10-3] + "\r\nb\r\n"},
		"a quoted From line stays":        {"a\n>From b\n", "a\r\n>From b\r\n"},
		"From without a date is no mbox":  {"From here\r\nb\r\n", "From here\r\nb\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got := readAll(t, write(t, "m.eml", tc.in))
			if diff := cmp.Diff([]found{{Name: "m.eml", Body: tc.want}}, got); diff != "" {
				t.Errorf("(-want +got):\n%.1000s", diff)
			}
		})
	}
}

func TestStandardInput(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"message":             {"a: b\n\nc\n", "a: b\r\n\r\nc\r\n"},
		"From line is gone":   {"From bob Thu Jan  1 00:00:00 1970\na: b\n\nFrom c\n", "a: b\r\n\r\nFrom c\r\n"},
		"From line with CRLF": {"From bob Thu Jan  1 00:00:00 1970\r\na: b\n", "a: b\n"},
		"empty":               {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			// One octet at a time, as a slow pipe gives them.
			m := mailfile.FromReader("standard input", &oneByOne{strings.NewReader(tc.in)})
			if diff := cmp.Diff(tc.want, readMessage(t, m)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

type oneByOne struct{ r io.Reader }

func (o *oneByOne) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}

	return o.r.Read(p[:1])
}

func TestMbox(t *testing.T) {
	const from = "From bob@example.org Thu Jan  1 10:00:00 2026\n"
	const date = "2026-01-01 10:00:00"
	for name, tc := range map[string]struct {
		in   string
		want []found
	}{
		"one": {from + "a: b\n\nc\n\n", []found{{Name: "m, message 1 (line 1)", Date: date, Body: "a: b\r\n\r\nc\r\n"}}},
		"two": {from + "a: 1\n\nx\n\n" + from + "a: 2\n\ny\n", []found{
			{Name: "m, message 1 (line 1)", Date: date, Body: "a: 1\r\n\r\nx\r\n"},
			{Name: "m, message 2 (line 6)", Date: date, Body: "a: 2\r\n\r\ny\r\n"},
		}},
		"quoted, mboxrd": {from + "a: b\n\n>From x\n>>From y\n> From z\n>Frommage\n", []found{
			{Name: "m, message 1 (line 1)", Date: date, Body: "a: b\r\n\r\nFrom x\r\n>From y\r\n> From z\r\n>Frommage\r\n"},
		}},
		"not quoted, after text": {from + "a: b\n\nx\nFrom bob Thu Jan  1 10:00:00 2026\n", []found{
			{Name: "m, message 1 (line 1)", Date: date, Body: "a: b\r\n\r\nx\r\nFrom bob Thu Jan  1 10:00:00 2026\r\n"},
		}},
		"not quoted, no date": {from + "a: b\n\nFrom here on\n", []found{
			{Name: "m, message 1 (line 1)", Date: date, Body: "a: b\r\n\r\nFrom here on\r\n"},
		}},
		"Content-Length lies": {from + "Content-Length: 1000000\n\nx\n\n" + from + "a: 2\n\n", []found{
			{Name: "m, message 1 (line 1)", Date: date, Body: "Content-Length: 1000000\r\n\r\nx\r\n"},
			{Name: "m, message 2 (line 6)", Date: date, Body: "a: 2\r\n"},
		}},
		"CRLF": {strings.ReplaceAll(from+"a: b\n\nx\n\n"+from+"c: d\n\ny\n\n", "\n", "\r\n"), []found{
			{Name: "m, message 1 (line 1)", Date: date, Body: "a: b\r\n\r\nx\r\n"},
			{Name: "m, message 2 (line 6)", Date: date, Body: "c: d\r\n\r\ny\r\n"},
		}},
		"cut off": {from + "a: b\n\nx\n\n" + from + "a", []found{
			{Name: "m, message 1 (line 1)", Date: date, Body: "a: b\r\n\r\nx\r\n"},
			{Name: "m, message 2 (line 6)", Date: date, Body: "a"},
		}},
		"nothing but From lines": {from + "\n" + from, []found{
			{Name: "m, message 1 (line 1)", Date: date},
			{Name: "m, message 2 (line 3)", Date: date},
		}},
		"flags": {from + "Status: RO\nX-Status: AFDT\nSTATUS: R\nSubject: x\n Status: ignored\n\nX-Status: in the body\n", []found{
			{
				Name: "m, message 1 (line 1)", Date: date, Flags: []imap.Flag{imap.FlagAnswered, imap.FlagDeleted, imap.FlagDraft, imap.FlagFlagged, imap.FlagSeen},
				Body: "Status: RO\r\nX-Status: AFDT\r\nSTATUS: R\r\nSubject: x\r\n Status: ignored\r\n\r\nX-Status: in the body\r\n",
			},
		}},
		"Mozilla's flags": {from + "X-Mozilla-Status: 1007\n\n", []found{
			{Name: "m, message 1 (line 1)", Date: date, Flags: []imap.Flag{imap.FlagForwarded, imap.FlagAnswered, imap.FlagFlagged, imap.FlagSeen}, Body: "X-Mozilla-Status: 1007\r\n"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, readAll(t, write(t, "m", tc.in))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDatesOfFromLines(t *testing.T) {
	for line, want := range map[string]string{
		"From bob Thu Jan  1 10:00:00 2026":                          "2026-01-01 10:00:00",
		"From bob Thu Jan 1 10:00 2026":                              "2026-01-01 10:00:00",
		"From - Thu Jan 01 10:00:00 2026":                            "2026-01-01 10:00:00",
		"From bob Thu Jan  1 10:00:00 2026 +0200":                    "2026-01-01 08:00:00",
		"From 17@xxx Thu Jan 01 10:00:00 +0000 2026":                 "2026-01-01 10:00:00",
		"From bob Thu Jan  1 10:00:00 CET 2026":                      "2026-01-01 10:00:00",
		"From \"bob builder\"@x.example Thu Jan  1 10:00:00 2026":    "2026-01-01 10:00:00",
		"From bob@x.example  Thu Jan  1 10:00:00 2026 remote from y": "2026-01-01 10:00:00",

		"From a@b.example Mon, 5 Jan 2026 10:00:00 +0100": "2026-01-05 09:00:00",
		"From bob Mon, 5 Jan 2026 10:00:00 +0100 (CET)":   "2026-01-05 09:00:00",
		"From a@b.example Mon, 05 Jan 2026 10:00:00 GMT":  "2026-01-05 10:00:00",
		"From a@b.example 5 Jan 2026 10:00":               "2026-01-05 10:00:00",
		"From - 5-Jan-2026 10:00:00 +0100":                "2026-01-05 09:00:00",
		"From a@b.example 2026-01-05T10:00:00Z":           "2026-01-05 10:00:00",
		"From a@b.example 2026-01-05T10:00:00.25+01:00":   "2026-01-05 09:00:00",
		"From MAILER-DAEMON 2026-01-05 10:00:00 +0100":    "2026-01-05 09:00:00",
		"From a@b.example Mon 2026-01-05 10:00:00":        "2026-01-05 10:00:00",
	} {
		got := readAll(t, write(t, "m", line+"\na: b\n\n"))
		if len(got) != 1 || got[0].Date != want || got[0].Body != "a: b\r\n" {
			t.Errorf("%s: %+v, want the date %s", line, got, want)
		}
	}
}

func TestTextThatBeginsWithFromSeparatesNothing(t *testing.T) {
	for _, line := range []string{
		"From here on",
		"From Monday 2026-01-05 10:00",
		"From 2026-01-05 10:00 on",
		"From 2026-01-05 10:00:00 +0100",
		"From anna@office.example 2026-01-05 10:00 we heard nothing",
		"From anna@office.example on Mon, 5 Jan 2026 10:00:00 +0100",
		"From now Mon, 5 Jan 2026 10:00:00 +0100 is the time",
		"From Mon, 5 Jan 2026 10:00:00 +0100",
		"From Mon, 5 Jan 2026",
		"From a@b.example 2026-01-05",
		"From a@b.example Mon",
		"From a@b.example (CET)",
		"From a@b.example",
	} {
		text := "From x Thu Jan  1 10:00:00 2026\na: b\n\n" + line + "\n"
		got := readAll(t, write(t, "m", text))
		if want := "a: b\r\n\r\n" + line + "\r\n"; len(got) != 1 || got[0].Body != want {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestAHugeMboxIsReadMessageByMessage(t *testing.T) {
	var b bytes.Buffer
	line := strings.Repeat("y", 998) + "\n"
	const count = 300
	for i := range count {
		fmt.Fprintf(&b, "From x Thu Jan  1 10:00:00 2026\nSubject: %d\n\n%s\n", i, strings.Repeat(line, 100))
	}
	s, err := mailfile.Open(write(t, "m", b.String()))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var messages []*mailfile.Message
	for m, err := range s.Messages(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, m)
	}
	if len(messages) != count {
		t.Fatalf("%d messages, want %d", len(messages), count)
	}
	// In any order, and after the iteration.
	for i, m := range slices.Backward(messages) {
		want := fmt.Sprintf("Subject: %d\r\n\r\n%s", i, strings.Repeat(line[:998]+"\r\n", 100))
		if got := readMessage(t, m); got != want {
			t.Fatalf("message %d has %d octets, want %d", i, len(got), len(want))
		}
	}
}

func TestMaildir(t *testing.T) {
	dir := t.TempDir()
	date := time.Date(2001, 3, 4, 5, 6, 7, 0, time.UTC)
	for name, content := range map[string]string{
		"new/1000000002.b":        "a: 2\n\n",
		"cur/1000000001.a:2,S":    "a: 1\n\n",
		"cur/1000000003.c;2,RFab": "a: 3\r\n\r\nx",
		"cur/1000000004.d!2,TDPz": "a: 4\n\n",
		"cur/1000000005.e:2,S":    "",
		"cur/.hidden":             "no mail",
		"tmp/1000000006.f":        "not yet mail",
		"dovecot-keywords":        "0 $Important\n1 NonJunk\nrubbish\n99 x\n",
		".Sent/cur/1.g:2,S":       "a: 5\n\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, date, date); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "cur", "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "new", "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := filepath.Base(dir)
	const at = "2001-03-04 05:06:07"
	want := []found{
		{Name: base + "/cur/1000000001.a:2,S", Date: at, Flags: []imap.Flag{imap.FlagSeen}, Body: "a: 1\r\n\r\n"},
		{Name: base + "/new/1000000002.b", Date: at, Body: "a: 2\r\n\r\n"},
		{Name: base + "/cur/1000000003.c;2,RFab", Date: at, Flags: []imap.Flag{"$Important", "NonJunk", imap.FlagAnswered, imap.FlagFlagged}, Body: "a: 3\r\n\r\nx"},
		{Name: base + "/cur/1000000004.d!2,TDPz", Date: at, Flags: []imap.Flag{imap.FlagForwarded, imap.FlagDeleted, imap.FlagDraft}, Body: "a: 4\r\n\r\n"},
		{Name: base + "/cur/1000000005.e:2,S", Err: true},
	}
	for i := range want {
		slices.Sort(want[i].Flags)
	}
	if diff := cmp.Diff(want, readAll(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s, err := mailfile.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{filepath.Join(dir, ".Sent")}, s.Unread); diff != "" {
		t.Errorf("folders below (-want +got):\n%s", diff)
	}
}

func TestWhatIsNoMail(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		dir:                         mailfile.ErrNotMaildir,
		pipe:                        mailfile.ErrNotFile,
		write(t, "empty", ""):       mailfile.ErrEmpty,
		filepath.Join(dir, "blank"): os.ErrNotExist,
	} {
		if _, err := mailfile.Open(path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}

func FuzzMbox(f *testing.F) {
	const from = "From bob@example.org Thu Jan  1 10:00:00 2026\n"
	for _, seed := range []string{
		from, from + "a: b\n\nc\n", from + "\n" + from + "\n", from + ">From x\n\n>From y", "From ", "a\r\n",
		strings.ReplaceAll(from+"a: b\n\nc\n\n"+from, "\n", "\r\n"), from + "Status: \xff\nX-Mozilla-Status: zz\n\n\x00",
	} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) == 0 {
			return
		}
		path := filepath.Join(dir, "m")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		var octets int
		all := readAll(t, path)
		for _, m := range all {
			if m.Err {
				t.Errorf("%s cannot be read", m.Name)
			}
			octets += len(m.Body)
		}
		// Line ends may double; nothing else grows.
		if octets > len(content)+bytes.Count(content, []byte("\n")) {
			t.Errorf("%d octets came out of %d", octets, len(content))
		}
		if len(all) == 0 {
			t.Error("a file that is not empty has no message")
		}
	})
}

func FuzzMessageInMboxComesBack(f *testing.F) {
	for _, seed := range []string{"a: b\r\n\r\nFrom c\r\n", ">From\r\n>From \r\n>>From x", "\r\n", ""} {
		f.Add(seed)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		// As a program writes mboxrd, of a message with proper line ends.
		lines := strings.Split(strings.NewReplacer("\r", "", "\x00", "").Replace(text), "\n")
		var box strings.Builder
		box.WriteString("From x Thu Jan  1 10:00:00 2026\r\n")
		for _, l := range lines {
			if strings.HasPrefix(strings.TrimLeft(l, ">"), "From ") {
				box.WriteByte('>')
			}
			box.WriteString(l + "\r\n")
		}
		box.WriteString("\r\n")
		path := filepath.Join(dir, "m")
		if err := os.WriteFile(path, []byte(box.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		all := readAll(t, path)
		want := strings.Join(lines, "\r\n") + "\r\n"
		if len(all) != 1 || all[0].Body != want {
			t.Errorf("got %+v, want one message %q", all, want)
		}
	})
}

func writeTo(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
