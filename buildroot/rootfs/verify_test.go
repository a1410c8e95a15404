package rootfs

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// written returns a file system with some of everything.
func written(t *testing.T) (*os.File, *node) {
	t.Helper()
	var entries []Entry
	for i := range 300 {
		text := strings.Repeat(fmt.Sprint(i), 100)
		entries = append(entries, Entry{Path: fmt.Sprintf("dir/%d", i), Mode: 0o644, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(text)), nil
		}})
	}
	root, err := newTree(append(entries, Entry{Path: "link", Mode: os.ModeSymlink, Target: "dir"}))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "root"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	w, err := newWriter(f, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.write(root); err != nil {
		t.Fatal(err)
	}
	if err := verify(f, root); err != nil {
		t.Fatal(err)
	}

	return f, root
}

// Where the superblock names the owners' table, and how long that table is.
const (
	ownersOffset = 48
	ownersSize   = 6
)

func TestDamageAnywhereIsNoticed(t *testing.T) {
	f, root := written(t)
	table := make([]byte, 8)
	if _, err := f.ReadAt(table, ownersOffset); err != nil {
		t.Fatal(err)
	}
	owners := int64(binary.LittleEndian.Uint64(table)) - ownersSize
	good := make([]byte, 1)
	for at := int64(superblockSize); at < owners; at += 97 {
		if _, err := f.ReadAt(good, at); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{good[0] ^ 0xff}, at); err != nil {
			t.Fatal(err)
		}
		if err := verify(f, root); err == nil {
			t.Errorf("octet %d of %d", at, owners)
		}
		if _, err := f.WriteAt(good, at); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOtherEntriesThanWrittenAreNoticed(t *testing.T) {
	cases := map[string]func(root *node){
		"one is missing":  func(r *node) { r.children[0].children = r.children[0].children[1:] },
		"another mode":    func(r *node) { r.children[0].children[7].entry.Mode = 0o600 },
		"another kind":    func(r *node) { r.children[0].children[7].entry = r.children[1].entry },
		"another name":    func(r *node) { r.children[0].children[7].name = "x" },
		"another target":  func(r *node) { r.children[1].entry.Target = "etc" },
		"other contents":  func(r *node) { r.children[0].children[7].entry.Open = reader(strings.Repeat("y", 300)) },
		"shorter content": func(r *node) { r.children[0].children[0].entry.Open = reader("") },
		"longer content":  func(r *node) { r.children[0].children[0].entry.Open = reader(strings.Repeat("0", 101)) },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			f, root := written(t)
			change(root)
			if err := verify(f, root); err == nil {
				t.Error("it was not noticed")
			}
		})
	}
}

func reader(text string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
}
