package storage

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	bolt "go.etcd.io/bbolt"
)

// openAnn returns an opened account with one message in a file.
func openAnn(t *testing.T, dir string) (*Store, *Account) {
	t.Helper()
	s := openTest(t, dir)
	if err := s.CreateAccount(t.Context(), "ann", nil); err != nil {
		t.Fatal(err)
	}
	return s, deliver(t, s, "ann")
}

func bodyFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "accounts", "*", "bodies", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestALostIndexDoesNotTakeTheBodiesAlong: an empty index in its place would
// make every body look like what a crash left.
func TestALostIndexDoesNotTakeTheBodiesAlong(t *testing.T) {
	for name, lose := range map[string]func(index string) error{
		"removed":   os.Remove,
		"emptied":   func(index string) error { return os.Truncate(index, 0) },
		"truncated": func(index string) error { return os.Truncate(index, 3*4096) },
		"random": func(index string) error {
			return os.WriteFile(index, []byte(strings.Repeat("random", 10_000)), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, a := openAnn(t, dir)
			index := filepath.Join(a.dir, "index.db")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := lose(index); err != nil {
				t.Fatal(err)
			}
			s = openTest(t, dir)
			if _, err := s.Account(t.Context(), "ann"); !errors.Is(err, ErrCorrupt) {
				t.Errorf("err = %v", err)
			}
			if n := len(bodyFiles(t, dir)); n != 1 {
				t.Errorf("%d bodies are left", n)
			}
			r, err := s.Check(t.Context(), CheckOptions{Bodies: true, Found: func(Problem) {}})
			if err != nil || r.Problems == 0 {
				t.Errorf("check: %+v, %v", r, err)
			}
		})
	}
}

// TestADamagedIndexIsToldNotCrashedOver destroys one page of the index after
// the other and uses the account: errors are fine, a crash or a wrong answer
// is not.
func TestADamagedIndexIsToldNotCrashedOver(t *testing.T) {
	dir := t.TempDir()
	s, a := openAnn(t, dir)
	if _, err := a.CreateMailbox(t.Context(), NewMailbox{Name: "Old"}); err != nil {
		t.Fatal(err)
	}
	index := filepath.Join(a.dir, indexFile)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	zeros, ones := make([]byte, page), bytes.Repeat([]byte{0xff}, page)
	for at := 2 * page; at+page <= len(whole); at += page {
		if bytes.Equal(whole[at:at+page], zeros) {
			continue // never written
		}
		for _, garbage := range [][]byte{zeros, ones, whole[at-page : at]} {
			damaged := slices.Clone(whole)
			copy(damaged[at:], garbage)
			if err := os.WriteFile(index, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			useDamaged(t, dir)
		}
	}
}

// useDamaged calls everything; only how it comes back matters.
func useDamaged(t *testing.T, dir string) {
	s := openTest(t, dir)
	defer s.Close()
	a, err := s.Account(t.Context(), "ann")
	if err != nil {
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewerFormat) {
			t.Errorf("open: %v", err)
		}
		return
	}
	var ids []DataID
	for _, mb := range a.Mailboxes() {
		snap, err := a.Snapshot(t.Context(), mb.ID)
		if err != nil {
			continue
		}
		for _, m := range snap.All(0) {
			ids = append(ids, m.Data)
			if b, err := a.OpenBody(m.Data); err == nil {
				if _, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size)); err != nil {
					t.Errorf("read: %v", err)
				}
				b.Close()
			}
		}
		_, _, _ = a.Vanished(snap, 0)
	}
	_ = a.Read(ids, func(_ int, d *Data) bool {
		if d != nil {
			_ = len(d.Record.Envelope()) + len(d.Prefix)
		}
		return true
	})
	all := imap.UIDSet{{Start: 1, Stop: 0}}
	_, _ = a.Store(t.Context(), 1, all, FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted, "work"}})
	_, _ = a.Copy(t.Context(), 1, all, 2)
	_, _, _ = a.Expunge(t.Context(), 1, nil)
	_ = a.RenameMailbox(t.Context(), "Old", "New")
	_ = a.DeleteMailbox(t.Context(), "New")
	if _, err := s.Check(t.Context(), CheckOptions{Bodies: true, Found: func(Problem) {}}); err != nil && !errors.Is(err, ErrCorrupt) {
		t.Errorf("check: %v", err)
	}
}

func TestDamagedRecordsAreErrors(t *testing.T) {
	flip := func(bucket, key []byte) func(tx *bolt.Tx) error {
		return func(tx *bolt.Tx) error {
			v := bytes.Clone(tx.Bucket(bucket).Get(key))
			v[len(v)/2] ^= 4
			return tx.Bucket(bucket).Put(key, v)
		}
	}
	for name, damage := range map[string]func(tx *bolt.Tx) error{
		"counters":       flip(metaBucket, countersKey),
		"a mailbox":      flip(mailboxesBucket, mailboxKey(1)),
		"messages":       flip(chunksBucket, chunkKey(1, 1)),
		"data":           flip(dataBucket, dataKey(1)),
		"lost messages":  func(tx *bolt.Tx) error { return tx.Bucket(chunksBucket).Delete(chunkKey(1, 1)) },
		"a lost bucket":  func(tx *bolt.Tx) error { return tx.DeleteBucket(dataBucket) },
		"a count of one": func(tx *bolt.Tx) error { return tx.Bucket(refsBucket).Put(dataKey(1), []byte{1}) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, a := openAnn(t, dir)
			if err := a.db.update(damage); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openTest(t, dir)
			if err := copyFirst(t, s); !errors.Is(err, ErrCorrupt) {
				t.Errorf("err = %v", err)
			}
			if len(bodyFiles(t, dir)) != 1 {
				t.Error("the body is gone")
			}
		})
	}
}

// copyFirst reads and copies ann's first message.
func copyFirst(t *testing.T, s *Store) error {
	a, err := s.Account(t.Context(), "ann")
	if err != nil {
		return err
	}
	if _, err := a.Snapshot(t.Context(), 1); err != nil {
		return err
	}
	if b, err := a.OpenBody(1); err != nil {
		return err
	} else if err := b.Close(); err != nil {
		return err
	}
	_, err = a.Copy(t.Context(), 1, imap.UIDSetNum(1), 1)
	return err
}
