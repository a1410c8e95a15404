package imap

import (
	"slices"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pillarbox/storage"
)

// uidList is the plainest index.
type uidList []imap.UID

func (l uidList) Len() int                         { return len(l) }
func (l uidList) At(i int) *storage.Message        { return &storage.Message{UID: l[i]} }
func (l uidList) Find(uid imap.UID) (int, bool)    { return slices.BinarySearch(l, uid) }
func (l uidList) without(gone ...imap.UID) uidList { return without(l, gone) }

func without(l []imap.UID, gone []imap.UID) []imap.UID {
	return slices.DeleteFunc(slices.Clone(l), func(u imap.UID) bool { return slices.Contains(gone, u) })
}

func positions(m messages) []int {
	var out []int
	for _, s := range m.spans {
		for p := s.lo; p < s.hi; p++ {
			out = append(out, p)
		}
	}
	return out
}

func TestViewResolve(t *testing.T) {
	// The client counts 10 20 30 40 50 60; 20 and 50 are gone.
	full := uidList{10, 20, 30, 40, 50, 60}
	v := newView(full)
	v.advance(full.without(20, 50), []imap.UID{20, 50})
	saved := imap.UIDSet{{Start: 20, Stop: 30}}

	for _, tc := range []struct {
		name   string
		set    imap.NumSet
		want   []imap.UID
		ghosts bool
		err    error
	}{
		{"one number", imap.SeqSet{{Start: 1, Stop: 1}}, []imap.UID{10}, false, nil},
		{"a number of a ghost", imap.SeqSet{{Start: 2, Stop: 2}}, nil, true, nil},
		{"numbers after a ghost keep their meaning", imap.SeqSet{{Start: 3, Stop: 4}}, []imap.UID{30, 40}, false, nil},
		{"all numbers", imap.SeqSet{{Start: 1, Stop: 0}}, []imap.UID{10, 30, 40, 60}, true, nil},
		{"the last number", imap.SeqSet{{}}, []imap.UID{60}, false, nil},
		{"a number beyond", imap.SeqSet{{Start: 7, Stop: 7}}, nil, false, errBeyond},
		{"a range that ends beyond", imap.SeqSet{{Start: 6, Stop: 9}}, []imap.UID{60}, false, errBeyond},
		{"an open range that starts beyond", imap.SeqSet{{Start: 9, Stop: 0}}, []imap.UID{60}, false, errBeyond},
		{"ranges out of order and twice", imap.SeqSet{{Start: 6, Stop: 6}, {Start: 1, Stop: 3}, {Start: 3, Stop: 4}}, []imap.UID{10, 30, 40, 60}, true, nil},
		{"a UID", imap.UIDSet{{Start: 30, Stop: 30}}, []imap.UID{30}, false, nil},
		{"a UID that never was", imap.UIDSet{{Start: 35, Stop: 35}}, nil, false, nil},
		{"a UID of a ghost", imap.UIDSet{{Start: 50, Stop: 50}}, nil, true, nil},
		{"a UID range beyond the end", imap.UIDSet{{Start: 55, Stop: 4294967295}}, []imap.UID{60}, false, nil},
		{"an open UID range above the last UID", imap.UIDSet{{Start: 500, Stop: 0}}, []imap.UID{60}, false, nil},
		{"the last UID", imap.UIDSet{{}}, []imap.UID{60}, false, nil},
		{"the saved result", imap.SearchRes(), []imap.UID{30}, false, nil},
		{"no ranges", imap.UIDSet{}, nil, false, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := v.resolve(tc.set, saved)
			if err != tc.err {
				t.Fatalf("error %v, want %v", err, tc.err)
			}
			var got []imap.UID
			for _, p := range positions(m) {
				got = append(got, v.base.At(p).UID)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("messages (-want +got):\n%s", d)
			}
			if m.ghosts != tc.ghosts {
				t.Errorf("ghosts %v, want %v", m.ghosts, tc.ghosts)
			}
		})
	}
}

func TestViewOfEmptyMailbox(t *testing.T) {
	v := newView(uidList{})
	for _, set := range []imap.SeqSet{{{}}, {{Start: 1, Stop: 0}}, {{Start: 1, Stop: 1}}} {
		if m, err := v.resolve(set, nil); err != errBeyond || len(m.spans) != 0 {
			t.Errorf("%v: %v, %v; want nothing and errBeyond", set, m, err)
		}
	}
	for _, set := range []imap.UIDSet{{{}}, {{Start: 1, Stop: 0}}, {{Start: 1, Stop: 1}}} {
		if m, err := v.resolve(set, nil); err != nil || len(m.spans) != 0 {
			t.Errorf("%v: %v, %v; want nothing", set, m, err)
		}
	}
}

// TestViewAgainstModel lets a mailbox change at random and a client learn of
// it at random, and compares the view with a plain list of what the client
// was told.
func TestViewAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			box    []imap.UID // what is there
			client []imap.UID // what the client counts
			next   = imap.UID(1)
		)
		v := newView(uidList(box))
		t.Repeat(map[string]func(*rapid.T){
			"change and sync without expunges": func(t *rapid.T) {
				old := slices.Clone(box)
				gone := rapid.SliceOfNDistinct(rapid.SampledFrom(append(slices.Clone(old), 0)), 0, 4, rapid.ID[imap.UID]).Draw(t, "expunged")
				slices.Sort(gone)
				gone = slices.DeleteFunc(gone, func(u imap.UID) bool { return u == 0 })
				box = without(box, gone)
				for range rapid.IntRange(0, 4).Draw(t, "appended") {
					next += imap.UID(rapid.IntRange(1, 3).Draw(t, "gap"))
					box, client = append(box, next), append(client, next)
				}
				v.advance(uidList(slices.Clone(box)), gone)
			},
			"tell of expunges": func(t *rapid.T) {
				v.lay(func(seq uint32, uid imap.UID) {
					if client[seq-1] != uid {
						t.Fatalf("EXPUNGE %d means UID %d for the client, not %d", seq, client[seq-1], uid)
					}
					client = slices.Delete(client, int(seq)-1, int(seq))
				})
				if d := cmp.Diff(append([]imap.UID{}, box...), append([]imap.UID{}, client...)); d != "" {
					t.Fatalf("the client counts other messages (-there +client):\n%s", d)
				}
			},
			"": func(t *rapid.T) {
				if v.len() != len(client) {
					t.Fatalf("the view counts %d, the client %d", v.len(), len(client))
				}
				for p, uid := range box {
					if got := v.seq(p); client[got-1] != uid {
						t.Fatalf("UID %d has number %d, which is UID %d for the client", uid, got, client[got-1])
					}
				}
				checkSeqs(t, &v, box, client)
				checkUIDs(t, &v, box)
			},
		})
	})
}

var rangeEnd = rapid.Uint32Range(0, 30)

func checkSeqs(t *rapid.T, v *view, box, client []imap.UID) {
	var set imap.SeqSet
	want, beyond := map[imap.UID]bool{}, false
	for range rapid.IntRange(1, 4).Draw(t, "ranges") {
		r := imap.SeqRange{Start: rangeEnd.Draw(t, "start"), Stop: rangeEnd.Draw(t, "stop")}
		set = append(set, r)
		last := uint32(len(client))
		if r.Start == 0 {
			r.Start = last
		}
		if r.Stop == 0 {
			r.Stop = last
		}
		for n := min(r.Start, r.Stop); n <= max(r.Start, r.Stop); n++ {
			if n == 0 || n > last {
				beyond = true
			} else {
				want[client[n-1]] = true
			}
		}
	}
	m, err := v.resolve(set, nil)
	if (err == errBeyond) != beyond {
		t.Fatalf("%v in %d messages: error %v", set, len(client), err)
	}
	compare(t, set, m, box, want)
}

func checkUIDs(t *rapid.T, v *view, box []imap.UID) {
	var set imap.UIDSet
	want := map[imap.UID]bool{}
	for range rapid.IntRange(1, 4).Draw(t, "uid ranges") {
		r := imap.UIDRange{Start: imap.UID(rangeEnd.Draw(t, "start")), Stop: imap.UID(rangeEnd.Draw(t, "stop"))}
		set = append(set, r)
		var last imap.UID
		if len(box) > 0 {
			last = box[len(box)-1]
		}
		if r.Start == 0 {
			r.Start = last
		}
		if r.Stop == 0 {
			r.Stop = last
		}
		for n := min(r.Start, r.Stop); n <= max(r.Start, r.Stop); n++ {
			want[n] = true
		}
	}
	m, err := v.resolve(set, nil)
	if err != nil {
		t.Fatalf("%v: %v", set, err)
	}
	compare(t, set, m, box, want)
	if got := v.uids(v.uidSet(m)); !slices.Equal(got.spans, m.spans) {
		t.Fatalf("%v: as UIDs and back %v, want %v", set, got.spans, m.spans)
	}
}

func compare(t *rapid.T, set imap.NumSet, m messages, box []imap.UID, want map[imap.UID]bool) {
	for p, uid := range box {
		if m.contains(p) != want[uid] {
			t.Fatalf("%v: UID %d in the set: %v, want %v", set, uid, m.contains(p), want[uid])
		}
	}
	for i, s := range m.spans {
		if s.lo >= s.hi || s.hi > len(box) || i > 0 && m.spans[i-1].hi >= s.lo {
			t.Fatalf("%v: spans %v are not ascending and apart", set, m.spans)
		}
	}
	if n := m.count(); n != len(positions(m)) {
		t.Fatalf("%v: count %d of %v", set, n, m.spans)
	}
}
