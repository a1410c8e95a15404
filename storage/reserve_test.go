package storage

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/sys/unix"
)

// smallDisk mounts a file system of 48 MB.
func smallDisk(t *testing.T, kind string) string {
	t.Helper()
	dir := t.TempDir()
	var err error
	switch kind {
	case "tmpfs":
		err = unix.Mount("tmpfs", dir, "tmpfs", 0, "size=48m")
	case "ext4":
		image := filepath.Join(t.TempDir(), "disk")
		try(t, os.WriteFile(image, nil, 0o600))
		try(t, os.Truncate(image, 48<<20))
		var out []byte
		if out, err = exec.CommandContext(t.Context(), "mkfs.ext4", "-q", "-m", "0", image).CombinedOutput(); err == nil {
			out, err = exec.CommandContext(t.Context(), "mount", "-o", "loop", image, dir).CombinedOutput()
		}
		if err != nil {
			t.Logf("%s", out)
		}
	}
	if err != nil {
		// Not every container may mount.
		t.Skipf("no %s here: %v", kind, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(dir, "data")
}

// TestDeletingWorksOnAFullDisk fills the disk to the last octet.
func TestDeletingWorksOnAFullDisk(t *testing.T) {
	for _, kind := range []string{"tmpfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			dir := smallDisk(t, kind)
			s := openTest(t, dir)
			try(t, s.CreateAccount(t.Context(), "ann", []NewMailbox{{Name: "Old"}, {Name: "Trash"}}))
			a := deliver(t, s, "ann")
			for n := 1; n < 20_000; n *= 2 { // so that one change needs many pages
				_, err := a.Copy(t.Context(), 1, imap.UIDSet{{Start: 1, Stop: imap.UID(n)}}, 1)
				try(t, err)
			}
			_, err := a.Copy(t.Context(), 1, imap.UIDSet{{Start: 1, Stop: 10_000}}, 2)
			try(t, err)
			filler := fillDisk(t, filepath.Dir(dir))

			if _, err := s.Stage(t.Context(), strings.NewReader("Subject: x\r\n\r\n")); !errors.Is(err, ErrDiskFull) {
				t.Errorf("a message is taken: %v", err)
			}
			if _, err := a.CreateMailbox(t.Context(), NewMailbox{Name: "New"}); err != nil && !errors.Is(err, ErrDiskFull) {
				t.Errorf("create: %v", err)
			}
			all := imap.UIDSet{{Start: 1, Stop: 0}}
			if _, err := a.Move(t.Context(), 2, imap.UIDSet{{Start: 1, Stop: 1000}}, 3); err != nil {
				t.Errorf("move to the trash: %v", err)
			}
			if _, err := a.Store(t.Context(), 1, all, FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}); err != nil {
				t.Errorf("mark as deleted: %v", err)
			}
			if fi, err := os.Stat(filepath.Join(dir, "reserve")); err != nil || fi.Size() != 0 {
				t.Errorf("the reserve was not needed, so this proves nothing: %v", err)
			}
			if _, _, err := a.Expunge(t.Context(), 1, nil); err != nil {
				t.Errorf("expunge: %v", err)
			}
			if err := a.DeleteMailbox(t.Context(), "Old"); err != nil {
				t.Errorf("delete a mailbox: %v", err)
			}
			try(t, s.Close())
			s = openTest(t, dir) // as at a log-in after a restart
			a, err = s.Account(t.Context(), "ann")
			try(t, err)
			if n := a.Mailbox(Inbox).NumMessages; n != 0 {
				t.Errorf("%d messages are back", n)
			}

			try(t, os.Remove(filler))
			s.upkeep.round(t.Context())
			if fi, err := os.Stat(filepath.Join(dir, "reserve")); err != nil || fi.Size() == 0 {
				t.Errorf("there is no reserve again: %v", err)
			}
			deliver(t, s, "ann")
			_, err = s.Check(t.Context(), CheckOptions{Bodies: true, Found: func(p Problem) { t.Errorf("found %+v", p) }})
			try(t, err)
			try(t, s.Close())
		})
	}
}

// fillDisk writes until nothing more goes in.
func fillDisk(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	try(t, err)
	defer f.Close()
	for size := 1 << 20; size >= 512; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			if !errors.Is(err, unix.ENOSPC) {
				t.Fatal(err)
			}
			size /= 2
		}
	}
	_ = f.Sync()
	return path
}
