package storage_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"pillarbox/storage"
)

// bodies puts messages into INBOX, small and large in turn, and returns their
// texts and data.
func (o *office) bodies(n int) (texts []string, ids []storage.DataID) {
	o.t.Helper()
	for i := range n {
		text := mail(i, 1000+i%2*9000)
		o.add("INBOX", text)
		texts = append(texts, text)
	}
	for _, m := range o.snapshot("INBOX").All(0) {
		ids = append(ids, m.Data)
	}
	return texts, ids
}

func TestBodiesComeInTheOrderAskedFor(t *testing.T) {
	o := openOffice(t)
	texts, ids := o.bodies(150)
	ids = append(ids, ids[3], ids[2], 1<<40)
	texts = append(texts, texts[3], texts[2], "")
	i := 0
	for b, err := range o.account.Bodies(ids) {
		if texts[i] == "" {
			if !errors.Is(err, storage.ErrNoMessage) {
				t.Errorf("a message that is not there: %v", err)
			}
			i++
			continue
		}
		if err != nil {
			t.Fatalf("body %d: %v", i, err)
		}
		got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size))
		if err != nil || string(got) != texts[i] {
			t.Errorf("body %d: %d octets, %v; want %d", i, len(got), err, len(texts[i]))
		}
		i++
	}
	if i != len(ids) {
		t.Errorf("%d bodies came of %d", i, len(ids))
	}
}

func TestALostBodyCostsNoOther(t *testing.T) {
	o := openOffice(t)
	_, ids := o.bodies(10)
	lost := fmt.Sprintf("%x-*", uint64(ids[5])) // odd, so it is a file
	files, err := filepath.Glob(filepath.Join(o.config.Dir, "accounts", string(alice), "bodies", "*", lost))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	i := 0
	for _, err := range o.account.Bodies(ids) {
		if want := i == 5; errors.Is(err, storage.ErrCorrupt) != want || (err != nil) != want {
			t.Errorf("body %d: %v", i, err)
		}
		i++
	}
}

func TestBodiesLeaveNothingOpen(t *testing.T) {
	o := openOffice(t)
	_, ids := o.bodies(10)
	files := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(list)
	}
	before := files()
	for range 100 {
		for b, err := range o.account.Bodies(ids) {
			if err != nil {
				t.Fatal(err)
			}
			if b.Size > 5000 {
				break
			}
		}
	}
	if after := files(); after > before+10 {
		t.Errorf("%d files are open, before there were %d", after, before)
	}
}
