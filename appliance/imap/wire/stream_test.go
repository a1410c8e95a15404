package wire_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"pillarbox/appliance/imap/wire"
)

func TestLongAnswerArrivesAsItWasAppended(t *testing.T) {
	var dst sink
	w := wire.NewWriter(&dst)
	rnd := rand.New(rand.NewPCG(1, 2))
	var want bytes.Buffer
	for range 30 { // answers, some of them too short for a second buffer
		w.Acquire()
		w.Begin()
		for range rnd.IntN(60) {
			part := bytes.Repeat([]byte{byte(rnd.IntN(256))}, rnd.IntN(20_000))
			w.Buf = append(w.Buf, part...)
			want.Write(part)
			if err := w.Spill(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.End(); err != nil {
			t.Fatal(err)
		}
		w.Buf = append(w.Buf, "a1 OK done\r\n"...)
		want.WriteString("a1 OK done\r\n")
		w.Release()
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(dst.Bytes(), want.Bytes()) {
		t.Errorf("got %d octets, want %d, or in another order", dst.Len(), want.Len())
	}
}

func TestLongAnswerEndsWithTheConnection(t *testing.T) {
	gone := errors.New("gone")
	dst := sink{fail: gone}
	w := wire.NewWriter(&dst)
	w.Acquire()
	w.Begin()
	var err error
	part := make([]byte, 16<<10)
	for i := 0; err == nil; i++ {
		if i == 1000 {
			t.Fatal("16 MB were taken for a connection that is gone")
		}
		w.Buf = append(w.Buf, part...)
		err = w.Spill()
	}
	if !errors.Is(err, gone) {
		t.Errorf("Spill failed with %v", err)
	}
	if err := w.End(); !errors.Is(err, gone) {
		t.Errorf("End returned %v", err)
	}
	if err := w.Flush(); !errors.Is(err, gone) {
		t.Errorf("Flush returned %v", err)
	}
}
