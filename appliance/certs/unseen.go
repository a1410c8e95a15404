package certs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// caUnseen is the file beside a CA that was made before the office had a mail
// domain, as long as nobody can have got its certificate but from the disk.
const caUnseen = "ca.unseen"

// Seen notes that somebody may trust the CA from now on, who is not to trust
// another one instead.
func (m *Manager) Seen() {
	if !m.unseen.CompareAndSwap(true, false) {
		return
	}
	if err := os.Remove(filepath.Join(m.dir, caUnseen)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.log.Warn("that the private CA was seen could not be noted", "err", err)
	}
}

// Fit puts another CA in the place of one that cannot certify the office's mail
// domains, for there were none yet, if nobody trusts that one. Later nobody but a
// person may do that.
func (m *Manager) Fit(ctx context.Context) error {
	if !m.unseen.Load() || len(m.domains()) == 0 {
		return nil
	}
	if !m.changing.TryLock() {
		return nil // it stays as it is, and NotCovered says so
	}
	defer m.changing.Unlock()
	if !m.unseen.Load() {
		return nil
	}
	if _, left := permit(m.root(), sift(m.names())); len(left) == 0 {
		return nil
	}
	m.Seen()
	m.log.InfoContext(ctx, "the private CA is made anew with the office's mail domains; nobody has got the one before")

	return m.newCA()
}
