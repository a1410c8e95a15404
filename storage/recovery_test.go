package storage

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

func openTest(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), &Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// deliver puts one message of a file's size into INBOX and returns the account.
func deliver(t *testing.T, s *Store, id AccountID) *Account {
	t.Helper()
	a, err := s.Account(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Stage(t.Context(), strings.NewReader("Subject: x\r\n\r\n"+strings.Repeat("text\r\n", 5000)))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := a.Append(t.Context(), 1, []AppendMessage{{Body: b}}); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestNewerFormatIsRefusedUntouched(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	if err := s.CreateAccount(t.Context(), "ann", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raise := func(path string) {
		db, err := bolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bolt.Tx) error {
			if h, err := readHead(tx); err == nil {
				h.format++
				return h.write(tx)
			}
			return tx.Bucket(metaBucket).Put(formatKey, binary.BigEndian.AppendUint32(nil, formatVersion+1))
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	index := filepath.Join(dir, "accounts", "ann", "index.db")
	raise(index)
	s = openTest(t, dir)
	if _, err := s.Account(t.Context(), "ann"); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("account: %v", err)
	}
	s.Close()
	raise(filepath.Join(dir, "system.db"))
	before, err := os.ReadFile(filepath.Join(dir, "system.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), &Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)}); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("system: %v", err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "system.db")); err != nil || string(after) != string(before) {
		t.Errorf("the refused file changed (%v)", err)
	}
}

func TestUpgradeStepsRunInOrderAndAllOrNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	if err := createDatabase(path, func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		return b.Put(formatKey, []byte{0, 0, 0, 0})
	}); err != nil {
		t.Fatal(err)
	}
	db, err := openDatabase(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.close()
	broken := errors.New("broken")
	err = upgrade(db, formatVersion, migrations{0: func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket([]byte("new"))
		return errors.Join(err, broken)
	}})
	if !errors.Is(err, broken) {
		t.Fatalf("err = %v", err)
	}
	if err := upgrade(db, formatVersion, migrations{0: func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket([]byte("new")) // fails if the broken step left it
		return err
	}}); err != nil {
		t.Fatal(err)
	}
	if err := upgrade(db, formatVersion, nil); err != nil {
		t.Errorf("a database of this format: %v", err)
	}
}

func TestWhatACrashLeftIsCollected(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	if err := s.CreateAccount(t.Context(), "ann", nil); err != nil {
		t.Fatal(err)
	}
	a := deliver(t, s, "ann")
	// A body linked by a delivery that was never committed, a staged body,
	// an account half made and one half removed.
	stray := a.bodyPath(a.counters.nextData, bodyHash{})
	leftovers := []string{
		stray, filepath.Join(dir, "staging", "body-1"),
		filepath.Join(dir, "accounts", newPrefix+"bob"), filepath.Join(dir, "accounts", gonePrefix+"eve"),
	}
	for _, path := range leftovers {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir)
	a = deliver(t, s, "ann")
	for _, path := range leftovers {
		if fi, err := os.Stat(path); err == nil && fi.Size() == 1 {
			t.Errorf("%s is still there", path)
		}
	}
	r, err := s.Check(t.Context(), CheckOptions{Bodies: true, Found: func(p Problem) { t.Logf("found %+v", p) }})
	if err != nil || r.Problems > 0 || r.Messages != 2 || r.Accounts != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if n := a.tree.Load().byName[Inbox].mailbox.Load().NumMessages; n != 2 {
		t.Errorf("%d messages", n)
	}
}

// TestAFailedCommitLeavesDiskAndMemoryAlike lets the index reach its largest
// size in the middle of a commit.
func TestAFailedCommitLeavesDiskAndMemoryAlike(t *testing.T) {
	s := openTest(t, t.TempDir())
	if err := s.CreateAccount(t.Context(), "ann", nil); err != nil {
		t.Fatal(err)
	}
	a := deliver(t, s, "ann")
	before := a.counters
	a.db.bolt.Load().MaxSize = 2 << 20
	err := a.do(t.Context(), func(tx *txn) error {
		tx.counters.nextData += 1000
		tx.writes++
		return tx.tx.Bucket(metaBucket).Put([]byte("large"), make([]byte, 4<<20))
	})
	if !errors.Is(err, berrors.ErrMaxSizeReached) || !a.doubtful {
		t.Fatalf("err = %v, doubtful %v", err, a.doubtful)
	}
	deliver(t, s, "ann")
	if a.doubtful || a.counters.nextData != before.nextData+1 {
		t.Errorf("doubtful %v, counters %+v after %+v", a.doubtful, a.counters, before)
	}
	r, err := s.Check(t.Context(), CheckOptions{Bodies: true, Found: func(p Problem) { t.Logf("found %+v", p) }})
	if err != nil || r.Problems > 0 || r.Messages != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAPanicFailsItsOperationAlone(t *testing.T) {
	s := openTest(t, t.TempDir())
	if err := s.CreateAccount(t.Context(), "ann", nil); err != nil {
		t.Fatal(err)
	}
	a := deliver(t, s, "ann")
	if err := a.do(t.Context(), func(*txn) error { panic("oops") }); err == nil {
		t.Error("the panic was swallowed")
	}
	// One in the commit itself, which the missing bucket provokes.
	if err := a.do(t.Context(), func(tx *txn) error { tx.writes++; return tx.tx.DeleteBucket(metaBucket) }); err == nil {
		t.Error("a commit without its bucket succeeded")
	}
	deliver(t, s, "ann")
	r, err := s.Check(t.Context(), CheckOptions{Bodies: true, Found: func(p Problem) { t.Logf("found %+v", p) }})
	if err != nil || r.Problems > 0 || r.Messages != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestCheckFindsDamage(t *testing.T) {
	damages := map[string]func(tx *bolt.Tx, a *Account) error{
		"a body's file is missing": func(_ *bolt.Tx, a *Account) error {
			m, err := filepath.Glob(filepath.Join(a.dir, "bodies", "*", "*"))
			if err != nil {
				return err
			}
			return os.Remove(m[0])
		},
		"a body changed": func(_ *bolt.Tx, a *Account) error {
			m, err := filepath.Glob(filepath.Join(a.dir, "bodies", "*", "*"))
			if err != nil {
				return err
			}
			f, err := os.OpenFile(m[0], os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte("!"), 100)
			return errors.Join(err, f.Close())
		},
		"a file belongs to nothing": func(_ *bolt.Tx, a *Account) error {
			return os.WriteFile(filepath.Join(a.dir, "bodies", "0", "0-00"), nil, 0o600)
		},
		"data is missing": func(tx *bolt.Tx, _ *Account) error { return tx.Bucket(dataBucket).Delete(dataKey(1)) },
		"a reference count is wrong": func(tx *bolt.Tx, _ *Account) error {
			return tx.Bucket(refsBucket).Put(dataKey(1), []byte{2})
		},
		"messages are damaged": func(tx *bolt.Tx, _ *Account) error {
			v := append([]byte(nil), tx.Bucket(chunksBucket).Get(chunkKey(1, 1))...)
			v[3] ^= 1
			return tx.Bucket(chunksBucket).Put(chunkKey(1, 1), v)
		},
		"messages are lost": func(tx *bolt.Tx, _ *Account) error { return tx.Bucket(chunksBucket).Delete(chunkKey(1, 1)) },
		"counters are wrong": func(tx *bolt.Tx, a *Account) error {
			c := a.counters
			c.quota.UsedBytes++
			return tx.Bucket(metaBucket).Put(countersKey, c.append(nil))
		},
		"the mailbox counts wrong": func(tx *bolt.Tx, a *Account) error {
			r, err := decodeMailbox(1, tx.Bucket(mailboxesBucket).Get(mailboxKey(1)))
			if err != nil {
				return err
			}
			r.NumUnseen = 0
			r.UIDNext = 1
			return tx.Bucket(mailboxesBucket).Put(mailboxKey(1), r.append(nil))
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, t.TempDir())
			if err := s.CreateAccount(t.Context(), "ann", nil); err != nil {
				t.Fatal(err)
			}
			a := deliver(t, s, "ann")
			if err := a.db.update(func(tx *bolt.Tx) error { return damage(tx, a) }); err != nil {
				t.Fatal(err)
			}
			r, err := s.Check(t.Context(), CheckOptions{Bodies: true, Found: func(p Problem) { t.Logf("found %+v", p) }})
			if err != nil {
				t.Fatal(err)
			}
			if r.Problems == 0 {
				t.Error("nothing was found")
			}
		})
	}
}
