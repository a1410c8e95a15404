package model_test

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"pillarbox/appliance/integration/rig"
)

// client is one session with what its mail program would know.
type client struct {
	wire *rig.Wire
	view *view // of the selected mailbox, nil if there is none
	idle bool

	qresync bool               // it asks for what it missed (RFC 7162)
	cache   map[*mailbox]*view // what it knew when it left
}

// view is a selected mailbox as the client was told of it.
type view struct {
	box      *mailbox
	readOnly bool
	uids     []uint32   // by sequence number
	flags    [][]string // likewise; nil where it was told of none
	saved    []uint32   // the search result "$"
	coming   []uint32   // what the server tells of before it carries the command out
	expunged bool       // an EXPUNGE came since this was cleared
	high     uint64     // HIGHESTMODSEQ when the client last knew all
}

// answer is what came back for one command.
type answer struct {
	status string // OK, NO, BAD, or BYE where the connection ended
	code   string // without its brackets
	lines  []line // untagged
}

// line is an untagged response; its literals are taken out.
type line struct {
	text     string
	literals [][]byte
}

// do sends a command and takes the answer in.
func (c *client) do(command string) (*answer, error) {
	if err := c.wire.Start(command); err != nil {
		return nil, err
	}
	return c.finish()
}

func (c *client) finish() (*answer, error) {
	var raw bytes.Buffer
	_, err := c.wire.Wait(&raw)
	if _, refused := err.(*rig.ReplyError); err != nil && !refused {
		return nil, fmt.Errorf("after %q: %w", raw.String(), err)
	}
	a, err := parse(raw.Bytes())
	if err != nil {
		return nil, err
	}
	for _, l := range a.lines {
		if err := c.take(l); err != nil {
			return a, err
		}
	}
	return a, nil
}

func parse(raw []byte) (*answer, error) {
	a := &answer{}
	for len(raw) > 0 {
		var l line
		for {
			text, rest, ok := bytes.Cut(raw, []byte("\r\n"))
			if !ok {
				return nil, fmt.Errorf("half a line: %q", raw)
			}
			raw = rest
			l.text += string(text)
			m := literal.FindSubmatch(text)
			if m == nil {
				break
			}
			n, err := strconv.Atoi(string(m[1]))
			if err != nil || n > len(raw) {
				return nil, fmt.Errorf("half a literal: %q", text)
			}
			l.literals = append(l.literals, raw[:n])
			raw = raw[n:]
		}
		if text, untagged := strings.CutPrefix(l.text, "* "); untagged {
			l.text = text
			a.lines = append(a.lines, l)
			if strings.HasPrefix(text, "BYE") {
				a.status = "BYE"
			}
			continue
		}
		m := tagged.FindStringSubmatch(l.text)
		if m == nil {
			return nil, fmt.Errorf("neither tagged nor untagged: %q", l.text)
		}
		a.status, a.code = m[1], m[2]
	}
	return a, nil
}

var (
	literal  = regexp.MustCompile(`\{(\d+)\}$`)
	tagged   = regexp.MustCompile(`^w\d+ (OK|NO|BAD)(?: \[([^\]]*)\])?`)
	numbered = regexp.MustCompile(`^(\d+) (EXISTS|EXPUNGE|FETCH)`)
)

// take does with an untagged response what a mail program does.
func (c *client) take(l line) error {
	m := numbered.FindStringSubmatch(l.text)
	if c.view == nil {
		return nil
	}
	v := c.view
	if set, ok := strings.CutPrefix(l.text, "VANISHED "); ok && !strings.HasPrefix(set, "(EARLIER)") {
		return v.vanished(parseSet(set))
	}
	if m == nil {
		return nil
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return err
	}
	switch m[2] {
	case "EXISTS":
		return v.exists(n)
	case "EXPUNGE":
		if n < 1 || n > len(v.uids) {
			return fmt.Errorf("%s: the client counts %d messages", l.text, len(v.uids))
		}
		v.uids, v.flags = slices.Delete(v.uids, n-1, n), slices.Delete(v.flags, n-1, n)
		v.expunged = true
	case "FETCH":
		if n < 1 || n > len(v.uids) {
			return fmt.Errorf("%s: the client counts %d messages", l.text, len(v.uids))
		}
		f, err := parseFetch(l)
		if err != nil {
			return err
		}
		if f.uid != 0 && f.uid != v.uids[n-1] {
			return fmt.Errorf("%s: message %d has the UID %d", l.text, n, v.uids[n-1])
		}
		if f.flags != nil {
			v.flags[n-1] = f.flags
		}
	}
	return nil
}

// vanished is EXPUNGE by UID.
func (v *view) vanished(uids []uint32) error {
	for _, uid := range uids {
		i := slices.Index(v.uids, uid)
		if i < 0 {
			return fmt.Errorf("VANISHED tells of the UID %d, and the client knows %v", uid, v.uids)
		}
		v.uids, v.flags = slices.Delete(v.uids, i, i+1), slices.Delete(v.flags, i, i+1)
	}
	v.expunged = true
	return nil
}

// exists gives new sequence numbers to the messages that are new to the view.
func (v *view) exists(n int) error {
	if n < len(v.uids) {
		return fmt.Errorf("%d EXISTS: the client counts %d messages", n, len(v.uids))
	}
	fresh := v.unseen()
	if n-len(v.uids) > len(fresh) {
		return fmt.Errorf("%d EXISTS: the client counts %d messages, and %d are new", n, len(v.uids), len(fresh))
	}
	fresh = fresh[:n-len(v.uids)]
	v.uids, v.coming = append(v.uids, fresh...), nil
	v.flags = append(v.flags, make([][]string, len(fresh))...)
	return nil
}

// unseen lists the UIDs of messages that the client was not told of.
func (v *view) unseen() []uint32 {
	last := uint32(0)
	if len(v.uids) > 0 {
		last = v.uids[len(v.uids)-1]
	}
	fresh := append(v.box.uids(), v.coming...)
	slices.Sort(fresh)
	return slices.DeleteFunc(slices.Compact(fresh), func(uid uint32) bool { return uid <= last })
}

// stale tells what the client does not know though it could, "" if nothing.
// Without expunges it may count messages that are gone.
func (v *view) stale(expunges bool) string {
	known := v.uids
	if !expunges {
		known = slices.DeleteFunc(slices.Clone(known), func(uid uint32) bool { return v.box.find(uid) == nil })
	}
	if want := v.box.uids(); !slices.Equal(known, want) {
		return fmt.Sprintf("the client knows of the UIDs %v, and there are %v", known, want)
	}
	for i, uid := range v.uids {
		if m := v.box.find(uid); m != nil && v.flags[i] != nil && !slices.Equal(v.flags[i], m.flags) {
			return fmt.Sprintf("the client takes UID %d for %v, and it is %v", uid, v.flags[i], m.flags)
		}
	}
	return ""
}

// await reads what an idle client is told until it knows all.
func (c *client) await() error {
	for c.view.stale(true) != "" {
		raw, err := c.wire.Line()
		if err != nil {
			return fmt.Errorf("while idle %s: %w", c.view.stale(true), err)
		}
		if err := c.take(line{text: strings.TrimPrefix(string(raw), "* ")}); err != nil {
			return err
		}
	}
	return nil
}

// leave closes the view and keeps what was known.
func (c *client) leave() {
	if c.view != nil && c.qresync {
		c.cache[c.view.box] = c.view
	}
	c.view = nil
}

// resync completes the view from what the client knew, by an answer to SELECT
// with QRESYNC.
func (c *client) resync(old *view, a *answer) error {
	known := map[uint32][]string{}
	for i, uid := range old.uids {
		known[uid] = old.flags[i]
	}
	gone, _ := a.find("VANISHED (EARLIER) ")
	for _, uid := range parseSet(gone) {
		delete(known, uid)
	}
	v := c.view
	for i, uid := range v.uids {
		flags, was := known[uid]
		if v.flags[i] == nil && !was {
			return fmt.Errorf("UID %d is new since %d and is not told of", uid, old.high)
		}
		if v.flags[i] == nil {
			v.flags[i] = flags
		}
		delete(known, uid)
	}
	if len(known) > 0 {
		return fmt.Errorf("that these are gone since %d is not told of: %v", old.high, known)
	}
	return nil
}

// fetched is one FETCH response.
type fetched struct {
	seq, size int
	uid       uint32
	modSeq    uint64
	flags     []string // nil if there are none; \Recent is left out
	date      string
	body      []byte
}

var (
	uidItem    = regexp.MustCompile(`[( ]UID (\d+)`)
	flagsItem  = regexp.MustCompile(`[( ]FLAGS \(([^)]*)\)`)
	modSeqItem = regexp.MustCompile(`[( ]MODSEQ \((\d+)\)`)
	dateItem   = regexp.MustCompile(`[( ]INTERNALDATE "([^"]*)"`)
	sizeItem   = regexp.MustCompile(`[( ]RFC822\.SIZE (\d+)`)
)

func parseFetch(l line) (*fetched, error) {
	f := &fetched{}
	number := func(re *regexp.Regexp, bits int) (n uint64, err error) {
		if m := re.FindStringSubmatch(l.text); m != nil {
			n, err = strconv.ParseUint(m[1], 10, bits)
		}
		return n, err
	}
	uid, err := number(uidItem, 32)
	if err != nil {
		return nil, err
	}
	f.uid = uint32(uid)
	size, err := number(sizeItem, 32)
	if err != nil {
		return nil, err
	}
	f.size = int(size)
	if f.modSeq, err = number(modSeqItem, 63); err != nil {
		return nil, err
	}
	if _, err := fmt.Sscanf(l.text, "%d FETCH", &f.seq); err != nil {
		return nil, fmt.Errorf("%q: %w", l.text, err)
	}
	if m := flagsItem.FindStringSubmatch(l.text); m != nil {
		f.flags = slices.DeleteFunc(strings.Fields(m[1]), func(s string) bool { return s == `\Recent` })
		slices.Sort(f.flags)
	}
	if m := dateItem.FindStringSubmatch(l.text); m != nil {
		f.date = m[1]
	}
	if len(l.literals) > 0 {
		f.body = l.literals[0]
	}
	return f, nil
}

// fetches picks the FETCH responses of an answer.
func (a *answer) fetches() ([]*fetched, error) {
	var all []*fetched
	for _, l := range a.lines {
		if m := numbered.FindStringSubmatch(l.text); m != nil && m[2] == "FETCH" {
			f, err := parseFetch(l)
			if err != nil {
				return nil, err
			}
			all = append(all, f)
		}
	}
	return all, nil
}

// find returns the first untagged response that begins so, without that.
func (a *answer) find(prefix string) (string, bool) {
	for _, l := range a.lines {
		if rest, ok := strings.CutPrefix(l.text, prefix); ok {
			return rest, true
		}
	}
	return "", false
}

// parseSet reads "1:3,5" as a list.
func parseSet(s string) []uint32 {
	var out []uint32
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(part, ":")
		lo, err := strconv.ParseUint(from, 10, 32)
		if err != nil {
			continue
		}
		hi := lo
		if isRange {
			if hi, err = strconv.ParseUint(to, 10, 32); err != nil {
				continue
			}
		}
		if lo > hi {
			lo, hi = hi, lo
		}
		for n := lo; n <= hi && len(out) < 1<<16; n++ {
			out = append(out, uint32(n))
		}
	}
	return out
}
