package images_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
)

// sum tells messages apart: each text is sent once.
type sum [sha256.Size]byte

// kept is a message as the box last acknowledged it.
type kept struct {
	sum    sum
	flags  string
	proven bool // its bytes were compared after a power cut
}

// place is where a message lies.
type place struct {
	mailbox string
	uid     imap.UID
}

// doubt is a command that was sent and not answered: after a power cut it may
// have happened or not.
type doubt struct {
	from  place  // that loses the message; nothing where it stays
	to    string // the mailbox that gets it; may be empty
	sum   sum
	at    place  // whose flags change
	flags string // to these
}

// ledger holds what the box has acknowledged, and what is under way.
type ledger struct {
	mu       sync.Mutex
	messages map[place]kept
	doubts   map[*doubt]bool
	answers  map[string]int // by command
}

func newLedger() *ledger {
	return &ledger{messages: map[place]kept{}, doubts: map[*doubt]bool{}, answers: map[string]int{}}
}

// begin notes that a command is about to be sent.
func (l *ledger) begin(d *doubt) *doubt {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubts[d] = true

	return d
}

// acknowledged notes that a command was answered. uid is the message's new one.
func (l *ledger) acknowledged(command string, d *doubt, uid imap.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.doubts, d)
	l.answers[command]++
	switch {
	case d.at.uid != 0:
		m := l.messages[d.at]
		m.flags = d.flags
		l.messages[d.at] = m
	case d.to != "":
		l.messages[place{d.to, uid}] = kept{sum: d.sum, flags: d.flags}
	}
	delete(l.messages, d.from)
}

// pick returns one of the messages of a mailbox, by a number.
func (l *ledger) pick(mailbox string, number uint64) (place, kept, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var places []place
	for p := range l.messages {
		if p.mailbox == mailbox {
			places = append(places, p)
		}
	}
	if len(places) == 0 {
		return place{}, kept{}, false
	}
	slices.SortFunc(places, func(a, b place) int { return int(a.uid) - int(b.uid) })
	p := places[number%uint64(len(places))]

	return p, l.messages[p], true
}

// count returns how many commands were answered.
func (l *ledger) count() (all int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.answers {
		all += n
	}

	return all
}

// settle compares what is there after a power cut with what was acknowledged,
// and goes on from there. All messages of got have their sums, or are proven
// by the caller.
func (l *ledger) settle(got map[place]kept) (problems []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	complain := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	gone, come := map[*doubt]bool{}, map[*doubt]bool{}
	for p, want := range l.messages {
		g, there := got[p]
		switch {
		case !there:
			if d := l.find(func(d *doubt) bool { return d.from == p }); d != nil {
				gone[d] = true
				continue
			}
			complain("message %v was acknowledged and is gone", p)
		case g.sum != want.sum:
			complain("message %v has changed", p)
		case g.flags != want.flags:
			if l.find(func(d *doubt) bool { return d.at == p && d.flags == g.flags }) == nil {
				complain("message %v has the flags %q; acknowledged were %q", p, g.flags, want.flags)
			}
		}
	}
	for p, g := range got {
		if _, known := l.messages[p]; known {
			continue
		}
		d := l.find(func(d *doubt) bool { return d.to == p.mailbox && d.sum == g.sum && !come[d] })
		if d == nil {
			complain("message %v was never sent there", p)
			continue
		}
		come[d] = true
	}
	for d := range l.doubts {
		if d.to != "" && d.from.uid != 0 && gone[d] != come[d] {
			complain("message %v was moved by half: gone is %t, come is %t", d.from, gone[d], come[d])
		}
	}
	l.messages = got
	clear(l.doubts)

	return problems
}

func (l *ledger) find(match func(*doubt) bool) *doubt {
	for d := range l.doubts {
		if match(d) {
			return d
		}
	}

	return nil
}

// flagText is a set of flags in one order, without what the server sets itself.
func flagText(flags ...imap.Flag) string {
	var all []string
	for _, f := range flags {
		if f != `\Recent` {
			all = append(all, strings.ToLower(string(f)))
		}
	}
	slices.Sort(all)

	return strings.Join(slices.Compact(all), " ")
}

// TestLedgerSeesWhatWasLost proves that the judge of the power cuts is one.
func TestLedgerSeesWhatWasLost(t *testing.T) {
	inbox := func(uid imap.UID) place { return place{"INBOX", uid} }
	one, two := sum{1}, sum{2}
	acknowledged := map[place]kept{inbox(1): {sum: one, flags: `\seen`}, inbox(2): {sum: two}}
	moving := &doubt{from: inbox(1), to: "Trash", sum: one}
	cases := map[string]struct {
		doubt *doubt
		got   map[place]kept
		want  string // a part of the complaint; nothing if all is well
	}{
		"all there":                      {nil, map[place]kept{inbox(1): {sum: one, flags: `\seen`}, inbox(2): {sum: two}}, ""},
		"one lost":                       {nil, map[place]kept{inbox(1): {sum: one, flags: `\seen`}}, "is gone"},
		"other bytes":                    {nil, map[place]kept{inbox(1): {sum: one, flags: `\seen`}, inbox(2): {sum: one}}, "has changed"},
		"a flag lost":                    {nil, map[place]kept{inbox(1): {sum: one}, inbox(2): {sum: two}}, "the flags"},
		"a flag that may be set":         {&doubt{at: inbox(2), flags: `\flagged`}, map[place]kept{inbox(1): {sum: one, flags: `\seen`}, inbox(2): {sum: two, flags: `\flagged`}}, ""},
		"another flag than that":         {&doubt{at: inbox(2), flags: `\flagged`}, map[place]kept{inbox(1): {sum: one, flags: `\seen`}, inbox(2): {sum: two, flags: `\draft`}}, "the flags"},
		"a message that may have come":   {&doubt{to: "INBOX", sum: sum{3}}, map[place]kept{inbox(1): {sum: one, flags: `\seen`}, inbox(2): {sum: two}, inbox(3): {sum: sum{3}}}, ""},
		"one that came twice":            {&doubt{to: "INBOX", sum: sum{3}}, map[place]kept{inbox(1): {sum: one, flags: `\seen`}, inbox(2): {sum: two}, inbox(3): {sum: sum{3}}, inbox(4): {sum: sum{3}}}, "never sent"},
		"one that came back":             {nil, map[place]kept{inbox(1): {sum: one, flags: `\seen`}, inbox(2): {sum: two}, inbox(3): {sum: one}}, "never sent"},
		"a message that may be expunged": {&doubt{from: inbox(2)}, map[place]kept{inbox(1): {sum: one, flags: `\seen`}}, ""},
		"moved":                          {moving, map[place]kept{{"Trash", 1}: {sum: one}, inbox(2): {sum: two}}, ""},
		"not moved":                      {moving, map[place]kept{inbox(1): {sum: one, flags: `\seen`}, inbox(2): {sum: two}}, ""},
		"moved and lost":                 {moving, map[place]kept{inbox(2): {sum: two}}, "by half"},
		"moved and still there":          {moving, map[place]kept{{"Trash", 1}: {sum: one}, inbox(1): {sum: one, flags: `\seen`}, inbox(2): {sum: two}}, "by half"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			for p, m := range acknowledged {
				l.messages[p] = m
			}
			if c.doubt != nil {
				l.begin(c.doubt)
			}
			got := strings.Join(l.settle(c.got), "; ")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("settle = %q, want %q", got, c.want)
			}
		})
	}
}
