package storage

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

func TestTraceRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.OneOf(rapid.Uint32Range(1, 30), rapid.Uint32(), rapid.Uint32Range(1<<32-5, 1<<32-1)).
			Filter(func(uid uint32) bool { return uid > 0 })
		uids := rapid.SliceOfDistinct(some, rapid.ID[uint32]).Draw(t, "uids")
		slices.Sort(uids)
		var want []imap.UID
		for _, u := range uids {
			want = append(want, imap.UID(u))
		}
		record, n := appendTrace(nil, want)
		set, err := decodeTrace(record, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(set) != n {
			t.Errorf("%d ranges were encoded, %d decoded", n, len(set))
		}
		var got []imap.UID
		for _, r := range set {
			for uid := uint64(r.Start); uid <= uint64(r.Stop); uid++ {
				got = append(got, imap.UID(uid))
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("UIDs (-want +got):\n%s", d)
		}
	})
}

// tracing is an account whose INBOX has n messages, one body for all.
func tracing(t testing.TB, n int) *Account {
	t.Helper()
	ctx := context.Background()
	s, err := Open(ctx, &Config{Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.CreateAccount(ctx, "alice", nil); err != nil {
		t.Fatal(err)
	}
	a, err := s.Account(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	body, err := s.Stage(ctx, strings.NewReader("Subject: x\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Append(ctx, 1, []AppendMessage{{Body: body}}); err != nil {
		t.Fatal(err)
	}
	// Copies of copies: a body each would only cost time.
	for have := 1; have < n; {
		more := imap.UIDSet{{Start: 1, Stop: imap.UID(min(have, n-have))}}
		res, err := a.Copy(ctx, 1, more, 1)
		if err != nil {
			t.Fatal(err)
		}
		have += len(res.Dest)
	}
	return a
}

// remove expunges messages, in one operation for each group.
func (a *Account) removeGroups(t testing.TB, groups ...imap.UIDSet) []ModSeq {
	t.Helper()
	var seqs []ModSeq
	err := a.do(t.Context(), func(txn *txn) error {
		for _, uids := range groups {
			op := FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}
			if _, err := txn.store(1, uids, op); err != nil {
				return err
			}
			_, seq, err := txn.expunge(1, uids)
			if err != nil {
				return err
			}
			seqs = append(seqs, seq)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return seqs
}

func (a *Account) inbox(t testing.TB) *Snapshot {
	t.Helper()
	s, err := a.Snapshot(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// every returns each second UID from one to another.
func every2nd(from, to imap.UID) imap.UIDSet {
	var set imap.UIDSet
	for uid := from; uid <= to; uid += 2 {
		set = append(set, imap.UIDRange{Start: uid, Stop: uid})
	}
	return set
}

func problems(t testing.TB, a *Account) []string {
	t.Helper()
	var found []string
	_, err := a.store.Check(t.Context(), CheckOptions{Found: func(p Problem) { found = append(found, p.Text) }})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestTracesAreBounded expunges more than a mailbox keeps traces of. A client
// from before the floor must be told of everything absent, one from after it
// of what was expunged since, and both of no message that is there.
func TestTracesAreBounded(t *testing.T) {
	const n = 2 * (maxTraces + 4000)
	a := tracing(t, n)
	old := a.inbox(t).Mailbox().HighestModSeq
	seqs := a.removeGroups(t, every2nd(1, 8000), every2nd(8001, 2*maxTraces))
	if got := a.tree.Load().byID[1].traces; got.ranges != maxTraces || got.floor != 0 {
		t.Fatalf("%+v before the bound is passed", got)
	}
	seqs = append(seqs, a.removeGroups(t, every2nd(2*maxTraces+1, n), every2nd(2, 2))...)
	if got := a.tree.Load().byID[1].traces; got.ranges > maxTraces || got.floor != seqs[1] {
		t.Fatalf("%+v, want at most %d ranges and the floor %d", got, maxTraces, seqs[1])
	}
	snap := a.inbox(t)
	absent := append(imap.UIDSet{{Start: 1, Stop: 3}}, every2nd(5, n)...)
	for _, c := range []struct {
		name  string
		since ModSeq
		exact bool
		want  imap.UIDSet
	}{
		{"before all expunges", old, false, absent},
		{"just before the floor", seqs[1] - 1, false, absent},
		{"at the floor", seqs[1], true, append(every2nd(2, 2), every2nd(2*maxTraces+1, n)...)},
		{"after all but one", seqs[2], true, every2nd(2, 2)},
		{"after all", seqs[3], true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, exact, err := a.Vanished(snap, c.since)
			if err != nil || exact != c.exact {
				t.Fatalf("exact %v, %v", exact, err)
			}
			if d := cmp.Diff(c.want.String(), got.String()); d != "" {
				t.Errorf("UIDs (-want +got):\n%.500s", d)
			}
		})
	}
	if p := problems(t, a); p != nil {
		t.Errorf("problems: %q", p)
	}
}

// TestVanishedBelongsToItsSnapshot: what is expunged after the snapshot is
// still counted by who holds it.
func TestVanishedBelongsToItsSnapshot(t *testing.T) {
	a := tracing(t, 10)
	a.removeGroups(t, every2nd(1, 4))
	snap := a.inbox(t)
	a.removeGroups(t, every2nd(2, 4))
	if got, _, err := a.Vanished(snap, 0); err != nil || got.String() != "1,3" {
		t.Errorf("%s, %v; want 1,3", got, err)
	}
}

func TestVanishedOfADeletedMailbox(t *testing.T) {
	a := tracing(t, 1)
	mb, err := a.CreateMailbox(t.Context(), NewMailbox{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	snap, err := a.Snapshot(t.Context(), mb.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.DeleteMailbox(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Vanished(snap, 0); err == nil {
		t.Error("no error")
	}
}

// TestDamagedTrace: a client must not lose mail over a flipped bit, and must
// learn of every expunge all the same.
func TestDamagedTrace(t *testing.T) {
	a := tracing(t, 10)
	seqs := a.removeGroups(t, every2nd(1, 4), every2nd(6, 6))
	err := a.db.update(func(tx *bolt.Tx) error {
		b, key := tx.Bucket(vanishedBucket), vanishedKey(1, seqs[1])
		v := slices.Clone(b.Get(key))
		v[1] ^= 2
		return b.Put(key, v)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, exact, err := a.Vanished(a.inbox(t), seqs[0]); err != nil || exact || got.String() != "1,3,6" {
		t.Errorf("%s, exact %v, %v; want all that are absent", got, exact, err)
	}
	if p := problems(t, a); len(p) != 2 {
		t.Errorf("problems: %q", p)
	}
}

// TestCheckOfTraces plants traces that would cost a client its mail.
func TestCheckOfTraces(t *testing.T) {
	for _, c := range []struct {
		name   string
		seq    ModSeq
		uids   []imap.UID
		ranges uint32
		want   string
	}{
		{"of a message that is there", 4, []imap.UID{2}, 1, "it counts as expunged, but is there"},
		{"of a message that never was", 4, []imap.UID{99}, 1, "it counts as expunged, but is not below UIDNEXT 4"},
		{"from the future", 1 << 40, []imap.UID{1}, 0, "a trace of expunged messages has the key"},
		{"that is not counted", 4, []imap.UID{1}, 0, "the mailbox counts 0 ranges of expunged UIDs, and has 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := tracing(t, 3)
			a.removeGroups(t, every2nd(1, 1))
			err := a.db.update(func(tx *bolt.Tx) error {
				if err := (&txn{tx: tx}).deletePrefix(vanishedBucket, mailboxKey(1)); err != nil {
					return err
				}
				record, _ := appendTrace(nil, c.uids)
				r, err := readMailbox(tx, 1)
				if err != nil {
					return err
				}
				r.traces.ranges = c.ranges
				if err := tx.Bucket(mailboxesBucket).Put(mailboxKey(1), r.append(nil)); err != nil {
					return err
				}
				return tx.Bucket(vanishedBucket).Put(vanishedKey(1, c.seq), record)
			})
			if err != nil {
				t.Fatal(err)
			}
			if p := problems(t, a); len(p) != 1 || !strings.HasPrefix(p[0], c.want) {
				t.Errorf("problems: %q, want one: %q", p, c.want)
			}
		})
	}
}

// BenchmarkVanished asks what has happened to a mailbox of 200,000 messages
// of which every second was expunged.
func BenchmarkVanished(b *testing.B) {
	a := tracing(b, 200_000)
	var groups []imap.UIDSet
	for uid := imap.UID(1); uid < 200_000; uid += 20 {
		groups = append(groups, every2nd(uid, uid+19))
	}
	seqs := a.removeGroups(b, groups...)
	snap := a.inbox(b)
	for _, c := range []struct {
		name  string
		since ModSeq
	}{{"beyond the floor", 1}, {"10,000 messages", seqs[len(seqs)-1001]}, {"100 messages", seqs[len(seqs)-11]}, {"nothing", seqs[len(seqs)-1]}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := a.Vanished(snap, c.since); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
