package imap_test

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	imaplib "github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pillarbox/appliance/imap"
	"pillarbox/storage"
)

// disconnected is a client that keeps a copy of a mailbox over connections
// that break at any time, and never asks for more than what QRESYNC tells it
// and for new messages. It goes by RFC 7162, section 6.
type disconnected struct {
	*client
	mailbox string

	// The copy.
	validity, modSeq int
	flags            map[int]string // by UID
	complete         int            // the UID up to which all messages were asked for

	// The connection; counted is by sequence number, 0 for a UID not yet known.
	counted []int
	code    int // HIGHESTMODSEQ told since the last tagged response
	highest int // of the MODSEQ items since then
	asking  bool
}

var (
	vanished   = regexp.MustCompile(`^\* VANISHED (\(EARLIER\) )?([0-9:,]+)$`)
	changed    = regexp.MustCompile(`^\* (\d+) FETCH \(UID (\d+) FLAGS \(([^)]*)\) MODSEQ \((\d+)\)\)$`)
	moved      = regexp.MustCompile(`^\* (\d+) FETCH \(UID (\d+) MODSEQ \((\d+)\)\)$`)
	modSeqCode = regexp.MustCompile(`\[HIGHESTMODSEQ (\d+)\]`)
	validCode  = regexp.MustCompile(`\[UIDVALIDITY (\d+)\]`)
	exists     = regexp.MustCompile(`^\* (\d+) EXISTS$`)
)

// carry sends a command and takes in the answer, or, with limit above 0, so
// many lines of it before the connection breaks.
func (d *disconnected) carry(command string, limit int) (broken bool, err error) {
	d.tags++
	tag := "t" + strconv.Itoa(d.tags) + " "
	if _, err := d.conn.Write([]byte(tag + command + "\r\n")); err != nil {
		return false, err
	}
	for n := 1; ; n++ {
		line, err := d.read()
		if err != nil {
			return false, fmt.Errorf("%s: %w", command, err)
		}
		if m := modSeqCode.FindStringSubmatch(line); m != nil {
			d.code, _ = strconv.Atoi(m[1])
		}
		if rest, ok := strings.CutPrefix(line, tag); ok {
			if strings.HasPrefix(rest, "BAD") {
				return false, fmt.Errorf("%q was answered %q", command, line)
			}
			d.concluded()
			return false, nil
		}
		if err := d.take(line); err != nil {
			return false, fmt.Errorf("%q in the answer to %q: %w", line, command, err)
		}
		if n == limit {
			return true, d.conn.Close()
		}
	}
}

// concluded works out the mod-sequence up to which all is known.
func (d *disconnected) concluded() {
	if d.code > 0 {
		d.modSeq = d.code
	} else {
		d.modSeq = max(d.modSeq, d.highest)
	}
	d.code, d.highest = 0, 0
}

func (d *disconnected) take(line string) error {
	if m := validCode.FindStringSubmatch(line); m != nil {
		d.validity, _ = strconv.Atoi(m[1])
	} else if m := exists.FindStringSubmatch(line); m != nil {
		n, _ := strconv.Atoi(m[1])
		if n < len(d.counted) {
			return fmt.Errorf("there were %d", len(d.counted))
		}
		d.counted = append(d.counted, make([]int, n-len(d.counted))...)
	} else if m := changed.FindStringSubmatch(line); m != nil {
		if err := d.count(m[1], m[2], m[4]); err != nil {
			return err
		}
		uid, _ := strconv.Atoi(m[2])
		if uid <= d.complete || d.asking { // else it is still to be asked for, and others before it
			d.flags[uid] = normal(strings.ReplaceAll(m[3], `\Recent`, ""))
		}
	} else if m := moved.FindStringSubmatch(line); m != nil {
		uid, _ := strconv.Atoi(m[2])
		if uid <= d.complete {
			d.flags[uid] = `\Seen` // the only silent command
		}
		return d.count(m[1], m[2], m[3])
	} else if m := vanished.FindStringSubmatch(line); m != nil {
		return d.forget(m[2], m[1] != "")
	} else if strings.Contains(line, "FETCH") || strings.Contains(line, "EXPUNGE]") || strings.HasSuffix(line, " EXPUNGE") {
		return fmt.Errorf("it is not expected")
	}
	return nil
}

// count checks that a sequence number and a UID belong together.
func (d *disconnected) count(seq, uid, modSeq string) error {
	n, _ := strconv.Atoi(seq)
	u, _ := strconv.Atoi(uid)
	if n < 1 || n > len(d.counted) || d.counted[n-1] != 0 && d.counted[n-1] != u {
		return fmt.Errorf("the client counts %v", d.counted)
	}
	d.counted[n-1] = u
	m, _ := strconv.Atoi(modSeq)
	d.highest = max(d.highest, m)
	return nil
}

func (d *disconnected) forget(set string, earlier bool) error {
	for r := range strings.SplitSeq(set, ",") {
		from, to, ok := strings.Cut(r, ":")
		lo, _ := strconv.Atoi(from)
		hi := lo
		if ok {
			hi, _ = strconv.Atoi(to)
		}
		for uid := lo; uid <= hi; uid++ {
			delete(d.flags, uid)
			i := slices.Index(d.counted, uid)
			if earlier {
				if i >= 0 {
					return fmt.Errorf("UID %d is counted", uid)
				}
				continue
			}
			if i < 0 {
				// One that it has not asked for yet, in front of the next it knows.
				if i = slices.IndexFunc(d.counted, func(u int) bool { return u > uid }); i < 0 {
					i = len(d.counted)
				}
				if i--; i >= 0 && d.counted[i] != 0 {
					i = -1
				}
			}
			if i < 0 {
				return fmt.Errorf("UID %d is not counted: %v", uid, d.counted)
			}
			d.counted = slices.Delete(d.counted, i, i+1)
		}
	}
	return nil
}

// uids returns the UIDs of the copy, ascending.
func (d *disconnected) uids() []int { return slices.Sorted(maps.Keys(d.flags)) }

// reconnect opens the mailbox again, in one of the forms that RFC 7162 allows.
// match is a sample of the sequence numbers that the copy has.
func (d *disconnected) reconnect(o *office, form int, match []int, limit int) (broken bool, err error) {
	d.client = o.login()
	d.quiet("ENABLE QRESYNC")
	d.counted, d.code, d.highest = nil, 0, 0
	command := "SELECT " + d.mailbox
	uids := d.uids()
	if d.modSeq > 0 {
		command += fmt.Sprintf(" (QRESYNC (%d %d", d.validity, d.modSeq)
		switch {
		case form == 1 && len(uids) > 0:
			command += fmt.Sprintf(" 1:%d", uids[len(uids)-1])
		case form == 2 && len(uids) > 0:
			command += " " + join(uids)
		}
		var seqs, at []int
		for _, i := range match {
			if i < len(uids) {
				seqs, at = append(seqs, i+1), append(at, uids[i])
			}
		}
		if len(seqs) > 0 {
			command += " (" + join(seqs) + " " + join(at) + ")"
		}
		command += "))"
	}
	return d.carry(command, limit)
}

// update asks for the messages that the copy has not got.
func (d *disconnected) update(limit int) (bool, error) {
	d.asking = true
	broken, err := d.carry(fmt.Sprintf("UID FETCH %d:4294967295 (FLAGS MODSEQ)", d.complete+1), limit)
	d.asking = false
	if broken || err != nil {
		maps.DeleteFunc(d.flags, func(uid int, _ string) bool { return uid > d.complete })
		return broken, err
	}
	if uids := d.uids(); len(uids) > 0 {
		d.complete = max(d.complete, uids[len(uids)-1])
	}
	return false, nil
}

func join(numbers []int) string {
	out := make([]string, len(numbers))
	for i, n := range numbers {
		out[i] = strconv.Itoa(n)
	}
	return strings.Join(out, ",")
}

// others changes the mailbox at random, as other sessions do.
func others(t *rapid.T, o *office, box storage.MailboxID) {
	a, ctx := o.account("alice"), context.Background()
	lo := imaplib.UID(rapid.Uint32Range(1, 40).Draw(t, "from"))
	uids := imaplib.UIDSet{{Start: lo, Stop: lo + imaplib.UID(rapid.Uint32Range(0, 3).Draw(t, "more"))}}
	flags := []imaplib.Flag{rapid.SampledFrom([]imaplib.Flag{imaplib.FlagSeen, imaplib.FlagFlagged, imaplib.FlagDeleted, "$Work"}).Draw(t, "flag")}
	var err error
	switch rapid.IntRange(0, 6).Draw(t, "other") {
	case 0, 1:
		_, err = a.Store(ctx, box, uids, storage.FlagOp{Op: imaplib.StoreFlagsAdd, Flags: flags})
	case 2:
		_, err = a.Store(ctx, box, uids, storage.FlagOp{Op: imaplib.StoreFlagsDel, Flags: flags})
	case 3:
		_, _, err = a.Expunge(ctx, box, nil)
	case 4:
		_, err = a.Move(ctx, box, uids, a.Mailbox("Trash").ID)
	case 5:
		_, err = a.Copy(ctx, box, uids, box)
	case 6:
		_, err = a.Copy(ctx, a.Mailbox("INBOX").ID, imaplib.UIDSet{{Start: 1, Stop: 3}}, box)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// own is a command of the client itself.
func (d *disconnected) own(t *rapid.T) string {
	n := max(1, len(d.counted))
	seq := rapid.IntRange(1, n).Draw(t, "message")
	if len(d.counted) == 0 {
		return "NOOP"
	}
	command := rapid.SampledFrom([]string{
		"NOOP", "EXPUNGE", "CHECK", "SEARCH ALL", "UID SEARCH UNSEEN", "UID SEARCH #",
		"FETCH # (UID FLAGS MODSEQ)", "STORE # +FLAGS (\\Deleted)", "STORE # FLAGS.SILENT (\\Seen)", "UID STORE # +FLAGS ($Work)",
		"UID EXPUNGE 1:#", "UID MOVE # Trash", "MOVE # Trash", "UID FETCH 1:# (FLAGS MODSEQ)",
	}).Draw(t, "command")
	return strings.Replace(command, "#", strconv.Itoa(seq), 1)
}

// TestResyncAgainstModel: whatever others do, and wherever connections break,
// the copy that QRESYNC keeps is the mailbox.
func TestResyncAgainstModel(t *testing.T) {
	// Connections that break are noticed later than the next ones come.
	o := newOffice(t, func(c *imap.Config) { c.Limits.ConnectionsPerAccount = 1 << 20 })
	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail)
	boxes := 0
	rapid.Check(t, func(rt *rapid.T) {
		boxes++
		name := fmt.Sprintf("box%d", boxes)
		a := o.account("alice")
		mb, err := a.CreateMailbox(context.Background(), storage.NewMailbox{Name: name})
		if err != nil {
			rt.Fatal(err)
		}
		d := &disconnected{mailbox: name, flags: map[int]string{}}
		must := func(broken bool, err error) bool {
			if err != nil {
				rt.Fatal(err)
			}
			return broken
		}
		for range rapid.IntRange(1, 6).Draw(rt, "connections") {
			for range rapid.IntRange(0, 6).Draw(rt, "changes while away") {
				others(rt, o, mb.ID)
			}
			form := rapid.IntRange(0, 2).Draw(rt, "known UIDs")
			match := rapid.SliceOfNDistinct(rapid.IntRange(0, 20), 0, 4, rapid.ID[int]).Draw(rt, "match")
			slices.Sort(match)
			breaks := func() int { return max(0, rapid.IntRange(-30, 12).Draw(rt, "lines before it breaks")) }
			if must(d.reconnect(o, form, match, breaks())) || must(d.update(breaks())) {
				continue
			}
			for range rapid.IntRange(0, 8).Draw(rt, "steps") {
				if rapid.Bool().Draw(rt, "other session") {
					others(rt, o, mb.ID)
				} else if must(d.carry(d.own(rt), breaks())) {
					break
				}
			}
			_ = d.conn.Close()
		}
		form := rapid.IntRange(0, 2).Draw(rt, "known UIDs at last")
		must(d.reconnect(o, form, nil, 0))
		must(d.update(0))
		d.conn.Close()

		snap, err := a.Snapshot(context.Background(), mb.ID)
		if err != nil {
			rt.Fatal(err)
		}
		there := map[int]string{}
		for _, m := range snap.All(0) {
			there[int(m.UID)] = normal(string(snap.AppendFlags(nil, m)))
		}
		if diff := cmp.Diff(there, d.flags); diff != "" {
			rt.Fatalf("the copy (-there +copy):\n%s", diff)
		}
		if len(d.counted) != snap.Len() {
			rt.Fatalf("the client counts %d messages, there are %d", len(d.counted), snap.Len())
		}
	})
}
