package rootfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/squashfs"
	"golang.org/x/sys/unix"
)

const (
	blockSize = 128 << 10 // squashfs's usual block

	// superblockTime is where a squashfs keeps the time it was made.
	superblockTime = 8
)

// Entry is a file, folder or symbolic link of the root file system.
type Entry struct {
	Path string      // slash-separated, without a leading slash
	Mode fs.FileMode // permissions, and fs.ModeDir or fs.ModeSymlink

	// Open returns a file's contents, Target is where a link points. A link is
	// relative and what it points to must be among the entries.
	Open   func() (io.ReadCloser, error)
	Target string
}

// Write makes the file system in the file name. Folders that lead to an entry
// are made as needed. It changes the process's working directory while it
// works, because the library reads links relative to it.
func Write(name string, entries []Entry, at time.Time) (err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("make root file system: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// The size is not used when a file system is written.
	target, err := squashfs.Create(file.New(f, false), 0, 0, blockSize)
	if err != nil {
		return fmt.Errorf("make root file system: %w", err)
	}
	stage := target.Workspace()
	defer os.RemoveAll(stage)
	if err := fill(stage, entries, at); err != nil {
		return fmt.Errorf("stage root file system: %w", err)
	}

	previous, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := os.Chdir(stage); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Chdir(previous)) }()
	root := uint32(0)
	if err := target.Finalize(squashfs.FinalizeOptions{
		Compression: &squashfs.CompressorGzip{CompressionLevel: 9},
		FileUID:     &root,
		FileGID:     &root,
	}); err != nil {
		return fmt.Errorf("write root file system: %w", err)
	}
	var stamp [4]byte
	binary.LittleEndian.PutUint32(stamp[:], uint32(at.Unix()))
	if _, err := f.WriteAt(stamp[:], superblockTime); err != nil {
		return fmt.Errorf("write root file system: %w", err)
	}

	return pad(f)
}

// pad brings the file to whole blocks of 4 KiB, which a loop device and the
// kernel's block layer read.
func pad(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}

	return f.Truncate((info.Size() + 4095) &^ 4095)
}

// fill copies the entries below dir.
func fill(dir string, entries []Entry, at time.Time) error {
	for i := range entries {
		e := &entries[i]
		if !filepath.IsLocal(e.Path) {
			return fmt.Errorf("%q leads out of the root", e.Path)
		}
		p := filepath.Join(dir, filepath.FromSlash(e.Path))
		parent := filepath.Dir(p)
		if e.Mode.IsDir() {
			parent = p
		}
		if err := os.MkdirAll(parent, 0o755); err != nil {
			return err
		}
		var err error
		switch {
		case e.Mode.IsDir():
			err = os.Chmod(p, e.Mode.Perm())
		case e.Mode&fs.ModeSymlink != 0:
			if strings.HasPrefix(e.Target, "/") {
				return fmt.Errorf("the link %s is not relative", e.Path)
			}
			err = os.Symlink(e.Target, p)
		default:
			err = copyFile(p, e)
		}
		if err != nil {
			return err
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}

	return stampAll(dir, at)
}

func copyFile(name string, e *Entry) (err error) {
	r, err := e.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := io.Copy(f, r); err != nil {
		return err
	}

	return f.Chmod(e.Mode.Perm())
}

// stampAll gives all that lies below dir one time.
func stampAll(dir string, at time.Time) error {
	times := []unix.Timespec{unix.NsecToTimespec(at.UnixNano()), unix.NsecToTimespec(at.UnixNano())}

	return filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}

		return unix.UtimesNanoAt(unix.AT_FDCWD, p, times, unix.AT_SYMLINK_NOFOLLOW)
	})
}
