package imap_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	imaplib "github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"pillarbox/storage"
)

// nestedMail is a multipart/mixed of text, a message in which there is a
// multipart/alternative, and base64.
const nestedMail = "From: Anna <anna@example.com>\r\n" +
	"To: bob@example.com\r\n" +
	"X-Own: one\r\n" +
	"Subject: nested\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=outer\r\n" +
	"\r\n" +
	"preamble\r\n" +
	"--outer\r\n" +
	"Content-Type: text/plain\r\n" +
	"\r\n" +
	"first part\r\n" +
	"--outer\r\n" +
	"Content-Type: message/rfc822\r\n" +
	"\r\n" +
	"Subject: inner\r\n" +
	"Content-Type: multipart/alternative; boundary=inner\r\n" +
	"\r\n" +
	"--inner\r\n" +
	"Content-Type: text/plain\r\n" +
	"\r\n" +
	"inner plain\r\n" +
	"--inner\r\n" +
	"Content-Type: text/html\r\n" +
	"\r\n" +
	"<p>inner html\r\n" +
	"--inner--\r\n" +
	"--outer\r\n" +
	"Content-Type: application/octet-stream\r\n" +
	"Content-Transfer-Encoding: base64\r\n" +
	"\r\n" +
	"aGFsbG8AIQ==\r\n" + // "hallo\x00!"
	"--outer--\r\n"

func TestFetchSections(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", nestedMail)
	c := o.login()
	c.quiet("EXAMINE INBOX")
	header, text, _ := strings.Cut(nestedMail, "\r\n\r\n")
	header += "\r\n\r\n"
	inner := nestedMail[strings.Index(nestedMail, "Subject: inner") : strings.Index(nestedMail, "--inner--")+len("--inner--")]
	innerHeader, innerText, _ := strings.Cut(inner, "\r\n\r\n")
	innerHeader += "\r\n\r\n"
	for _, tc := range []struct{ item, label, want string }{
		{"BODY[]", "", literal(nestedMail)},
		{"BODY.PEEK[]", "BODY[]", literal(nestedMail)},
		{"BODY[HEADER]", "", literal(header)},
		{"BODY[TEXT]", "", literal(text)},
		{"BODY[1]", "", literal("first part")},
		{"BODY[1.MIME]", "", literal("Content-Type: text/plain\r\n\r\n")},
		{"BODY[2]", "", literal(inner)},
		{"BODY[2.MIME]", "", literal("Content-Type: message/rfc822\r\n\r\n")},
		{"BODY[2.HEADER]", "", literal(innerHeader)},
		{"BODY[2.TEXT]", "", literal(innerText)},
		{"BODY[2.HEADER.FIELDS (Subject X-None)]", "", literal("Subject: inner\r\n\r\n")},
		{"BODY[2.1]", "", literal("inner plain")},
		{"BODY[2.2]", "", literal("<p>inner html")},
		{"BODY[2.2.MIME]", "", literal("Content-Type: text/html\r\n\r\n")},
		{"BODY[3]", "", literal("aGFsbG8AIQ==")},
		{"BODY[1.HEADER]", "", "NIL"}, // part 1 is no message
		{"BODY[4]", "", "NIL"},
		{"BODY[2.3]", "", "NIL"},
		{"BODY[1.1]", "", "NIL"},
		{"BODY[HEADER.FIELDS (FROM subject)]", "", literal("From: Anna <anna@example.com>\r\nSubject: nested\r\n\r\n")},
		{"BODY[HEADER.FIELDS (X-Own)]", "", literal("X-Own: one\r\n\r\n")},
		{"BODY[HEADER.FIELDS.NOT (From To Content-Type MIME-Version)]", "", literal("X-Own: one\r\nSubject: nested\r\n\r\n")},
		{"BODY[HEADER.FIELDS (X-Absent)]", "", literal("\r\n")},
		{"BODY[]<0.5>", "BODY[]<0>", literal("From:")},
		{"BODY[]<6.4>", "BODY[]<6>", literal("Anna")},
		{"BODY[1]<6.100>", "BODY[1]<6>", literal("part")},
		{"BODY[1]<10.1>", "BODY[1]<10>", literal("")},
		{"BODY[1]<9223372036854775807.9223372036854775807>", "BODY[1]<9223372036854775807>", literal("")},
		{"BODY[HEADER.FIELDS (Subject)]<9.6>", "BODY[HEADER.FIELDS (Subject)]<9>", literal("nested")},
		{"BINARY[1]", "", literal("first part")},
		{"BINARY.PEEK[3]", "BINARY[3]", "~" + literal("hallo\x00!")},
		{"BINARY[3]<0.5>", "BINARY[3]<0>", "~" + literal("hallo")},
		{"BINARY.SIZE[3]", "", "7"},
		{"BINARY[]", "", literal(nestedMail)},
		{"BINARY[9]", "", "NIL"},
		{"RFC822", "", literal(nestedMail)},
		{"RFC822.HEADER", "", literal(header)},
		{"RFC822.TEXT", "", literal(text)},
		{"RFC822.PEEK", "RFC822", literal(nestedMail)},
		{"RFC822.SIZE", "", fmt.Sprint(len(nestedMail))},
	} {
		t.Run(tc.item, func(t *testing.T) {
			label := tc.label
			if label == "" {
				label = tc.item
			}
			c.t = t
			c.do("FETCH 1 "+tc.item, "* 1 FETCH ("+label+" "+tc.want+")", "OK FETCH completed")
		})
	}
	c.t = t
	c.do("FETCH 1 (BODY[1] UID BODY[2.1])", // several sections, and items in front of them
		"* 1 FETCH (UID 1 BODY[1] "+literal("first part")+" BODY[2.1] "+literal("inner plain")+")", "OK FETCH completed")
}

func TestFetchPrefix(t *testing.T) {
	o := newOffice(t)
	prefix := "Return-Path: <x@example.com>\r\nDelivered-To: alice\r\n"
	deliverWith(o, prefix, plainMail)
	c := o.login()
	c.quiet("EXAMINE INBOX")
	c.do("FETCH 1 (RFC822.SIZE BODY[])",
		fmt.Sprintf("* 1 FETCH (RFC822.SIZE %d BODY[] %s)", len(prefix+plainMail), literal(prefix+plainMail)), "OK …")
	c.do("FETCH 1 BODY[HEADER]",
		"* 1 FETCH (BODY[HEADER] "+literal(prefix+"From: a@example.com\r\nSubject: hello\r\n\r\n")+")", "OK …")
	c.do("FETCH 1 BODY[TEXT]", "* 1 FETCH (BODY[TEXT] "+literal("body\r\n")+")", "OK …")
	c.do("FETCH 1 BODY[1]", "* 1 FETCH (BODY[1] "+literal("body\r\n")+")", "OK …")
	c.do("FETCH 1 BODY[HEADER.FIELDS (Subject Return-Path)]",
		"* 1 FETCH (BODY[HEADER.FIELDS (Subject Return-Path)] "+literal("Return-Path: <x@example.com>\r\nSubject: hello\r\n\r\n")+")", "OK …")
	c.do("FETCH 1 BODY[HEADER.FIELDS.NOT (From)]",
		"* 1 FETCH (BODY[HEADER.FIELDS.NOT (From)] "+literal(prefix+"Subject: hello\r\n\r\n")+")", "OK …")
}

// deliverWith puts a message with header fields of the server into alice's INBOX.
func deliverWith(o *office, prefix, mail string) {
	o.t.Helper()
	ctx := context.Background()
	body, err := o.store.Stage(ctx, strings.NewReader(mail))
	if err != nil {
		o.t.Fatal(err)
	}
	defer body.Close()
	a := o.account("alice")
	msgs := []storage.AppendMessage{{Body: body, Prefix: []byte(prefix)}}
	if _, err := a.Append(ctx, a.Mailbox("INBOX").ID, msgs); err != nil {
		o.t.Fatal(err)
	}
}

func TestFetchListed(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail)
	c := o.login()
	c.quiet("EXAMINE INBOX")
	envelope := `ENVELOPE (NIL "hello" ((NIL NIL "a" "example.com")) ((NIL NIL "a" "example.com")) ((NIL NIL "a" "example.com")) NIL NIL NIL NIL NIL)`
	size := fmt.Sprint("RFC822.SIZE ", len(plainMail))
	c.do("FETCH 1 FAST", `* 1 FETCH (FLAGS (\Recent) INTERNALDATE "…" `+size+")", "OK …")
	c.do("FETCH 1 ALL", `* 1 FETCH (FLAGS (\Recent) INTERNALDATE "…" `+size+" "+envelope+")", "OK …")
	c.do("FETCH 1 FULL", `* 1 FETCH (FLAGS (\Recent) INTERNALDATE "…" `+size+" "+envelope+` BODY ("text" "plain" …))`, "OK …")
	c.do("FETCH 1 (BODYSTRUCTURE)", `* 1 FETCH (BODYSTRUCTURE ("text" "plain" …))`, "OK …")
	c.do("UID FETCH 1 FLAGS", `* 1 FETCH (UID 1 FLAGS (\Recent))`, "OK UID FETCH completed")
	c.do("FETCH 1 UID", `* 1 FETCH (UID 1)`, "OK FETCH completed")
}

func TestFetchSets(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail)
	c := o.login()
	c.quiet("SELECT INBOX")
	c.do("FETCH 3,1 UID", "* 1 FETCH (UID 1)", "* 3 FETCH (UID 3)", "OK …")
	c.do("FETCH * UID", "* 3 FETCH (UID 3)", "OK …")
	c.do("FETCH *:2 UID", "* 2 FETCH (UID 2)", "* 3 FETCH (UID 3)", "OK …")
	c.do("FETCH 4 UID", "BAD …")
	c.do("FETCH 2:4 UID", "BAD …")
	c.do("UID FETCH 4 FLAGS", "OK …")
	c.do("UID FETCH 3:99 UID", "* 3 FETCH (UID 3)", "OK …")
	c.do("UID FETCH 99:* UID", "* 3 FETCH (UID 3)", "OK …") // RFC 9051, section 6.4.8
	c.quiet("SELECT Trash")
	c.do("FETCH 1:* UID", "BAD …")
	c.do("UID FETCH 1:* UID", "OK UID FETCH completed")
}

func TestFetchSetsSeen(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail)
	c := o.login()
	c.quiet("SELECT INBOX")
	other := o.login()
	other.quiet("SELECT INBOX")
	c.do("FETCH 1 BODY.PEEK[TEXT]", "* 1 FETCH (BODY[TEXT] {6}\r\nbody\r\n)", "OK …")
	c.do("FETCH 1 RFC822.HEADER", "* 1 FETCH (RFC822.HEADER …)", "OK …")
	c.do("FETCH 1 FLAGS", `* 1 FETCH (FLAGS (\Recent))`, "OK …")
	c.do("FETCH 1:2 BODY[TEXT]",
		"* 1 FETCH (FLAGS (\\Seen \\Recent) BODY[TEXT] {6}\r\nbody\r\n)",
		"* 2 FETCH (FLAGS (\\Seen \\Recent) BODY[TEXT] {6}\r\nbody\r\n)", "OK …")
	// Once it is set there is nothing to tell.
	c.do("FETCH 1 BODY[TEXT]", "* 1 FETCH (BODY[TEXT] {6}\r\nbody\r\n)", "OK …")
	c.do("FETCH 3 (FLAGS BINARY[1])", "* 3 FETCH (FLAGS (\\Seen \\Recent) BINARY[1] {6}\r\nbody\r\n)", "OK …")
	other.do("NOOP",
		`* 1 FETCH (UID 1 FLAGS (\Seen))`, `* 2 FETCH (UID 2 FLAGS (\Seen))`, `* 3 FETCH (UID 3 FLAGS (\Seen))`, "OK …")
}

func TestFetchHeaderFieldsSetsSeen(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail)
	c := o.login()
	c.quiet("SELECT INBOX")
	c.do("FETCH 1 BODY[HEADER.FIELDS (Subject)]",
		"* 1 FETCH (FLAGS (\\Seen \\Recent) BODY[HEADER.FIELDS (Subject)] "+literal("Subject: hello\r\n\r\n")+")", "OK …")
}

func TestFetchChangedSince(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail)
	c := o.login()
	c.quiet("SELECT INBOX")
	mod := func() uint64 { return uint64(o.account("alice").Mailbox("INBOX").HighestModSeq) }
	before := mod()
	c.quiet(`STORE 2 +FLAGS.SILENT (\Flagged)`)
	c.do(fmt.Sprintf("FETCH 1:* (FLAGS) (CHANGEDSINCE %d)", before),
		fmt.Sprintf(`* 2 FETCH (FLAGS (\Flagged \Recent) MODSEQ (%d))`, mod()), "OK …")
	c.do(fmt.Sprintf("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)", mod()), "OK …")
	// iOS asks so; everything has changed since then.
	c.do("UID FETCH 1:* (UID) (CHANGEDSINCE 0)", "* 1 FETCH (UID 1 MODSEQ (…))", "* 2 FETCH (UID 2 MODSEQ (…))", "* 3 FETCH (UID 3 MODSEQ (…))", "OK …")
	c.do("FETCH 2 (MODSEQ)", fmt.Sprintf("* 2 FETCH (MODSEQ (%d))", mod()), "OK …")
}

// TestFetchOfExpunged: another session takes messages away while this one may
// not be told of it.
func TestFetchOfExpunged(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail)
	c, other := o.login(), o.login()
	c.quiet("SELECT INBOX")
	other.quiet("SELECT INBOX")
	other.quiet(`STORE 2 +FLAGS.SILENT (\Deleted)`)
	other.do("EXPUNGE", "* 2 EXPUNGE", "OK EXPUNGE completed")
	for _, items := range []string{"UID", "(UID ENVELOPE)", "(UID BODY.PEEK[])"} {
		untagged, tagged := c.run("FETCH 1:3 " + items)
		c.compare(items, append(untagged, tagged), []string{
			"* 1 FETCH (UID 1…)", "* 3 FETCH (UID 3…)", "OK [EXPUNGEISSUED] …",
		})
	}
	c.do("FETCH 3 UID", "* 3 FETCH (UID 3)", "OK FETCH completed")
	c.do("UID FETCH 1:3 UID", "* 1 FETCH (UID 1)", "* 3 FETCH (UID 3)", "* 2 EXPUNGE", "OK UID FETCH completed")
	c.do("FETCH 2 UID", "* 2 FETCH (UID 3)", "OK FETCH completed")
}

// TestFetchOfDamagedMail: whatever is wrong with a mail, its octets are served.
func TestFetchOfDamagedMail(t *testing.T) {
	for name, mail := range map[string]string{
		"nothing":                "",
		"no header":              "\r\njust text\r\n",
		"no body":                "Subject: x\r\n",
		"bare LF":                "Subject: x\n\nbody\nbody\n",
		"malformed header line":  "Subject: x\r\nthis is no field\r\nTo: y@example.com\r\n\r\nbody",
		"multipart, no boundary": "Content-Type: multipart/mixed\r\n\r\ntext\r\n",
		"boundary never ends":    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext",
		"raw 8 bit":              "From: M\xfcller <m@example.com>\r\n\r\n\xff\xfe\r\n",
		"NUL":                    "Subject: a\x00b\r\n\r\nx\x00y",
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			o.deliver("alice", "INBOX", mail, plainMail)
			c := o.login()
			c.quiet("EXAMINE INBOX")
			c.do("FETCH 1 BODY[]", "* 1 FETCH (BODY[] "+literal(mail)+")", "OK …")
			c.quiet("FETCH 1 (BODY[HEADER] BODY[TEXT] BODY[1] BODY[1.MIME] BODY[2] BINARY[1] BINARY.SIZE[1] BODYSTRUCTURE ENVELOPE BODY[HEADER.FIELDS (Subject)])")
			c.do("FETCH 2 UID", "* 2 FETCH (UID 2)", "OK …") // the stream is not out of step
		})
	}
}

func TestFetchUnknownEncoding(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", "Content-Transfer-Encoding: x-strange\r\n\r\nbody", plainMail)
	c := o.login()
	c.quiet("EXAMINE INBOX")
	c.do("FETCH 1:2 (UID BINARY[1])", "* 2 FETCH (UID 2 BINARY[1] "+literal("body\r\n")+")", "NO [UNKNOWN-CTE] …")
	c.do("FETCH 1 BINARY.SIZE[1]", "NO [UNKNOWN-CTE] …")
	c.do("FETCH 1 BODY[1]", "* 1 FETCH (BODY[1] {4}\r\nbody)", "OK …")
}

// TestFetchLostBody: a body file that is gone is told of, and takes nothing
// else with it.
func TestFetchLostBody(t *testing.T) {
	for _, how := range []string{"removed", "cut short"} {
		t.Run(how, func(t *testing.T) {
			o := newOffice(t)
			big := plainMail + strings.Repeat("0123456789abcdef", 40<<10)
			o.deliver("alice", "INBOX", plainMail, big, plainMail)
			files, err := filepath.Glob(filepath.Join(o.dir, "accounts", "alice", "bodies", "*", "*"))
			if err != nil || len(files) != 1 {
				t.Fatalf("body files %v, %v; want one", files, err)
			}
			if how == "removed" {
				err = os.Remove(files[0])
			} else {
				err = os.Truncate(files[0], int64(len(big)/2))
			}
			if err != nil {
				t.Fatal(err)
			}
			c := o.login()
			c.quiet("EXAMINE INBOX")
			if how == "removed" {
				c.do("FETCH 1:3 (UID BODY[TEXT])",
					"* 1 FETCH (UID 1 BODY[TEXT] {6}\r\nbody\r\n)", "* 3 FETCH (UID 3 BODY[TEXT] {6}\r\nbody\r\n)", "NO [CORRUPTION] …")
				c.do("FETCH 2 (UID ENVELOPE)", "* 2 FETCH (UID 2 ENVELOPE (…))", "OK …")
				return
			}
			// Where the client was told of octets that do not come, nothing but
			// the end of the connection can tell it so.
			c.send("FETCH 2 BODY[]")
			if line, err := c.read(); err == nil && !strings.Contains(line, " NO [CORRUPTION] ") {
				t.Errorf("got %d octets that look complete", len(line))
			}
		})
	}
}

// TestFetchLarge compares a message that takes many writes.
func TestFetchLarge(t *testing.T) {
	o := newOffice(t)
	var b strings.Builder
	b.WriteString("Content-Transfer-Encoding: base64\r\n\r\n")
	for i := range 60_000 {
		fmt.Fprintf(&b, "%s\r\n", strings.Repeat(string(rune('A'+i%26)), 76))
	}
	mail := b.String()
	o.deliver("alice", "INBOX", mail)
	c := o.login()
	c.quiet("EXAMINE INBOX")
	got, _ := c.run("FETCH 1 BODY[]")
	if diff := cmp.Diff([]string{"* 1 FETCH (BODY[] " + literal(mail) + ")"}, got); diff != "" {
		t.Errorf("%.300s", diff)
	}
	got, _ = c.run("FETCH 1 BODY[TEXT]<1000000.100000>")
	text := mail[strings.Index(mail, "\r\n\r\n")+4:]
	if want := "* 1 FETCH (BODY[TEXT]<1000000> " + literal(text[1000000:1100000]) + ")"; len(got) != 1 || got[0] != want {
		t.Errorf("partial differs")
	}
	decoded := 60_000 * 57
	c.do("FETCH 1 BINARY.SIZE[1]", fmt.Sprintf("* 1 FETCH (BINARY.SIZE[1] %d)", decoded), "OK …")
	got, _ = c.run("FETCH 1 BINARY[1]")
	if n := len(got[0]); n < decoded {
		t.Errorf("BINARY[1] has %d octets", n)
	}
	c.do("FETCH 1 BINARY[1]<1.3>", "* 1 FETCH (BINARY[1]<1> ~{3}\r\n\x00\x00\x00)", "OK …")
}

func TestFetchByLibrary(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", nestedMail, plainMail)
	c := o.library(nil)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	section := &imaplib.FetchItemBodySection{Part: []int{2}, Specifier: imaplib.PartSpecifierHeader, HeaderFields: []string{"Subject"}, Peek: true}
	binary := &imaplib.FetchItemBinarySection{Part: []int{3}, Peek: true}
	msgs, err := c.Fetch(imaplib.SeqSetNum(1, 2), &imaplib.FetchOptions{
		UID: true, Flags: true, Envelope: true, InternalDate: true, RFC822Size: true,
		BodyStructure: &imaplib.FetchItemBodyStructure{Extended: true},
		BodySection:   []*imaplib.FetchItemBodySection{section, {Peek: true}},
		BinarySection: []*imaplib.FetchItemBinarySection{binary},
	}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	if len(msgs) != 2 {
		t.Fatalf("%d messages", len(msgs))
	}
	m := msgs[0]
	if m.UID != 1 || m.RFC822Size != int64(len(nestedMail)) || m.Envelope.Subject != "nested" || m.BodyStructure.MediaType() != "multipart/mixed" {
		t.Errorf("got %+v", m)
	}
	if got := string(m.FindBodySection(&imaplib.FetchItemBodySection{})); got != nestedMail {
		t.Errorf("body %q", got)
	}
	if got := string(m.FindBodySection(section)); got != "Subject: inner\r\n\r\n" {
		t.Errorf("section %q", got)
	}
	if got := string(m.FindBinarySection(binary)); got != "hallo\x00!" {
		t.Errorf("binary %q", got)
	}
}

// BenchmarkFetchFirstSync is what a mail program asks of a folder it has
// never seen.
func BenchmarkFetchFirstSync(b *testing.B) {
	benchmarkFetch(b, "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)")
}

// BenchmarkFetchHeaders is the same by programs that parse headers themselves.
func BenchmarkFetchHeaders(b *testing.B) {
	benchmarkFetch(b, "UID FETCH 1:* (UID FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (Date From To Cc Subject Message-ID Content-Type)])")
}

// BenchmarkFetchFlags is a flag resync.
func BenchmarkFetchFlags(b *testing.B) { benchmarkFetch(b, "UID FETCH 1:* (FLAGS)") }

// BenchmarkFetchChangedSince is a flag resync by CONDSTORE with nothing new.
func BenchmarkFetchChangedSince(b *testing.B) {
	benchmarkFetch(b, "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1000000000)")
}

// BenchmarkFetchBodies downloads everything.
func BenchmarkFetchBodies(b *testing.B) { benchmarkFetch(b, "UID FETCH 1:* (UID BODY.PEEK[])") }

func benchmarkFetch(b *testing.B, command string) {
	const n = 10_000
	o := newBenchOffice(b, n)
	c := o.login()
	c.quiet("EXAMINE INBOX")
	b.ReportAllocs()
	var octets int64
	for b.Loop() {
		octets = c.drain(command)
	}
	b.SetBytes(octets)
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// TestFetchMemory: a message of 50 MB is not held in memory.
func TestFetchMemory(t *testing.T) {
	o := newOffice(t)
	mail := "Subject: large\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		strings.Repeat(strings.Repeat("QUJD", 19)+"\r\n", 48<<20/78)
	o.deliver("alice", "INBOX", mail)
	c := o.login()
	c.quiet("EXAMINE INBOX")
	for _, item := range []string{"BODY[]", "BODY[1]", "BINARY[1]"} {
		c.drain("FETCH 1 " + item + "<0.100>") // what is made once is made now
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if n := c.drain("FETCH 1 " + item); n < 30<<20 {
			t.Errorf("%s: %d octets", item, n)
		}
		runtime.ReadMemStats(&after)
		// Buffers come from pools, which may lose some (with -race they do).
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 12<<20 {
			t.Errorf("%s allocates %d octets", item, grown)
		}
	}
}

// TestFetchAllocations: listing allocates nothing per message.
func TestFetchAllocations(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", slices.Repeat([]string{nestedMail}, 2000)...)
	c := o.login()
	c.quiet("EXAMINE INBOX")
	for _, command := range []string{
		"UID FETCH 1:* (FLAGS)",
		"UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)",
		"UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (From To Subject Date)])",
	} {
		got := testing.AllocsPerRun(3, func() { c.drain(command) })
		if got > 1000 { // a transaction for every 32 KiB, each with a few
			t.Errorf("%s: %v allocations for 2,000 messages", command, got)
		}
	}
}

// TestFetchByStalledClient: a client that asks and then takes nothing must
// not stop mail from coming in, which it would if a read transaction were
// open: the storage's file could not grow.
func TestFetchByStalledClient(t *testing.T) {
	for _, command := range []string{"FETCH 1:* (ENVELOPE BODYSTRUCTURE)", "FETCH 1:* BODY[]", "SEARCH SUBJECT nested"} {
		t.Run(command, func(t *testing.T) {
			o := newOffice(t)
			o.deliver("alice", "INBOX", slices.Repeat([]string{nestedMail}, 500)...)
			c := o.loginPipe()
			c.quiet("SELECT INBOX")
			released := time.AfterFunc(patience, func() { _ = c.conn.Close() })
			tag, _ := c.send(command)
			for range 4 {
				o.deliver("alice", "Archive", slices.Repeat([]string{nestedMail}, 500)...)
			}
			if !released.Stop() {
				t.Fatal("nothing could be delivered until the client was gone")
			}
			for line := c.line(); !strings.HasPrefix(line, tag+" OK "); line = c.line() {
			}
		})
	}
}
