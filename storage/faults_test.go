package storage_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/storage/faultfs"
)

// faultsVariable, set to "all", has every call fail instead of some drawn by
// chance; faultSeedVariable sets the seed of what is drawn.
const (
	faultsVariable    = "PILLARBOX_FAULTS"
	faultSeedVariable = "PILLARBOX_FAULT_SEED"
)

// affliction is a way in which a disk fails.
type affliction struct {
	name   string
	strike func(faultfs.Op) faultfs.Fault // zero where it does not concern the operation
	lasts  bool                           // until it is lifted, else it is over after one operation
	stride int                            // calls from one that fails to the next, at most, where not all are tried
}

func afflictions() []affliction {
	any := func(op faultfs.Op) faultfs.Fault {
		// bbolt looks at its two headers while it holds its locks, which it
		// does not give back when the memory behind them cannot be read. It
		// reads them at the start and writes them with each change.
		if op.Kind == "read" && op.Off < 2*4096 && strings.Contains(op.Path, ".db") {
			return faultfs.Fault{}
		}
		return faultfs.Fault{Err: syscall.EIO}
	}
	full := func(op faultfs.Op) faultfs.Fault {
		switch op.Kind {
		case "write", "create", "mkdir", "link", "rename", "setattr":
			return faultfs.Fault{Err: syscall.ENOSPC}
		}
		return faultfs.Fault{}
	}
	short := func(op faultfs.Op) faultfs.Fault {
		if op.Kind != "write" || op.Size < 2 {
			return faultfs.Fault{}
		}
		return faultfs.Fault{Err: syscall.ENOSPC, Part: op.Size / 2}
	}
	return []affliction{
		{"one EIO", any, false, 80},
		{"EIO from there on", any, true, 80},
		{"a full disk", full, true, 20},
		{"a short write", short, false, 20},
	}
}

// seizure has the nth operation fail that its affliction concerns, and if that
// lasts, those behind it, too.
type seizure struct {
	affliction
	nth   int
	count int
	first faultfs.Op // the one that failed first
}

func (s *seizure) hook(op faultfs.Op) faultfs.Fault {
	f := s.strike(op)
	if f.Err == 0 {
		return f
	}
	s.count++
	if s.count == s.nth {
		s.first = op
	}
	if s.count == s.nth || s.lasts && s.count > s.nth {
		return f
	}
	return faultfs.Fault{}
}

func (s *seizure) struck() bool { return s.count >= s.nth }

// reference runs the program where nothing fails and returns the states
// before and after each step.
func reference(t *testing.T, steps []step) []state {
	t.Helper()
	h := &hand{dir: t.TempDir(), log: slog.New(slog.DiscardHandler)}
	states := make([]state, 0, len(steps)+1)
	look := func() {
		t.Helper()
		st, err := h.survey()
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, st)
	}
	if err := h.open(); err != nil {
		t.Fatal(err)
	}
	look()
	for _, s := range steps {
		if err := s.run(h); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		look()
	}
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	return states
}

// faultSeed returns the seed of this run, and whether everything is to be tried.
func faultSeed(t *testing.T) (seed uint64, all bool) {
	t.Helper()
	seed = 1 // soaking tries others; a change that is tested must not fail for an old fault
	if os.Getenv(faultsVariable) == "all" {
		seed = rand.Uint64N(1 << 32)
	}
	if v := os.Getenv(faultSeedVariable); v != "" {
		var err error
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s=%d", faultSeedVariable, seed)
	return seed, os.Getenv(faultsVariable) == "all"
}

// TestEveryCallFails lets each call to the file system fail in turn. Then the
// step has failed and nothing has changed, or it has not and all is there; and
// when the cause is gone, the same process goes on as if nothing had been.
func TestEveryCallFails(t *testing.T) {
	requireFUSE(t)
	seed, all := faultSeed(t)
	steps := faultProgram()
	states := reference(t, steps)
	for i, a := range afflictions() {
		t.Run(a.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			p := &progress{lab: openLab(t, faultfs.New(seed)), t: t, steps: steps, states: states, places: map[string]int{}}
			defer func() { p.lab.stop() }()
			for n := range steps {
				p.step(n, a, func() int {
					if all {
						return 1
					}
					return 1 + r.IntN(a.stride)
				})
			}
			t.Logf("%d calls failed in %d places", p.failures, len(p.places))
		})
	}
}

func openLab(t *testing.T, fs *faultfs.FS) *lab {
	t.Helper()
	l := startLab(t, fs)
	l.must("open", 0)
	return l
}

// progress is a run of the program under one affliction.
type progress struct {
	t        *testing.T
	lab      *lab
	steps    []step
	states   []state
	failures int
	places   map[string]int
}

// step tries one step again and again, each time with a later call failing,
// until none is left to fail.
func (p *progress) step(n int, a affliction, stride func() int) {
	p.t.Helper()
	before := p.lab.fs.Clone()
	for nth := stride(); ; nth += stride() {
		s := &seizure{affliction: a, nth: nth}
		p.lab.fs.SetHook(s.hook)
		r := p.lab.ask("step", n)
		p.lab.fs.SetHook(nil)
		if !s.struck() && r.Err != "" {
			p.t.Errorf("%q fails although the disk works again: %s", p.steps[n].name, r.Err)
		}
		if s.struck() {
			p.failures++
			p.places[s.first.Kind+" "+filepath.Dir(s.first.Path)]++
		}
		where := fmt.Sprintf("%q, %s at call %d, %s: %q", p.steps[n].name, a.name, nth, s.first, r.Err)
		want := p.expected(n, r)
		if r.Err != "" && (a.name == "a full disk" || a.name == "a short write") && !r.Full {
			p.t.Errorf("%s: the error does not say that the disk is full", where)
		}
		found := p.afterPowerCut(where)
		if r.Err != "" && a.lasts {
			// Where the disk takes nothing any more, the taking back of what
			// it took before it failed is not on it either.
			for key, text := range found {
				if text == p.states[n+1][key] {
					delete(found, key)
					if text, ok := want[key]; ok {
						found[key] = text
					}
				}
			}
		}
		p.compare(where+": after a power cut", want, found)
		live := p.lab.ask("survey", 0)
		if live.Err != "" {
			p.t.Fatalf("%s: it does not recover: %s\n%s", where, live.Err, p.lab.words.String())
		}
		p.compare(where, want, live.State)
		if p.t.Failed() {
			p.t.FailNow()
		}
		if !s.struck() {
			return
		}
		if !cmp.Equal(want, p.states[n]) { // done in spite of it: back to where it began
			p.lab.stop()
			p.lab = openLab(p.t, before)
			before = before.Clone()
		}
	}
}

// expected returns what a step leaves that was answered like this.
func (p *progress) expected(n int, r report) state {
	before, after := p.states[n], p.states[n+1]
	if r.Err == "" {
		return after
	}
	want := state{}
	for key := range both(before, after) {
		from := before
		if slices.Contains(r.Done, key) {
			from = after
		}
		if text, ok := from[key]; ok {
			want[key] = text
		}
	}
	return want
}

func both(a, b state) map[string]bool {
	keys := map[string]bool{}
	for _, st := range []state{a, b} {
		for key := range st {
			keys[key] = true
		}
	}
	return keys
}

func (p *progress) compare(where string, want, have state) {
	p.t.Helper()
	if d := cmp.Diff(want, have); d != "" {
		p.t.Errorf("%s:\n%s", where, d)
	}
}

// afterPowerCut returns what is found after a power cut at this moment that
// takes all that was not synced.
func (p *progress) afterPowerCut(where string) state {
	p.t.Helper()
	dir := crashFolder(p.t)
	defer os.RemoveAll(dir)
	if _, err := p.lab.fs.Crash(dir, faultfs.Everything, 0); err != nil {
		p.t.Fatal(err)
	}
	h := &hand{dir: filepath.Join(dir, "data"), log: slog.New(slog.DiscardHandler)}
	st, err := inspect(h)
	if err != nil {
		p.t.Fatalf("%s: after a power cut: %v", where, err)
	}
	if err := h.close(); err != nil {
		p.t.Fatal(err)
	}
	return st
}

// inspect opens a folder, checks it and surveys it.
func inspect(h *hand) (state, error) {
	if err := h.open(); err != nil {
		return nil, err
	}
	st, err := h.survey()
	if err == nil {
		err = h.check()
	}
	return st, err
}

// crashFolder makes a folder where an fsync costs nothing.
func crashFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "pillarbox-crash-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
