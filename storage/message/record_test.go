package message_test

import (
	"bytes"
	"testing"

	"pillarbox/storage/message"
)

func TestViewSkipsWhatItDoesNotKnow(t *testing.T) {
	m := parse(t, readTestdata(t, "alternative.eml"))
	b := m.Append(nil)
	b = append(b, 200, 1, 3, 'n', 'e', 'w') // tag 200, three octets
	record, err := message.View(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(record.Structure(), m.Structure) {
		t.Errorf("Structure = %q, want %q", record.Structure(), m.Structure)
	}
}

func TestViewRefusesDamage(t *testing.T) {
	whole := parse(t, readTestdata(t, "alternative.eml")).Append(nil)
	for _, tt := range []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"another version", append([]byte{2}, whole[1:]...)},
		{"cut off", whole[:len(whole)-1]},
		{"length beyond the end", []byte{1, 1, 200}},
		{"length that overflows", []byte{1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}},
		{"extension beyond the structure", []byte{1, 2, 2, '(', ')', 3, 2, 1, 2}},
		{"header longer than the message", []byte{1, 5, 2, 1, 2}},
		{"zone of a year", []byte{1, 6, 4, 0, 0xff, 0xff, 1}},
	} {
		if _, err := message.View(tt.b); err == nil {
			t.Errorf("%s: View found nothing wrong", tt.name)
		}
	}
}

func TestRecordReadsWithoutAllocating(t *testing.T) {
	b := parse(t, readTestdata(t, "alternative.eml")).Append(nil)
	buf := make([]byte, 0, 4096)
	allocs := testing.AllocsPerRun(100, func() {
		record, err := message.View(b)
		if err != nil {
			t.Fatal(err)
		}
		buf = append(buf[:0], record.Envelope()...)
		buf = append(buf, record.Structure()...)
		buf = record.AppendBody(buf)
		buf = append(buf, record.Fields()...)
		record.Date()
		message.Listed("X-Universally-Unique-Identifier")
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}
