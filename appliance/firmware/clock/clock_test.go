package clock_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"pillarbox/appliance/firmware/clock"
)

func TestNotedTimeIsReadAgain(t *testing.T) {
	name := filepath.Join(t.TempDir(), "time")
	if got, err := clock.Load(name); err != nil || !got.IsZero() {
		t.Errorf("Load without a file = %v, %v; want no time", got, err)
	}
	for _, want := range []time.Time{
		time.Date(2026, time.March, 4, 5, 6, 7, 0, time.UTC),
		time.Date(2027, time.March, 4, 5, 6, 7, 0, time.UTC),
	} {
		if err := clock.Save(name, want.In(time.FixedZone("", 3600))); err != nil {
			t.Fatal(err)
		}
		if got, err := clock.Load(name); err != nil || !got.Equal(want) {
			t.Errorf("Load = %v, %v; want %v", got, err, want)
		}
	}
	files, err := filepath.Glob(name + "*")
	if err != nil || len(files) != 1 {
		t.Errorf("files %q, %v; want one", files, err)
	}
	if err := os.WriteFile(name, []byte("noon"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := clock.Load(name); err == nil {
		t.Errorf("Load of nonsense = %v", got)
	}
}

func TestClockIsNotSetBack(t *testing.T) {
	if behind, err := clock.AtLeast(time.Now().Add(-time.Hour)); behind || err != nil {
		t.Errorf("AtLeast an hour ago = %t, %v; want nothing done", behind, err)
	}
}
