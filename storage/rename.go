package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// renameFolder gives an account's folder another name, durably, or leaves it
// as it was. Where even that fails, the account is closed to everybody until
// it succeeds: the change was told to have failed. The caller holds the slot.
func (s *Store) renameFolder(id AccountID, from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	err := syncDir(s.accountsDir())
	if err == nil {
		return nil
	}
	s.mu.Lock()
	s.undo[id] = func() error {
		// A second attempt may find it done.
		if err := os.Rename(to, from); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return syncDir(s.accountsDir())
	}
	s.mu.Unlock()
	return errors.Join(err, s.settle(id))
}

// settle undoes a change of the account's folder that failed, if there is one.
// The caller holds the slot.
func (s *Store) settle(id AccountID) error {
	s.mu.Lock()
	undo := s.undo[id]
	s.mu.Unlock()
	if undo == nil {
		return nil
	}
	if err := undo(); err != nil {
		return fmt.Errorf("undo a change that failed: %w", err)
	}
	s.mu.Lock()
	delete(s.undo, id)
	s.mu.Unlock()
	return nil
}

// settleAll undoes what failed for any account.
func (s *Store) settleAll() error {
	s.mu.Lock()
	ids := make([]AccountID, 0, len(s.undo))
	for id := range s.undo {
		ids = append(ids, id)
	}
	s.mu.Unlock()
	for _, id := range ids {
		sl, err := s.slot(id)
		if err != nil {
			return err
		}
		sl.mu.Unlock()
	}
	return nil
}
