package imap_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	imaplib "github.com/emersion/go-imap/v2"
	"pgregory.net/rapid"

	"pillarbox/appliance/imap"
	"pillarbox/storage"
)

// searchOffice is an office with mail that differs in all that can be searched for.
func searchOffice(t testing.TB, change ...func(*imap.Config)) *office {
	o := newOffice(t, change...)
	ctx := context.Background()
	a := o.account("alice")
	zone := func(minutes int) *time.Location { return time.FixedZone("", minutes*60) }
	for _, m := range []struct {
		mail  string
		flags []imaplib.Flag
		date  time.Time
	}{
		{ // 1
			"From: Anna =?ISO-8859-1?Q?M=FCller?= <anna@example.com>\r\nTo: bob@example.org\r\nSubject: =?UTF-8?B?R3LDvMOfZQ==?= aus Bonn\r\nDate: Mon, 6 Jan 2025 23:30:00 -0800\r\n\r\nHello World\r\n",
			[]imaplib.Flag{imaplib.FlagSeen}, time.Date(2025, 1, 7, 0, 30, 0, 0, zone(60)),
		},
		{ // 2
			"From: Carl <carl@example.net>\r\nCc: dora@example.org\r\nSubject: plain\r\nX-Project: Pillar\r\nDate: Tue, 7 Jan 2025 10:00:00 +0100\r\n" +
				"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nSch=F6ne Gr=FC=\r\n=DFe\r\n",
			[]imaplib.Flag{imaplib.FlagAnswered, "$Work"}, time.Date(2025, 1, 8, 12, 0, 0, 0, zone(0)),
		},
		{ // 3
			nestedMail,
			[]imaplib.Flag{imaplib.FlagFlagged, imaplib.FlagSeen}, time.Date(2025, 2, 1, 12, 0, 0, 0, zone(0)),
		},
		{ // 4
			"Bcc: secret@example.com\r\nSubject: no date\r\n\r\n" + strings.Repeat("filler ", 1000) + "\r\n",
			[]imaplib.Flag{imaplib.FlagDraft, imaplib.FlagDeleted}, time.Date(2025, 3, 1, 12, 0, 0, 0, zone(0)),
		},
	} {
		body, err := o.store.Stage(ctx, strings.NewReader(m.mail))
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		msgs := []storage.AppendMessage{{Body: body, Flags: m.flags, InternalDate: m.date, Prefix: []byte("Return-Path: <sender@example.com>\r\n")}}
		if _, err := a.Append(ctx, a.Mailbox("INBOX").ID, msgs); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func TestSearchKeys(t *testing.T) {
	now := func() time.Time { return time.Date(2025, 3, 1, 13, 0, 0, 0, time.UTC) }
	o := searchOffice(t, func(c *imap.Config) { c.Now = now })
	c := o.login()
	c.quiet("SELECT INBOX")
	for _, tc := range []struct{ keys, want string }{
		{"ALL", " 1 2 3 4"},
		{"ANSWERED", " 2"},
		{"UNANSWERED", " 1 3 4"},
		{"DELETED", " 4"},
		{"UNDELETED", " 1 2 3"},
		{"DRAFT", " 4"},
		{"UNDRAFT", " 1 2 3"},
		{"FLAGGED", " 3"},
		{"UNFLAGGED", " 1 2 4"},
		{"SEEN", " 1 3"},
		{"UNSEEN", " 2 4"},
		{"KEYWORD $Work", " 2"},
		{"KEYWORD $work", " 2"},
		{"UNKEYWORD $Work", " 1 3 4"},
		{"KEYWORD $None", ""},
		{"UNKEYWORD $None", " 1 2 3 4"},
		{"RECENT", " 1 2 3 4"},
		{"NEW", " 2 4"},
		{"OLD", ""},
		// Internal dates, by the calendar of their own zone.
		{"BEFORE 7-Jan-2025", ""},
		{"ON 7-Jan-2025", " 1"},
		{"SINCE 8-Jan-2025", " 2 3 4"},
		{"SINCE 8-Jan-2025 BEFORE 2-Feb-2025", " 2 3"},
		// Dates of the Date field: message 1 was sent on the 6th in its zone.
		{"SENTON 6-Jan-2025", " 1"},
		{"SENTSINCE 7-Jan-2025", " 2"},
		{"SENTBEFORE 8-Jan-2025", " 1 2"},
		{"NOT SENTBEFORE 8-Jan-2025", " 3 4"},
		{"YOUNGER 3600", " 4"},
		{"YOUNGER 3599", ""},
		{"OLDER 3600", " 1 2 3 4"},
		{"OLDER 3601", " 1 2 3"},
		{"LARGER 5000", " 4"},
		{"SMALLER 250", " 1"},
		{"LARGER 0", " 1 2 3 4"},
		{"SMALLER 0", ""},
		{"FROM anna", " 1 3"},
		{"TO BOB@", " 1 3"},
		{"CC dora", " 2"},
		{"BCC secret", " 4"},
		{"SUBJECT bonn", " 1"},
		{"SUBJECT \"\"", " 1 2 3 4"},
		{"HEADER X-Project \"\"", " 2"},
		{"HEADER x-project pill", " 2"},
		{"HEADER X-Own one", " 3"},
		{"HEADER X-None \"\"", ""},
		{"HEADER Cc \"\"", " 2"},
		{"HEADER Return-Path sender", " 1 2 3 4"},
		{"BODY world", " 1"},
		{"BODY hello", " 1"},
		{"BODY bonn", ""},
		{"BODY \"inner html\"", " 3"},
		{"BODY X-Own", ""},
		{"TEXT X-Own", " 3"},
		{"TEXT sender@example.com", " 1 2 3 4"},
		{"TEXT inner", " 3"},
		{"TEXT bonn", " 1"},
		{"BODY filler TEXT date", " 4"},
		{"OR BODY world BODY filler", " 1 4"},
		{"OR (SUBJECT bonn) (HEADER X-Project pillar)", " 1 2"},
		{"NOT BODY world", " 2 3 4"},
		{"NOT (SEEN BODY world)", " 2 3 4"},
		{"NOT NOT SEEN", " 1 3"},
		{"OR SEEN (NOT (OR ANSWERED DRAFT))", " 1 3"},
		{"2", " 2"},
		{"2:*", " 2 3 4"},
		{"2:3 UNSEEN", " 2"},
		{"1:9", " 1 2 3 4"}, // a key that names what is not there is no mistake
		{"9", ""},
		{"UID 3:99", " 3 4"},
		{"NOT 1:2", " 3 4"},
		{"OR 1 4", " 1 4"},
		{"UID 99:*", " 4"},
	} {
		t.Run(tc.keys, func(t *testing.T) {
			c.t = t
			c.do("SEARCH "+tc.keys, "* SEARCH"+tc.want, "OK SEARCH completed")
			c.do("UID SEARCH "+tc.keys, "* SEARCH"+tc.want, "OK UID SEARCH completed")
		})
	}
}

// TestSearchInternational looks for what is written in several charsets.
func TestSearchInternational(t *testing.T) {
	c := searchOffice(t).login()
	c.quiet("SELECT INBOX")
	for _, tc := range []struct{ command, want string }{
		{"SEARCH CHARSET UTF-8 FROM {7+}\r\nmÜLLER", " 1"},
		{"SEARCH CHARSET UTF-8 SUBJECT {7}\r\nGRüßE", " 1"},
		{"SEARCH CHARSET UTF-8 BODY {15}\r\nSCHÖNE Grüße", " 2"},
		{"SEARCH CHARSET UTF-8 TEXT {7}\r\nGrüße", " 1 2"},
		{"SEARCH CHARSET ISO-8859-1 TEXT {5}\r\nGr\xfc\xdfe", " 1 2"},
	} {
		c.do(tc.command, "* SEARCH"+tc.want, "OK SEARCH completed")
	}
	c.do("SEARCH CHARSET X-NONE TEXT a", "NO [BADCHARSET (US-ASCII UTF-8)] …")
}

func TestSearchExtended(t *testing.T) {
	c := searchOffice(t).login()
	c.quiet("SELECT INBOX")
	for _, tc := range []struct{ command, want string }{
		{"SEARCH RETURN () SEEN", " ALL 1,3"},
		{"SEARCH RETURN (ALL) ALL", " ALL 1:4"},
		{"UID SEARCH RETURN (ALL) UNSEEN", " UID ALL 2,4"},
		{"SEARCH RETURN (MIN MAX COUNT ALL) UNSEEN", " MIN 2 MAX 4 ALL 2,4 COUNT 2"},
		{"SEARCH RETURN (MIN) UNSEEN", " MIN 2"},
		{"SEARCH RETURN (MAX) SEEN", " MAX 3"},
		{"SEARCH RETURN (MIN MAX) ALL", " MIN 1 MAX 4"},
		{"SEARCH RETURN (MIN MAX) 2", " MIN 2 MAX 2"},
		{"SEARCH RETURN (MIN) BODY filler", " MIN 4"},
		{"SEARCH RETURN (MAX) BODY world", " MAX 1"},
		{"SEARCH RETURN (MAX) OR BODY world BODY filler", " MAX 4"},
		{"SEARCH RETURN (COUNT) SEEN", " COUNT 2"},
		{"SEARCH RETURN (COUNT) KEYWORD $None", " COUNT 0"},
		{"SEARCH RETURN (MIN ALL) KEYWORD $None", ""},
		{"UID SEARCH RETURN (ALL) KEYWORD $None", " UID"},
	} {
		tag := fmt.Sprintf("t%d", c.tags+1)
		c.do(tc.command, `* ESEARCH (TAG "`+tag+`")`+tc.want, "OK …")
	}
}

// TestSearchRev2: after ENABLE IMAP4rev2 there is no SEARCH response, and
// COUNT is not told unasked.
func TestSearchRev2(t *testing.T) {
	c := searchOffice(t).login()
	c.quiet("ENABLE IMAP4rev2")
	c.quiet("SELECT INBOX")
	c.do("SEARCH SEEN", `* ESEARCH (TAG "t4") ALL 1,3`, "OK SEARCH completed")
	c.do("SEARCH KEYWORD $None", `* ESEARCH (TAG "t5")`, "OK SEARCH completed")
}

// TestSearchSave: RFC 5182.
func TestSearchSave(t *testing.T) {
	o := searchOffice(t)
	c := o.login()
	c.quiet("SELECT INBOX")
	c.do("FETCH $ UID", "OK FETCH completed") // nothing is saved yet
	c.do("SEARCH RETURN (SAVE) SEEN", "OK SEARCH completed")
	c.do("FETCH $ UID", "* 1 FETCH (UID 1)", "* 3 FETCH (UID 3)", "OK FETCH completed")
	c.do("UID FETCH $ UID", "* 1 FETCH (UID 1)", "* 3 FETCH (UID 3)", "OK UID FETCH completed")
	c.do("SEARCH $ FLAGGED", "* SEARCH 3", "OK SEARCH completed")
	c.do("SEARCH RETURN (SAVE COUNT) NOT $", "* ESEARCH … COUNT 2", "OK SEARCH completed")
	c.do("SEARCH $", "* SEARCH 2 4", "OK SEARCH completed")
	c.do("SEARCH RETURN (SAVE MIN) ALL", "* ESEARCH … MIN 1", "OK …")
	c.do("SEARCH $", "* SEARCH 1", "OK SEARCH completed")
	c.do("SEARCH RETURN (SAVE MIN MAX) ALL", "* ESEARCH … MIN 1 MAX 4", "OK …")
	c.do("SEARCH $", "* SEARCH 1 4", "OK SEARCH completed")
	c.do("SEARCH RETURN (SAVE MIN ALL) 2:3", "* ESEARCH … MIN 2 ALL 2:3", "OK …")
	c.do("SEARCH $", "* SEARCH 2 3", "OK SEARCH completed")
	c.do("SEARCH RETURN (SAVE) NONSENSE", "BAD …") // leaves the result alone
	c.do("SEARCH CHARSET X-NONE TEXT a", "NO [BADCHARSET …")
	c.do("SEARCH $", "* SEARCH 2 3", "OK SEARCH completed")

	// What is expunged leaves the result; what comes later does not enter it.
	c.do("SEARCH RETURN (SAVE) CHARSET X-NONE TEXT a", "NO [BADCHARSET …")
	c.do("SEARCH $", "* SEARCH", "OK SEARCH completed")
	c.do("SEARCH RETURN (SAVE) 2:*", "OK …")
	c.quiet(`STORE 3 +FLAGS.SILENT (\Deleted)`)
	c.quiet("EXPUNGE")
	o.deliver("alice", "INBOX", plainMail)
	c.quiet("NOOP")
	c.do("UID SEARCH UID $", "* SEARCH 2", "OK UID SEARCH completed")
	c.quiet("SELECT INBOX")
	c.do("SEARCH $", "* SEARCH", "OK SEARCH completed")
}

// TestSearchModSeq: RFC 7162, section 3.1.5.
func TestSearchModSeq(t *testing.T) {
	o := searchOffice(t)
	c := o.login()
	c.quiet("SELECT INBOX")
	before := o.account("alice").Mailbox("INBOX").HighestModSeq
	c.quiet(`STORE 2 +FLAGS.SILENT (\Flagged)`)
	mid := o.account("alice").Mailbox("INBOX").HighestModSeq
	c.quiet(`STORE 3 -FLAGS.SILENT (\Flagged)`)
	high := o.account("alice").Mailbox("INBOX").HighestModSeq
	c.do(fmt.Sprintf("SEARCH MODSEQ %d", before+1), fmt.Sprintf("* SEARCH 2 3 (MODSEQ %d)", high), "OK …")
	c.do(fmt.Sprintf(`SEARCH MODSEQ "/flags/\\draft" all %d`, before+1), fmt.Sprintf("* SEARCH 2 3 (MODSEQ %d)", high), "OK …")
	c.do(fmt.Sprintf("SEARCH MODSEQ %d", high+1), "* SEARCH", "OK …")
	c.do(fmt.Sprintf("SEARCH RETURN (MIN) MODSEQ %d", before+1), fmt.Sprintf("* ESEARCH … MIN 2 MODSEQ %d", mid), "OK …")
	c.do(fmt.Sprintf("SEARCH RETURN (MAX) MODSEQ %d", before+1), fmt.Sprintf("* ESEARCH … MAX 3 MODSEQ %d", high), "OK …")
	c.do(fmt.Sprintf("SEARCH RETURN (COUNT) MODSEQ %d", before+1), fmt.Sprintf("* ESEARCH … COUNT 2 MODSEQ %d", high), "OK …")
}

// TestSearchKeepsNumbers: while a SEARCH by number runs no expunge is told
// of, and the numbers are those the client knows.
func TestSearchKeepsNumbers(t *testing.T) {
	o := searchOffice(t)
	c, other := o.login(), o.login()
	c.quiet("SELECT INBOX")
	other.quiet("SELECT INBOX")
	other.quiet("EXPUNGE") // message 4
	other.quiet(`STORE 1 +FLAGS.SILENT (\Deleted)`)
	other.quiet("EXPUNGE")
	c.do("SEARCH ALL", "* SEARCH 2 3", "OK SEARCH completed")
	c.do("SEARCH RETURN (ALL) 1:2", "* ESEARCH … ALL 2", "OK SEARCH completed")
	c.do("UID SEARCH ALL", "* SEARCH 2 3", "* 4 EXPUNGE", "* 1 EXPUNGE", "OK UID SEARCH completed")
	c.do("SEARCH ALL", "* SEARCH 1 2", "OK SEARCH completed")
}

// TestSearchManyBatches crosses the batches in which messages are read.
func TestSearchManyBatches(t *testing.T) {
	o := newOffice(t)
	var mails []string
	for i := range 700 {
		mails = append(mails, fmt.Sprintf("Subject: number %d of kind %d\r\n\r\nbody %d\r\n", i+1, (i+1)%3, (i+1)%5))
	}
	o.deliver("alice", "INBOX", mails...)
	c := o.login()
	c.quiet("SELECT INBOX")
	c.do("SEARCH RETURN (ALL COUNT) SUBJECT \"kind 0\" BODY \"body 0\" 1:100", "* ESEARCH … ALL 15,30,45,60,75,90 COUNT 6", "OK …")
	c.do("SEARCH RETURN (MIN MAX COUNT) SUBJECT \"kind 0\" BODY \"body 0\"", "* ESEARCH … MIN 15 MAX 690 COUNT 46", "OK …")
	c.do("SEARCH RETURN (MIN MAX) SUBJECT \"kind 0\" BODY \"body 0\"", "* ESEARCH … MIN 15 MAX 690", "OK …")
	c.do("SEARCH RETURN (COUNT) OR 1:300 SUBJECT \"kind 0\"", "* ESEARCH … COUNT 433", "OK …")
	c.do("SEARCH RETURN (ALL) OR 699 SUBJECT \"number 700 \"", "* ESEARCH … ALL 699:700", "OK …")
}

// TestSearchAlgebra joins keys of every cost at random and compares the
// result with the sets that the keys find alone.
func TestSearchAlgebra(t *testing.T) {
	c := searchOffice(t).login()
	c.quiet("SELECT INBOX")
	search := func(keys string) (found uint) {
		untagged, tagged := c.run("SEARCH " + keys)
		if !strings.HasPrefix(tagged, "OK ") {
			t.Fatalf("%s: %s", keys, tagged)
		}
		for _, f := range strings.Fields(strings.TrimPrefix(untagged[0], "* SEARCH")) {
			n, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			found |= 1 << n
		}
		return found
	}
	const all = 1<<1 | 1<<2 | 1<<3 | 1<<4
	atoms := map[string]uint{}
	for _, key := range []string{
		"ALL", "SEEN", "KEYWORD $Work", "2:3", "SINCE 1-Feb-2025", "LARGER 5000",
		"FROM anna", "SENTSINCE 7-Jan-2025", "SUBJECT plain",
		"HEADER X-Project \"\"", "BODY world", "BODY filler", "TEXT inner", "TEXT bonn",
	} {
		atoms[key] = search(key)
	}
	names := slices.Sorted(maps.Keys(atoms))
	rapid.Check(t, func(t *rapid.T) {
		var draw func(depth int) (string, uint)
		draw = func(depth int) (string, uint) {
			op := rapid.IntRange(0, 3).Draw(t, "op")
			if depth == 0 || op == 0 {
				name := rapid.SampledFrom(names).Draw(t, "key")
				return name, atoms[name]
			}
			a, inA := draw(depth - 1)
			if op == 1 {
				return "NOT (" + a + ")", all &^ inA
			}
			b, inB := draw(depth - 1)
			if op == 2 {
				return "OR (" + a + ") (" + b + ")", inA | inB
			}
			return "(" + a + " " + b + ")", inA & inB
		}
		keys, want := draw(4)
		if got := search(keys); got != want {
			t.Fatalf("%s: found %b, want %b", keys, got, want)
		}
	})
}

// TestSearchDeadline: a search that goes on for too long is given up, and the
// session goes on.
func TestSearchDeadline(t *testing.T) {
	o := newOffice(t, func(c *imap.Config) { c.Limits.Command = time.Microsecond })
	o.deliver("alice", "INBOX", slices.Repeat([]string{nestedMail}, 1000)...)
	c := o.login()
	c.quiet("SELECT INBOX")
	c.do("SEARCH RETURN (SAVE) ALL", "OK SEARCH completed")
	c.do("SEARCH RETURN (SAVE) BODY nowhere", "NO [UNAVAILABLE] …")
	c.do("SEARCH $", "* SEARCH", "OK SEARCH completed") // RFC 5182, section 2.1
}

// A search of bodies may take minutes; the signs of life stand before its
// answer, and what is sent meanwhile is answered after it.
func TestSearchTellsThatItGoesOn(t *testing.T) {
	o := searchOffice(t, func(c *imap.Config) { c.Limits.Progress = -1 })
	c := o.login()
	c.quiet("SELECT INBOX")
	const still = "* OK Still searching"
	c.write("a1 SEARCH BODY filler\r\na2 SEARCH SUBJECT plain\r\na3 NOOP\r\n")
	want := []string{still, still, still, still, "* SEARCH 4", "a1 OK SEARCH completed", "* SEARCH 2", "a2 OK SEARCH completed", "a3 OK NOOP completed"}
	var got []string
	for range want {
		got = append(got, c.line())
	}
	c.compare("answers", got, want)
}

func TestSearchByLibrary(t *testing.T) {
	o := searchOffice(t)
	c := o.library(nil)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	data, err := c.UIDSearch(&imaplib.SearchCriteria{
		Flag: []imaplib.Flag{imaplib.FlagSeen},
		Not:  []imaplib.SearchCriteria{{Body: []string{"world"}}},
	}, &imaplib.SearchOptions{ReturnAll: true, ReturnCount: true}).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if data.Count != 1 || fmt.Sprint(data.AllUIDs()) != "[3]" {
		t.Errorf("got %+v", data)
	}
}

func BenchmarkSearchFlags(b *testing.B)   { benchmarkSearch(b, "UNSEEN") }
func BenchmarkSearchSubject(b *testing.B) { benchmarkSearch(b, "SUBJECT projekt") }
func BenchmarkSearchFrom(b *testing.B)    { benchmarkSearch(b, "FROM nobody") }
func BenchmarkSearchBody(b *testing.B)    { benchmarkSearch(b, "BODY nowhere") }

// BenchmarkSearchPhone is what iOS asks when a folder is opened.
func BenchmarkSearchPhone(b *testing.B) {
	benchmarkSearch(b, "1:* SINCE 1-Jan-2020 UNDELETED")
}

func benchmarkSearch(b *testing.B, keys string) {
	o := newBenchOffice(b, 10_000)
	c := o.login()
	c.quiet("EXAMINE INBOX")
	b.ReportAllocs()
	for b.Loop() {
		c.drain("UID SEARCH RETURN (ALL) " + keys)
	}
}
