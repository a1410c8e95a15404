package integration_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pillarbox/appliance/integration/rig"
)

const (
	killWorkers = 4 // that change mailboxes of their own, in one account
	killPosts   = 2 // that deliver by LMTP to two people
	killAfter   = 400 * time.Millisecond
)

// siege is an office whose server is killed again and again.
type siege struct {
	box     *rig.Box
	ledgers [killWorkers]ledger
	doubts  [killWorkers]*deed // under way when the server was killed
	mails   atomic.Int64
	done    atomic.Int64 // acknowledged since the start of the round

	mu        sync.Mutex
	delivered map[string]map[string]bool // by person: acknowledged in this round
	posted    map[string]bool            // sent in this round, acknowledged or not
}

// TestKilledAtAnyMoment kills the server under APPEND, LMTP, STORE, COPY,
// MOVE, EXPUNGE, CREATE and RENAME, and at its start. Each time all that was
// acknowledged is there when it runs again, nothing is there twice, and of
// what was not acknowledged each command has happened as a whole or not at
// all. PILLARBOX_KILLS says how often.
func TestKilledAtAnyMoment(t *testing.T) {
	kills := 5
	if testing.Short() {
		kills = 2
	}
	if text := os.Getenv("PILLARBOX_KILLS"); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	s := &siege{box: openOffice(t)}
	for i := range s.ledgers {
		s.ledgers[i] = ledger{}
	}
	total := int64(0)
	for kill := range kills {
		s.attack(t)
		total += s.done.Load()
		if kill%4 == 3 {
			s.killAtStart(t)
		}
		s.box.Start(t)
		s.box.Command(nil, "check").MustRun(t)
		s.survey(t)
		s.surveyInboxes(t)
		if t.Failed() {
			t.Fatalf("after kill %d", kill+1)
		}
	}
	s.box.Stop(t)
	s.box.Command(nil, "check").MustRun(t)
	t.Logf("%d kills, %d commands acknowledged", kills, total)
}

// attack works until some time after the first answer, and kills the server.
func (s *siege) attack(t *testing.T) {
	t.Helper()
	s.done.Store(0)
	s.delivered, s.posted = map[string]map[string]bool{ada: {}, bob: {}}, map[string]bool{}
	var wg sync.WaitGroup
	for i := range killWorkers {
		w := s.box.Wire(t, ada, adaPassword)
		wg.Go(func() {
			if err := s.work(i, w); err != nil {
				t.Errorf("worker %d: %v", i, err)
			}
		})
	}
	for range killPosts {
		l, err := rig.DialLMTP("unix", s.box.LMTPSocket())
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer l.Close()
			s.post(l)
		})
	}
	for deadline := time.Now().Add(time.Minute); s.done.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is acknowledged")
		}
	}
	time.Sleep(rand.N(killAfter))
	s.box.Kill(t)
	wg.Wait()
}

// killAtStart kills a server that may not be ready yet.
func (s *siege) killAtStart(t *testing.T) {
	t.Helper()
	cmd := exec.Command(binary, "serve", "--data", s.box.Dir, "--imaps", "127.0.0.1:0", "--imaps-legacy", "off", "--lmtp", "off")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(rand.N(200 * time.Millisecond))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

// work changes a worker's mailboxes until the connection breaks.
func (s *siege) work(i int, w *rig.Wire) error {
	selected := ""
	for {
		d := s.choose(i)
		if d.in != "" && d.in != selected {
			if _, err := w.Do(fmt.Sprintf("SELECT %q", d.in)); err != nil {
				return unlessGone(err)
			}
			selected = d.in
		}
		s.doubts[i] = d
		if _, err := w.Do(d.command); err != nil {
			return unlessGone(err)
		}
		s.doubts[i] = nil
		s.ledgers[i] = d.after
		s.done.Add(1)
		if strings.HasPrefix(d.command, "RENAME") || strings.HasPrefix(d.command, "DELETE") {
			if _, err := w.Do("UNSELECT"); err != nil && selected != "" {
				var refused *rig.ReplyError
				if !errors.As(err, &refused) {
					return nil
				}
			}
			selected = ""
		}
	}
}

// unlessGone returns answers other than OK; a connection may break.
func unlessGone(err error) error {
	var refused *rig.ReplyError
	if errors.As(err, &refused) && !strings.HasPrefix(refused.Line, "* BYE") {
		return err
	}
	return nil
}

// choose draws a command that the worker's mailboxes allow.
func (s *siege) choose(i int) *deed {
	now := s.ledgers[i]
	after := now.clone()
	var have, free []string
	for _, name := range []string{"x", "y", "z"} {
		name = fmt.Sprintf("w%d/%s", i, name)
		if now[name] != nil {
			have = append(have, name)
		} else {
			free = append(free, name)
		}
	}
	if len(have) == 0 || len(free) > 1 && rand.IntN(4) == 0 {
		after[free[0]] = &folder{next: 1, mail: map[uint32]entry{}}
		return &deed{command: fmt.Sprintf("CREATE %q", free[0]), after: after}
	}
	in, to := have[rand.IntN(len(have))], have[rand.IntN(len(have))]
	f, dest := after[in], after[to]
	var uids []uint32
	var set []string
	for _, uid := range f.uids() {
		if rand.IntN(3) == 0 {
			uids, set = append(uids, uid), append(set, fmt.Sprint(uid))
		}
	}
	names := strings.Join(set, ",")
	switch k := rand.IntN(100); {
	case k < 5 && len(free) > 0:
		after[free[0]] = f
		delete(after, in)
		return &deed{command: fmt.Sprintf("RENAME %q %q", in, free[0]), after: after}
	case k < 7 && len(have) > 1:
		delete(after, in)
		return &deed{command: fmt.Sprintf("DELETE %q", in), after: after}
	case k < 40 && len(f.mail) < 40 || len(uids) == 0:
		e := entry{name: s.newName(), flagged: rand.IntN(2) == 0}
		f.add(e)
		flags := ""
		if e.flagged {
			flags = `\Flagged`
		}
		message := mailNamed(e.name)
		return &deed{command: fmt.Sprintf("APPEND %q (%s) {%d+}\r\n%s", in, flags, len(message), message), after: after}
	case k < 60:
		op, flag := rand.IntN(2) == 0, rand.IntN(3) == 0
		for _, uid := range uids {
			e := f.mail[uid]
			if flag {
				e.flagged = op
			} else {
				e.deleted = op
			}
			f.mail[uid] = e
		}
		return &deed{in: in, command: fmt.Sprintf("UID STORE %s %cFLAGS.SILENT (%s)", names, "-+"[b2i(op)], []string{`\Deleted`, `\Flagged`}[b2i(flag)]), after: after}
	case k < 70 && len(dest.mail) < 40:
		for _, uid := range uids {
			dest.add(f.mail[uid])
		}
		return &deed{in: in, command: fmt.Sprintf("UID COPY %s %q", names, to), after: after}
	case k < 85:
		var moved []entry
		for _, uid := range uids {
			moved = append(moved, f.mail[uid])
			delete(f.mail, uid)
		}
		for _, e := range moved {
			dest.add(e)
		}
		return &deed{in: in, command: fmt.Sprintf("UID MOVE %s %q", names, to), after: after}
	}
	for uid, e := range f.mail {
		if e.deleted {
			delete(f.mail, uid)
		}
	}
	return &deed{in: in, command: "EXPUNGE", after: after}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *siege) newName() string { return fmt.Sprintf("mail-%d", s.mails.Add(1)) }

// mailNamed is a message that can be told from all others; some are small
// enough to be kept in the index and some are files of their own.
func mailNamed(name string) []byte {
	n, _ := strconv.Atoi(strings.TrimPrefix(name, "mail-"))
	return append(letter(name), bytes.Repeat([]byte("Wood for the stove, paper for the archive.\r\n"), n%5*90)...)
}

// post delivers until the connection breaks.
func (s *siege) post(l *rig.LMTP) {
	for {
		name := s.newName()
		s.mu.Lock()
		s.posted[name] = true
		s.mu.Unlock()
		answers, err := l.Deliver("carla@elsewhere.example", []string{ada, bob}, mailNamed(name))
		s.mu.Lock()
		for i, who := range []string{ada, bob} {
			// Each person's answer counts, also where the next did not come.
			if i < len(answers) && answers[i] == nil && err == nil {
				s.delivered[who][name] = true
			}
		}
		s.mu.Unlock()
		if err != nil || cmp.Or(answers...) != nil {
			return
		}
		s.done.Add(1)
	}
}

// survey compares the workers' mailboxes with what was acknowledged.
func (s *siege) survey(t *testing.T) {
	t.Helper()
	w := s.box.Wire(t, ada, adaPassword)
	defer w.Close()
	var list bytes.Buffer
	if err := w.Start(`LIST "" "w*"`); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Wait(&list); err != nil {
		t.Fatal(err)
	}
	var found [killWorkers]ledger
	for i := range found {
		found[i] = ledger{}
	}
	for _, m := range regexp.MustCompile(`"?(w(\d)/[xyz])"?\r\n`).FindAllStringSubmatch(list.String(), -1) {
		i, _ := strconv.Atoi(m[2])
		found[i][m[1]] = readFolder(t, w, m[1])
	}
	for i, have := range found {
		before, d := s.ledgers[i], s.doubts[i]
		s.doubts[i] = nil
		switch {
		case have.String() == before.String():
		case d != nil && have.String() == d.after.String():
			s.ledgers[i] = d.after
		default:
			t.Errorf("worker %d, with %.200q under way, had\n%s\nand now there is\n%s", i, fmt.Sprint(d), before, have)
		}
	}
}

// readFolder lists a mailbox and compares each message's octets.
func readFolder(t *testing.T, w *rig.Wire, name string) *folder {
	t.Helper()
	f := &folder{next: 1, mail: map[uint32]entry{}}
	for _, m := range readMail(t, w, name) {
		f.mail[m.uid] = m.entry
		if !bytes.Equal(m.body, mailNamed(m.name)) {
			t.Errorf("%s: UID %d, %s, is damaged", name, m.uid, m.name)
		}
	}
	return f
}

type mailRead struct {
	entry

	uid  uint32
	body []byte
}

var fetchedMail = regexp.MustCompile(`^\* \d+ FETCH \(UID (\d+) FLAGS \(([^)]*)\) BODY\[\] \{(\d+)\}\r\n`)

// readMail fetches all messages of a mailbox.
func readMail(t *testing.T, w *rig.Wire, name string) []mailRead {
	t.Helper()
	if _, err := w.Do(fmt.Sprintf("EXAMINE %q", name)); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := w.Start("UID FETCH 1:* (UID FLAGS BODY.PEEK[])"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Wait(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Do("UNSELECT"); err != nil {
		t.Fatal(err)
	}
	var all []mailRead
	for raw := b.Bytes(); bytes.HasPrefix(raw, []byte("* ")); {
		m := fetchedMail.FindSubmatch(raw)
		if m == nil {
			t.Fatalf("cannot read %.200q", raw)
		}
		uid, _ := strconv.ParseUint(string(m[1]), 10, 32)
		size, _ := strconv.Atoi(string(m[3]))
		body := raw[len(m[0]) : len(m[0])+size]
		raw = raw[len(m[0])+size+len(")\r\n"):]
		_, rest, _ := bytes.Cut(body, []byte("\r\nSubject: "))
		subject, _, _ := bytes.Cut(rest, []byte("\r\n"))
		all = append(all, mailRead{
			uid: uint32(uid), body: body,
			entry: entry{string(subject), bytes.Contains(m[2], []byte(`\Deleted`)), bytes.Contains(m[2], []byte(`\Flagged`))},
		})
	}
	return all
}

// surveyInboxes demands every delivery that was acknowledged, once, and takes
// all away, so that the next round has to look at its own only.
func (s *siege) surveyInboxes(t *testing.T) {
	t.Helper()
	for who, pass := range map[string]string{ada: adaPassword, bob: bobPassword} {
		w := s.box.Wire(t, who, pass)
		found := map[string]int{}
		for _, m := range readMail(t, w, "INBOX") {
			found[m.name]++
			if !s.posted[m.name] || found[m.name] > 1 || !bytes.HasSuffix(m.body, mailNamed(m.name)) {
				t.Errorf("%s has %q %d times, posted in this round: %v, or damaged", who, m.name, found[m.name], s.posted[m.name])
			}
		}
		for name := range s.delivered[who] {
			if found[name] != 1 {
				t.Errorf("%s was acknowledged to %s and is there %d times", name, who, found[name])
			}
		}
		if _, err := w.Do("SELECT INBOX"); err != nil {
			t.Fatal(err)
		}
		if len(found) > 0 {
			if _, err := w.Do(`STORE 1:* +FLAGS.SILENT (\Deleted)`); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Do("CLOSE"); err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
}
