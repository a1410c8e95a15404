package storage

import (
	"slices"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestContentAgainstAModel compares chunked content, its snapshots and their
// differences with a plain slice under random operations.
func TestContentAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		next, seq := imap.UID(1), ModSeq(1)
		var model []Message
		snap := newSnapshot(&Mailbox{}, nil, nil)
		disk := map[imap.UID][]byte{}
		for range rapid.IntRange(1, 6).Draw(t, "transactions") {
			old, oldModel := snap, slices.Clone(model)
			c := newContent(snap)
			for range rapid.IntRange(1, 3).Draw(t, "operations") {
				seq++
				set := drawSet(t, next)
				switch rapid.IntRange(0, 2).Draw(t, "kind") {
				case 0:
					for range rapid.IntRange(1, 200).Draw(t, "adds") {
						m := Message{UID: next, ModSeq: seq, Data: DataID(next), Size: int64(next) * 7}
						c.add(m)
						model = append(model, m)
						next++
					}
				case 1:
					c.each(set, func(ci, mi int, m *Message) {
						n := &c.mutable(ci).msgs[mi]
						n.Flags ^= Seen
						n.ModSeq = seq
					})
					for i := range model {
						if set.Contains(model[i].UID) {
							model[i].Flags ^= Seen
							model[i].ModSeq = seq
						}
					}
				case 2:
					gone := c.remove(set, func(m *Message) bool { return m.UID%3 != 0 })
					var want []Message
					model = slices.DeleteFunc(model, func(m Message) bool {
						doomed := set.Contains(m.UID) && m.UID%3 != 0
						if doomed {
							want = append(want, m)
						}
						return doomed
					})
					if !slices.Equal(gone, want) {
						t.Fatalf("removed %v, want %v", gone, want)
					}
				}
			}
			for base := range c.gone {
				delete(disk, base)
			}
			for ch := range c.fresh {
				disk[ch.base] = appendChunk(nil, ch)
			}
			snap = newSnapshot(&Mailbox{}, nil, c.chunks)
			compare(t, snap, model)
			compare(t, old, oldModel)
			compare(t, fromDisk(t, disk), model)
			want := modelDiff(oldModel, model)
			if d := cmp.Diff(want, snap.Since(old)); d != "" {
				t.Fatalf("diff: %s", d)
			}
			if d := cmp.Diff(want, fromDisk(t, disk).Since(old)); d != "" {
				t.Fatalf("diff without shared chunks: %s", d)
			}
		}
	})
}

func drawSet(t *rapid.T, next imap.UID) imap.UIDSet {
	var set imap.UIDSet
	for range rapid.IntRange(1, 3).Draw(t, "ranges") {
		start := rapid.Uint32Range(1, uint32(next)).Draw(t, "start")
		set.AddRange(imap.UID(start), imap.UID(rapid.Uint32Range(start, uint32(next)+5).Draw(t, "stop")))
	}
	return set
}

func compare(t *rapid.T, s *Snapshot, want []Message) {
	if s.Len() != len(want) {
		t.Fatalf("%d messages, want %d", s.Len(), len(want))
	}
	n := 0
	for i, m := range s.All(0) {
		if i != n || *m != want[i] || *s.At(i) != want[i] {
			t.Fatalf("message %d = %+v, want %+v", i, *m, want[i])
		}
		if at, ok := s.Find(m.UID); at != i || !ok {
			t.Fatalf("UID %d at %d, want %d", m.UID, at, i)
		}
		n++
	}
	if n != len(want) {
		t.Fatalf("iterated over %d", n)
	}
	for since := range ModSeq(12) {
		from := len(want) / 3
		got := map[int]bool{}
		for i, m := range s.ChangedSince(from, since) {
			if m != s.At(i) {
				t.Fatalf("message %d is %+v", i, *m)
			}
			got[i] = true
		}
		for i := range want {
			if wanted := i >= from && want[i].ModSeq > since; got[i] != wanted {
				t.Fatalf("message %d with mod-sequence %d is among those changed since %d: %v", i, want[i].ModSeq, since, got[i])
			}
		}
	}
	for _, c := range s.chunks {
		if len(c.msgs) == 0 || len(c.msgs) > chunkSize {
			t.Fatalf("a chunk has %d messages", len(c.msgs))
		}
	}
}

func fromDisk(t *rapid.T, disk map[imap.UID][]byte) *Snapshot {
	var chunks []*chunk
	for base, b := range disk {
		c, err := decodeChunk(base, b)
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, c)
	}
	slices.SortFunc(chunks, func(a, b *chunk) int { return int(a.base) - int(b.base) })
	return newSnapshot(&Mailbox{}, nil, chunks)
}

func modelDiff(old, now []Message) Diff {
	var d Diff
	before, after := map[imap.UID]Message{}, map[imap.UID]bool{}
	for _, m := range old {
		before[m.UID] = m
	}
	for _, m := range now {
		after[m.UID] = true
		if b, ok := before[m.UID]; !ok {
			d.Added++
		} else if b.ModSeq != m.ModSeq {
			d.Changed = append(d.Changed, m.UID)
		}
	}
	for _, m := range old {
		if !after[m.UID] {
			d.Vanished = append(d.Vanished, m.UID)
		}
	}
	return d
}
