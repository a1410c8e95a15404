package audit_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pillarbox/appliance/audit"
)

// file is one file of a book, taken apart: its records.
type file struct {
	name    string
	records [][]byte
}

const head = "PBLEDG1\n"

// readBook takes a book's files apart.
func readBook(t *testing.T, dir string) []file {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	var files []file
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f := file{name: name}
		for b = b[len(head):]; len(b) > 0; {
			n := binary.LittleEndian.Uint32(b)
			for frame := b[8 : 8+n]; len(frame) > 0; {
				size, digits := binary.Uvarint(frame)
				f.records = append(f.records, bytes.Clone(frame[digits:digits+int(size)]))
				frame = frame[digits+int(size):]
			}
			b = b[8+n:]
		}
		files = append(files, f)
	}

	return files
}

// write writes a file with checksums that fit, as somebody does who knows how.
func (f *file) write(t *testing.T) {
	t.Helper()
	b := []byte(head)
	for _, r := range f.records {
		entry := append(binary.AppendUvarint(nil, uint64(len(r))), r...)
		length := binary.LittleEndian.AppendUint32(nil, uint32(len(entry)))
		sum := crc32.Checksum(append(slices.Clone(length), entry...), crc32.MakeTable(crc32.Castagnoli))
		b = append(b, length...)
		b = binary.LittleEndian.AppendUint32(b, sum)
		b = append(b, entry...)
	}
	if err := os.WriteFile(f.name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// fill records acts and makes a checkpoint.
func fill(t testing.TB, dir string, n int) *audit.Checkpoint {
	t.Helper()
	l := newLog(t, dir)
	for i := range n {
		record(t, l, audit.Event{Kind: audit.AccountPassword, Actor: "command line, uid 0", Account: fmt.Sprintf("p%d@office.example", i)})
	}
	c, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)

	return c
}

// TestWhoeverChangesTheRecordIsFound plays somebody who can write the folder
// and knows the format, but not the key.
func TestWhoeverChangesTheRecordIsFound(t *testing.T) {
	const seed = 990
	rnd := rand.New(rand.NewPCG(seed, 1))
	at := func(files []file) (*file, int) {
		f := &files[rnd.IntN(len(files))]
		return f, rnd.IntN(len(f.records))
	}
	forms := map[string]struct {
		change func(files []file) *file // returns the one to be written
		want   []audit.What             // one of them
	}{
		"an octet, with its checksum": {func(files []file) *file {
			f, i := at(files)
			r := f.records[i]
			r[rnd.IntN(len(r))] ^= byte(1 + rnd.IntN(255))
			return f
		}, []audit.What{audit.Altered, audit.Unreadable, audit.Missing, audit.OutOfOrder, audit.Rewritten, audit.BeginningRemoved, audit.Truncated}},
		"a record is removed": {func(files []file) *file {
			f, i := at(files)
			f.records = slices.Delete(f.records, i, i+1)
			return f
		}, []audit.What{audit.Missing, audit.Truncated, audit.BeginningRemoved}},
		"two change places": {func(files []file) *file {
			f, i := at(files)
			for len(f.records) < 2 {
				f, i = at(files)
			}
			j := (i + 1 + rnd.IntN(len(f.records)-1)) % len(f.records)
			f.records[i], f.records[j] = f.records[j], f.records[i]
			return f
		}, []audit.What{audit.Missing, audit.OutOfOrder}},
		"one is put in that was there before": {func(files []file) *file {
			from, j := at(files)
			f, i := at(files)
			f.records = slices.Insert(f.records, i, from.records[j])
			return f
		}, []audit.What{audit.OutOfOrder, audit.Missing}},
		"the end is cut off at a record": {func(files []file) *file {
			f := &files[len(files)-1]
			f.records = f.records[:rnd.IntN(len(f.records))]
			return f
		}, []audit.What{audit.Truncated}},
		"the beginning is cut off": {func(files []file) *file {
			f := &files[0]
			f.records = f.records[1+rnd.IntN(len(f.records)-1):]
			return f
		}, []audit.What{audit.BeginningRemoved}},
		"one is put in anew with the right hash before it": {func(files []file) *file {
			f, i := at(files)
			r, err := audit.DecodeRecord(f.records[i])
			if err != nil {
				t.Fatal(err)
			}
			r.Values["account"] = "nobody@office.example"
			f.records[i] = r.Encode()
			return f
		}, []audit.What{audit.Altered, audit.Rewritten}},
	}
	base := t.TempDir()
	fill(t, base, 100)
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			for round := range 15 {
				dir := filepath.Join(t.TempDir(), fmt.Sprint(round))
				if err := os.CopyFS(dir, os.DirFS(base)); err != nil {
					t.Fatal(err)
				}
				files := readBook(t, filepath.Join(dir, "acts"))
				if len(files) < 3 {
					t.Fatalf("%d files are too few", len(files))
				}
				changed := form.change(files)
				changed.write(t)
				l := newLog(t, dir)
				r := verify(t, l)
				i := slices.IndexFunc(r.Findings, func(f audit.Finding) bool {
					return f.Book == audit.Acts && slices.Contains(form.want, f.What)
				})
				if i < 0 {
					t.Fatalf("seed %d, round %d: %s: found %+v", seed, round, filepath.Base(changed.name), r.Findings)
				}
				closeLog(t, l)
			}
		})
	}
}

// TestAPlaceIsNamed looks at what a finding says.
func TestAPlaceIsNamed(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 100)
	files := readBook(t, filepath.Join(dir, "acts"))
	f := files[1]
	r, err := audit.DecodeRecord(f.records[2])
	if err != nil {
		t.Fatal(err)
	}
	r.Values["account"] = "other@office.example"
	f.records[2] = r.Encode()
	f.write(t)
	l := newLog(t, dir)
	defer closeLog(t, l)
	report := verify(t, l)
	if len(report.Findings) != 1 {
		t.Fatalf("found %+v", report.Findings)
	}
	offset := int64(len(head) + 8) // of the first entry; each has its frame and its length before it
	for _, r := range f.records[:2] {
		offset += int64(len(binary.AppendUvarint(nil, uint64(len(r)))) + len(r) + 8)
	}
	want := audit.Finding{What: audit.Altered, Book: audit.Acts, File: filepath.Base(f.name), Offset: offset, Seq: r.Seq}
	got := report.Findings[0]
	want.Text = fmt.Sprintf("record %d is not the one after which record %d was written", r.Seq, r.Seq+1)
	if got != want {
		t.Errorf("found %+v, want %+v", got, want)
	}
}

// TestEveryFlippedOctetIsFound flips them in the files as they lie there,
// under a Log that has them open.
func TestEveryFlippedOctetIsFound(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, dir)
	defer closeLog(t, l)
	for i := range 5 {
		record(t, l, audit.Event{Kind: audit.AccountPassword, Account: fmt.Sprintf("p%d@office.example", i)})
	}
	name := filepath.Join(dir, "acts", "00000001.log")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 1 << (i % 8)
		if err := os.WriteFile(name, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, l); len(r.Findings) == 0 {
			t.Fatalf("octet %d of %d: nothing found", i, len(whole))
		}
	}
	if err := os.WriteFile(name, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, l); len(r.Findings) > 0 {
		t.Errorf("as it was: found %+v", r.Findings)
	}
}

// TestAKeptCheckpointFindsWhatTheBoxItselfRewrote plays somebody who has the
// key: he writes another history and has it signed.
func TestAKeptCheckpointFindsWhatTheBoxItselfRewrote(t *testing.T) {
	dir := t.TempDir()
	kept := fill(t, dir, 20)
	acts := filepath.Join(dir, "acts")
	if err := os.RemoveAll(acts); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "checkpoint")); err != nil {
		t.Fatal(err)
	}
	fill(t, dir, 30)
	l := newLog(t, dir)
	defer closeLog(t, l)
	if r := verify(t, l); len(r.Findings) > 0 {
		t.Fatalf("by itself the box found %+v", r.Findings)
	}
	line, err := audit.ParseCheckpoint(kept.String())
	if err != nil {
		t.Fatal(err)
	}
	r := verify(t, l, line)
	if len(r.Findings) != 1 || r.Findings[0].What != audit.Rewritten || r.Findings[0].Seq != kept.Acts.Seq {
		t.Errorf("with the kept checkpoint: found %+v", r.Findings)
	}
}

// TestAHistoryThatWasRewrittenIsFoundAfterTheNextCheckpoint plays somebody without
// the key, who chains all records anew and adds one, so that the book goes beyond
// the checkpoint; the box makes a newer one when it starts.
func TestAHistoryThatWasRewrittenIsFoundAfterTheNextCheckpoint(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 20)
	var prev audit.Hash
	var last audit.Record
	files := readBook(t, filepath.Join(dir, "acts"))
	chain := func(r audit.Record) []byte {
		r.Prev = prev
		octets := r.Encode()
		prev, last = audit.HashOf(octets), r
		return octets
	}
	for i := range files {
		f := &files[i]
		for j := range f.records {
			r, err := audit.DecodeRecord(f.records[j])
			if err != nil {
				t.Fatal(err)
			}
			if r.Kind == audit.AccountPassword {
				r.Values["account"] = "other@office.example"
			}
			f.records[j] = chain(r)
		}
	}
	end := &files[len(files)-1]
	last.Seq++
	end.records = append(end.records, chain(last))
	for i := range files {
		files[i].write(t)
	}

	fill(t, dir, 1)
	l := newLog(t, dir)
	defer closeLog(t, l)
	r := verify(t, l)
	if !slices.ContainsFunc(r.Findings, func(f audit.Finding) bool { return f.What == audit.Recorded }) {
		t.Errorf("found %+v", r.Findings)
	}
}

// TestVerifyLooksWhereNothingCanBeWritten takes the place of the next file, as a
// disk without room does.
func TestVerifyLooksWhereNothingCanBeWritten(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, dir)
	signIn := func(n int) {
		record(t, l, audit.Event{Kind: audit.SignInOK, Account: fmt.Sprintf("p%d@office.example", n)})
	}
	for n := range 100 {
		signIn(n)
	}
	if r := verify(t, l); len(r.Notes)+len(r.Findings) > 0 {
		t.Fatalf("before: %+v", r)
	}
	files, err := filepath.Glob(filepath.Join(dir, "access", "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	blocked := filepath.Join(dir, "access", fmt.Sprintf("%08d.log", len(files)+1))
	if err := os.Mkdir(blocked, 0o700); err != nil {
		t.Fatal(err)
	}
	signIn(100)
	r := verify(t, l)
	if len(r.Notes) != 1 || len(r.Findings) > 0 || r.Books[1].Records != 100 {
		t.Errorf("found %+v", r)
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, l); len(r.Notes)+len(r.Findings) > 0 || r.Books[1].Records != 101 {
		t.Errorf("after: %+v", r)
	}
	closeLog(t, l)
}

func TestAKeyThatWasReplacedIsTold(t *testing.T) {
	dir := t.TempDir()
	kept := fill(t, dir, 3)
	if err := os.Remove(filepath.Join(dir, "key")); err != nil {
		t.Fatal(err)
	}
	l := newLog(t, dir)
	defer closeLog(t, l)
	r := verify(t, l, kept)
	var whats []audit.What
	for _, f := range r.Findings {
		whats = append(whats, f.What)
	}
	if !slices.Equal(whats, []audit.What{audit.ForeignKey, audit.ForeignKey}) {
		t.Errorf("found %+v", r.Findings)
	}
}

// elsewhere outlives the record.
type elsewhere struct{ recorded bool }

func (m *elsewhere) Recorded() (bool, error)           { return m.recorded, nil }
func (m *elsewhere) SetRecorded(context.Context) error { m.recorded = true; return nil }

func TestARecordThatIsGoneAsAWholeIsMissed(t *testing.T) {
	dir, m := t.TempDir(), &elsewhere{}
	for _, there := range []bool{true, true, false} {
		if !there {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
		l := audit.New(&audit.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler), Memory: m})
		r := verify(t, l)
		if found := len(r.Findings) == 1 && r.Findings[0].What == audit.ForeignKey; found == there {
			t.Errorf("there: %v, found %+v", there, r.Findings)
		}
		record(t, l, audit.Event{Kind: audit.AdminPassword})
		closeLog(t, l)
	}
}

func TestACheckpointThatIsGoneIsTold(t *testing.T) {
	for name, text := range map[string]string{"removed": "", "overwritten": "pillarbox-audit-1 time=now"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := newLog(t, dir)
			record(t, l, audit.Event{Kind: audit.AdminPassword})
			spoil := func() {
				file := filepath.Join(dir, "checkpoint")
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
				if text == "" {
					return
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			spoil()
			if r := verify(t, l); len(r.Findings) != 1 || r.Findings[0].What != audit.NoCheckpoint {
				t.Errorf("while it runs: found %+v", r.Findings)
			}
			closeLog(t, l) // makes another
			spoil()
			// At its opening the box makes one anew, and records that it had to.
			for _, when := range []string{"at the opening", "later"} {
				l = newLog(t, dir)
				if r := verify(t, l); len(r.Findings) != 1 || r.Findings[0].What != audit.Recorded {
					t.Errorf("%s: found %+v", when, r.Findings)
				}
				closeLog(t, l)
			}
		})
	}
}

// TestAForgedRemovalIsFound removes the first file and puts in what retention
// writes, signed with another key.
func TestAForgedRemovalIsFound(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 100)
	files := readBook(t, filepath.Join(dir, "acts"))
	gone, err := audit.DecodeRecord(files[0].records[len(files[0].records)-1])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(files[0].name); err != nil {
		t.Fatal(err)
	}
	end := &files[len(files)-1]
	newest := end.records[len(end.records)-1]
	last, err := audit.DecodeRecord(newest)
	if err != nil {
		t.Fatal(err)
	}
	through := audit.Head{Seq: gone.Seq, Hash: audit.HashOf(files[0].records[len(files[0].records)-1])}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	forged := audit.Record{Seq: last.Seq + 1, Time: last.Time, Kind: audit.AuditRetention, Prev: audit.HashOf(newest), Values: map[string]string{
		"through": fmt.Sprint(through.Seq), "hash": through.Hash.String(), "key": base64.StdEncoding.EncodeToString(public), "why": "age",
		"signature": base64.StdEncoding.EncodeToString(ed25519.Sign(private, fmt.Appendf(nil, "pillarbox-audit-anchor-1 book=acts through=%s", through))),
	}}
	end.records = append(end.records, forged.Encode())
	end.write(t)
	l := newLog(t, dir)
	defer closeLog(t, l)
	r := verify(t, l)
	if len(r.Findings) != 2 || r.Findings[0].What != audit.ForeignKey || r.Findings[1].What != audit.BeginningRemoved {
		t.Errorf("found %+v", r.Findings)
	}
}
