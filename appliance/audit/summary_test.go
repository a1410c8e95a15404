package audit

import (
	"slices"
	"testing"
	"time"
)

// TestAClockThatIsSetBackHoldsNothingUp looks inside, because no clock of a
// test can be set back.
func TestAClockThatIsSetBackHoldsNothingUp(t *testing.T) {
	wrong := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	right := time.Date(2026, 11, 27, 13, 0, 0, 0, time.UTC)
	s := newSummary()
	all := Kinds()
	kind := all[slices.IndexFunc(all, func(s Spec) bool { return s.Kind == SignInFailed })]
	written := 0
	flush := func(now time.Time) {
		t.Helper()
		err := s.flush(now, false, func(_ Book, entries ...entry) error { written += len(entries); return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	add := func(now time.Time) { s.add(now, kind, 1, map[string]string{"account": "anna@office.example"}) }
	add(wrong)
	flush(wrong.Add(firstAfter))
	add(wrong.Add(2 * time.Minute)) // waits for the end of a window in 2031
	flush(right)
	if written != 2 {
		t.Errorf("%d records after the clock was set back", written)
	}
	add(right)
	flush(right.Add(9 * time.Minute))
	if written != 2 {
		t.Errorf("%d records within a window", written)
	}
	flush(right.Add(10 * time.Minute))
	if written != 3 {
		t.Errorf("%d records after a window", written)
	}
}
