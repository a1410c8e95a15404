package ledger_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pillarbox/storage/ledger"
)

func open(t testing.TB, dir string, size int64) (*ledger.Ledger, ledger.Tail) {
	t.Helper()
	l, tail, err := ledger.Open(&ledger.Config{Dir: dir, SegmentSize: size})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })

	return l, tail
}

func add(t testing.TB, l *ledger.Ledger, entries ...string) {
	t.Helper()
	var b [][]byte
	for _, e := range entries {
		b = append(b, []byte(e))
	}
	if err := l.Append(b...); err != nil {
		t.Fatal(err)
	}
}

// all returns what is in a ledger, and what cannot be read.
func all(t testing.TB, l *ledger.Ledger) (entries []string, gaps []ledger.Gap) {
	t.Helper()
	for _, s := range l.Segments() {
		err := l.Read(s, func(_ int64, data []byte) { entries = append(entries, string(data)) },
			func(g ledger.Gap) { gaps = append(gaps, g) })
		if err != nil {
			t.Fatal(err)
		}
	}

	return entries, gaps
}

func want(t testing.TB, l *ledger.Ledger, entries ...string) {
	t.Helper()
	got, gaps := all(t, l)
	if fmt.Sprint(got) != fmt.Sprint(entries) || len(gaps) > 0 {
		t.Errorf("got %q and gaps %v, want %q", got, gaps, entries)
	}
}

func TestEntriesAreThereAfterAKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "too")
	l, tail := open(t, dir, 0)
	if tail != (ledger.Tail{}) {
		t.Errorf("a new ledger has the end %+v", tail)
	}
	add(t, l, "one", "two")
	add(t, l, "three")
	l, _ = open(t, dir, 0) // the first was not closed
	want(t, l, "one", "two", "three")
	add(t, l, "four")
	want(t, l, "one", "two", "three", "four")
}

func TestFilesAreBegunAndRemoved(t *testing.T) {
	dir := t.TempDir()
	l, _ := open(t, dir, 100)
	for i := range 10 {
		add(t, l, fmt.Sprintf("entry %d, which is longer than fifty octets, or so it seems", i))
	}
	segments := l.Segments()
	if len(segments) != 5 || segments[0].Name() != "00000001.log" {
		t.Fatalf("files: %+v", segments)
	}
	if err := l.RemoveBefore(segments[3].Number); err != nil {
		t.Fatal(err)
	}
	if got, _ := all(t, l); len(got) != 4 {
		t.Errorf("left: %q", got)
	}
	if err := l.RemoveBefore(1000); err != nil {
		t.Fatal(err)
	}
	if got := l.Segments(); len(got) != 1 {
		t.Errorf("the last file did not stay: %+v", got)
	}
	if err := l.Rotate(); err != nil {
		t.Fatal(err)
	}
	add(t, l, "in a new file")
	if got := l.Segments(); len(got) != 2 || got[1].Number != 6 {
		t.Errorf("after Rotate: %+v", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Append([]byte("late")); err == nil {
		t.Error("a closed ledger takes entries")
	}
	l, _ = open(t, dir, 100)
	if got, _ := all(t, l); len(got) != 3 {
		t.Errorf("after opening: %q", got)
	}
}

// TestEveryTornEndIsMended cuts the file at every octet of the last entry.
func TestEveryTornEndIsMended(t *testing.T) {
	dir := t.TempDir()
	l, _ := open(t, dir, 0)
	add(t, l, "one")
	name := filepath.Join(dir, l.Segments()[0].Name())
	before, _ := os.ReadFile(name)
	add(t, l, "two, which will be torn", "with what came together with it")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(before); cut <= len(whole); cut++ {
		if err := os.WriteFile(name, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		l, tail := open(t, dir, 0)
		torn := cut > len(before) && cut < len(whole)
		if tail.Damaged || (tail.Torn > 0) != torn {
			t.Errorf("cut at %d: %+v", cut, tail)
		}
		add(t, l, "three")
		if cut == len(whole) {
			want(t, l, "one", "two, which will be torn", "with what came together with it", "three")
		} else {
			want(t, l, "one", "three")
		}
	}
	// The beginning of a file that was just made.
	for cut := range 8 {
		if err := os.WriteFile(name, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		l, tail := open(t, dir, 0)
		if tail.Damaged {
			t.Errorf("%d octets: %+v", cut, tail)
		}
		add(t, l, "first")
		want(t, l, "first")
	}
}

func TestSectorsThatWereNeverWrittenAreATornEnd(t *testing.T) {
	dir := t.TempDir()
	l, _ := open(t, dir, 0)
	add(t, l, "one")
	name := filepath.Join(dir, l.Segments()[0].Name())
	add(t, l, string(bytes.Repeat([]byte("x"), 2000)))
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[1024:])
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	l, tail := open(t, dir, 0)
	if tail.Torn == 0 || tail.Damaged {
		t.Errorf("the end: %+v", tail)
	}
	want(t, l, "one")
}

// TestDamageIsKept flips each octet of a file: nothing that can still be read
// is lost, and the file stays as it was.
func TestDamageIsKept(t *testing.T) {
	dir := t.TempDir()
	l, _ := open(t, dir, 0)
	entries := []string{"one", "two", "three"}
	for _, e := range entries {
		add(t, l, e)
	}
	name := filepath.Join(dir, l.Segments()[0].Name())
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 0x41
		if err := os.WriteFile(name, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(filepath.Join(dir, "00000002.log"))
		l, tail := open(t, dir, 0)
		got, gaps := all(t, l)
		if len(gaps) != 1 && tail.Torn == 0 {
			t.Errorf("octet %d: gaps %v, end %+v", i, gaps, tail)
		}
		lost := 1
		if i < 8 {
			lost = 0 // of the file's beginning
		}
		if len(got) != len(entries)-lost {
			t.Errorf("octet %d: %q can be read", i, got)
		}
		add(t, l, "after")
		if got, _ := all(t, l); got[len(got)-1] != "after" {
			t.Errorf("octet %d: nothing can be added: %q", i, got)
		}
		now, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if tail.Torn == 0 && !bytes.HasPrefix(now, damaged) {
			t.Errorf("octet %d: the damaged file was changed", i)
		}
	}
}

func TestAnEntryThatIsTooLongIsRefused(t *testing.T) {
	l, _ := open(t, t.TempDir(), 0)
	if err := l.Append(make([]byte, ledger.MaxAppend+1)); err == nil {
		t.Error("it was taken")
	}
	add(t, l, "short")
	want(t, l, "short")
}

func TestASmallFileIsReplacedAsAWhole(t *testing.T) {
	name := filepath.Join(t.TempDir(), "folder", "file")
	for _, text := range []string{"old", "new and longer", "short"} {
		if err := ledger.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// FuzzOpen gives a ledger files that others wrote.
func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	l, _ := open(f, dir, 0)
	add(f, l, "one", "two")
	whole, err := os.ReadFile(filepath.Join(dir, "00000001.log"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte("PBLEDG1\n\xff\xff\x00\x00"))
	f.Fuzz(func(t *testing.T, file []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "00000001.log"), file, 0o600); err != nil {
			t.Fatal(err)
		}
		l, _ := open(t, dir, 0)
		before, _ := all(t, l)
		add(t, l, "after")
		l, tail := open(t, dir, 0)
		after, _ := all(t, l)
		if len(after) != len(before)+1 || after[len(before)] != "after" || tail.Torn > 0 {
			t.Errorf("before %q, after %q, end %+v", before, after, tail)
		}
	})
}
