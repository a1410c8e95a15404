package imap_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	imaplib "github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"pillarbox/storage"
)

// number finds the number of a response code in responses.
func number(t testing.TB, lines []string, code string) string {
	t.Helper()
	for _, line := range lines {
		if m := regexp.MustCompile(`\[` + code + ` (\d+)\]`).FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	t.Fatalf("no %s in %q", code, lines)
	return ""
}

// remembered is what a client keeps of a mailbox: UIDVALIDITY and the highest
// mod-sequence, as the QRESYNC parameter wants them.
func (c *client) remembered(mailbox string) string {
	c.t.Helper()
	lines, _ := c.run("EXAMINE " + mailbox)
	c.quiet("UNSELECT")
	return number(c.t, lines, "UIDVALIDITY") + " " + number(c.t, lines, "HIGHESTMODSEQ")
}

// dynamic keeps the responses that tell of changes.
func dynamic(lines []string) []string {
	var out []string
	for _, l := range lines {
		if strings.HasPrefix(l, "* VANISHED") || strings.Contains(l, " FETCH ") {
			out = append(out, l)
		}
	}
	return out
}

func TestQResyncNeedsEnable(t *testing.T) {
	o := newOffice(t)
	c := o.login()
	c.quiet("SELECT Drafts")
	c.do("SELECT INBOX (QRESYNC (1 1))", "BAD Enable QRESYNC first")
	c.do("UID FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)", "BAD Enable QRESYNC first")
	c.do("ENABLE CONDSTORE", "* ENABLED CONDSTORE", "OK ENABLE completed")
	c.do("EXAMINE INBOX (QRESYNC (1 1))", "BAD Enable QRESYNC first")
	c.do("ENABLE QRESYNC", "* ENABLED QRESYNC", "OK ENABLE completed")
	c.do("SELECT INBOX (QRESYNC (1 1 1:*))", "BAD [CLIENTBUG] …")
	c.do("FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)", "BAD [CLIENTBUG] …")
	c.quiet("SELECT INBOX (QRESYNC (1 1))")
}

// TestQResyncEnablesCondStore: RFC 7162, section 3.2.3: ENABLE QRESYNC and
// ENABLE QRESYNC CONDSTORE do the same.
func TestQResyncEnablesCondStore(t *testing.T) {
	for command, answer := range map[string]string{
		"ENABLE QRESYNC":           "* ENABLED QRESYNC",
		"ENABLE QRESYNC CONDSTORE": "* ENABLED QRESYNC CONDSTORE",
		"ENABLE condstore qresync": "* ENABLED CONDSTORE QRESYNC",
	} {
		t.Run(command, func(t *testing.T) {
			o := newOffice(t)
			o.deliver("alice", "INBOX", plainMail)
			c := o.login()
			c.do(command, answer, "OK ENABLE completed")
			c.quiet("SELECT INBOX")
			c.do(`STORE 1 +FLAGS (\Flagged)`, `* 1 FETCH (UID 1 FLAGS (\Flagged \Recent) MODSEQ (…))`, "OK STORE completed")
			// RFC 7162, section 3.2.4: also where a FETCH sets \Seen.
			c.do("FETCH 1 BODY[TEXT]", `* 1 FETCH (UID 1 FLAGS (\Seen \Flagged \Recent) MODSEQ (…) BODY[TEXT] {…`, "OK FETCH completed")
		})
	}
}

func TestQResyncSelect(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", slices.Repeat([]string{plainMail}, 10)...)
	other := o.login()
	before := other.remembered("INBOX")
	other.quiet("SELECT INBOX")
	other.quiet(`UID STORE 2:4,7,10 +FLAGS.SILENT (\Deleted)`)
	other.quiet(`UID STORE 6,9 FLAGS.SILENT (\Answered)`)
	other.quiet("EXPUNGE")
	o.deliver("alice", "INBOX", plainMail)
	validity, _, _ := strings.Cut(before, " ")
	six, nine := `* 3 FETCH (UID 6 FLAGS (\Answered) MODSEQ (…))`, `* 5 FETCH (UID 9 FLAGS (\Answered) MODSEQ (…))`

	for _, tc := range []struct {
		name, param string
		want        []string
	}{
		{"all", before, []string{"* VANISHED (EARLIER) 2:4,7,10", six, nine, `* 6 FETCH (UID 11 …`}},
		{"known UIDs", before + " 1:10", []string{"* VANISHED (EARLIER) 2:4,7,10", six, nine}},
		{"some known UIDs", before + " 3,5,7:9,4000", []string{"* VANISHED (EARLIER) 3,7", nine}},
		{"UIDs that are there and did not change", before + " 1,5,8", nil},
		{"UIDs beyond", before + " 12:4294967295", nil},
		{"another UIDVALIDITY", "1 1 1:10", nil},
		{"a mod-sequence to come", validity + " 9223372036854775807 1:10", nil},
		// RFC 7162, section 3.2.5.2: the client knows of the expunges up to the last pair that fits.
		{"a match of nothing", before + " 1:10 (2,4 2,4)", []string{"* VANISHED (EARLIER) 2:4,7,10", six, nine}},
		{"a match of a part", before + " 1:10 (1,2,3,4 1,5,6,7)", []string{"* VANISHED (EARLIER) 7,10", six, nine}},
		{"a match of all", before + " 1:10 (3,5 6,9)", []string{"* VANISHED (EARLIER) 10", six, nine}},
		{"a match by ranges", before + " 1:10 (2:4 5:6,8)", []string{"* VANISHED (EARLIER) 10", six, nine}},
		{"a match beyond the mailbox", before + " 1:10 (5:9 9:13)", []string{"* VANISHED (EARLIER) 10", six, nine}},
		{"a match without known UIDs", before + " (5 9)", []string{"* VANISHED (EARLIER) 10", six, nine, `* 6 FETCH (UID 11 …`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := o.login()
			c.quiet("ENABLE QRESYNC")
			lines, tagged := c.run("SELECT INBOX (QRESYNC (" + tc.param + "))")
			if tagged != "OK [READ-WRITE] SELECT completed" {
				t.Fatalf("answered %q", tagged)
			}
			c.compare(tc.param, dynamic(lines), tc.want)
			if len(tc.want) > 0 && strings.Contains(lines[len(lines)-1], "HIGHESTMODSEQ") {
				t.Error("the changes stand before what SELECT tells anyway")
			}
			c.quiet("UNSELECT")
			lines, _ = c.run("EXAMINE INBOX (CONDSTORE QRESYNC (" + tc.param + "))")
			c.compare("EXAMINE "+tc.param, dynamic(lines), tc.want)
		})
	}
}

// TestQResyncOfTheRFC has only messages whose UID can be divided by three, as
// the example of section 3.2.5.2, and a client that never knew of others.
func TestQResyncOfTheRFC(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", slices.Repeat([]string{plainMail}, 30)...)
	c, other := o.login(), o.login()
	c.quiet("ENABLE QRESYNC")
	before := other.remembered("INBOX")
	other.quiet("SELECT INBOX")
	for uid := 1; uid <= 30; uid++ {
		if uid%3 != 0 {
			other.quiet(fmt.Sprintf(`UID STORE %d +FLAGS.SILENT (\Deleted)`, uid))
		}
	}
	other.quiet("EXPUNGE")
	lines, _ := c.run("SELECT INBOX (QRESYNC (" + before + " 1:30))")
	c.compare("without match data", dynamic(lines), []string{"* VANISHED (EARLIER) 1:2,4:5,7:8,10:11,13:14,16:17,19:20,22:23,25:26,28:29"})
	lines, _ = c.run("SELECT INBOX (QRESYNC (" + before + " 1:30 (5,7,9,10 15,21,27,30)))")
	c.compare("with match data", dynamic(lines), nil)
}

// TestVanishedFetch is the second example of RFC 7162, section 3.2.6.
func TestVanishedFetch(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", slices.Repeat([]string{plainMail}, 10)...)
	c, other := o.login(), o.login()
	before := c.remembered("INBOX")
	_, since, _ := strings.Cut(before, " ")
	c.quiet("ENABLE QRESYNC")
	c.quiet("SELECT INBOX")
	other.quiet("SELECT INBOX")
	other.quiet(`UID STORE 1,5,9:10 +FLAGS.SILENT (\Deleted)`)
	other.quiet("EXPUNGE")
	other.quiet(`UID STORE 4,6 FLAGS.SILENT (\Seen)`)
	four, six := `* 3 FETCH (UID 4 FLAGS (\Seen) MODSEQ (…))`, `* 4 FETCH (UID 6 FLAGS (\Seen) MODSEQ (…))`
	recent := func(s string) string { return strings.Replace(s, ")", ` \Recent)`, 1) }
	// What the client still counts is told as such, and before all else.
	c.do("UID FETCH 1:7 (FLAGS) (CHANGEDSINCE "+since+" VANISHED)",
		"* VANISHED 1,5,9:10",
		recent(four), recent(six),
		"* VANISHED (EARLIER) 1,5",
		recent(four), recent(six),
		"OK UID FETCH completed")
	c.do("UID FETCH 1:* (FLAGS) (CHANGEDSINCE "+since+" VANISHED)",
		"* VANISHED (EARLIER) 1,5,9:10", recent(four), recent(six), "OK UID FETCH completed")
	c.do("UID FETCH 9,* (UID) (VANISHED CHANGEDSINCE "+since+")",
		"* VANISHED (EARLIER) 9:10", "OK UID FETCH completed")
	c.do("UID FETCH 1:* (UID) (CHANGEDSINCE 9223372036854775807 VANISHED)", "OK UID FETCH completed")
	c.quiet("UID SEARCH RETURN (SAVE) ALL")
	c.do("UID FETCH $ (UID) (CHANGEDSINCE "+since+" VANISHED)",
		"* 3 FETCH (UID 4 MODSEQ (…))", "* 4 FETCH (UID 6 MODSEQ (…))", "OK UID FETCH completed")
}

// TestVanishedForExpunge: RFC 7162, section 3.2.10.2: whoever expunges and by
// whatever command, a client that enabled QRESYNC is told by VANISHED.
func TestVanishedForExpunge(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", slices.Repeat([]string{plainMail}, 20)...)
	c, other := o.login(), o.login()
	c.do("ENABLE QRESYNC", "* ENABLED QRESYNC", "OK ENABLE completed")
	c.quiet("SELECT INBOX")
	other.quiet("SELECT INBOX")

	c.quiet(`STORE 3:5,7 +FLAGS.SILENT (\Deleted)`)
	c.do("UID EXPUNGE 4:5", "* VANISHED 4:5", "OK [HIGHESTMODSEQ …] UID EXPUNGE completed")
	c.do("EXPUNGE", "* VANISHED 3,7", "OK [HIGHESTMODSEQ …] EXPUNGE completed")
	c.do("EXPUNGE", "OK EXPUNGE completed")
	c.do("UID MOVE 1 Archive", "* OK [COPYUID … 1 1] Moved", "* VANISHED 1", "OK [HIGHESTMODSEQ …] UID MOVE completed")
	c.do("MOVE 1 Archive", "* OK [COPYUID … 2 2] Moved", "* VANISHED 2", "OK [HIGHESTMODSEQ …] MOVE completed")
	// A client that enabled nothing is told by EXPUNGE.
	other.do("NOOP", "* 7 EXPUNGE", "* 5 EXPUNGE", "* 4 EXPUNGE", "* 3 EXPUNGE", "* 2 EXPUNGE", "* 1 EXPUNGE", "OK NOOP completed")

	other.quiet(`UID STORE 6,8 +FLAGS.SILENT (\Deleted)`)
	other.do("EXPUNGE", "* 2 EXPUNGE", "* 1 EXPUNGE", "OK EXPUNGE completed")
	c.do("NOOP", "* VANISHED 6,8", "OK NOOP completed")

	c.send("IDLE")
	c.expect("+ idling")
	other.quiet("UID MOVE 9:10 Archive")
	c.expect("* VANISHED 9:10")
	c.write("DONE\r\n")
	c.expect("t… OK IDLE completed")
}

// TestVanishedIsHeldBack is the example of RFC 7162, section 6: while an
// expunge cannot be told of, the client must not take itself for up to date.
func TestVanishedIsHeldBack(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail)
	c, other := o.login(), o.login()
	c.quiet("ENABLE QRESYNC")
	lines, _ := c.run("SELECT INBOX")
	start := number(t, lines, "HIGHESTMODSEQ")
	other.quiet("SELECT INBOX")
	other.quiet(`UID STORE 2 +FLAGS.SILENT (\Deleted)`)
	other.quiet("EXPUNGE")
	held := "* OK [HIGHESTMODSEQ " + start + "] Expunges are held back"
	flagged := func(seq, uid int) string {
		return fmt.Sprintf(`* %d FETCH (UID %d FLAGS (\Flagged \Recent) MODSEQ (…))`, seq, uid)
	}
	c.do(`STORE 1 +FLAGS (\Flagged)`, flagged(1, 1), held, "OK STORE completed")
	c.do(`FETCH 3 (UID FLAGS MODSEQ)`, `* 3 FETCH (UID 3 FLAGS (\Recent) MODSEQ (…))`, held, "OK FETCH completed")
	c.do("SEARCH ALL", "* SEARCH 1 3", held, "OK SEARCH completed")
	// RFC 7162, section 3.2.10.2: nor in the answer to UID SEARCH with sequence numbers.
	c.do("UID SEARCH OR NOT (1) DELETED", "* SEARCH 3", held, "OK UID SEARCH completed")
	got, _ := c.run("UID SEARCH ALL")
	c.compare("UID SEARCH ALL", got, []string{"* SEARCH 1 3", "* VANISHED 2", "* OK [HIGHESTMODSEQ …] All is told"})
	now, _ := strconv.Atoi(number(t, got, "HIGHESTMODSEQ"))
	if was, _ := strconv.Atoi(start); now <= was {
		t.Errorf("HIGHESTMODSEQ %d after %d", now, was)
	}
	c.do("NOOP", "OK NOOP completed")
}

// TestCloseTellsNoModSeq: RFC 7162, section 3.2.8: a client would believe that
// it knew of all expunges.
func TestCloseTellsNoModSeq(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail)
	c := o.login()
	c.quiet("ENABLE QRESYNC")
	before := c.remembered("INBOX")
	c.quiet("SELECT INBOX")
	c.quiet(`STORE 1 +FLAGS.SILENT (\Deleted)`)
	c.do("CLOSE", "OK CLOSE completed")
	lines, _ := c.run("SELECT INBOX (QRESYNC (" + before + "))")
	if d := cmp.Diff([]string{"* VANISHED (EARLIER) 1"}, dynamic(lines)); d != "" {
		t.Errorf("after CLOSE (-want +got):\n%s", d)
	}
	// RFC 7162, section 3.2.11.
	lines, _ = c.run("SELECT Drafts")
	if lines[0] != "* OK [CLOSED] The previous mailbox is closed" {
		t.Errorf("changing the mailbox begins with %q", lines[0])
	}
}

// TestVanishedInPieces: a client reads a response as a line.
func TestVanishedInPieces(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", slices.Repeat([]string{plainMail}, 3000)...)
	c := o.login()
	before := c.remembered("INBOX")
	c.quiet("ENABLE QRESYNC")
	c.quiet("SELECT INBOX")
	var odd []string
	for uid := 1; uid < 3000; uid += 2 {
		odd = append(odd, strconv.Itoa(uid))
	}
	c.quiet("UID STORE " + strings.Join(odd, ",") + ` +FLAGS.SILENT (\Deleted)`)
	for _, command := range []string{"EXPUNGE", "SELECT INBOX (QRESYNC (" + before + "))"} {
		lines, _ := c.run(command)
		var got []string
		for _, line := range dynamic(lines) {
			if len(line) > 8<<10 {
				t.Errorf("%s: a line of %d octets", command, len(line))
			}
			if strings.Contains(line, "VANISHED") {
				got = append(got, strings.Split(line[strings.LastIndexByte(line, ' ')+1:], ",")...)
			}
		}
		if d := cmp.Diff(odd, got); d != "" {
			t.Errorf("%s (-want +got):\n%.1000s", command, d)
		}
	}
}

// TestQResyncAfterTracesAreForgotten: a client that was away for longer than
// the storage keeps traces is told of all that is absent, of what it knows and
// of nothing that is there (RFC 7162, section 3.2.6, on minmodseq).
func TestQResyncAfterTracesAreForgotten(t *testing.T) {
	const n = 36_000 // every second expunged: more ranges than are kept
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail)
	a, ctx := o.account("alice"), t.Context()
	box := a.Mailbox("INBOX").ID
	for have := 1; have < n; {
		res, err := a.Copy(ctx, box, imaplib.UIDSet{{Start: 1, Stop: imaplib.UID(min(have, n-have))}}, box)
		if err != nil {
			t.Fatal(err)
		}
		have += len(res.Dest)
	}
	c := o.login()
	before := c.remembered("INBOX")
	var even imaplib.UIDSet
	for uid := imaplib.UID(2); uid <= n; uid += 2 {
		even = append(even, imaplib.UIDRange{Start: uid, Stop: uid})
	}
	if _, err := a.Store(ctx, box, even, storage.FlagOp{Op: imaplib.StoreFlagsAdd, Flags: []imaplib.Flag{imaplib.FlagDeleted}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Expunge(ctx, box, nil); err != nil {
		t.Fatal(err)
	}
	c.quiet("ENABLE QRESYNC")
	c.quiet("SELECT INBOX")
	snap, err := a.Snapshot(ctx, box)
	if err != nil {
		t.Fatal(err)
	}
	if _, exact, err := a.Vanished(snap, 8); err != nil || exact {
		t.Fatalf("the traces are still kept (%v); the test tests nothing", err)
	}
	for param, want := range map[string][]string{
		" 1:9":                               {"* VANISHED (EARLIER) 2,4,6,8"},
		" 35990:36000":                       {"* VANISHED (EARLIER) 35990,35992,35994,35996,35998,36000"},
		" 1:36000 (17998:17999 35995,35997)": {"* VANISHED (EARLIER) 35998,36000"},
	} {
		lines, _ := c.run("SELECT INBOX (QRESYNC (" + before + param + "))")
		c.compare(param, dynamic(lines), want)
	}
	_, since, _ := strings.Cut(before, " ")
	c.do("UID FETCH 5:8 (UID) (CHANGEDSINCE "+since+" VANISHED)", "* VANISHED (EARLIER) 6,8", "OK UID FETCH completed")
}
