package model_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// auditChanged compares the mailboxes that the last step changed.
func (g *game) auditChanged() error {
	for _, name := range g.model.names() {
		if box := g.model.boxes[name]; box.changed {
			if err := g.inspect(name, box, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// audit compares everything.
func (g *game) audit() error {
	if err := g.auditNames(); err != nil {
		return err
	}
	for _, name := range g.model.names() {
		if err := g.inspect(name, g.model.boxes[name], true); err != nil {
			return err
		}
	}
	return nil
}

var listed = regexp.MustCompile(`^(LIST|LSUB) \(([^)]*)\) "/" (.*)$`)

// auditNames compares LIST and LSUB.
func (g *game) auditNames() error {
	a, err := g.auditor.do(`LIST "" *`)
	if err != nil {
		return err
	}
	b, err := g.auditor.do(`LSUB "" *`)
	if err != nil {
		return err
	}
	got := map[string][]string{}
	for _, l := range append(a.lines, b.lines...) {
		if m := listed.FindStringSubmatch(l.text); m != nil {
			name := strings.ReplaceAll(strings.Trim(m[3], `"`), "&APw-", "ü")
			got[m[1]] = append(got[m[1]], name)
			children := len(g.model.below(name)) > 0
			if m[1] == "LIST" && strings.Contains(m[2], `\HasChildren`) != children {
				return fmt.Errorf("LIST says of %s %s; it has children: %v", name, m[2], children)
			}
		}
	}
	for what, names := range got {
		slices.Sort(names)
		got[what] = names
	}
	if want := g.model.names(); !slices.Equal(got["LIST"], want) {
		return fmt.Errorf("LIST shows %q, want %q", got["LIST"], want)
	}
	var subs []string
	for name := range g.model.subs {
		subs = append(subs, name)
	}
	slices.Sort(subs)
	if !slices.Equal(got["LSUB"], subs) {
		return fmt.Errorf("LSUB shows %q, want %q", got["LSUB"], subs)
	}
	return nil
}

// inspect compares one mailbox by a session that looks afresh.
func (g *game) inspect(name string, box *mailbox, octets bool) error {
	wrap := func(err error) error { return fmt.Errorf("the auditor, in %s: %w", name, err) }
	if _, err := g.auditor.do("EXAMINE " + quote(name)); err != nil {
		return wrap(err)
	}
	// A session that has a mailbox selected which is deleted comes to an end.
	defer func() { _, _ = g.auditor.do("UNSELECT") }()
	items := "UID FLAGS MODSEQ INTERNALDATE RFC822.SIZE"
	if octets {
		items += " BODY.PEEK[]"
	}
	a, err := g.auditor.do("UID FETCH 1:* (" + items + ")")
	if err != nil {
		return wrap(err)
	}
	all, err := a.fetches()
	if err != nil {
		return wrap(err)
	}
	var uids []uint32
	for i, f := range all {
		uids = append(uids, f.uid)
		if f.seq != i+1 {
			return wrap(fmt.Errorf("UID %d has the sequence number %d, want %d", f.uid, f.seq, i+1))
		}
	}
	if want := box.uids(); !slices.Equal(uids, want) {
		return wrap(fmt.Errorf("the UIDs are %v, want %v", uids, want))
	}
	for i, m := range box.msgs {
		f := all[i]
		if !slices.Equal(f.flags, m.flags) {
			return wrap(fmt.Errorf("UID %d has the flags %v, want %v", m.uid, f.flags, m.flags))
		}
		if err := m.compare(f); err != nil {
			return wrap(err)
		}
		if err := m.learn(f.modSeq, box.high); err != nil {
			return wrap(err)
		}
	}
	if err := g.inspectStatus(name, box); err != nil {
		return wrap(err)
	}
	box.changed = false
	return nil
}

// inspectStatus compares the counts.
func (g *game) inspectStatus(name string, box *mailbox) error {
	a, err := g.auditor.do("STATUS " + quote(name) + " (MESSAGES UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE HIGHESTMODSEQ)")
	if err != nil {
		return err
	}
	text, _ := a.find("STATUS ")
	_, text, _ = strings.Cut(text, "(")
	words := strings.Fields(strings.TrimSuffix(text, ")"))
	got := map[string]uint64{}
	for i := 0; i+1 < len(words); i += 2 {
		var n uint64
		if _, err := fmt.Sscan(words[i+1], &n); err != nil {
			return err
		}
		got[words[i]] = n
	}
	if box.validity == 0 {
		box.validity = uint32(got["UIDVALIDITY"])
	}
	high, top := got["HIGHESTMODSEQ"], uint64(0)
	want := map[string]uint64{
		"MESSAGES": uint64(len(box.msgs)), "UIDNEXT": uint64(box.next), "UIDVALIDITY": uint64(box.validity),
		"UNSEEN": 0, "DELETED": 0, "SIZE": 0,
	}
	for _, m := range box.msgs {
		want["SIZE"] += uint64(m.size)
		top = max(top, m.modSeq)
		if !m.has(`\Seen`) {
			want["UNSEEN"]++
		}
		if m.has(`\Deleted`) {
			want["DELETED"]++
		}
	}
	for what, n := range want {
		if got[what] != n {
			return fmt.Errorf("%s is %d, want %d", what, got[what], n)
		}
	}
	switch {
	case high < top:
		return fmt.Errorf("HIGHESTMODSEQ is %d, and a message has %d", high, top)
	case high < box.high || high > box.high && !box.changed:
		return fmt.Errorf("HIGHESTMODSEQ is %d and was %d; changed: %v", high, box.high, box.changed)
	}
	box.high = high
	return nil
}
