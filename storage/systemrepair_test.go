package storage

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

// records is what system.db holds: "section key" → value.
type records map[string]string

// facts reads everything of an opened folder.
func facts(t *testing.T, s *Store) records {
	t.Helper()
	all := records{}
	try(t, s.system.db.view(func(tx *bolt.Tx) error {
		_, err := readSystem(tx, func(sec string, k, sealed []byte) error {
			all[sec+" "+string(k)] = string(sealed[:len(sealed)-sealSize])
			return nil
		})
		return err
	}))
	return all
}

// staff fills system.db with sections of several sizes, some records changed
// and some deleted later, and closes the folder. It returns what is there, the
// values that were there once, and the state of a few changes before.
func staff(t *testing.T, dir string, n int) (now records, ever map[string][]string, early string) {
	t.Helper()
	now, ever = records{}, map[string][]string{}
	s := openTest(t, dir)
	set := func(sec, key, value string) {
		try(t, s.System().Update(t.Context(), func(tx *SystemTx) error { return tx.Put(sec, key, []byte(value)) }))
		now[sec+" "+key] = value
		ever[sec+" "+key] = append(ever[sec+" "+key], value)
	}
	set("one", "only", "a section of one record")
	for i := range n {
		set("accounts", fmt.Sprintf("id%04d", i), fmt.Sprintf("person%d@office.example", i)+strings.Repeat(".", i%50))
		set("credentials", fmt.Sprintf("id%04d/first", i), "hash of the first password")
	}
	try(t, s.Close()) // with a copy
	early = t.TempDir()
	try(t, exec.CommandContext(t.Context(), "cp", "-a", dir+"/.", early).Run())
	s = openTest(t, dir)
	for i := 0; i < n; i += 5 {
		try(t, s.System().Update(t.Context(), func(tx *SystemTx) error {
			return errors.Join(tx.Delete("credentials", fmt.Sprintf("id%04d/first", i)),
				tx.Put("credentials", fmt.Sprintf("id%04d/second", i), []byte("hash of another password")))
		}))
		delete(now, fmt.Sprintf("credentials id%04d/first", i))
		now[fmt.Sprintf("credentials id%04d/second", i)] = "hash of another password"
		ever[fmt.Sprintf("credentials id%04d/second", i)] = []string{"hash of another password"}
	}
	try(t, s.System().Update(t.Context(), func(tx *SystemTx) error { return tx.PutPassing("health", "beat", []byte("now")) }))
	now["health beat"], ever["health beat"] = "now", []string{"now"}
	set("accounts", "id0003", "changed@office.example")
	try(t, s.Close())
	return now, ever, early
}

// mendSystem repairs a closed folder, by either way, and returns what was said.
func mendSystem(t *testing.T, dir string) (faulty bool, said string) {
	t.Helper()
	var words []string
	say := func(p Problem) { words = append(words, p.Text) }
	faulty, err := RepairSystem(t.Context(), dir, say, say)
	try(t, err)
	s := openTest(t, dir)
	r, err := s.Check(t.Context(), CheckOptions{Found: say, Mended: say})
	try(t, err)
	if r.Left > 0 {
		t.Errorf("%d problems are left: %q", r.Left, words)
	}
	_, err = s.Check(t.Context(), CheckOptions{Found: func(p Problem) { t.Errorf("after the repair: %+v", p) }})
	try(t, err)
	try(t, s.Close())
	return faulty || r.Problems > 0, strings.Join(words, "\n")
}

func TestRepairOfTheSystemDatabase(t *testing.T) {
	db := func(dir string) string { return filepath.Join(dir, systemFile) }
	bak := func(dir string) string { return filepath.Join(dir, systemBackup) }
	change := func(f func(tx *bolt.Tx) error) func(*testing.T, string, string) {
		return func(t *testing.T, dir, _ string) {
			b, err := bolt.Open(db(dir), 0o600, nil)
			try(t, err)
			try(t, errors.Join(b.Update(f), b.Close()))
		}
	}
	in := func(sec string, f func(b *bolt.Bucket) error) func(*testing.T, string, string) {
		return change(func(tx *bolt.Tx) error { return f(tx.Bucket(section(sec))) })
	}
	const whole, some, nothing = "all of it", "what is there is true", "nothing is left"
	for name, tt := range map[string]struct {
		plant   func(t *testing.T, dir, early string)
		want    string
		refused bool
	}{
		"it is missing":       {func(t *testing.T, dir, _ string) { try(t, os.Remove(db(dir))) }, whole, true},
		"it is empty":         {func(t *testing.T, dir, _ string) { try(t, os.Truncate(db(dir), 0)) }, whole, true},
		"it is cut short":     {func(t *testing.T, dir, _ string) { try(t, os.Truncate(db(dir), 3*4096)) }, whole, true},
		"it is zeros":         {func(t *testing.T, dir, _ string) { try(t, os.WriteFile(db(dir), make([]byte, 1<<16), 0o600)) }, whole, true},
		"it is an older copy": {func(t *testing.T, dir, early string) { try(t, exec.Command("cp", db(early), db(dir)).Run()) }, whole, true},
		"its copy is missing": {func(t *testing.T, dir, _ string) { try(t, os.Remove(bak(dir))) }, whole, false},
		"its copy is damaged": {func(t *testing.T, dir, _ string) { try(t, os.Truncate(bak(dir), 300)) }, whole, false},
		"its copy is older":   {func(t *testing.T, dir, early string) { try(t, exec.Command("cp", bak(early), bak(dir)).Run()) }, whole, false},
		"both are missing":    {func(t *testing.T, dir, _ string) { try(t, errors.Join(os.Remove(db(dir)), os.Remove(bak(dir)))) }, nothing, true},
		"it is missing, its copy cut short": {func(t *testing.T, dir, _ string) {
			try(t, errors.Join(os.Remove(db(dir)), os.Truncate(bak(dir), 400)))
		}, some, true},
		"a value": {in("accounts", func(b *bolt.Bucket) error {
			v := bytes.Clone(b.Get([]byte("id0003")))
			v[2] ^= 1
			return b.Put([]byte("id0003"), v)
		}), whole, true},
		"a record is missing": {in("accounts", func(b *bolt.Bucket) error { return b.Delete([]byte("id0007")) }), whole, true},
		"a record too many": {in("accounts", func(b *bolt.Bucket) error {
			return b.Put([]byte("id9999"), seal("accounts", []byte("id9999"), []byte("x"), 1))
		}), whole, true},
		"a record of another":  {in("accounts", func(b *bolt.Bucket) error { return b.Put([]byte("id0001"), b.Get([]byte("id0002"))) }), whole, true},
		"no record at all":     {in("accounts", func(b *bolt.Bucket) error { return b.Put([]byte("id0001"), nil) }), whole, true},
		"a section is missing": {change(func(tx *bolt.Tx) error { return tx.DeleteBucket(section("credentials")) }), whole, true},
		"an older record": {change(func(tx *bolt.Tx) error {
			return tx.Bucket(section("accounts")).Put([]byte("id0003"), seal("accounts", []byte("id0003"), []byte("person3@office.example..."), 9))
		}), whole, true},
		"its head":              {change(func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Put(headKey, []byte("x")) }), whole, true},
		"its head is missing":   {change(func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Delete(headKey) }), whole, true},
		"its format":            {change(func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Put(formatKey, []byte{0, 0, 0, 9}) }), whole, true},
		"its format is missing": {change(func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Delete(formatKey) }), whole, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openTest(t, dir)
			try(t, s.CreateAccount(t.Context(), "ann", nil)) // without which a folder is new
			try(t, s.Close())
			before, ever, early := staff(t, dir, 40)
			tt.plant(t, dir, early)
			s, err := Open(t.Context(), &Config{Dir: dir, Logger: quiet()})
			if tt.refused != errors.Is(err, ErrSystemDamaged) || tt.refused != errors.Is(err, ErrCorrupt) {
				t.Errorf("open: %v", err)
			}
			if err == nil {
				try(t, s.Close())
			}
			faulty, said := mendSystem(t, dir)
			t.Logf("%v\n%s", faulty, said)
			if tt.refused && !faulty {
				t.Error("nothing was found")
			}
			after := facts(t, openTest(t, dir))
			switch tt.want {
			case whole:
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("-before +after:\n%s", diff)
				}
			case nothing:
				if len(after) > 0 {
					t.Errorf("there is %v", after)
				}
			}
			checkTrue(t, after, ever)
			if kept, _ := filepath.Glob(filepath.Join(dir, "damaged-*/report.txt")); tt.refused && len(kept) != 1 {
				t.Errorf("kept %v", kept)
			}
		})
	}
}

// checkTrue checks that no record has a value that it never had.
func checkTrue(t *testing.T, after records, ever map[string][]string) {
	t.Helper()
	for k, v := range after {
		found := false
		for _, old := range ever[k] {
			found = found || old == v
		}
		if !found {
			t.Errorf("%s is %q, which it never was", k, v)
		}
	}
}

// TestRandomDamageOfTheSystemDatabase destroys parts of system.db at random.
// With its copy all comes back, and nothing that had been deleted; without, it
// is told that something may be missing, and what is there was there before.
func TestRandomDamageOfTheSystemDatabase(t *testing.T) {
	origin := t.TempDir()
	before, ever, _ := staff(t, origin, 120)
	whole, err := os.ReadFile(filepath.Join(origin, systemFile))
	try(t, err)
	used := len(bytes.TrimRight(whole, "\x00"))/4096*4096 + 4096
	random := rand.New(rand.NewPCG(7, 11))
	lost := 0
	for i := range 90 {
		dir := t.TempDir()
		try(t, exec.CommandContext(t.Context(), "cp", "-a", origin+"/.", dir).Run())
		b := bytes.Clone(whole)
		at := random.IntN(used)
		switch i % 5 {
		case 0: // a flipped bit, or some
			for range 1 + random.IntN(4) {
				b[random.IntN(used)] ^= 1 << random.IntN(8)
			}
		case 1: // cut short
			b = b[:at]
		case 2: // zeros
			clear(b[at/4096*4096:][:4096*(1+random.IntN(2))])
		case 3: // a page in another's place
			copy(b[at/4096*4096:][:4096], whole[random.IntN(used)/4096*4096:])
		case 4: // a torn page
			copy(b[at/512*512:][:512], whole[random.IntN(used)/512*512:])
		}
		try(t, os.WriteFile(filepath.Join(dir, systemFile), b, 0o600))
		alone := i%2 == 1
		if alone {
			try(t, os.Remove(filepath.Join(dir, systemBackup)))
		}
		faulty, said := mendSystem(t, dir)
		after := facts(t, openTest(t, dir))
		checkTrue(t, after, ever)
		if !alone {
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("damage %d: -before +after:\n%s\n%s", i, diff, said)
			}
			continue
		}
		missing := 0
		for k := range before {
			if _, ok := after[k]; !ok {
				missing++
			}
		}
		lost += missing
		if !maps.Equal(before, after) && (!faulty || !strings.Contains(said, systemFile)) {
			t.Errorf("damage %d: %d of %d are missing, and nothing was said: %s", i, missing, len(before), said)
		}
	}
	t.Logf("without a copy %d of %d records were missing after 45 damages", lost, 45*len(before))
}

func TestTheSystemDatabaseOfFormat1GetsChecksums(t *testing.T) {
	dir := t.TempDir()
	try(t, createDatabase(filepath.Join(dir, systemFile), func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket(section("directory"))
		return errors.Join(err, b.Put([]byte("format"), []byte("1")), b.Put([]byte("empty"), nil), putFormat(tx, 1))
	}))
	s := openTest(t, dir)
	want := records{"directory format": "1", "directory empty": ""}
	if diff := cmp.Diff(want, facts(t, s)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	try(t, s.System().Update(t.Context(), func(tx *SystemTx) error { return tx.Put("directory", "more", []byte("2")) }))
	try(t, s.Close())
	s = openTest(t, dir)
	want["directory more"] = "2"
	if diff := cmp.Diff(want, facts(t, s)); diff != "" {
		t.Errorf("after a restart: -want +got:\n%s", diff)
	}
}

// TestTheCopyFollowsChanges: with each change that matters, and no other.
func TestTheCopyFollowsChanges(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	bak := filepath.Join(dir, systemBackup)
	put := func(f func(tx *SystemTx) error) {
		try(t, s.System().Update(t.Context(), f))
	}
	stale := func() bool {
		s.system.copy.mu.Lock()
		defer s.system.copy.mu.Unlock()
		return s.system.copy.stale
	}
	put(func(tx *SystemTx) error { return tx.PutPassing("health", "beat", []byte("1")) })
	if stale() {
		t.Error("a passing change wants a copy")
	}
	put(func(tx *SystemTx) error { return tx.Put("a", "b", []byte("1")) })
	try(t, s.system.copy.make(t.Context()))
	first, err := os.Stat(bak)
	try(t, err)
	if stale() {
		t.Error("the copy is stale at once")
	}
	if !s.system.copy.next.After(first.ModTime()) {
		t.Error("the next copy may follow at once")
	}
	put(func(tx *SystemTx) error { return tx.Delete("a", "b") })
	if !stale() {
		t.Error("a deletion wants no copy")
	}
	try(t, s.Close())
	state, err := readSystemCopy(t.Context(), bak, nil)
	if err != nil || state.count != 1 {
		t.Errorf("after Close the copy has %d records, %v", state.count, err)
	}
	// Of a process that was killed before it made a copy.
	try(t, os.Remove(bak))
	s = openTest(t, dir)
	if !stale() {
		t.Error("a missing copy is not noticed")
	}
	try(t, s.Close())
	_, err = os.Stat(bak)
	try(t, err)
}

func TestADamagedRecordIsToldNotTakenForMissing(t *testing.T) {
	s := openTest(t, t.TempDir())
	try(t, s.System().Update(t.Context(), func(tx *SystemTx) error { return tx.Put("a", "b", []byte("value")) }))
	try(t, s.system.db.update(func(tx *bolt.Tx) error {
		return tx.Bucket(section("a")).Put([]byte("b"), []byte("value, and no checksum"))
	}))
	for name, f := range map[string]func(tx *SystemTx) error{
		"Get":    func(tx *SystemTx) error { tx.Get("a", "b"); return nil },
		"All":    func(tx *SystemTx) error { return tx.All("a", func(string, []byte) error { return nil }) },
		"Put":    func(tx *SystemTx) error { return tx.Put("a", "b", []byte("x")) },
		"Delete": func(tx *SystemTx) error { return tx.Delete("a", "b") },
	} {
		if err := s.System().Update(t.Context(), f); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r, err := s.Check(t.Context(), CheckOptions{Found: func(Problem) {}, Mended: func(Problem) {}})
	if err != nil || r.Problems == 0 || r.Left > 0 || !r.System {
		t.Errorf("check: %+v, %v", r, err)
	}
	// It goes on without a restart.
	try(t, s.System().Update(t.Context(), func(tx *SystemTx) error { return tx.Put("a", "b", []byte("x")) }))
	if got := facts(t, s); got["a b"] != "x" {
		t.Errorf("got %v", got)
	}
}
