package pages_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"pillarbox/storage/pages"
)

// build makes a file with a small, a large and a thinned out bucket, values
// longer than a page and free pages.
func build(t testing.TB) string {
	t.Helper()
	return buildOf(t, 20)
}

func buildOf(t testing.TB, rounds int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := bolt.Open(path, 0o600, &bolt.Options{PageSize: 4096, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	db.AllocSize = 8 << 10
	update := func(f func(tx *bolt.Tx) error) {
		if err := db.Update(f); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"large", "small", "thin"} {
		update(func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte(name)); return err })
	}
	for i := range rounds {
		update(func(tx *bolt.Tx) error {
			var errs []error
			for j := range 20 {
				key := fmt.Appendf(nil, "key %04d", i*20+j)
				errs = append(errs, tx.Bucket([]byte("large")).Put(key, bytes.Repeat(key, 1+j*j*j/10)))
				errs = append(errs, tx.Bucket([]byte("thin")).Put(key, key))
			}
			return errors.Join(append(errs, tx.Bucket([]byte("small")).Put([]byte{byte(i)}, []byte("value")))...)
		})
	}
	for i := range rounds / 2 {
		update(func(tx *bolt.Tx) error {
			var errs []error
			for j := range 30 {
				errs = append(errs, tx.Bucket([]byte("thin")).Delete(fmt.Appendf(nil, "key %04d", i*30+j)))
			}
			return errors.Join(errs...)
		})
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func check(t testing.TB, path string) (pages.Report, error) {
	t.Helper()
	f, err := pages.Open(path)
	if err != nil {
		return pages.Report{}, err
	}
	defer f.Close()
	return f.Check(context.Background())
}

func TestASoundFileIsSound(t *testing.T) {
	r, err := check(t, build(t))
	if err != nil || r.Leaked != 0 || r.Free == 0 || r.Used < 20 || r.Torn {
		t.Errorf("%+v, %v", r, err)
	}
	if r.Used+r.Free+3 != r.Pages { // two headers and the list
		t.Errorf("%+v does not add up", r)
	}
}

func TestAFileWithoutAListOfFreePages(t *testing.T) {
	path := build(t)
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte("small")).Put([]byte("x"), nil) })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if r, err := check(t, path); err != nil || r.Free == 0 || r.Leaked != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestAReadersStateIsCheckedWhileWritersGoOn holds one transaction open.
func TestAReadersStateIsCheckedWhileWritersGoOn(t *testing.T) {
	path := build(t)
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: true, InitialMmapSize: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	f, err := pages.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range 5 {
		if err := db.Update(func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("large")).Put(fmt.Appendf(nil, "new %d", i), make([]byte, 10_000))
		}); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := f.CheckAt(t.Context(), uint64(tx.ID())); err != nil || r.Leaked != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	later, err := pages.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer later.Close()
	if _, err := later.CheckAt(t.Context(), uint64(tx.ID())); !errors.Is(err, pages.ErrGone) {
		t.Errorf("err = %v", err)
	}
}

// records lists what bbolt reads.
func records(path string) (map[string]string, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	all := map[string]string{}
	err = db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				all[string(name)+"/"+string(k)] = string(v)
				return nil
			})
		})
	})
	return all, err
}

func TestSalvageOfASoundFileReadsWhatBboltReads(t *testing.T) {
	path := build(t)
	want, err := records(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := pages.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := 0
	err = f.Salvage(t.Context()).Tree(func(bucket string, k, v []byte) {
		if want[bucket+"/"+string(k)] != string(v) {
			t.Errorf("%s/%s is different", bucket, k)
		}
		got++
	}, func(bucket string, err error) { t.Errorf("%s: %v", bucket, err) })
	if err != nil || got != len(want) {
		t.Errorf("%d records instead of %d, %v", got, len(want), err)
	}
}

// TestSalvageFindsWhatADamagedPageCutOff destroys each page in turn: beside
// the records of the page itself, all others are still found.
func TestSalvageFindsWhatADamagedPageCutOff(t *testing.T) {
	path := build(t)
	want, err := records(path)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += 4096 {
		damaged := bytes.Clone(whole)
		clear(damaged[at : at+4096])
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := pages.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		s := f.Salvage(t.Context())
		err = errors.Join(s.Tree(func(_ string, k, v []byte) { found[string(k)+string(v)] = true }, func(string, error) {}),
			s.Rest(func(k, v []byte) { found[string(k)+string(v)] = true }),
			f.Close())
		if err != nil {
			t.Fatal(err)
		}
		lost := 0
		for key, v := range want {
			if _, k, _ := bytes.Cut([]byte(key), []byte("/")); !found[string(k)+v] {
				lost++
			}
		}
		if lost > 160 { // a page of "thin" holds no more
			t.Errorf("with page %d, %d of %d records are lost", at/4096, lost, len(want))
		}
	}
}

func TestDamageIsFound(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"empty":            func([]byte) []byte { return nil },
		"cut short":        func(b []byte) []byte { return b[:len(b)/2] },
		"no header":        func(b []byte) []byte { clear(b[:2*4096]); return b },
		"a page of zeros":  func(b []byte) []byte { clear(b[used(b):][:4096]); return b },
		"a wrong number":   func(b []byte) []byte { b[used(b)]++; return b },
		"a wrong kind":     func(b []byte) []byte { b[used(b)+8] = 3; return b },
		"too many records": func(b []byte) []byte { b[used(b)+11] = 0xff; return b },
		"too long":         func(b []byte) []byte { b[used(b)+15] = 0xff; return b },
		"a circle":         circle,
	} {
		t.Run(name, func(t *testing.T) {
			path := build(t)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			if r, err := check(t, path); !errors.Is(err, pages.ErrDamaged) {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// used returns the offset of the root page of the bucket "large".
func used(b []byte) int {
	meta := 0
	if b[4096+16+48] > b[16+48] {
		meta = 4096
	}
	root := int(b[meta+16+16]) | int(b[meta+16+17])<<8
	at := bytes.Index(b[root*4096:], []byte("large"))
	v := b[root*4096+at+5:]
	return (int(v[0]) | int(v[1])<<8) * 4096
}

// circle lets the first element of a branch point to the branch.
func circle(b []byte) []byte {
	at := used(b)
	copy(b[at+16+8:at+16+16], b[at:at+8])
	return b
}

// TestWhatIsFoundSoundBboltCanRead changes octets at random. bbolt must come
// to an end without a fault on every file in which no damage was found.
func TestWhatIsFoundSoundBboltCanRead(t *testing.T) {
	path := build(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	sound := 0
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for range 600 {
		b := bytes.Clone(whole)
		var changed []int64
		for range 1 + random.IntN(3) {
			page := random.IntN(len(b)/4096) * 4096
			at := page + random.IntN(4096)
			if random.IntN(2) == 0 {
				at = page + random.IntN(256) // where the elements are
			}
			b[at] ^= 1 << random.IntN(8)
			changed = append(changed, int64(at))
		}
		write := func(from []byte) {
			for _, at := range changed {
				if _, err := file.WriteAt(from[at:at+1], at); err != nil {
					t.Fatal(err)
				}
			}
		}
		write(b)
		if _, err := check(t, path); err != nil {
			if !errors.Is(err, pages.ErrDamaged) {
				t.Fatal(err)
			}
		} else {
			sound++
			if _, err := records(path); err != nil {
				t.Errorf("bbolt: %v", err)
			}
		}
		write(whole)
	}
	if sound < 50 || sound == 600 {
		t.Errorf("%d of 600 files were found sound", sound)
	}
}

// FuzzSalvage reads files that may hold anything.
func FuzzSalvage(f *testing.F) {
	b, err := os.ReadFile(buildOf(f, 2))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, 5, byte(1))
	f.Add(b, used(b)+24, b[used(b)])
	f.Fuzz(func(t *testing.T, b []byte, at int, x byte) {
		if at >= 0 && at < len(b) {
			b = bytes.Clone(b)
			b[at] = x
		}
		fd, err := unix.MemfdCreate("file", 0)
		if err != nil {
			t.Skip(err)
		}
		file := os.NewFile(uintptr(fd), "file")
		defer file.Close()
		if _, err := file.Write(b); err != nil {
			t.Fatal(err)
		}
		m, err := pages.Map(file)
		if err != nil {
			return
		}
		defer m.Close()
		_, _ = m.Check(t.Context())
		octets := 0
		s := m.Salvage(t.Context())
		visit := func(k, v []byte) { octets += len(k) + len(v) }
		if err := errors.Join(s.Tree(func(_ string, k, v []byte) { visit(k, v) }, func(string, error) {}), s.Rest(visit)); err != nil {
			t.Errorf("salvage: %v", err)
		}
	})
}
