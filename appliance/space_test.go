package appliance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"pillarbox/storage"
)

func TestADiskIsAlmostFull(t *testing.T) {
	for _, tt := range []struct {
		name        string
		free, size  uint64
		enough, any bool
	}{
		{"a large disk with much room", 500 << 30, 1 << 40, true, true},
		{"a large disk with little share but much room", 10 << 30, 1 << 40, true, true},
		{"a small disk with little room but a good share", 200 << 20, 3 << 30, true, true},
		{"a small disk that fills", 100 << 20, 3 << 30, false, true},
		{"a large disk that fills", 900 << 20, 1 << 40, false, true},
		{"a small disk that is full", 50 << 20, 3 << 30, false, false},
		{"a large disk that is full", 63 << 20, 1 << 40, false, false},
		{"a tiny disk with some room", 300 << 10, 8 << 20, false, true},
		{"a tiny disk that is full", 100 << 10, 8 << 20, false, false},
		{"no room at all", 0, 8 << 20, false, false},
		{"nothing at all", 0, 0, true, true}, // a file system that does not count
	} {
		r := room{free: tt.free, size: tt.size}
		if err := r.low(); (err == nil) != tt.enough {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err := r.full(); (err == nil) != tt.any {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if err := (room{free: 1 << 30, size: 1 << 31, files: 1000, freeFiles: 3}).full(); err == nil || !strings.Contains(err.Error(), "3 more files") {
		t.Errorf("no files left: %v", err)
	}
}

func TestWhatADiskHolds(t *testing.T) {
	small := room{free: 1 << 30, size: 8 << 30}
	if err := small.holds(900 << 20); err != nil {
		t.Error(err)
	}
	if err := small.holds(1000 << 20); err == nil || !strings.Contains(err.Error(), "would be full") {
		t.Errorf("it is filled: %v", err)
	}
	if err := (room{}).holds(1 << 30); err != nil { // a file system that does not count
		t.Error(err)
	}
}

func TestARefusedMessageIsAFullDiskUntilThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &space{dir: t.TempDir()}
		for _, err := range []error{nil, os.ErrNotExist} {
			if s.note(err); s.checkFull(t.Context()) != nil {
				t.Errorf("after %v: %v", err, s.checkFull(t.Context()))
			}
		}
		refuse := func() {
			s.note(fmt.Errorf("receive message: %w", storage.ErrDiskFull))
			s.left = 1 << 62 // others use this disk while the test runs
		}
		refuse()
		for range 2 {
			if err := s.checkFull(t.Context()); err == nil || !strings.Contains(err.Error(), "turned away") {
				t.Errorf("after a refusal: %v", err)
			}
		}
		s.left = 0 // somebody made room
		for range 2 {
			if err := s.checkFull(t.Context()); err != nil {
				t.Errorf("with room: %v", err)
			}
		}
		refuse()
		time.Sleep(refusalHolds + time.Second)
		if err := s.checkFull(t.Context()); err != nil {
			t.Errorf("long after the refusal: %v", err)
		}
	})
}

// smallDisk returns a folder with room for 16 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skip("no file system to fill: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})

	return dir
}

// TestAFullDiskIsAConditionUntilThereIsRoom fills a real file system.
func TestAFullDiskIsAConditionUntilThereIsRoom(t *testing.T) {
	dir := smallDisk(t)
	a := watched(t, filepath.Join(dir, "data"))
	awaitCondition(t, a, "disk-full", false)
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 64<<10))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, a, "disk-full", true)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, a, "disk-full", false)
}

// TestAMessageWithoutRoomIsNoticed refuses a message on a disk that is not
// full for smaller ones.
func TestAMessageWithoutRoomIsNoticed(t *testing.T) {
	dir := smallDisk(t)
	a := watched(t, filepath.Join(dir, "data"))
	s := &stager{a.office.store, a.office.space}
	if staged, err := s.Stage(t.Context(), strings.NewReader(strings.Repeat("x", 20<<20))); err == nil {
		staged.Close()
		t.Fatal("20 MiB fit into 16")
	}
	// A check that came while the message filled the disk saw it full.
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c := awaitCondition(t, a, "disk-full", true)
		if strings.Contains(c.Text, "a message was turned away") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("condition %+v", c)
		}
	}
}
