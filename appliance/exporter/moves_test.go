package exporter_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/directory"
	"pillarbox/appliance/exporter"
	"pillarbox/appliance/importer"
	"pillarbox/appliance/integration/rig"
	"pillarbox/storage"
)

// mover runs moves out of one account, as a server does.
type mover struct {
	*exporter.Moves

	mu    sync.Mutex
	told  []string
	full  error // what the record says
	Crash func()
}

// startMoves opens the moves of a folder and runs them.
func startMoves(t *testing.T, dir string, a *storage.Account) *mover {
	t.Helper()
	m := &mover{}
	var err error
	m.Moves, err = exporter.OpenMoves(&exporter.MovesConfig{
		Dir: filepath.Join(dir, "exports"), Own: dir, Logger: slog.New(slog.DiscardHandler),
		Account: func(_ context.Context, address string) (*storage.Account, string, error) {
			if address != "ada@office.example" && address != "bob@office.example" {
				return nil, "", directory.ErrNoAccount
			}
			return a, address, nil
		},
		Record: func(_ context.Context, h exporter.Happening) error {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.told = append(m.told, string(h.What)+" "+h.Account)
			return m.full
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	m.Crash = func() { stop(); <-ended }
	t.Cleanup(m.Crash)
	for { // Add is refused until Run has begun
		_, err := m.Resume(t.Context(), "x", nil, "", "")
		if _, err2 := m.Add(t.Context(), &exporter.NewMove{To: exporter.Request{Kind: "mbox", Dir: "/x"}, People: []importer.Login{{Account: "nobody"}}}, ""); !errors.Is(err2, exporter.ErrNotRunning) && errors.Is(err, exporter.ErrNoMove) {
			return m
		}
		time.Sleep(time.Millisecond)
	}
}

// await waits until a move is in a state.
func (m *mover) await(t *testing.T, id string, want importer.State) exporter.Move {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for {
		mv, err := m.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		if mv.State == want {
			return mv
		}
		if time.Now().After(end) {
			t.Fatalf("it is %s, not %s: %+v", mv.State, want, mv.People)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// begun waits until something is at the target.
func (m *mover) begun(t *testing.T, id string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if mv, err := m.Get(id); err == nil && len(mv.People) > 0 && mv.People[0].Progress != nil && mv.People[0].Progress.Done > 5 {
			return
		}
	}
	t.Fatal("it does not begin")
}

func toServer(s *rig.OldServer) exporter.Request {
	return exporter.Request{Kind: exporter.KindIMAP, Server: &importer.Server{Host: s.Host, CA: string(s.CA)}}
}

// TestAMoveGoesOnAfterARestart stops the server while mail goes to Dovecot:
// without the password it waits for that, with a kept one it goes on by itself,
// and at the end everything is there once.
func TestAMoveGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	s := rig.Dovecot(t, []string{"ada"})
	a := open(t)
	office(t, a, 400)
	dir := t.TempDir()
	for _, kept := range []bool{false, true} {
		m := startMoves(t, dir, a)
		n := &exporter.NewMove{
			To: toServer(s), People: []importer.Login{{User: "ada", Account: "ada@office.example", Secret: rig.OldPassword}}, KeepSecrets: kept,
		}
		mv, err := m.Add(t.Context(), n, "test")
		if err != nil {
			t.Fatal(err)
		}
		if !kept {
			m.begun(t, mv.ID)
		}
		m.Crash()
		if has := folderHas(t, dir, rig.OldPassword); has != kept {
			t.Errorf("the folder has the password: %v", has)
		}
		m = startMoves(t, dir, a)
		if !kept {
			m.await(t, mv.ID, importer.Locked)
			if _, err := m.Resume(t.Context(), mv.ID, nil, "", "test"); !errors.Is(err, exporter.ErrState) || !strings.Contains(err.Error(), "password") {
				t.Errorf("without a password: %v", err)
			}
			if _, err := m.Resume(t.Context(), mv.ID, nil, "wrong", "test"); err != nil {
				t.Fatal(err)
			}
			if mv := m.await(t, mv.ID, importer.Locked); mv.People[0].Stage != importer.StageLocked {
				t.Errorf("with a wrong one: %+v", mv.People)
			}
			if _, err := m.Resume(t.Context(), mv.ID, nil, rig.OldPassword, "test"); err != nil {
				t.Fatal(err)
			}
		}
		mv = m.await(t, mv.ID, importer.Ended)
		if p := mv.People[0]; p.Stage != importer.StageDone || p.OK == nil || !*p.OK || p.Total.Listed != 400 {
			t.Errorf("%+v", p)
		}
		r, err := m.Report(mv.ID, 0)
		if err != nil || !r.OK() || r.Total.Left != 0 {
			t.Errorf("%v %+v", err, r)
		}
		if folderHas(t, dir, rig.OldPassword) {
			t.Error("the password is still there")
		}
		m.Crash()
	}
	c := s.Client(t, "ada")
	for mailbox, have := range onBox(t, a) {
		if diff := cmp.Diff(shown(have), shown(served(t, c, mailbox))); diff != "" {
			t.Errorf("%s (-box +Dovecot):\n%.3000s", mailbox, diff)
		}
	}
}

// folderHas tells whether a text stands in a file of a folder.
func folderHas(t *testing.T, dir, text string) (has bool) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			b, rerr := os.ReadFile(p)
			has, err = has || strings.Contains(string(b), text), rerr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	return has
}

func TestAMoveIsPausedCancelledAndTakenOffTheList(t *testing.T) {
	t.Parallel()
	a := open(t)
	office(t, a, 200)
	m := startMoves(t, t.TempDir(), a)
	out := t.TempDir()
	mv, err := m.Add(t.Context(), &exporter.NewMove{
		To: exporter.Request{Kind: exporter.KindMbox, Dir: out}, Apart: true, Together: 1,
		People: []importer.Login{{Account: "ada@office.example"}, {Account: "bob@office.example"}},
	}, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Remove(t.Context(), mv.ID, "test"); !errors.Is(err, exporter.ErrState) {
		t.Errorf("removed while it runs: %v", err)
	}
	if mv, err = m.Pause(t.Context(), mv.ID, "test"); err != nil || mv.State != importer.Paused {
		t.Fatalf("%v %+v", err, mv)
	}
	if _, err := m.Pause(t.Context(), mv.ID, "test"); !errors.Is(err, exporter.ErrState) {
		t.Errorf("paused twice: %v", err)
	}
	if _, err = m.Resume(t.Context(), mv.ID, nil, "", "test"); err != nil {
		t.Fatal(err)
	}
	mv = m.await(t, mv.ID, importer.Ended)
	want := onBox(t, a)
	for i, who := range []string{"ada@office.example", "bob@office.example"} {
		if p := mv.People[i]; p.OK == nil || !*p.OK || p.Where != "mbox "+filepath.Join(out, who) {
			t.Errorf("%+v", p)
		}
		if diff := cmp.Diff(want, atTarget(t, filepath.Join(out, who))); diff != "" {
			t.Errorf("%s (-box +mbox):\n%.2000s", who, diff)
		}
	}
	if _, err := m.Cancel(t.Context(), mv.ID, "test"); !errors.Is(err, exporter.ErrState) {
		t.Errorf("cancelled at its end: %v", err)
	}
	if err := m.Remove(t.Context(), mv.ID, "test"); err != nil || len(m.List()) != 0 {
		t.Errorf("%v, %d left", err, len(m.List()))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	told := strings.Join(m.told, ", ")
	for _, want := range []string{"started ", "leaves ada@office.example", "leaves bob@office.example", "changed ", "ended ada@office.example"} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not recorded: %s", want, told)
		}
	}
}

func TestMovesThatCannotBe(t *testing.T) {
	t.Parallel()
	a := open(t)
	put(t, a, "INBOX", odd["good"], "", noon)
	dir := t.TempDir()
	m := startMoves(t, dir, a)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	ada := []importer.Login{{Account: "ada@office.example"}}
	files := func(dir string) exporter.Request { return exporter.Request{Kind: exporter.KindMbox, Dir: dir} }
	nowhere := exporter.Request{Kind: exporter.KindIMAP, Server: &importer.Server{Host: "127.0.0.1", Port: 1}}
	for name, c := range map[string]struct {
		n    exporter.NewMove
		want string
	}{
		"nobody":                     {exporter.NewMove{To: files("/x")}, "at least one"},
		"two in one folder":          {exporter.NewMove{To: files("/x"), People: append(ada, importer.Login{Account: "bob@office.example"})}, "one person"},
		"one twice":                  {exporter.NewMove{To: files("/x"), Apart: true, People: append(ada, ada...)}, "twice"},
		"no password":                {exporter.NewMove{To: nowhere, People: ada}, "no password for ada@office.example"},
		"no server there":            {exporter.NewMove{To: nowhere, People: ada, Secret: "x"}, "refused"},
		"the data folder":            {exporter.NewMove{To: files(filepath.Join(dir, "new", "er")), People: ada}, "data folder"},
		"the data folder by a link":  {exporter.NewMove{To: files(filepath.Join(link, "new")), People: ada}, "data folder"},
		"what is no folder":          {exporter.NewMove{To: files("/dev/null/x"), People: ada}, "folder"},
		"a path that is not whole":   {exporter.NewMove{To: files("x"), People: ada}, "whole path"},
		"an unknown kind":            {exporter.NewMove{To: exporter.Request{Kind: "paper"}, People: ada}, "not known"},
		"somebody who is not there":  {exporter.NewMove{To: files("/x"), People: []importer.Login{{Account: "carol"}}}, "carol"},
		"whose mail, in two places":  {exporter.NewMove{To: exporter.Request{Kind: exporter.KindMbox, Dir: "/x", Account: "ada"}, People: ada}, "stand in people"},
		"more together than allowed": {exporter.NewMove{To: files("/x"), People: ada, Together: 1000}, "together"},
	} {
		if _, err := m.Add(t.Context(), &c.n, "test"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m.mu.Lock()
	m.full = errors.New("the disk is full")
	m.mu.Unlock()
	if _, err := m.Add(t.Context(), &exporter.NewMove{To: files(t.TempDir()), People: ada}, "test"); err == nil {
		t.Error("mail left without a record")
	}
	if n := len(m.List()); n != 0 {
		t.Errorf("%d moves are kept", n)
	}
}
