package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
)

// ownerFile says whose an account is, in the words of the room that keeps the
// accounts. It is for the day on which the system database and its copy are
// both lost: mail without an address is lost as well.
//
//	"pillarbox owner 1\n", text, CRC-32C of both (big-endian)
const ownerFile = "owner"

const (
	ownerMagic = "pillarbox owner 1\n"
	maxOwner   = 64 << 10
)

// SetOwner keeps a text in an account's folder, durably.
func (s *Store) SetOwner(_ context.Context, id AccountID, text []byte) error {
	sl, err := s.slot(id)
	if err != nil {
		return fmt.Errorf("set owner: %w", err)
	}
	defer sl.mu.Unlock()
	path := filepath.Join(s.accountDir(id), ownerFile)
	b := append([]byte(ownerMagic), text...)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	err = writeSynced(path+".new", b)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("set owner: %w", ErrNoAccount)
	case err != nil:
		return fmt.Errorf("set owner: %w", diskError(errors.Join(err, removeIfThere(path+".new"))))
	}
	return nil
}

// Owner returns the text, nil if there is none; ErrCorrupt if it is damaged.
func (s *Store) Owner(id AccountID) ([]byte, error) {
	if err := CheckAccountID(id); err != nil {
		return nil, fmt.Errorf("read owner: %w", err)
	}
	path := filepath.Join(s.accountDir(id), ownerFile)
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var b []byte
	if err == nil && fi.Size() <= maxOwner {
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read owner: %w", err)
	}
	n, m := len(b)-4, len(ownerMagic)
	if n < m || string(b[:m]) != ownerMagic || binary.BigEndian.Uint32(b[n:]) != crc32.Checksum(b[:n], castagnoli) {
		return nil, fmt.Errorf("read owner: %w", ErrCorrupt)
	}
	return b[m:n:n], nil
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// KeepSystem keeps the system database as it is, with its copy, in a folder of
// its own, before somebody mends what it says. It returns the folder.
func (s *Store) KeepSystem() (string, error) {
	s.system.mu.Lock()
	defer s.system.mu.Unlock()
	aside, err := keepAside(s.dir, s.now())
	if err != nil {
		return "", err
	}
	// Not a link: the file will be written to.
	for _, name := range []string{systemFile, systemBackup} {
		if err := copyFile(filepath.Join(s.dir, name), filepath.Join(aside, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("keep the system database: %w", diskError(err))
		}
	}
	return aside, errors.Join(syncDir(aside), syncDir(s.dir))
}
