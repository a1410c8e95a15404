package integration_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ledger is what one worker's mailboxes hold, by name. Nobody else changes
// them, so each command's effect is known before it is sent.
type ledger map[string]*folder

// folder is one mailbox.
type folder struct {
	next uint32 // UID of the next message
	mail map[uint32]entry
}

// entry is one message: which, and with what flags.
type entry struct {
	name    string
	deleted bool
	flagged bool
}

func (l ledger) clone() ledger {
	c := ledger{}
	for name, f := range l {
		c[name] = &folder{f.next, maps.Clone(f.mail)}
	}
	return c
}

func (f *folder) add(e entry) {
	f.mail[f.next] = e
	f.next++
}

func (f *folder) uids() []uint32 { return slices.Sorted(maps.Keys(f.mail)) }

// String shows the content, so that two can be compared and read.
func (l ledger) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(l)) {
		fmt.Fprintf(&b, "%s:", name)
		for _, uid := range l[name].uids() {
			e := l[name].mail[uid]
			fmt.Fprintf(&b, " %d=%s", uid, e.name)
			if e.deleted {
				b.WriteString("D")
			}
			if e.flagged {
				b.WriteString("F")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// deed is one command: in which mailbox, its words, and what holds afterwards.
type deed struct {
	in      string // to be selected; "" for none
	command string
	after   ledger
}
