package storage

import (
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestChunkRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := imap.UID(rapid.Uint32Range(1, 1<<31).Draw(t, "base"))
		c := &chunk{base: base}
		uid := base
		for range rapid.IntRange(0, chunkSize).Draw(t, "messages") {
			c.msgs = append(c.msgs, Message{
				UID: uid, ModSeq: ModSeq(rapid.Uint64Range(0, 1<<62).Draw(t, "modseq")), Data: DataID(rapid.Uint64().Draw(t, "data")),
				Size: rapid.Int64Range(0, 1<<40).Draw(t, "size"), InternalDate: rapid.Int64Range(-1<<40, 1<<40).Draw(t, "date"),
				SaveDate: rapid.Int64Range(0, 1<<40).Draw(t, "saved"), Zone: rapid.Int16().Draw(t, "zone"),
				Flags:    SystemFlags(rapid.IntRange(0, 31).Draw(t, "flags")),
				Keywords: Keywords{rapid.Uint64().Draw(t, "k0"), rapid.Uint64().Draw(t, "k1")},
			})
			uid += imap.UID(rapid.Uint32Range(1, 1000).Draw(t, "gap"))
		}
		got, err := decodeChunk(base, appendChunk(nil, c))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.msgs) != len(c.msgs) {
			t.Fatalf("%d messages, want %d", len(got.msgs), len(c.msgs))
		}
		for i := range c.msgs {
			if d := cmp.Diff(c.msgs[i], got.msgs[i]); d != "" {
				t.Fatal(d)
			}
		}
	})
}

// FuzzRecords feeds any bytes to the decoders of everything in the index:
// none may panic, and what decodes must encode to something that decodes to
// the same.
func FuzzRecords(f *testing.F) {
	c := &chunk{base: 7, msgs: []Message{{UID: 7, Data: 1, Size: 10, Keywords: Keywords{1}}, {UID: 9, Data: 3, Flags: Seen}}}
	r := &mailboxRecord{Mailbox: Mailbox{ID: 1, Name: "INBOX", UIDNext: 10}, traces: traces{ranges: 3, floor: 9}, keywords: []string{"$Forwarded"}}
	f.Add(appendChunk(nil, c))
	f.Add(r.append(nil))
	f.Add((&counters{epoch: 1 << 63, modSeq: 3, nextData: 4}).append(nil))
	trace, _ := appendTrace(nil, []imap.UID{1, 2, 3, 9})
	f.Add(trace)
	f.Add(append(append([]byte{dataVersion, inlineBody, 5}, make([]byte, 32)...), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := decodeChunk(7, b); err == nil {
			if _, err := decodeChunk(7, appendChunk(nil, c)); err != nil {
				t.Errorf("chunk does not decode again: %v", err)
			}
		}
		if r, err := decodeMailbox(1, b); err == nil {
			again, err := decodeMailbox(1, r.append(nil))
			if err != nil || again.Name != r.Name || again.UIDNext != r.UIDNext || again.traces != r.traces {
				t.Errorf("mailbox does not decode again: %v", err)
			}
		}
		if c, err := decodeCounters(b); err == nil {
			if again, err := decodeCounters(c.append(nil)); err != nil || again != c {
				t.Errorf("counters do not decode again: %v", err)
			}
		}
		if set, err := decodeTrace(b, nil); err == nil {
			for i, r := range set {
				if r.Start == 0 || r.Stop < r.Start || i > 0 && r.Start <= set[i-1].Stop {
					t.Errorf("the ranges of a trace do not ascend: %v", set)
				}
			}
		}
		var d dataRecord
		_ = decodeData(1, b, &d)
	})
}
