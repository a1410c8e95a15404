package flash

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// chunk is how much is written at once: 4 MiB are whole erase blocks of most
// cards.
const chunk = 4 << 20

// Image is an image's file, which may be compressed by gzip.
type Image struct {
	name string
	Size int64 // when unpacked
}

// OpenImage finds an image's size; a compressed one is read for that.
func OpenImage(name string) (*Image, error) {
	i := &Image{name: name}
	r, err := i.open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if i.Size, err = io.Copy(io.Discard, r); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}

	return i, nil
}

func (i *Image) open() (io.ReadCloser, error) {
	f, err := os.Open(i.name)
	if err != nil {
		return nil, err
	}
	if filepath.Ext(i.name) != ".gz" {
		return f, nil
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", i.name, err), f.Close())
	}

	return struct {
		io.Reader
		io.Closer
	}{z, f}, nil
}

// Phases of the work, for Progress.
const (
	Writing   = "writing"
	Verifying = "verifying"
)

// Progress is told how far the work has come, in bytes of the image's size.
type Progress func(phase string, done, size int64)

// ErrUnusable says that a disk was written to, but not with a whole image that
// was read back.
var ErrUnusable = errors.New("the disk is not usable now; write the image again")

// errInterrupted stands for the context's end, in words.
var errInterrupted = errors.New("interrupted")

// Write writes an image to the disk and reads it back.
//
// The first chunk, which holds the partition table, is written last: a disk
// that was written in part is not taken for a whole one.
func (t *Target) Write(ctx context.Context, i *Image, force bool, progress Progress) error {
	if err := t.Allow(i.Size, force); err != nil {
		return err
	}
	f, err := t.open(force)
	if err != nil {
		return err
	}
	defer f.Close()
	sum, err := t.copy(ctx, f, i, progress)
	if err != nil {
		return fmt.Errorf("write to %s: %w: %w", t.Path, err, ErrUnusable)
	}
	if err := verify(ctx, f, i.Size, sum, progress); err != nil {
		return fmt.Errorf("read back from %s: %w: %w", t.Path, err, ErrUnusable)
	}
	// The kernel looks at the new partitions. A disk in use keeps its old ones
	// until it is taken out.
	if err := unix.IoctlSetInt(int(f.Fd()), unix.BLKRRPART, 0); err != nil &&
		!errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTTY) {
		return fmt.Errorf("have the kernel look at the new partitions of %s: %w", t.Path, err)
	}

	return f.Close()
}

// copy writes the image and returns its SHA-256.
func (t *Target) copy(ctx context.Context, f *os.File, i *Image, progress Progress) (sum []byte, err error) {
	r, err := i.open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	h := sha256.New()
	source := io.TeeReader(r, h)
	first := make([]byte, min(chunk, i.Size))
	if _, err := io.ReadFull(source, first); err != nil {
		return nil, fmt.Errorf("read the image: %w", err)
	}
	if _, err := f.WriteAt(make([]byte, len(first)), 0); err != nil {
		return nil, err
	}
	buf := make([]byte, chunk)
	for at := int64(len(first)); at < i.Size; {
		if ctx.Err() != nil {
			return nil, errInterrupted
		}
		part := buf[:min(chunk, i.Size-at)]
		if _, err := io.ReadFull(source, part); err != nil {
			return nil, fmt.Errorf("read the image: %w", err)
		}
		if _, err := f.WriteAt(part, at); err != nil {
			return nil, err
		}
		// Otherwise the kernel takes all at once and the last step hangs.
		if err := unix.SyncFileRange(int(f.Fd()), at, int64(len(part)), unix.SYNC_FILE_RANGE_WRITE); err != nil {
			return nil, err
		}
		at += int64(len(part))
		progress(Writing, at-int64(len(first)), i.Size)
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	if _, err := f.WriteAt(first, 0); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	progress(Writing, i.Size, i.Size)

	return h.Sum(nil), nil
}

// verify reads the disk, not the kernel's memory of it, and compares sums.
func verify(ctx context.Context, f *os.File, size int64, want []byte, progress Progress) error {
	if err := unix.Fadvise(int(f.Fd()), 0, size, unix.FADV_DONTNEED); err != nil {
		return err
	}
	h := sha256.New()
	buf := make([]byte, chunk)
	for at := int64(0); at < size; {
		if ctx.Err() != nil {
			return errInterrupted
		}
		part := buf[:min(chunk, size-at)]
		if _, err := f.ReadAt(part, at); err != nil {
			return err
		}
		h.Write(part)
		at += int64(len(part))
		progress(Verifying, at, size)
	}
	if !bytes.Equal(h.Sum(nil), want) {
		return errors.New("the disk does not hold what was written to it; it is damaged or not as large as it says")
	}

	return nil
}
