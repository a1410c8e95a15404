package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
)

func waitForEmptyPool(t *testing.T, dir string) {
	t.Helper()
	for range 3000 {
		files, err := filepath.Glob(filepath.Join(dir, "pool", "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the pool keeps bodies that nobody has")
}

func TestARemovedAccountLeavesNothingInThePool(t *testing.T) {
	dir := t.TempDir()
	s, _ := openAnn(t, dir)
	if err := s.DeleteAccount(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	waitForEmptyPool(t, dir)
}

func TestAPooledBodyOfADeliveryThatWasCutOffIsCollected(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	if _, err := s.Stage(t.Context(), strings.NewReader(strings.Repeat("text\r\n", 5000))); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // the Staged is never closed
		t.Fatal(err)
	}
	openTest(t, dir)
	waitForEmptyPool(t, dir)
}

// TestSweepingSparesTheNextAccountOfTheName: its first message has the number
// and hash that the removed account's expunged one had.
func TestSweepingSparesTheNextAccountOfTheName(t *testing.T) {
	dir := t.TempDir()
	s, a := openAnn(t, dir)
	s.sweeper.stop() // so that its work waits
	all := imap.UIDSet{{Start: 1, Stop: 0}}
	if _, err := a.Store(t.Context(), 1, all, FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Expunge(t.Context(), 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteAccount(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateAccount(t.Context(), "ann", nil); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, "ann")
	for _, job := range s.sweeper.jobs {
		s.sweeper.sweep(job)
	}
	if len(s.sweeper.jobs) != 1 || len(bodyFiles(t, dir)) != 1 {
		t.Errorf("%d jobs, bodies %v", len(s.sweeper.jobs), bodyFiles(t, dir))
	}
}

// TestACommitThatEndsInAPanicIsUndone: who was told of a failure must not find
// the change, although it reached the disk.
func TestACommitThatEndsInAPanicIsUndone(t *testing.T) {
	dir := t.TempDir()
	s, a := openAnn(t, dir)
	b, err := s.Stage(t.Context(), strings.NewReader("Subject: y\r\n\r\n"+strings.Repeat("text\r\n", 5000)))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	err = a.do(t.Context(), func(tx *txn) error {
		tx.tx.OnCommit(func() { panic("oops") })
		_, err := tx.append(1, []AppendMessage{{Body: b}})
		return err
	})
	if err == nil {
		t.Fatal("the panic was swallowed")
	}
	deliver(t, s, "ann")
	r, err := s.Check(t.Context(), CheckOptions{Bodies: true, Found: func(p Problem) { t.Errorf("problem: %+v", p) }})
	if err != nil || r.Messages != 2 || len(bodyFiles(t, dir)) != 2 {
		t.Errorf("%+v, %v, bodies %v", r, err, bodyFiles(t, dir))
	}
}

func TestAnAccountThatCannotBeReadAgainFailsItsWriters(t *testing.T) {
	s, a := openAnn(t, t.TempDir())
	a.doubtful = true // as after a commit that failed
	store := a.store
	a.store = nil // and reading it again panics
	err := a.SetQuota(t.Context(), 1)
	a.store = store
	if !errors.Is(err, ErrCorrupt) {
		t.Fatalf("err = %v", err)
	}
	deliver(t, s, "ann")
}

// TestACopiedBodyThatFailsLeavesNoFile: its number is given out again.
func TestACopiedBodyThatFailsLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	to := filepath.Join(dir, "to")
	if err := copyFile(dir, to); err == nil { // a folder cannot be read
		t.Fatal("a folder was copied")
	}
	if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the copy is there: %v", err)
	}
}

// TestADamagedBodyOfThePoolIsNotHandedOn: the next message with the same
// octets gets them, not what the disk made of the first one's.
func TestADamagedBodyOfThePoolIsNotHandedOn(t *testing.T) {
	dir := t.TempDir()
	s, _ := openAnn(t, dir)
	b, err := os.ReadFile(body(t, dir, 0))
	try(t, err)
	b[100] ^= 1
	try(t, os.WriteFile(body(t, dir, 0), b, 0o600)) // the pool's is the same file
	a := deliver(t, s, "ann")
	sum, _, err := sumFile(body(t, dir, 1))
	try(t, err)
	if !strings.HasSuffix(body(t, dir, 1), fmt.Sprintf("%x", sum)) {
		t.Error("the second message has the damage of the first")
	}
	deliver(t, s, "ann") // from the pool again
	if n := a.Mailbox(Inbox).NumMessages; n != 3 {
		t.Errorf("%d messages", n)
	}
	sum, _, err = sumFile(body(t, dir, 2))
	if err != nil || !strings.HasSuffix(body(t, dir, 2), fmt.Sprintf("%x", sum)) {
		t.Errorf("the third message is damaged: %v", err)
	}
}

// TestBodiesOfCutOffDeliveriesAreKeptForAWeek and are counted meanwhile.
func TestBodiesOfCutOffDeliveriesAreKeptForAWeek(t *testing.T) {
	dir := t.TempDir()
	s, a := openAnn(t, dir)
	text := []byte("Subject: cut off")
	name := fmt.Sprintf("%x-%x", uint64(a.counters.nextData), sumOf(text))
	try(t, os.WriteFile(filepath.Join(a.bodyFolder(1), name), text, 0o600))
	try(t, s.Close())
	s = openTest(t, dir)
	a, err := s.Account(t.Context(), "ann")
	try(t, err)
	r, err := s.Check(t.Context(), CheckOptions{Found: func(p Problem) { t.Errorf("found %+v", p) }})
	if err != nil || r.Orphans != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	kept := filepath.Join(a.dir, orphansFolder, name)
	try(t, a.clearOrphans(t.Context()))
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("it is gone at once: %v", err)
	}
	s.now = func() time.Time { return time.Now().Add(orphansStay + time.Hour) }
	try(t, a.clearOrphans(t.Context()))
	if _, err := os.Stat(kept); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is kept for ever: %v", err)
	}
}
