package unpack

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// local makes of a name in the archive one below the folder; "" if it is none that
// is wanted.
func (u *unpacker) local(name string) (string, error) {
	if strings.Contains(name, `\`) && !strings.Contains(name, "/") {
		name = strings.ReplaceAll(name, `\`, "/") // as some programs of Windows pack
	}
	clean := path.Clean(name)
	switch {
	case name == "" || strings.ContainsRune(name, 0):
		return "", wrong("the archive names a file that no file can be called")
	case clean == ".":
		return "", nil
	case path.IsAbs(clean) || !filepath.IsLocal(clean):
		return "", wrong("the archive names %q, which lies outside of it; nothing of it was taken", short(name))
	}
	levels := strings.Split(clean, "/")
	if len(levels) > maxDepth {
		return "", wrong("the archive has folders more than %d deep", maxDepth)
	}
	for _, l := range levels {
		if len(l) > maxName {
			return "", wrong("the archive has a file whose name is longer than %d octets: %q", maxName, short(l))
		}
	}
	if last := levels[len(levels)-1]; levels[0] == "__MACOSX" || last == ".DS_Store" {
		return "", nil
	}

	return clean, nil
}

func short(name string) string {
	if len(name) > 100 {
		return strings.ToValidUTF8(name[:100], "") + "…"
	}

	return name
}

// folder makes one.
func (u *unpacker) folder(name string) error {
	name, err := u.local(name)
	if err != nil || name == "" {
		return err
	}

	return u.mkdir(name)
}

func (u *unpacker) mkdir(name string) error {
	if u.made[name] {
		return nil
	}
	if err := u.mkdir(path.Dir(name)); err != nil {
		return err
	}
	if err := u.count(); err != nil {
		return err
	}
	if err := u.root.Mkdir(name, 0o700); err != nil {
		return u.refused(name, err)
	}
	u.made[name] = true

	return nil
}

// refused tells what is the archive's fault from what is the disk's.
func (u *unpacker) refused(name string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return wrong("the archive has %q twice", short(name))
	}

	return fmt.Errorf("unpack %q: %w", short(name), err)
}

// file writes one.
func (u *unpacker) file(name string, r io.Reader, when time.Time) (err error) {
	if name, err = u.local(name); err != nil || name == "" {
		return err
	}
	if err := u.mkdir(path.Dir(name)); err != nil {
		return err
	}
	if err := u.count(); err != nil {
		return err
	}
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return u.refused(name, err)
	}
	n, err := io.Copy(f, &metered{u, r})
	err = errors.Join(err, f.Close())
	u.result.Octets += n
	u.result.Files++
	var disk *fs.PathError
	switch {
	case errors.As(err, &disk):
		return fmt.Errorf("unpack %q: %w", short(name), err)
	case err != nil:
		return damaged(err)
	}
	if !when.IsZero() {
		if err := u.root.Chtimes(name, when, when); err != nil {
			return fmt.Errorf("unpack %q: %w", short(name), err)
		}
	}

	return nil
}

// again writes a file that has two names in a tar; what is no file of the archive
// itself is left out.
func (u *unpacker) again(name, old string, when time.Time) error {
	old, err := u.local(old)
	if err != nil || old == "" {
		return u.leaveOut()
	}
	f, err := u.root.Open(old)
	if errors.Is(err, fs.ErrNotExist) {
		return u.leaveOut()
	}
	if err != nil {
		return fmt.Errorf("unpack %q: %w", short(name), err)
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return errors.Join(err, u.leaveOut())
	}

	return u.file(name, f, when)
}

// metered counts what is read before it is written.
type metered struct {
	u *unpacker
	r io.Reader
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if over := m.u.spend(int64(n)); over != nil {
		return 0, over
	}

	return n, err
}

// count takes notice of one file more.
func (u *unpacker) count() error {
	if u.files++; u.files > u.limits.Files {
		return wrong("the archive holds more than %d files; pack it in parts", u.limits.Files)
	}

	return u.spend(block)
}

func (u *unpacker) leaveOut() error {
	u.result.LeftOut++

	return u.spend(block) // they cost time
}

// spend fails where so many octets more are too many.
func (u *unpacker) spend(octets int64) error {
	if err := u.ctx.Err(); err != nil {
		return err
	}
	u.spent += octets
	switch {
	case u.spent > u.limits.Octets:
		return wrong("what is in the archive takes more than %d MB; pack it in parts", u.limits.Octets/1e6)
	case u.tooLarge(u.spent):
		return u.bomb()
	case u.spent <= u.asked:
		return nil
	}
	u.asked = u.spent + askEvery

	if err := u.limits.Room(askEvery); err != nil {
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	}

	return nil
}

// tooLarge tells whether so many octets cannot be of an archive of this size.
func (u *unpacker) tooLarge(octets int64) bool {
	return octets > freeOfRatio && octets/u.limits.Ratio > u.packed
}

func (u *unpacker) bomb() error {
	return wrong("what is in the archive takes more than %d times as much as the archive itself, as no mail does", u.limits.Ratio)
}
