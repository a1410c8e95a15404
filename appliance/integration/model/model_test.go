package model_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/integration/rig"
)

var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pillarbox-binary")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if binary, err = rig.Build(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// number reads an environment variable, def where it is not set.
func number(t *testing.T, variable string, def uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return def
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// length is how many steps a script has: long enough for names and messages
// to meet, short enough to be shortened.
const length = 300

// arena plays scripts on one box, each with an account of its own.
type arena struct {
	t    *testing.T
	box  *rig.Box
	next int
}

func (a *arena) play(script []step) (*game, error) {
	if !a.box.Running() {
		a.box.Start(a.t)
	}
	a.next++
	g, err := newGame(a.t, a.box, fmt.Sprintf("m%d@office.example", a.next))
	if err != nil {
		a.t.Fatal(err)
	}
	return g, g.play(script)
}

// TestServerAndModelAgree plays random scripts. The seeds of the short form
// are the same on every run; PILLARBOX_MODEL_STEPS asks for a long one, which
// begins with PILLARBOX_MODEL_SEED or anywhere.
func TestServerAndModelAgree(t *testing.T) {
	a := &arena{t: t, box: rig.NewBox(t, binary)}
	seed, steps := uint64(1), number(t, "PILLARBOX_MODEL_STEPS", 0)
	if steps == 0 {
		steps = 3 * length
		if testing.Short() {
			steps = length
		}
	} else {
		seed = number(t, "PILLARBOX_MODEL_SEED", rand.Uint64N(1<<32))
	}
	begun := time.Now()
	for done := uint64(0); done < steps; done, seed = done+length, seed+1 {
		script := draw(seed)
		g, err := a.play(script)
		if err == nil {
			continue
		}
		t.Logf("seed %d, a script of %d steps: %v", seed, len(script), err)
		shortest := shorten(script, 3*time.Minute, func(s []step) bool {
			shorter, failed := a.play(s)
			if failed != nil {
				g, err = shorter, failed
			}
			return failed != nil
		})
		t.Fatalf("%d steps are enough (PILLARBOX_MODEL_SEED=%d PILLARBOX_MODEL_STEPS=1 plays them all):\n%s\n   => %v",
			len(shortest), seed, strings.Join(g.log, "\n"), err)
	}
	t.Logf("%d steps in %v", steps, time.Since(begun).Round(time.Millisecond))
	a.box.Stop(t)
	a.box.Command(nil, "check").MustRun(t)
}

func draw(seed uint64) []step {
	r := rand.New(rand.NewPCG(seed, 1))
	script := make([]step, length)
	for i := range script {
		script[i] = step{who: r.IntN(sessions), seed: r.Uint64()}
	}
	return script
}
