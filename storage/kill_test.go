package storage_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"pillarbox/storage"
)

const (
	// killsVariable sets how often TestKilledAtAnyMoment kills (4 if unset).
	killsVariable = "PILLARBOX_KILLS"
	// victimVariable names the data folder in the process that is killed.
	victimVariable = "PILLARBOX_VICTIM"
	killWorkers    = 6
)

// TestKilledAtAnyMoment runs workers that change two accounts at once in a
// process of their own, kills it, and compares what was acknowledged with what
// is there: all of it, nothing twice, and of the one operation that each
// worker had under way all or nothing. Each worker has mailboxes of its own,
// so what they hold is known to the UID; INBOX is everybody's.
func TestKilledAtAnyMoment(t *testing.T) {
	if dir := os.Getenv(victimVariable); dir != "" {
		runVictim(dir)
	}
	kills := 4
	if v := os.Getenv(killsVariable); v != "" {
		var err error
		if kills, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	s := reopen(t, dir)
	for _, id := range []storage.AccountID{"a0", "a1"} {
		if err := s.CreateAccount(t.Context(), id, nil); err != nil {
			t.Fatal(err)
		}
	}
	want := survey(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	operations := 0
	for range kills {
		j := runAndKill(t, dir, want)
		operations += j.done
		s := reopen(t, dir)
		have := survey(t, s)
		j.compare(t, have)
		if _, err := s.Check(t.Context(), storage.CheckOptions{
			Bodies: true,
			Found:  func(p storage.Problem) { t.Errorf("problem: %+v", p) },
		}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			return
		}
		want = have
	}
	t.Logf("%d operations, %d kills", operations, kills)
}

func reopen(tb testing.TB, dir string) *storage.Store {
	tb.Helper()
	s, err := storage.Open(context.Background(), &storage.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// act is one operation, as the victim announces it and as the model applies it.
type act struct {
	Worker int
	Kind   string
	Box    string     // where, or from
	To     string     // mailbox of copy and move, name of rename
	Texts  []int      // messages of append and deliver
	UIDs   []imap.UID // of store, copy, move, expunge
	Op     int        // of store
	Flag   imap.Flag  // of store
	Done   bool       // acknowledged
	UID    imap.UID   // given to deliver's message
}

// killBox is what a mailbox is to hold.
type killBox struct {
	Next imap.UID
	Mail map[imap.UID]string // text number, then flags in order
}

// killState is what one worker's mailboxes are to hold; its INBOX is shared
// and has text numbers alone.
type killState map[string]killBox

func (s killState) clone() killState {
	out := killState{}
	for name, b := range s {
		out[name] = killBox{b.Next, maps.Clone(b.Mail)}
	}
	return out
}

// apply returns the state after an operation.
func (s killState) apply(a *act) killState {
	s = s.clone()
	box := s[a.Box]
	switch a.Kind {
	case "create":
		s[a.Box] = killBox{1, map[imap.UID]string{}}
	case "delete":
		delete(s, a.Box)
	case "rename":
		delete(s, a.Box)
		s[a.To] = box
	case "append":
		for _, n := range a.Texts {
			box.Mail[box.Next] = strconv.Itoa(n)
			box.Next++
		}
		s[a.Box] = box
	case "store":
		for _, uid := range a.UIDs {
			n, flags, _ := strings.Cut(box.Mail[uid], " ")
			set := strings.Fields(flags)
			set = slices.DeleteFunc(set, func(f string) bool { return f == string(a.Flag) })
			if imap.StoreFlagsOp(a.Op) == imap.StoreFlagsAdd {
				set = append(set, string(a.Flag))
			}
			slices.Sort(set)
			box.Mail[uid] = strings.Join(append([]string{n}, set...), " ")
		}
	case "copy", "move":
		var moved []string
		for _, uid := range a.UIDs {
			moved = append(moved, box.Mail[uid])
			if a.Kind == "move" {
				delete(box.Mail, uid)
			}
		}
		to := s[a.To]
		for _, m := range moved {
			to.Mail[to.Next] = m
			to.Next++
		}
		s[a.To] = to
	case "expunge":
		maps.DeleteFunc(box.Mail, func(uid imap.UID, m string) bool {
			return strings.Contains(m, `\Deleted`) && (a.UIDs == nil || slices.Contains(a.UIDs, uid))
		})
	}
	return s
}

// worker's mailboxes begin with its number; accounts take turns.
func workerAccount(w int) storage.AccountID { return storage.AccountID("a" + strconv.Itoa(w%2)) }

// killText is message n: some are small, some are sent to many.
func killText(n int) string {
	if n%5 == 0 {
		n %= 10
	}
	return mail(n, []int{400, 3000, 6000, 20_000}[n%4])
}

// survey reads the state of all workers from the disk; INBOX of account i
// stands under -1-i.
func survey(tb testing.TB, s *storage.Store) map[int]killState {
	tb.Helper()
	out := map[int]killState{}
	for w := range killWorkers {
		out[w] = killState{}
	}
	for i := range 2 {
		a, err := s.Account(context.Background(), workerAccount(i))
		if err != nil {
			tb.Fatal(err)
		}
		for _, mb := range a.Mailboxes() {
			snap, err := a.Snapshot(context.Background(), mb.ID)
			if err != nil {
				tb.Fatal(err)
			}
			box := killBox{mb.UIDNext, map[imap.UID]string{}}
			for _, m := range snap.All(0) {
				flags := strings.Fields(string(snap.AppendFlags(nil, m)))
				slices.Sort(flags)
				box.Mail[m.UID] = strings.Join(append([]string{textNumber(tb, a, m.Data)}, flags...), " ")
			}
			if mb.Name == storage.Inbox {
				out[-1-i] = killState{mb.Name: box}
			} else {
				w, err := strconv.Atoi(mb.Name[:1])
				if err != nil {
					tb.Fatal(err)
				}
				out[w][mb.Name] = box
			}
		}
	}
	return out
}

// textNumber reads a message and returns the number its prefix gives.
func textNumber(tb testing.TB, a *storage.Account, id storage.DataID) string {
	tb.Helper()
	b, err := a.OpenBody(id)
	if err != nil {
		tb.Fatal(err)
	}
	defer b.Close()
	text, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size))
	if err != nil {
		tb.Fatal(err)
	}
	number := strings.TrimSpace(strings.TrimPrefix(string(b.Prefix), "X-Number: "))
	n, err := strconv.Atoi(number)
	if err != nil || string(text[len(b.Prefix):]) != killText(n) {
		tb.Errorf("data %d is not message %q (%v)", id, number, err)
	}
	return number
}

// journal follows what a victim announced and acknowledged.
type journal struct {
	done      int
	states    map[int]killState
	underWay  map[int]*act
	delivered [2]map[imap.UID]string
}

// runAndKill starts a victim, kills it after a while and returns its journal.
func runAndKill(t *testing.T, dir string, states map[int]killState) *journal {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var output strings.Builder
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledAtAnyMoment$")
	cmd.Env = append(os.Environ(), victimVariable+"="+dir)
	cmd.ExtraFiles = []*os.File{w}
	cmd.Stdout, cmd.Stderr = &output, &output
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	j := &journal{states: map[int]killState{}, underWay: map[int]*act{}, delivered: [2]map[imap.UID]string{{}, {}}}
	for w := range killWorkers {
		j.states[w] = states[w]
	}
	for i := range 2 {
		maps.Copy(j.delivered[i], states[-1-i][storage.Inbox].Mail)
	}
	var once sync.Once
	d := json.NewDecoder(bufio.NewReader(r))
	for {
		var a act
		if err := d.Decode(&a); err != nil {
			break // the pipe ends with the victim, perhaps in the middle of a line
		}
		// From the first operation on, so that the start does not use the time up.
		once.Do(func() {
			time.AfterFunc(time.Duration(rand.IntN(700))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		})
		j.note(&a)
	}
	if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Fatalf("the victim ended by itself: %v\n%s", err, output.String())
	}
	return j
}

func (j *journal) note(a *act) {
	if !a.Done {
		j.underWay[a.Worker] = a
		return
	}
	j.done++
	delete(j.underWay, a.Worker)
	if a.Kind == "deliver" {
		j.delivered[a.Worker%2][a.UID] = strconv.Itoa(a.Texts[0])
		return
	}
	j.states[a.Worker] = j.states[a.Worker].apply(a)
}

func (j *journal) compare(t *testing.T, have map[int]killState) {
	t.Helper()
	maybe := [2]map[string]bool{{}, {}} // deliveries under way
	for w := range killWorkers {
		a := j.underWay[w]
		if a != nil && a.Kind == "deliver" {
			maybe[w%2][strconv.Itoa(a.Texts[0])] = true
			a = nil
		}
		d := cmp.Diff(j.states[w], have[w])
		if d != "" && (a == nil || !cmp.Equal(j.states[w].apply(a), have[w])) {
			t.Errorf("worker %d, under way %+v: %s", w, a, d)
		}
	}
	for i := range 2 {
		inbox := have[-1-i][storage.Inbox].Mail
		seen := map[string]bool{}
		for uid, text := range inbox {
			if j.delivered[i][uid] != text && !maybe[i][text] {
				t.Errorf("INBOX of account %d has UID %d (%s), which was not delivered", i, uid, text)
			}
			if seen[text] {
				t.Errorf("INBOX of account %d has %s twice", i, text)
			}
			seen[text] = true
		}
		for uid, text := range j.delivered[i] {
			if inbox[uid] != text {
				t.Errorf("INBOX of account %d lost UID %d (%s)", i, uid, text)
			}
		}
	}
}

// runVictim works until it is killed.
func runVictim(dir string) {
	out := json.NewEncoder(os.NewFile(3, "journal"))
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	s, err := storage.Open(context.Background(), &storage.Config{Dir: dir, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		fail(err)
	}
	v := &victim{store: s, out: out}
	states := survey(panicTB{}, s)
	for i := range 2 {
		for _, text := range states[-1-i][storage.Inbox].Mail {
			n, err := strconv.Atoi(text)
			if err != nil {
				fail(err)
			}
			v.next = max(v.next, n)
		}
	}
	for w := range killWorkers {
		go func() {
			if err := v.work(w, states[w]); err != nil {
				fail(err)
			}
		}()
	}
	time.Sleep(time.Minute)
	fail(errors.New("nobody killed me"))
}

// panicTB reports the victim's failures, since no test runs there.
type panicTB struct{ testing.TB }

func (panicTB) Helper()                   {}
func (panicTB) Fatal(args ...any)         { panic(fmt.Sprint(args...)) }
func (panicTB) Errorf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

type victim struct {
	store *storage.Store
	mu    sync.Mutex // over out and next
	out   *json.Encoder
	next  int
}

func (v *victim) say(a *act) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.out.Encode(a)
}

func (v *victim) number() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.next++
	return v.next
}

func (v *victim) work(w int, state killState) error {
	account, err := v.store.Account(context.Background(), workerAccount(w))
	if err != nil {
		return err
	}
	for {
		a := v.choose(w, state)
		if err := v.say(a); err != nil {
			return err
		}
		if err := v.perform(account, a); err != nil {
			return fmt.Errorf("%+v: %w", a, err)
		}
		a.Done = true
		if err := v.say(a); err != nil {
			return err
		}
		state = state.apply(a)
	}
}

// choose draws an operation that is possible in a state.
func (v *victim) choose(w int, state killState) *act {
	var have, free []string
	for _, name := range []string{"w", "x", "y"} {
		name = strconv.Itoa(w) + name
		if _, ok := state[name]; ok {
			have = append(have, name)
		} else {
			free = append(free, name)
		}
	}
	a := &act{Worker: w}
	if len(have) == 0 || len(free) > 1 && rand.IntN(3) == 0 {
		a.Kind, a.Box = "create", free[rand.IntN(len(free))]
		return a
	}
	a.Box, a.To = have[rand.IntN(len(have))], have[rand.IntN(len(have))]
	uids := slices.Sorted(maps.Keys(state[a.Box].Mail))
	a.UIDs = slices.DeleteFunc(uids, func(imap.UID) bool { return rand.IntN(3) > 0 })
	switch k := rand.IntN(100); {
	case k < 25:
		a.Kind, a.Texts = "deliver", []int{v.number()}
	case k < 50 || len(a.UIDs) == 0:
		a.Kind = "append"
		for range 1 + rand.IntN(3) {
			a.Texts = append(a.Texts, v.number())
		}
	case k < 70:
		a.Kind, a.Op = "store", int([]imap.StoreFlagsOp{imap.StoreFlagsAdd, imap.StoreFlagsDel}[rand.IntN(2)])
		a.Flag = []imap.Flag{imap.FlagDeleted, imap.FlagSeen, "work", imap.FlagDeleted}[rand.IntN(4)]
	case k < 76:
		a.Kind = "copy"
	case k < 82:
		a.Kind = "move"
	case k < 92:
		a.Kind = "expunge"
		if rand.IntN(2) == 0 {
			a.UIDs = nil
		}
	case k < 96:
		a.Kind = "delete"
	case len(free) > 0:
		a.Kind, a.To = "rename", free[rand.IntN(len(free))]
	default:
		a.Kind = "expunge"
	}
	return a
}

func (v *victim) perform(account *storage.Account, a *act) error {
	ctx := context.Background()
	id := func(name string) storage.MailboxID {
		if mb := account.Mailbox(name); mb != nil {
			return mb.ID
		}
		return 0
	}
	var err error
	switch a.Kind {
	case "create":
		_, err = account.CreateMailbox(ctx, storage.NewMailbox{Name: a.Box})
	case "delete":
		err = account.DeleteMailbox(ctx, a.Box)
	case "rename":
		err = account.RenameMailbox(ctx, a.Box, a.To)
	case "append":
		_, err = v.append(account, id(a.Box), a.Texts)
	case "deliver":
		a.UID, err = v.append(account, id(storage.Inbox), a.Texts)
	case "store":
		_, err = account.Store(ctx, id(a.Box), imap.UIDSetNum(a.UIDs...), storage.FlagOp{Op: imap.StoreFlagsOp(a.Op), Flags: []imap.Flag{a.Flag}})
	case "copy":
		_, err = account.Copy(ctx, id(a.Box), imap.UIDSetNum(a.UIDs...), id(a.To))
	case "move":
		_, err = account.Move(ctx, id(a.Box), imap.UIDSetNum(a.UIDs...), id(a.To))
	case "expunge":
		var set imap.UIDSet
		if a.UIDs != nil {
			set = imap.UIDSetNum(a.UIDs...)
		}
		_, _, err = account.Expunge(ctx, id(a.Box), set)
	}
	return err
}

func (v *victim) append(account *storage.Account, to storage.MailboxID, texts []int) (imap.UID, error) {
	var msgs []storage.AppendMessage
	for _, n := range texts {
		b, err := v.store.Stage(context.Background(), strings.NewReader(killText(n)))
		if err != nil {
			return 0, err
		}
		defer b.Close()
		msgs = append(msgs, storage.AppendMessage{Body: b, Prefix: fmt.Appendf(nil, "X-Number: %d\r\n", n)})
	}
	res, err := account.Append(context.Background(), to, msgs)
	if err != nil {
		return 0, err
	}
	return res.UIDs[0], nil
}
