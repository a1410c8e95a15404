package model_test

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// account is what a server ought to hold, in the plainest way.
type account struct {
	boxes map[string]*mailbox
	subs  map[string]bool
}

type mailbox struct {
	msgs     []*message
	validity uint32 // learned
	next     uint32
	high     uint64 // HIGHESTMODSEQ, learned
	changed  bool   // since the auditor looked
	gone     bool
}

type message struct {
	uid    uint32
	flags  []string // sorted
	date   time.Time
	text   []byte
	prefix bool   // delivery put lines in front of text
	size   int    // learned where prefix is set
	modSeq uint64 // learned; 0 while it is to be above the mailbox's
	mail   int    // the same in all copies
}

func newAccount() *account {
	a := &account{boxes: map[string]*mailbox{}, subs: map[string]bool{}}
	for _, name := range []string{"INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"} {
		a.boxes[name] = &mailbox{next: 1, changed: true}
		a.subs[name] = true
	}
	return a
}

func (a *account) names() []string { return slices.Sorted(maps.Keys(a.boxes)) }

func (a *account) create(name string) bool {
	if a.boxes[name] != nil {
		return false
	}
	for i, c := range name + "/" {
		if c == '/' && a.boxes[name[:i]] == nil {
			a.boxes[name[:i]] = &mailbox{next: 1, changed: true}
		}
	}
	return true
}

func (a *account) delete(name string) bool {
	b := a.boxes[name]
	if b == nil || name == "INBOX" || len(a.below(name)) > 0 {
		return false
	}
	b.gone = true
	delete(a.boxes, name)
	return true
}

func (a *account) below(name string) []string {
	return slices.DeleteFunc(a.names(), func(n string) bool { return !strings.HasPrefix(n, name+"/") })
}

func (a *account) rename(from, to string) bool {
	if a.boxes[from] == nil || a.boxes[to] != nil {
		return false
	}
	if from == "INBOX" {
		a.create(to)
		inbox := a.boxes[from]
		a.move(inbox, inbox.msgs, a.boxes[to])
		return true
	}
	if strings.HasPrefix(to, from+"/") {
		return false
	}
	moving := append([]string{from}, a.below(from)...)
	if i := strings.LastIndexByte(to, '/'); i > 0 {
		a.create(to[:i])
	}
	for _, name := range moving {
		b := a.boxes[name]
		delete(a.boxes, name)
		a.boxes[to+name[len(from):]] = b
		b.changed = true
	}
	return true
}

// add puts a message in under the next UID.
func (b *mailbox) add(m *message) *message {
	m.uid, m.modSeq = b.next, 0
	b.next++
	b.msgs = append(b.msgs, m)
	b.changed = true
	return m
}

// copy returns the new UIDs.
func (a *account) copy(msgs []*message, to *mailbox) []uint32 {
	var uids []uint32
	for _, m := range slices.Clone(msgs) {
		n := *m
		n.flags = slices.Clone(m.flags)
		uids = append(uids, to.add(&n).uid)
	}
	return uids
}

func (a *account) move(from *mailbox, msgs []*message, to *mailbox) []uint32 {
	msgs = slices.Clone(msgs)
	from.remove(func(m *message) bool { return slices.Contains(msgs, m) })
	return a.copy(msgs, to)
}

func (b *mailbox) remove(gone func(*message) bool) {
	n := len(b.msgs)
	b.msgs = slices.DeleteFunc(slices.Clone(b.msgs), gone)
	b.changed = b.changed || len(b.msgs) < n
}

func (b *mailbox) expunge(in func(*message) bool) {
	b.remove(func(m *message) bool { return m.has(`\Deleted`) && in(m) })
}

func (b *mailbox) find(uid uint32) *message {
	i, ok := slices.BinarySearchFunc(b.msgs, uid, func(m *message, uid uint32) int { return cmp.Compare(m.uid, uid) })
	if !ok {
		return nil
	}
	return b.msgs[i]
}

func (b *mailbox) uids() []uint32 {
	uids := make([]uint32, len(b.msgs))
	for i, m := range b.msgs {
		uids[i] = m.uid
	}
	return uids
}

func (m *message) has(flag string) bool { return slices.Contains(m.flags, flag) }

// store changes the flags; a message that has them already stays as it is.
func (b *mailbox) store(m *message, op string, flags []string) {
	if next := combine(m.flags, op, flags); !slices.Equal(next, m.flags) {
		m.flags, m.modSeq, b.changed = next, 0, true
	}
}

// combine applies FLAGS, +FLAGS or -FLAGS.
func combine(have []string, op string, flags []string) []string {
	next := slices.Clone(have)
	switch op {
	case "+FLAGS":
		next = append(next, flags...)
	case "-FLAGS":
		next = slices.DeleteFunc(next, func(f string) bool { return slices.Contains(flags, f) })
	default:
		next = slices.Clone(flags)
	}
	slices.Sort(next)
	return slices.Compact(next)
}

// subject and body are what SEARCH looks into.
func (m *message) subject() string {
	head, _, _ := bytes.Cut(m.text, []byte("\r\n"))
	return strings.TrimPrefix(string(head), "Subject: ")
}

func (m *message) body() string {
	_, body, _ := bytes.Cut(m.text, []byte("\r\n\r\n"))
	return string(body)
}
