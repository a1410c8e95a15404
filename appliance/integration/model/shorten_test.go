package model_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shorten takes steps out of a script that fails, larger runs first, and
// makes plain what is left, as long as it still fails and there is time.
func shorten(script []step, patience time.Duration, fails func([]step) bool) []step {
	until := time.Now().Add(patience)
	script = reduce(script, until, fails)
	for i := range script {
		plain := slices.Clone(script)
		plain[i].plain = true
		if time.Now().Before(until) && fails(plain) {
			script = plain
		}
	}
	script = reduce(script, until, fails)
	// The last word is the shortest script's own.
	fails(script)
	return script
}

// reduce takes steps out.
func reduce(script []step, until time.Time, fails func([]step) bool) []step {
	for size := max(len(script)/2, 1); size > 0 && len(script) > 0; {
		smaller := false
		for at := len(script) - size; at >= 0 && time.Now().Before(until); at -= size {
			if shorter := slices.Delete(slices.Clone(script), at, at+size); fails(shorter) {
				script, smaller = shorter, true
			}
		}
		if size > 1 || !smaller {
			size /= 2
		}
	}
	return script
}

func TestShorten(t *testing.T) {
	var script []step
	for i := range 100 {
		script = append(script, step{who: i})
	}
	got := shorten(script, time.Hour, func(s []step) bool {
		has := func(who int) bool { return slices.ContainsFunc(s, func(s step) bool { return s.who == who }) }
		return has(3) && has(50) && (has(97) || has(99))
	})
	if diff := cmp.Diff([]int{3, 50, 97}, []int{got[0].who, got[1].who, got[2].who}); diff != "" || len(got) != 3 {
		t.Errorf("%+v", got)
	}
}
