package wire_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pillarbox/appliance/imap/wire"
)

// sink counts the writes it gets.
type sink struct {
	bytes.Buffer
	writes int
	fail   error
}

func (s *sink) Write(p []byte) (int, error) {
	s.writes++
	if s.fail != nil {
		return 0, s.fail
	}
	return s.Buffer.Write(p)
}

func TestWriterKeepsTheOrder(t *testing.T) {
	var dst sink
	w := wire.NewWriter(&dst)
	var want strings.Builder
	for i := range 200 {
		w.Acquire()
		part := strings.Repeat(string(rune('a'+i%26)), i*i*3) + "\r\n"
		w.Buf = append(w.Buf, part...)
		want.WriteString(part)
		if err := w.Spill(); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			w.Release() // what was not flushed stays
		}
		if i%7 == 0 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if dst.String() != want.String() {
		t.Errorf("got %d octets, want %d, or in another order", dst.Len(), want.Len())
	}
}

func TestWriterCollectsSmallAnswers(t *testing.T) {
	var dst sink
	w := wire.NewWriter(&dst)
	w.Acquire()
	for range 1000 {
		w.Buf = append(w.Buf, "* 1 FETCH (FLAGS ())\r\n"...)
		if err := w.Spill(); err != nil {
			t.Fatal(err)
		}
	}
	if dst.writes != 0 {
		t.Errorf("%d writes of 22 KB before Flush", dst.writes)
	}
	w.Flush()
	if dst.writes != 1 {
		t.Errorf("%d writes, want 1", dst.writes)
	}
	w.Release()
	if w.Buf != nil {
		t.Error("an idle Writer holds a buffer")
	}
	w.Flush()
	if dst.writes != 1 {
		t.Errorf("a Flush of nothing wrote")
	}
}

func TestWriterKeepsItsError(t *testing.T) {
	broken := errors.New("broken")
	dst := sink{fail: broken}
	w := wire.NewWriter(&dst)
	w.Acquire()
	w.Buf = append(w.Buf, "x"...)
	if err := w.Flush(); !errors.Is(err, broken) {
		t.Errorf("Flush: %v", err)
	}
	dst.fail = nil
	w.Buf = append(w.Buf, "y"...)
	if err := w.Flush(); !errors.Is(err, broken) {
		t.Errorf("the second Flush: %v", err)
	}
	if err := w.Spill(); !errors.Is(err, broken) {
		t.Errorf("Spill: %v", err)
	}
	if dst.Len() != 0 {
		t.Errorf("%q was written after the error", dst.String())
	}
}
