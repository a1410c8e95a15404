package storage

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"
)

// tear damages the header of a database's last change.
func tear(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	try(t, err)
	var tx [2]uint64
	for i := range tx {
		b := make([]byte, 8)
		_, err := f.ReadAt(b, int64(i*os.Getpagesize()+headerTxid))
		try(t, err)
		tx[i] = binary.NativeEndian.Uint64(b)
	}
	newest := 0
	if tx[1] > tx[0] {
		newest = 1
	}
	_, err = f.WriteAt([]byte("torn"), int64(newest*os.Getpagesize()+headerTxid-8))
	try(t, errors.Join(err, f.Close()))
}

// TestATornHeaderLosesNoChange: what was acknowledged last is in the file, and
// nothing leads there any more.
func TestATornHeaderLosesNoChange(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, s *Store, a *Account) error{
		"a small message": func(t *testing.T, s *Store, a *Account) error {
			b, err := s.Stage(t.Context(), strings.NewReader("Subject: the last\r\n\r\nsmall\r\n"))
			if err == nil {
				_, err = a.Append(t.Context(), 1, []AppendMessage{{Body: b, Flags: []imap.Flag{imap.FlagFlagged, "new"}}})
				err = errors.Join(err, b.Close())
			}
			return err
		},
		"a large message": func(t *testing.T, s *Store, a *Account) error {
			b, err := s.Stage(t.Context(), strings.NewReader("Subject: the last\r\n\r\n"+strings.Repeat("large\r\n", 10_000)))
			if err == nil {
				_, err = a.Append(t.Context(), 2, []AppendMessage{{Body: b, Prefix: []byte("Received: by test; last\r\n")}})
				err = errors.Join(err, b.Close())
			}
			return err
		},
		"flags": func(t *testing.T, _ *Store, a *Account) error {
			_, err := a.Store(t.Context(), 1, imap.UIDSet{{Start: 1, Stop: 0}}, FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagAnswered}})
			return err
		},
		"a move": func(t *testing.T, _ *Store, a *Account) error {
			_, err := a.Move(t.Context(), 1, imap.UIDSetNum(5, 6, 7), 2)
			return err
		},
		"a copy": func(t *testing.T, _ *Store, a *Account) error {
			_, err := a.Copy(t.Context(), 1, imap.UIDSetNum(5, 6, 40), 2)
			return err
		},
		"an expunge": func(t *testing.T, _ *Store, a *Account) error {
			_, err := a.Store(t.Context(), 2, imap.UIDSet{{Start: 1, Stop: 4}}, FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}})
			if err == nil {
				_, _, err = a.Expunge(t.Context(), 2, nil)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			furnish(t, dir, 60)
			s := openTest(t, dir)
			a, err := s.Account(t.Context(), "ann")
			try(t, err)
			try(t, change(t, s, a))
			before := see(t, s)
			try(t, s.Close())
			tear(t, filepath.Join(dir, "accounts/ann/index.db"))
			s = openTest(t, dir)
			said := mend(t, s, true)
			t.Logf("%s", said)
			if diff := cmp.Diff(before, see(t, s), cmp.AllowUnexported(world{})); diff != "" {
				t.Errorf("-before +after:\n%s", diff)
			}
			if !strings.Contains(said, "a header of the index was damaged") {
				t.Error("the repair does not say why")
			}
		})
	}
}
