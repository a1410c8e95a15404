package model_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"pillarbox/appliance/integration/rig"
)

// The names and flags that scripts use: few, so that they meet. None has a
// special use: by such a name a mailbox is found wherever it was renamed to.
var (
	names    = []string{"INBOX", "INBOX/x", "a", "a/b", "a/b/c", "b", "Büro"}
	allFlags = []string{`\Seen`, `\Deleted`, `\Flagged`, `\Answered`, `\Draft`, "$Forwarded", "work"}
)

// turn is one step on its way.
type turn struct {
	*game

	step
	*rand.Rand

	c *client
}

// step carries out one step of a script.
func (g *game) step(s step) error {
	u := &turn{game: g, step: s, Rand: rand.New(rand.NewPCG(s.seed, 0)), c: g.clients[s.who]}
	if u.c.idle {
		if err := u.endIdle(); err != nil {
			return err
		}
	}
	kinds := []struct {
		weight   int
		selected bool
		do       func() error
	}{
		{100, false, u.append}, {40, false, u.deliver}, {60, false, u.open_}, {20, false, u.create},
		{12, false, u.delete}, {15, false, u.rename}, {10, false, u.subscribe}, {10, false, u.noop},
		{2, false, u.reconnect}, {1, false, u.restart_},
		{120, true, u.store}, {40, true, u.storeSeveral}, {60, true, u.copy}, {40, true, u.move}, {40, true, u.expunge},
		{15, true, u.leave}, {70, true, u.search}, {60, true, u.fetch}, {40, true, u.beginIdle},
	}
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	n := u.IntN(total)
	for _, k := range kinds {
		if n -= k.weight; n >= 0 {
			continue
		}
		if k.selected && u.c.view == nil {
			return u.open_()
		}
		return k.do()
	}
	return nil
}

func (u *turn) name() string { return names[u.IntN(len(names))] }

// quote writes a mailbox name as the command wants it (RFC 3501, section 5.1.3).
func quote(name string) string {
	return `"` + strings.ReplaceAll(name, "ü", "&APw-") + `"`
}

func (u *turn) noop() error {
	_, err := u.ask(u.who, "NOOP", "OK", true)
	return err
}

func (u *turn) flags() []string {
	f := pick(u.Rand, allFlags[:len(allFlags)-u.IntN(2)], u.plain)
	slices.Sort(f)
	return f
}

// append is APPEND of one message or several (RFC 3502).
func (u *turn) append() error {
	name := u.name()
	n := 1
	if u.IntN(4) == 0 && !u.plain {
		n += u.IntN(3)
	}
	var b strings.Builder
	b.WriteString("APPEND " + quote(name))
	var msgs []*message
	for range n {
		m := u.newMail(u.Rand, u.plain)
		m.flags = u.flags()
		m.date = time.Date(2018+u.IntN(8), time.Month(1+u.IntN(12)), 1+u.IntN(28), u.IntN(24), u.IntN(60), u.IntN(60), 0,
			time.FixedZone("", 1800*(u.IntN(40)-20)))
		fmt.Fprintf(&b, " (%s) %q {%d+}\r\n%s", strings.Join(m.flags, " "), m.date.Format("_2-Jan-2006 15:04:05 -0700"), m.size, m.text)
		msgs = append(msgs, m)
	}
	box := u.model.boxes[name]
	if box == nil {
		a, err := u.ask(u.who, b.String(), "NO", true)
		if err == nil && a.code != "TRYCREATE" {
			err = fmt.Errorf("the code is [%s], want TRYCREATE", a.code)
		}
		return err
	}
	var uids []uint32
	for _, m := range msgs {
		uids = append(uids, box.add(m).uid)
	}
	a, err := u.ask(u.who, b.String(), "OK", true)
	if err != nil {
		return err
	}
	return u.checkUIDs("APPENDUID", a.code, box, nil, uids)
}

// checkUIDs compares APPENDUID and COPYUID (RFC 4315).
func (u *turn) checkUIDs(code, got string, box *mailbox, from, to []uint32) error {
	f := strings.Fields(got)
	want := []string{code, fmt.Sprint(box.validity)}
	if box.validity == 0 && len(f) > 1 {
		want[1] = f[1] // it is new; the auditor will see
	}
	lists := [][]uint32{to}
	if from != nil {
		lists = [][]uint32{from, to}
	}
	ok := len(f) == 2+len(lists) && slices.Equal(f[:2], want)
	for i, list := range lists {
		ok = ok && slices.Equal(parseSet(f[2+i]), list)
	}
	if !ok {
		return fmt.Errorf("the code is [%s], want %v with %v", got, want, lists)
	}
	return nil
}

// deliver hands a message in by LMTP.
func (u *turn) deliver() error {
	l, err := rig.DialLMTP("unix", u.box.LMTPSocket())
	if err != nil {
		return err
	}
	defer l.Close()
	m := u.newMail(u.Rand, u.plain)
	m.prefix, m.size = true, 0
	u.note(-1, "(LMTP delivers) "+string(m.text))
	answers, err := l.Deliver("carla@elsewhere.example", []string{u.login}, m.text)
	if err != nil || answers[0] != nil {
		return fmt.Errorf("LMTP: %v, %w", answers, err)
	}
	u.model.boxes["INBOX"].add(m)
	return nil
}

// open_ is SELECT and EXAMINE, and a look at all flags.
func (u *turn) open_() error {
	name, command := u.name(), "SELECT "
	readOnly := u.IntN(5) == 0
	if readOnly {
		command = "EXAMINE "
	}
	if u.IntN(3) == 0 {
		name = "INBOX"
	}
	u.c.leave()
	box := u.model.boxes[name]
	if box == nil {
		_, err := u.ask(u.who, command+quote(name), "NO", true)
		return err
	}
	u.c.view = &view{box: box, readOnly: readOnly}
	old := u.c.cache[box]
	command += quote(name)
	if old != nil {
		command += fmt.Sprintf(" (QRESYNC (%d %d))", box.validity, old.high)
	}
	a, err := u.say(u.who, command, "OK", true)
	if err != nil {
		return err
	}
	want := "READ-WRITE"
	if readOnly {
		want = "READ-ONLY"
	}
	if a.code != want {
		return fmt.Errorf("the code is [%s], want %s", a.code, want)
	}
	for _, told := range []struct {
		what string
		n    uint64
	}{{"UIDVALIDITY", uint64(box.validity)}, {"UIDNEXT", uint64(box.next)}, {"HIGHESTMODSEQ", box.high}} {
		if rest, ok := a.find(fmt.Sprintf("OK [%s %d]", told.what, told.n)); !ok {
			return fmt.Errorf("%s is not told as %d %s", told.what, told.n, rest)
		}
	}
	if old != nil {
		if err := u.c.resync(old, a); err != nil {
			return err
		}
		return u.settle(u.who, true)
	}
	if len(box.msgs) == 0 {
		return u.settle(u.who, true)
	}
	if _, err := u.ask(u.who, "FETCH 1:* (UID FLAGS)", "OK", false); err != nil {
		return err
	}
	for i, flags := range u.c.view.flags {
		if flags == nil {
			return fmt.Errorf("message %d is not listed", i+1)
		}
	}
	return nil
}

func (u *turn) create() error {
	name := u.name()
	if !u.model.create(name) {
		_, err := u.ask(u.who, "CREATE "+quote(name), "NO", true)
		return err
	}
	_, err := u.ask(u.who, "CREATE "+quote(name), "OK", true)
	return err
}

func (u *turn) delete() error {
	name, status := u.name(), "NO"
	box := u.model.boxes[name]
	if u.model.delete(name) {
		status = "OK"
		if u.c.view != nil && u.c.view.box == box {
			u.c.view = nil // who deletes what is selected goes on without
		}
	}
	_, err := u.ask(u.who, "DELETE "+quote(name), status, true)
	return err
}

func (u *turn) rename() error {
	from, to, status := u.name(), u.name(), "NO"
	if u.model.rename(from, to) {
		status = "OK"
	}
	_, err := u.ask(u.who, "RENAME "+quote(from)+" "+quote(to), status, true)
	return err
}

func (u *turn) subscribe() error {
	name, command := u.name(), "SUBSCRIBE "
	if u.IntN(2) == 0 {
		command = "UNSUBSCRIBE "
		delete(u.model.subs, name)
	} else {
		u.model.subs[name] = true
	}
	_, err := u.ask(u.who, command+quote(name), "OK", true)
	return err
}

func (u *turn) leave() error {
	v := u.c.view
	u.c.leave()
	if u.IntN(2) == 0 {
		_, err := u.ask(u.who, "UNSELECT", "OK", true)
		return err
	}
	if !v.readOnly {
		v.box.expunge(func(*message) bool { return true })
	}
	_, err := u.ask(u.who, "CLOSE", "OK", true)
	return err
}

func (u *turn) reconnect() error {
	if u.IntN(2) == 0 {
		u.note(u.who, "LOGOUT")
		if _, err := u.c.do("LOGOUT"); err != nil {
			return err
		}
	}
	u.c.wire.Close()
	u.note(-1, fmt.Sprintf("(%d connects and logs in again)", u.who+1))
	return u.connect(u.who)
}

func (u *turn) restart_() error { return u.restart(u.IntN(2) == 0) }

// beginIdle leaves the session idle until its next step.
func (u *turn) beginIdle() error {
	u.note(u.who, "IDLE")
	if err := u.c.wire.Start("IDLE"); err != nil {
		return err
	}
	line, err := u.c.wire.Line()
	if err != nil || line[0] != '+' {
		return fmt.Errorf("IDLE is answered by %q, %w", line, err)
	}
	u.c.idle = true
	return nil
}

func (u *turn) endIdle() error {
	u.note(u.who, "DONE")
	u.c.idle = false
	if err := u.c.wire.Send([]byte("DONE\r\n")); err != nil {
		return err
	}
	if a, err := u.c.finish(); err != nil || a.status != "OK" {
		return fmt.Errorf("DONE is answered by %+v, %w", a, err)
	}
	return u.settle(u.who, true)
}
