package imap_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSyncTellsOthers(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail)
	c, other := o.login(), o.login()
	c.quiet("SELECT INBOX")
	other.quiet("SELECT INBOX")
	other.quiet(`STORE 1 +FLAGS.SILENT (\Deleted)`)
	other.quiet(`STORE 3 +FLAGS.SILENT (\Flagged)`)
	o.deliver("alice", "INBOX", plainMail)
	other.quiet("EXPUNGE")
	// The expunge first, so that the number of messages never goes down without one.
	c.do("NOOP", "* 1 EXPUNGE", "* 3 EXISTS", "* 2 RECENT", `* 2 FETCH (UID 3 FLAGS (\Flagged \Recent))`, "OK NOOP completed")
	c.do("NOOP", "OK NOOP completed")
}

// TestSyncWhileNumbersCount: RFC 9051, section 7.5.1: no EXPUNGE in the
// answers to FETCH, STORE and SEARCH by number, but new mail is told of.
func TestSyncWhileNumbersCount(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail)
	c, other := o.login(), o.login()
	c.quiet("SELECT INBOX")
	c.quiet("ENABLE IMAP4rev2") // no RECENT
	other.quiet("SELECT INBOX")
	other.quiet(`STORE 1 +FLAGS.SILENT (\Deleted)`)
	other.quiet("EXPUNGE")
	o.deliver("alice", "INBOX", plainMail)
	c.do("FETCH 3 UID", "* 4 EXISTS", "* 3 FETCH (UID 3)", "OK FETCH completed")
	c.do(`STORE 4 +FLAGS (\Seen)`, `* 4 FETCH (UID 4 FLAGS (\Seen))`, "OK STORE completed")
	c.do("SEARCH ALL", "* ESEARCH … ALL 2:4", "OK SEARCH completed")
	c.do("NOOP", "* 1 EXPUNGE", "OK NOOP completed")
	c.do("FETCH 1:* UID", "* 1 FETCH (UID 2)", "* 2 FETCH (UID 3)", "* 3 FETCH (UID 4)", "OK FETCH completed")
}

func TestSyncOfDeletedMailbox(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "Archive", plainMail)
	c, other := o.login(), o.login()
	c.quiet("SELECT Archive")
	other.quiet("DELETE Archive")
	c.send("FETCH 1 FLAGS")
	c.expect("* BYE [NONEXISTENT] …")
	c.closed()
	other.do("NOOP", "OK NOOP completed")
}

func TestSyncOfMailboxDeletedWhileIdle(t *testing.T) {
	o := newOffice(t)
	c, other := o.login(), o.login()
	c.quiet("SELECT Archive")
	c.send("IDLE")
	c.expect("+ idling")
	other.quiet("DELETE Archive")
	c.expect("* BYE [NONEXISTENT] …")
	c.closed()
}

func TestSyncOfRenamedMailbox(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "Archive", plainMail)
	c, other := o.login(), o.login()
	c.quiet("SELECT Archive")
	other.quiet("RENAME Archive Old")
	c.do("FETCH 1 UID", "* 1 FETCH (UID 1)", "OK FETCH completed")
	o.deliver("alice", "Old", plainMail)
	c.do("NOOP", "* 2 EXISTS", "* 2 RECENT", "OK NOOP completed")
	c.quiet(`STORE 1 +FLAGS.SILENT (\Seen)`)
}

// TestSyncRecentOnce: a message is \Recent in one session only.
func TestSyncRecentOnce(t *testing.T) {
	o := newOffice(t)
	first, second := o.login(), o.login()
	first.quiet("SELECT INBOX")
	second.quiet("SELECT INBOX")
	o.deliver("alice", "INBOX", plainMail)
	second.do("NOOP", "* 1 EXISTS", "* 1 RECENT", "OK …")
	first.do("NOOP", "* 1 EXISTS", "* 0 RECENT", "OK …")
	first.do("SEARCH RECENT", "* SEARCH", "OK …")
	second.do("SEARCH NEW", "* SEARCH 1", "OK …")
	second.do("SEARCH OLD", "* SEARCH", "OK …")
}

// counter is a mail program: all it knows of the mailbox is what it was told.
type counter struct {
	*client
	uids  []int          // by sequence number - 1; 0 if not known
	flags map[int]string // by UID
	err   error
}

var told = regexp.MustCompile(`^\* (\d+) (EXISTS|EXPUNGE|RECENT|FETCH)(?: \((?:UID (\d+))?(?: ?FLAGS \(([^)]*)\))?\))?$`)

// carry sends a command and takes in what is told. It is called in
// goroutines, where a test must not be ended.
func (c *counter) carry(command string) {
	if c.err != nil {
		return
	}
	c.tags++
	tag := "t" + strconv.Itoa(c.tags) + " "
	if _, c.err = c.conn.Write([]byte(tag + command + "\r\n")); c.err != nil {
		return
	}
	numbered := strings.HasPrefix(command, "FETCH") || strings.HasPrefix(command, "STORE") || strings.HasPrefix(command, "SEARCH")
	for {
		line, err := c.read()
		if err != nil {
			c.err = err
			return
		}
		if strings.HasPrefix(line, tag) {
			if !strings.HasPrefix(line, tag+"OK") && !strings.HasPrefix(line, tag+"NO [EXPUNGEISSUED]") {
				c.err = fmt.Errorf("%q was answered %q", command, line)
			}
			return
		}
		if m := told.FindStringSubmatch(line); m != nil {
			if numbered && m[2] == "EXPUNGE" {
				c.err = fmt.Errorf("%q in the answer to %q", line, command)
			} else {
				c.err = c.take(m)
			}
		}
		if c.err != nil {
			return
		}
	}
}

func (c *counter) take(m []string) error {
	n, _ := strconv.Atoi(m[1])
	switch m[2] {
	case "EXISTS":
		if n < len(c.uids) {
			return fmt.Errorf("EXISTS went from %d to %d", len(c.uids), n)
		}
		c.uids = append(c.uids, make([]int, n-len(c.uids))...)
	case "EXPUNGE":
		if n < 1 || n > len(c.uids) {
			return fmt.Errorf("EXPUNGE %d of %d", n, len(c.uids))
		}
		delete(c.flags, c.uids[n-1])
		c.uids = slices.Delete(c.uids, n-1, n)
	case "FETCH":
		uid, _ := strconv.Atoi(m[3])
		if n < 1 || n > len(c.uids) || c.uids[n-1] != 0 && c.uids[n-1] != uid {
			return fmt.Errorf("message %d is now UID %d; the client knows %v", n, uid, c.uids)
		}
		c.uids[n-1] = uid
		c.flags[uid] = strings.TrimSpace(strings.ReplaceAll(m[4], `\Recent`, ""))
	}
	return nil
}

// silently changes flags without an answer: the client works out the effect.
func (c *counter) silently(seq int, flag string, add bool) {
	if c.err != nil || seq > len(c.uids) || c.uids[seq-1] == 0 {
		return
	}
	uid := c.uids[seq-1]
	have := strings.Fields(c.flags[uid])
	if add && !slices.Contains(have, flag) {
		have = append(have, flag)
	} else if !add {
		have = slices.DeleteFunc(have, func(f string) bool { return f == flag })
	}
	c.flags[uid] = strings.Join(have, " ")
	sign := map[bool]string{true: "+", false: "-"}[add]
	c.carry(fmt.Sprintf("STORE %d %sFLAGS.SILENT (%s)", seq, sign, flag))
}

// act does something at random.
func (c *counter) act(r *rand.Rand) {
	n := max(1, len(c.uids))
	seq := 1 + r.IntN(n)
	if len(c.uids) == 0 {
		c.carry("NOOP")
		return
	}
	switch r.IntN(10) {
	case 0:
		c.carry("NOOP")
	case 1:
		c.carry(fmt.Sprintf("FETCH %d:* (UID FLAGS)", seq))
	case 2:
		c.carry(fmt.Sprintf("STORE %d +FLAGS (\\Deleted)", seq))
	case 3:
		c.carry("EXPUNGE")
	case 4:
		c.carry(fmt.Sprintf("COPY %d INBOX", seq))
	case 5:
		c.carry(fmt.Sprintf("UID MOVE %d INBOX", c.uids[seq-1]+boolInt(c.uids[seq-1] == 0)))
	case 6:
		c.carry("UID FETCH 1:* (FLAGS)")
	case 7:
		c.carry("SEARCH UNSEEN")
	case 8:
		c.silently(seq, `\Flagged`, r.IntN(2) == 0)
	case 9:
		c.silently(seq, `\Seen`, r.IntN(2) == 0)
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestSyncUnderFire lets several clients change one mailbox at once. In the
// end each must count the same messages with the same flags, by what it was
// told alone.
func TestSyncUnderFire(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", slices.Repeat([]string{plainMail}, 20)...)
	var clients []*counter
	for range 4 {
		c := &counter{client: o.login(), uids: make([]int, 20), flags: map[int]string{}}
		c.quiet("SELECT INBOX")
		c.carry("FETCH 1:* (UID FLAGS)")
		clients = append(clients, c)
	}
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for range 150 {
				c.act(r)
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			o.deliver("alice", "INBOX", plainMail)
		}
	})
	wg.Wait()

	a := o.account("alice")
	snap, err := a.Snapshot(context.Background(), a.Mailbox("INBOX").ID)
	if err != nil {
		t.Fatal(err)
	}
	var uids []int
	flags := map[int]string{}
	for _, m := range snap.All(0) {
		uids = append(uids, int(m.UID))
		flags[int(m.UID)] = normal(string(snap.AppendFlags(nil, m)))
	}
	for i, c := range clients {
		c.carry("NOOP")
		if c.err != nil {
			t.Errorf("client %d: %v", i, c.err)
			continue
		}
		known := map[int]string{}
		for uid, f := range c.flags {
			known[uid] = normal(f)
		}
		if len(c.uids) != len(uids) {
			t.Errorf("client %d counts %d messages, there are %d", i, len(c.uids), len(uids))
			continue
		}
		for n, uid := range c.uids {
			if uid == 0 {
				continue // new, and never asked for
			}
			if uid != uids[n] {
				t.Errorf("client %d: message %d is UID %d, not %d", i, n+1, uids[n], uid)
			}
			if diff := cmp.Diff(flags[uid], known[uid]); diff != "" {
				t.Errorf("client %d: flags of UID %d (-there +known):\n%s", i, uid, diff)
			}
		}
	}
}

// normal sorts flags.
func normal(flags string) string {
	f := strings.Fields(flags)
	slices.Sort(f)
	return strings.Join(f, " ")
}
