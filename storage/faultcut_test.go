package storage_test

import (
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/storage/faultfs"
)

// TestPowerCutAnywhere cuts the power before each operation that changes
// something, and each time several disks are looked at: one that has only what
// was synced, one that has everything, and some that have this and that of it
// in sectors torn apart. On each, every step that was acknowledged is there, and
// the one under way is there or not, and can be done again.
func TestPowerCutAnywhere(t *testing.T) {
	requireFUSE(t)
	seed, all := faultSeed(t)
	steps := faultProgram()
	c := &cutter{t: t, steps: steps, states: reference(t, steps), fs: faultfs.New(seed), draws: 1}
	r := rand.New(rand.NewPCG(seed, 7))
	stride := 12
	if all {
		c.draws, stride = 4, 1
	}
	l := openLab(t, c.fs)
	defer l.stop()
	for n := range steps {
		c.present, c.seen = n, map[string]bool{}
		next := 1 + r.IntN(stride)
		c.fs.SetHook(func(op faultfs.Op) faultfs.Fault {
			if op.Changes() {
				if next--; next == 0 {
					next = 1 + r.IntN(stride)
					c.cut(op, r.Uint64())
				}
			}
			return faultfs.Fault{}
		})
		l.must("step", n)
		c.fs.SetHook(nil)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d power cuts, %d different disks", c.cuts, c.disks)
}

type cutter struct {
	t       *testing.T
	steps   []step
	states  []state
	fs      *faultfs.FS
	draws   int // disks drawn by chance at each cut
	present int // step under way
	seen    map[string]bool
	cuts    int
	disks   int
}

// cut runs while the operation waits to happen. It is on the goroutine that
// serves the file system, so it must not end the test.
func (c *cutter) cut(op faultfs.Op, seed uint64) {
	if c.t.Failed() {
		return
	}
	c.cuts++
	c.look(op, faultfs.Everything, "all that was not synced", 0)
	c.look(op, faultfs.Nothing, "nothing", 0)
	for i := range c.draws {
		c.look(op, faultfs.Some, "something", seed+uint64(i))
	}
}

func (c *cutter) look(op faultfs.Op, loss faultfs.Loss, what string, seed uint64) {
	fail := func(err any) {
		c.t.Errorf("%q, power cut before %s, %s is lost (%d): %v", c.steps[c.present].name, op, what, seed, err)
	}
	dir, err := os.MkdirTemp("/dev/shm", "pillarbox-cut-")
	if err != nil {
		dir, err = os.MkdirTemp("", "pillarbox-cut-")
	}
	if err != nil {
		fail(err)
		return
	}
	defer os.RemoveAll(dir)
	sum, err := c.fs.Crash(dir, loss, seed)
	if err != nil {
		fail(err)
		return
	}
	if c.seen[sum] {
		return
	}
	c.seen[sum] = true
	c.disks++
	h := &hand{dir: filepath.Join(dir, "data"), log: slog.New(slog.DiscardHandler)}
	have, err := inspect(h)
	if err != nil {
		fail(err)
		return
	}
	defer func() {
		if err := h.close(); err != nil {
			fail(err)
		}
	}()
	before, after := c.states[c.present], c.states[c.present+1]
	undone := true
	for key := range both(before, after) {
		if have[key] == before[key] {
			continue
		}
		undone = false
		if have[key] != after[key] {
			fail(cmp.Diff(before[key], have[key]))
		}
	}
	for key := range have {
		if before[key] == "" && after[key] == "" && have[key] != "" {
			fail("there is " + key)
		}
	}
	if !undone {
		return
	}
	if err := c.steps[c.present].run(h); err != nil {
		fail(err)
		return
	}
	again, err := h.survey()
	if err != nil {
		fail(err)
	} else if d := cmp.Diff(after, again); d != "" {
		fail("done again: " + d)
	}
	if err := h.check(); err != nil {
		fail(err)
	}
}
