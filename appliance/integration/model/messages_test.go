package model_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// choice is a message set of a command and what it stands for.
type choice struct {
	text string
	uid  bool       // the command is of the UID form
	msgs []*message // those of the set that are there
	gone bool       // it names messages that the client counts but that are gone
}

func (ch *choice) command(verb string) string {
	if ch.uid {
		verb = "UID " + verb
	}
	return verb + " " + ch.text
}

// expunges tells whether EXPUNGE may be told in answer to FETCH, STORE and
// SEARCH (RFC 9051, section 7.5.1).
func (ch *choice) expunges() bool { return ch.uid }

// choose draws a set of messages. Messages that are new since the client was
// told last count, since the server tells of them first.
func (u *turn) choose() (*choice, error) {
	v := u.c.view
	v.coming = v.unseen()
	ch := &choice{uid: u.IntN(2) == 0}
	uids := append(slices.Clone(v.uids), v.unseen()...)
	if u.IntN(12) == 0 && !u.plain {
		ch.text = "$"
		for _, uid := range v.saved {
			if m := v.box.find(uid); m != nil {
				ch.msgs = append(ch.msgs, m)
			}
		}
		return ch, nil
	}
	var numbers []string
	note := func(seq int) {
		uid := uids[seq]
		if ch.uid {
			numbers = append(numbers, fmt.Sprint(uid))
		} else {
			numbers = append(numbers, fmt.Sprint(seq+1))
		}
		if m := v.box.find(uid); m != nil {
			ch.msgs = append(ch.msgs, m)
		} else {
			ch.gone = true
		}
	}
	if len(uids) == 0 {
		if !ch.uid {
			return nil, errNothing
		}
		ch.text = "1:3"
		return ch, nil
	}
	all := make([]int, len(uids))
	for i := range all {
		all[i] = i
	}
	if u.IntN(6) == 0 && !u.plain {
		for i := range all {
			note(i)
		}
		ch.text = "1:*"
		return ch, nil
	}
	some := pick(u.Rand, all, u.plain)
	if len(some) == 0 {
		some = all[:1]
	}
	for _, i := range some {
		note(i)
	}
	if ch.uid && u.IntN(4) == 0 && !u.plain {
		numbers = append(numbers, fmt.Sprint(v.box.next+10)) // that nobody has
	}
	ch.text = strings.Join(numbers, ",")
	return ch, nil
}

// with draws a set and goes on with it.
func (u *turn) with(f func(*choice) error) error {
	ch, err := u.choose()
	if err != nil {
		return u.noop()
	}
	return f(ch)
}

func (u *turn) store() error {
	return u.with(func(ch *choice) error {
		v := u.c.view
		op := []string{"FLAGS", "+FLAGS", "+FLAGS", "-FLAGS"}[u.IntN(4)]
		flags := u.flags()
		if u.IntN(3) == 0 {
			flags = []string{`\Deleted`}
		}
		silent, modifier := "", ""
		if u.IntN(3) == 0 {
			silent = ".SILENT"
		}
		since := uint64(1<<63 - 1)
		if u.IntN(4) == 0 {
			since = u.someModSeq(v.box)
			modifier = fmt.Sprintf("(UNCHANGEDSINCE %d) ", since)
		}
		command := fmt.Sprintf("%s %s%s%s (%s)", ch.command("STORE"), modifier, op, silent, strings.Join(flags, " "))
		if v.readOnly {
			_, err := u.ask(u.who, command, "NO", ch.expunges())
			return err
		}
		var modified []string
		var stored []uint32
		uids := append(slices.Clone(v.uids), v.unseen()...)
		for _, m := range ch.msgs {
			if m.modSeq > since {
				number := m.uid
				if !ch.uid {
					number = uint32(slices.Index(uids, m.uid) + 1)
				}
				modified = append(modified, fmt.Sprint(number))
				continue
			}
			stored = append(stored, m.uid)
			v.box.store(m, op, flags)
		}
		a, err := u.say(u.who, command, "OK", ch.expunges())
		if err != nil {
			return err
		}
		if silent != "" { // the client knows what it did
			for i, uid := range v.uids {
				if v.flags[i] != nil && slices.Contains(stored, uid) {
					v.flags[i] = combine(v.flags[i], op, flags)
				}
			}
		} else if err := u.told(a, stored); err != nil {
			return err
		}
		if set, ok := strings.CutPrefix(a.code, "MODIFIED "); ok || len(modified) > 0 {
			if want := parseSet(strings.Join(modified, ",")); !slices.Equal(parseSet(set), want) {
				return fmt.Errorf("the code is [%s], want MODIFIED %v", a.code, want)
			}
		}
		if err := u.learn(a); err != nil {
			return err
		}
		return u.settle(u.who, ch.expunges())
	})
}

// told demands a FETCH response for each message.
func (u *turn) told(a *answer, uids []uint32) error {
	all, err := a.fetches()
	if err != nil {
		return err
	}
	for _, uid := range uids {
		if !slices.ContainsFunc(all, func(f *fetched) bool { return f.uid == uid && f.flags != nil }) {
			return fmt.Errorf("the flags of UID %d are not told", uid)
		}
	}
	return nil
}

// someModSeq draws a mod-sequence about which messages differ.
func (u *turn) someModSeq(b *mailbox) uint64 {
	n := u.IntN(len(b.msgs) + 1)
	if n == len(b.msgs) {
		return b.high
	}
	return b.msgs[n].modSeq
}

// learn takes mod-sequences from FETCH responses and holds them to the rules.
func (u *turn) learn(a *answer) error {
	all, err := a.fetches()
	if err != nil {
		return err
	}
	last := map[uint32]*fetched{} // before come the changes of others
	for _, f := range all {
		last[f.uid] = f
	}
	for _, f := range last {
		m := u.c.view.box.find(f.uid)
		if m == nil || f.modSeq == 0 {
			continue
		}
		if err := m.learn(f.modSeq, u.c.view.box.high); err != nil {
			return err
		}
	}
	return nil
}

// learn holds a mod-sequence against what is known; high is the mailbox's
// before the present step.
func (m *message) learn(got, high uint64) error {
	switch {
	case m.modSeq == got:
	case m.modSeq != 0:
		return fmt.Errorf("UID %d has the mod-sequence %d and did not change since it had %d", m.uid, got, m.modSeq)
	case got <= high:
		return fmt.Errorf("UID %d changed and has the mod-sequence %d, which is not above the mailbox's %d", m.uid, got, high)
	}
	m.modSeq = got
	return nil
}

func (u *turn) copy() error {
	return u.with(func(ch *choice) error {
		name := u.name()
		command := ch.command("COPY") + " " + quote(name)
		dest := u.model.boxes[name]
		switch {
		case dest == nil:
			return u.tryCreate(command)
		case ch.gone && !ch.uid:
			_, err := u.ask(u.who, command, "NO", true)
			return err
		}
		var from []uint32
		for _, m := range ch.msgs {
			from = append(from, m.uid)
		}
		to := u.model.copy(ch.msgs, dest)
		a, err := u.ask(u.who, command, "OK", true)
		if err != nil || len(from) == 0 {
			return err
		}
		return u.checkUIDs("COPYUID", a.code, dest, from, to)
	})
}

func (u *turn) tryCreate(command string) error {
	a, err := u.ask(u.who, command, "NO", true)
	if err == nil && a.code != "TRYCREATE" {
		err = fmt.Errorf("the code is [%s], want TRYCREATE", a.code)
	}
	return err
}

func (u *turn) move() error {
	return u.with(func(ch *choice) error {
		v, name := u.c.view, u.name()
		command := ch.command("MOVE") + " " + quote(name)
		dest := u.model.boxes[name]
		switch {
		case v.readOnly, ch.gone && !ch.uid && dest != nil:
			_, err := u.ask(u.who, command, "NO", true)
			return err
		case dest == nil:
			return u.tryCreate(command)
		}
		var from []uint32
		for _, m := range ch.msgs {
			from = append(from, m.uid)
		}
		to := u.model.move(v.box, ch.msgs, dest)
		a, err := u.ask(u.who, command, "OK", true)
		if err != nil || len(from) == 0 {
			return err
		}
		code, _ := a.find("OK [COPYUID")
		code, _, _ = strings.Cut(code, "]")
		return u.checkUIDs("COPYUID", "COPYUID"+code, dest, from, to)
	})
}

func (u *turn) expunge() error {
	v := u.c.view
	command, in := "EXPUNGE", func(*message) bool { return true }
	if u.IntN(2) == 0 {
		if err := u.with(func(ch *choice) error {
			if ch.uid {
				command = "UID EXPUNGE " + ch.text
				in = func(m *message) bool { return slices.Contains(ch.msgs, m) }
			} else {
				v.coming = nil // nobody tells of what comes before EXPUNGE
			}
			return nil
		}); err != nil {
			return err
		}
	}
	if v.readOnly {
		_, err := u.ask(u.who, command, "NO", true)
		return err
	}
	v.box.expunge(in)
	_, err := u.ask(u.who, command, "OK", true)
	return err
}

func (u *turn) fetch() error {
	return u.with(func(ch *choice) error {
		v := u.c.view
		items := []string{"UID FLAGS MODSEQ INTERNALDATE RFC822.SIZE", "UID BODY.PEEK[]", "UID BODY[]", "UID RFC822.SIZE"}[u.IntN(4)]
		modifier, msgs := "", ch.msgs
		if u.IntN(4) == 0 {
			since := max(u.someModSeq(v.box), 1)
			modifier = fmt.Sprintf(" (CHANGEDSINCE %d)", since)
			msgs = slices.DeleteFunc(slices.Clone(msgs), func(m *message) bool { return m.modSeq <= since })
		}
		if strings.Contains(items, "BODY[]") && !v.readOnly {
			for _, m := range msgs {
				v.box.store(m, "+FLAGS", []string{`\Seen`})
			}
		}
		a, err := u.ask(u.who, ch.command("FETCH")+" ("+items+")"+modifier, "OK", ch.expunges())
		if err != nil {
			return err
		}
		all, err := a.fetches()
		if err != nil {
			return err
		}
		marker := map[bool]func(*fetched) bool{
			true:  func(f *fetched) bool { return f.body != nil },
			false: func(f *fetched) bool { return f.size != 0 },
		}[strings.Contains(items, "BODY")]
		var got, want []uint32
		for _, f := range all {
			if !marker(f) {
				continue // told beside
			}
			got = append(got, f.uid)
			m := v.box.find(f.uid)
			if m == nil {
				return fmt.Errorf("UID %d is fetched and is not there", f.uid)
			}
			if err := m.compare(f); err != nil {
				return err
			}
		}
		for _, m := range msgs {
			want = append(want, m.uid)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			return fmt.Errorf("the UIDs %v are fetched, want %v", got, want)
		}
		return u.learn(a)
	})
}

// compare holds what was fetched against the model, as far as it was.
func (m *message) compare(f *fetched) error {
	if f.date != "" {
		date, err := time.Parse("_2-Jan-2006 15:04:05 -0700", f.date)
		if err != nil {
			return err
		}
		if m.date.IsZero() {
			m.date = date // a delivery's is learned
		}
		if f.date != m.date.Format("02-Jan-2006 15:04:05 -0700") && f.date != m.date.Format("_2-Jan-2006 15:04:05 -0700") {
			return fmt.Errorf("UID %d has the date %s, want %s", m.uid, f.date, m.date)
		}
	}
	if f.size != 0 {
		if m.size == 0 {
			m.size = f.size
		}
		if f.size != m.size {
			return fmt.Errorf("UID %d has the size %d, want %d", m.uid, f.size, m.size)
		}
	}
	if f.body == nil {
		return nil
	}
	if m.prefix && (!bytes.HasSuffix(f.body, m.text) || !bytes.HasPrefix(f.body, []byte("Return-Path: "))) || !m.prefix && !bytes.Equal(f.body, m.text) {
		return fmt.Errorf("UID %d has %d octets, which are not the %d of message %d: %.100q", m.uid, len(f.body), len(m.text), m.mail, f.body)
	}
	if m.size != 0 && len(f.body) != m.size {
		return fmt.Errorf("UID %d has %d octets and a size of %d", m.uid, len(f.body), m.size)
	}
	return nil
}

// search is SEARCH, with ESEARCH and SEARCHRES.
func (u *turn) search() error {
	v := u.c.view
	uid := u.IntN(2) == 0
	uids := append(slices.Clone(v.uids), v.unseen()...)
	keys, match := u.keys(uids)
	var found []uint32
	var hits []*message
	for seq, id := range uids {
		if m := v.box.find(id); m != nil && match(seq+1, m) {
			hits = append(hits, m)
			if uid {
				found = append(found, id)
			} else {
				found = append(found, uint32(seq+1))
			}
		}
	}
	command := "SEARCH "
	if uid {
		command = "UID SEARCH "
	}
	options := []string{"", "RETURN () ", "RETURN (COUNT) ", "RETURN (MIN MAX COUNT ALL) ", "RETURN (SAVE) ", "RETURN (SAVE ALL) ", "RETURN (SAVE MIN) "}[u.IntN(7)]
	if u.plain {
		options = ""
	}
	a, err := u.ask(u.who, command+options+keys, "OK", uid)
	if err != nil {
		return err
	}
	if strings.Contains(options, "SAVE") {
		if strings.Contains(options, "MIN") && len(hits) > 0 {
			hits = hits[:1]
		}
		v.saved = nil
		for _, m := range hits {
			v.saved = append(v.saved, m.uid)
		}
	}
	if options == "" {
		rest, ok := a.find("SEARCH")
		rest, _, _ = strings.Cut(rest, " (")
		if got := parseSet(strings.ReplaceAll(strings.TrimSpace(rest), " ", ",")); !ok || !slices.Equal(got, found) {
			return fmt.Errorf("found %v, want %v", got, found)
		}
		return nil
	}
	rest, ok := a.find("ESEARCH ")
	if only := options == "RETURN (SAVE) "; only || !ok {
		if ok == only {
			return fmt.Errorf("ESEARCH is answered: %v", ok)
		}
		return nil
	}
	want := map[string]string{"COUNT": fmt.Sprint(len(found))}
	if len(found) > 0 {
		want["MIN"], want["MAX"] = fmt.Sprint(found[0]), fmt.Sprint(found[len(found)-1])
	}
	words := strings.Fields(rest)
	for _, what := range []string{"MIN", "MAX", "COUNT", "ALL"} {
		asked := strings.Contains(options, what) || what == "ALL" && options == "RETURN () "
		i := slices.Index(words, what)
		if has := i >= 0 && i+1 < len(words); has != (asked && (what == "COUNT" || len(found) > 0)) {
			return fmt.Errorf("%s is answered: %v in %q", what, has, rest)
		} else if !has {
			continue
		}
		if what == "ALL" {
			if got := parseSet(words[i+1]); !slices.Equal(got, found) {
				return fmt.Errorf("found %v, want %v", got, found)
			}
		} else if words[i+1] != want[what] {
			return fmt.Errorf("%s is %s, want %s", what, words[i+1], want[what])
		}
	}
	return nil
}

// keys draws search keys and what they stand for.
func (u *turn) keys(uids []uint32) (string, func(seq int, m *message) bool) {
	flag := func(name, flag string) (string, func(int, *message) bool) {
		if u.IntN(2) == 0 {
			return "UN" + name, func(_ int, m *message) bool { return !m.has(flag) }
		}
		return name, func(_ int, m *message) bool { return m.has(flag) }
	}
	switch u.IntN(14) {
	case 0:
		return "ALL", func(int, *message) bool { return true }
	case 1:
		return flag("SEEN", `\Seen`)
	case 2:
		return flag("DELETED", `\Deleted`)
	case 3:
		return flag("FLAGGED", `\Flagged`)
	case 4:
		return flag("KEYWORD work", "work")
	case 5:
		tree := []string{"oak", "ELM", "ash"}[u.IntN(3)]
		return "SUBJECT " + tree, func(_ int, m *message) bool { return strings.Contains(m.subject(), strings.ToLower(tree)) }
	case 6:
		colour := []string{"red", "blue", "green"}[u.IntN(3)]
		return "BODY " + colour, func(_ int, m *message) bool { return strings.Contains(m.body(), colour) }
	case 7:
		n := 30 + u.IntN(6000)
		return "LARGER " + strconv.Itoa(n), func(_ int, m *message) bool { return m.size > n }
	case 8:
		year := 2019 + u.IntN(8)
		day := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		return fmt.Sprintf("BEFORE 1-Jan-%d", year), func(_ int, m *message) bool {
			return time.Date(m.date.Year(), m.date.Month(), m.date.Day(), 0, 0, 0, 0, time.UTC).Before(day)
		}
	case 9:
		since := max(u.someModSeq(u.c.view.box), 1)
		return fmt.Sprintf("MODSEQ %d", since), func(_ int, m *message) bool { return m.modSeq >= since }
	case 10:
		ids := pick(u.Rand, append(uids, 4000), u.plain)
		if len(ids) == 0 {
			ids = []uint32{4000}
		}
		return "UID " + strings.Trim(strings.ReplaceAll(fmt.Sprint(ids), " ", ","), "[]"), func(_ int, m *message) bool { return slices.Contains(ids, m.uid) }
	case 11:
		saved := u.c.view.saved
		return "$", func(_ int, m *message) bool { return slices.Contains(saved, m.uid) }
	case 12:
		k, f := u.keys(uids)
		return "NOT (" + k + ")", func(seq int, m *message) bool { return !f(seq, m) }
	default:
		k, f := u.keys(uids)
		l, g := u.keys(uids)
		return "OR (" + k + ") (" + l + " UNANSWERED)", func(seq int, m *message) bool {
			return f(seq, m) || g(seq, m) && !m.has(`\Answered`)
		}
	}
}
