package datafs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pillarbox/appliance/firmware/datafs"
)

func TestVerdictFollowsFromE2fscksStatus(t *testing.T) {
	cases := map[string]struct {
		script string
		want   datafs.Verdict
	}{
		"sound":              {"exit 0", datafs.Verdict{Words: "sound"}},
		"mended":             {"echo 'perm: recovering journal'; exit 1", datafs.Verdict{Mended: true, Words: "recovering journal"}},
		"mended, start anew": {"exit 3", datafs.Verdict{Mended: true, Words: "mended"}},
		"errors are left":    {"echo /dev/x: broken; echo; echo /dev/x: UNEXPECTED INCONSISTENCY; exit 4", datafs.Verdict{ReadOnly: true, Words: "need a decision: /dev/x: broken"}},
		"could not work":     {"exit 8", datafs.Verdict{ReadOnly: true, Words: "could not be checked"}},
		"was killed":         {"kill -9 $$", datafs.Verdict{ReadOnly: true, Words: "could not be checked"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "e2fsck")
			if err := os.WriteFile(program, []byte("#!/bin/sh\n"+c.script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			got := datafs.Check(t.Context(), program, "/dev/null")
			if got.Mended != c.want.Mended || got.ReadOnly != c.want.ReadOnly || !strings.Contains(got.Words, c.want.Words) {
				t.Errorf("Check = %+v, want %+v", got, c.want)
			}
		})
	}
	if got := datafs.Check(t.Context(), "/does/not/exist", "/dev/null"); !got.ReadOnly {
		t.Errorf("without a program Check = %+v, want read-only", got)
	}
}

func TestDamagedFileSystemIsSeen(t *testing.T) {
	e2fsck := program(t, "e2fsck")
	const size = 200 << 20
	f := newDisk(t, size)
	if err := datafs.Make(f, size); err != nil {
		t.Fatal(err)
	}
	if got := datafs.Check(t.Context(), e2fsck, f.Name()); got.Mended || got.ReadOnly {
		t.Errorf("Check of a new one = %+v", got)
	}
	// The kernel notes an error in the superblock.
	debugfs := program(t, "debugfs")
	runProgram(t, debugfs, "-w", "-R", "ssv state 2", f.Name())
	if s, err := datafs.ReadState(f); err != nil || !s.Damaged {
		t.Errorf("ReadState = %+v, %v; want damaged", s, err)
	}
	if got := datafs.Check(t.Context(), e2fsck, f.Name()); got.ReadOnly {
		t.Errorf("Check after a noted error = %+v", got)
	}
	if s, err := datafs.ReadState(f); err != nil || s.Damaged {
		t.Errorf("ReadState after mending = %+v, %v", s, err)
	}
	// A superblock that is gone.
	if _, err := f.WriteAt(make([]byte, 100), 1024); err != nil {
		t.Fatal(err)
	}
	if _, err := datafs.ReadState(f); !errors.Is(err, datafs.ErrNoFileSystem) {
		t.Errorf("ReadState = %v, want %v", err, datafs.ErrNoFileSystem)
	}
	if fresh, err := datafs.New(f); err != nil || fresh {
		t.Errorf("New = %t, %v; a damaged file system is not a new partition", fresh, err)
	}
}
