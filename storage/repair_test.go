package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// world is what a person sees of an account.
type world struct {
	boxes map[string]uint32 // UIDVALIDITY by name
	msgs  map[string]string // "mailbox/UID" → flags, date and text
	subs  []string
}

// texts lists the texts of all messages, each as often as it is there.
func (w *world) texts() []string {
	var out []string
	for _, m := range w.msgs {
		_, text, _ := strings.Cut(m, "\n")
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

func see(t *testing.T, s *Store) *world {
	t.Helper()
	a, err := s.Account(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{boxes: map[string]uint32{}, msgs: map[string]string{}, subs: slices.Clone(a.Subscriptions())}
	for _, mb := range a.Mailboxes() {
		w.boxes[mb.Name] = mb.UIDValidity
		snap, err := a.Snapshot(t.Context(), mb.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range snap.All(0) {
			b, err := a.OpenBody(m.Data)
			if err != nil {
				t.Fatalf("%s/%d: %v", mb.Name, m.UID, err)
			}
			text, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size))
			if err := errors.Join(err, b.Close()); err != nil {
				t.Fatal(err)
			}
			w.msgs[fmt.Sprintf("%s/%d", mb.Name, m.UID)] = fmt.Sprintf("%s %s\n%s", snap.AppendFlags(nil, m), m.Date(), text)
		}
	}
	return w
}

// furnish makes an account with small and large messages, flags, keywords,
// copies, traces of expunges and prefixes, and closes the folder.
func furnish(t *testing.T, dir string, n int) *world {
	t.Helper()
	s := openTest(t, dir)
	if err := s.CreateAccount(t.Context(), "ann", []NewMailbox{{Name: Inbox, Subscribed: true}, {Name: "Old", Subscribed: true}}); err != nil {
		t.Fatal(err)
	}
	a, err := s.Account(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		size := 3
		if i%2 == 1 {
			size = 200 // a file
		}
		b, err := s.Stage(t.Context(), strings.NewReader(fmt.Sprintf("Subject: message %d\r\n\r\n", i)+strings.Repeat("A line of text, and another.\r\n", size+i)))
		if err != nil {
			t.Fatal(err)
		}
		m := AppendMessage{Body: b, InternalDate: time.Unix(1_790_000_000+int64(i), 0), Flags: []imap.Flag{imap.FlagSeen, "work"}[:i%3]}
		if i%4 < 2 {
			m.Prefix = []byte(fmt.Sprintf("Received: by test; %d\r\n", i))
		}
		_, err = a.Append(t.Context(), 1, []AppendMessage{m})
		if err := errors.Join(err, b.Close()); err != nil {
			t.Fatal(err)
		}
	}
	half := imap.UIDSet{{Start: 1, Stop: imap.UID(n / 2)}}
	_, err = a.Copy(t.Context(), 1, half, 2)
	if err == nil {
		_, err = a.Store(t.Context(), 1, imap.UIDSetNum(2, 3), FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}})
	}
	if err == nil {
		_, _, err = a.Expunge(t.Context(), 1, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	w := see(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return w
}

// mend checks, repairs where want says that something is wrong, and checks
// again. It returns what the repair said.
func mend(t *testing.T, s *Store, damaged bool) string {
	t.Helper()
	var found, said []string
	r, err := s.Check(t.Context(), CheckOptions{Bodies: true,
		Found:  func(p Problem) { found = append(found, fmt.Sprintf("%s %d %s", p.Mailbox, p.UID, p.Text)) },
		Mended: func(p Problem) { said = append(said, fmt.Sprintf("%s %d %s", p.Mailbox, p.UID, p.Text)) }})
	if err != nil {
		t.Fatal(err)
	}
	if damaged && r.Problems == 0 {
		t.Error("check found nothing")
	}
	if r.Left != 0 {
		t.Errorf("%d problems are left: %q", r.Left, found)
	}
	if r.Problems > 0 && r.Repaired == 0 {
		t.Errorf("nothing was repaired: %q", found)
	}
	_, err = s.Check(t.Context(), CheckOptions{Bodies: true, Found: func(p Problem) { t.Errorf("after the repair: %+v", p) }})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(said, "\n")
}

// plant opens ann's closed index.
func plant(t *testing.T, dir string, f func(tx *bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(filepath.Join(dir, "accounts/ann/index.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(f), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// changeRecord decodes the record of INBOX, and puts it back.
func changeRecord(f func(r *mailboxRecord)) func(*bolt.Tx) error {
	return func(tx *bolt.Tx) error {
		b := tx.Bucket(mailboxesBucket)
		r, err := decodeMailbox(1, b.Get(mailboxKey(1)))
		if err != nil {
			return err
		}
		f(r)
		return b.Put(mailboxKey(1), r.append(nil))
	}
}

func changeCounters(f func(c *counters)) func(*bolt.Tx) error {
	return func(tx *bolt.Tx) error {
		b := tx.Bucket(metaBucket)
		c, err := decodeCounters(b.Get(countersKey))
		if err != nil {
			return err
		}
		f(&c)
		return b.Put(countersKey, c.append(nil))
	}
}

func changeChunk(f func(c *chunk)) func(*bolt.Tx) error {
	return func(tx *bolt.Tx) error {
		b := tx.Bucket(chunksBucket)
		c, err := decodeChunk(1, b.Get(chunkKey(1, 1)))
		if err != nil {
			return err
		}
		f(c)
		return b.Put(chunkKey(1, 1), appendChunk(nil, c))
	}
}

func flipIn(bucket, key []byte) func(*bolt.Tx) error {
	return func(tx *bolt.Tx) error {
		v := bytes.Clone(tx.Bucket(bucket).Get(key))
		v[len(v)/2] ^= 4
		return tx.Bucket(bucket).Put(key, v)
	}
}

func body(t *testing.T, dir string, i int) string {
	t.Helper()
	files := bodyFiles(t, dir)
	if len(files) <= i {
		t.Fatalf("only %d bodies", len(files))
	}
	return files[i]
}

// TestRepairMendsWhatCheckFinds plants each kind of inconsistency of the list
// in check.go.
func TestRepairMendsWhatCheckFinds(t *testing.T) {
	type outcome int
	const (
		same     outcome = iota // nothing changed for anybody
		texts                   // all texts are there, in other places
		reported                // something is lost, and the repair says so
	)
	inIndex := func(f func(tx *bolt.Tx) error) func(*testing.T, string) {
		return func(t *testing.T, dir string) { plant(t, dir, f) }
	}
	index := func(dir string) string { return filepath.Join(dir, "accounts/ann/index.db") }
	for name, tt := range map[string]struct {
		plant func(t *testing.T, dir string)
		want  outcome
		said  string
	}{
		"a mailbox counts wrong":         {inIndex(changeRecord(func(r *mailboxRecord) { r.NumUnseen, r.Size = 99, 1 })), same, ""},
		"UIDNEXT is too low":             {inIndex(changeRecord(func(r *mailboxRecord) { r.UIDNext = 2 })), same, ""},
		"HIGHESTMODSEQ is too low":       {inIndex(changeRecord(func(r *mailboxRecord) { r.HighestModSeq = 1 })), same, ""},
		"HIGHESTMODSEQ is too high":      {inIndex(changeRecord(func(r *mailboxRecord) { r.HighestModSeq = 1 << 40 })), same, ""},
		"traces are counted wrong":       {inIndex(changeRecord(func(r *mailboxRecord) { r.traces.ranges = 77 })), same, ""},
		"a keyword has no name":          {inIndex(changeChunk(func(c *chunk) { c.msgs[0].Keywords = Keywords{}.With(100) })), same, ""},
		"a size is wrong":                {inIndex(changeChunk(func(c *chunk) { c.msgs[0].Size++ })), same, ""},
		"the account counts wrong":       {inIndex(changeCounters(func(c *counters) { c.quota.UsedBytes++ })), same, ""},
		"the next number is used":        {inIndex(changeCounters(func(c *counters) { c.nextData = 2 })), same, ""},
		"the account's numbers":          {inIndex(flipIn(metaBucket, countersKey)), same, "object identifiers are new"},
		"a reference too many":           {inIndex(func(tx *bolt.Tx) error { return tx.Bucket(refsBucket).Put(dataKey(1), []byte{9}) }), same, ""},
		"a reference to nothing":         {inIndex(func(tx *bolt.Tx) error { return tx.Bucket(refsBucket).Put(dataKey(900), []byte{9}) }), same, ""},
		"a trace of what is there":       {inIndex(plantTrace), same, ""},
		"a damaged trace":                {inIndex(func(tx *bolt.Tx) error { return tx.Bucket(vanishedBucket).Put(vanishedKey(1, 2), []byte("x")) }), same, ""},
		"the format":                     {inIndex(func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Put(formatKey, []byte{0, 0, 0, 9}) }), same, ""},
		"the format is missing":          {inIndex(func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Delete(formatKey) }), same, ""},
		"the head":                       {inIndex(func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Put(headKey, []byte("x")) }), same, ""},
		"a trace of what comes":          {inIndex(func(tx *bolt.Tx) error { return putTrace(tx, vanishedKey(1, 2), 5000) }), same, ""},
		"a trace of no change":           {inIndex(func(tx *bolt.Tx) error { return putTrace(tx, vanishedKey(1, 1<<40), 1) }), same, ""},
		"a trace under an odd key":       {inIndex(func(tx *bolt.Tx) error { return putTrace(tx, []byte{0, 0, 0, 1, 9}, 1) }), same, ""},
		"a mailbox under an odd key":     {inIndex(func(tx *bolt.Tx) error { return tx.Bucket(mailboxesBucket).Put([]byte("odd"), []byte("x")) }), same, ""},
		"messages under an odd key":      {inIndex(func(tx *bolt.Tx) error { return tx.Bucket(chunksBucket).Put([]byte{0, 0, 0, 1, 7}, []byte("x")) }), same, ""},
		"INBOX is missing":               {inIndex(func(tx *bolt.Tx) error { return tx.Bucket(mailboxesBucket).Delete(mailboxKey(1)) }), texts, "new UIDVALIDITY"},
		"a mod-sequence is too high":     {inIndex(changeChunk(func(c *chunk) { c.msgs[0].ModSeq = 1 << 30 })), same, ""},
		"messages twice":                 {inIndex(func(tx *bolt.Tx) error { return putTwice(tx) }), same, ""},
		"two messages of one UID":        {inIndex(changeChunk(func(c *chunk) { c.msgs[2].UID = c.msgs[1].UID })), texts, ""},
		"a reference count is no number": {inIndex(func(tx *bolt.Tx) error { return tx.Bucket(refsBucket).Put(dataKey(1), nil) }), same, ""},
		"the references are missing":     {inIndex(func(tx *bolt.Tx) error { return tx.DeleteBucket(refsBucket) }), same, ""},
		"the mailboxes are missing":      {inIndex(func(tx *bolt.Tx) error { return tx.DeleteBucket(mailboxesBucket) }), texts, "new UIDVALIDITY"},
		"the messages are missing":       {inIndex(func(tx *bolt.Tx) error { return tx.DeleteBucket(chunksBucket) }), texts, ""},
		"the parsed data are missing":    {inIndex(func(tx *bolt.Tx) error { return tx.DeleteBucket(dataBucket) }), same, ""},
		"the small bodies are missing":   {inIndex(func(tx *bolt.Tx) error { return tx.DeleteBucket(bodiesBucket) }), same, ""},
		"a header is torn": {func(t *testing.T, dir string) {
			f, err := os.OpenFile(index(dir), os.O_RDWR, 0)
			try(t, err)
			_, err = f.WriteAt([]byte("torn"), 4096+40)
			try(t, errors.Join(err, f.Close()))
		}, same, "a header of the index was damaged"},
		"two mailboxes of one name":     {inIndex(changeRecord(func(r *mailboxRecord) { r.Name = "Old" })), same, `it was called "Old"`},
		"a mailbox's record":            {inIndex(flipIn(mailboxesBucket, mailboxKey(1))), texts, "new UIDVALIDITY"},
		"a mailbox's record is missing": {inIndex(func(tx *bolt.Tx) error { return tx.Bucket(mailboxesBucket).Delete(mailboxKey(2)) }), texts, "new UIDVALIDITY"},
		"messages":                      {inIndex(flipIn(chunksBucket, chunkKey(1, 1))), texts, ""},
		"messages are missing":          {inIndex(func(tx *bolt.Tx) error { return tx.Bucket(chunksBucket).Delete(chunkKey(2, 1)) }), same, ""},
		"parsed data":                   {inIndex(flipIn(dataBucket, dataKey(6))), same, ""},
		"parsed data and its prefix":    {everywhere("Received: by test; 5"), reported, "header fields that were added"},
		"a small body":                  {inIndex(flipIn(bodiesBucket, dataKey(5))), same, ""},
		"a small body is missing":       {everywhere("Subject: message 4\r\n\r\nA line"), reported, "lost"},
		"an emptied index":              {func(t *testing.T, dir string) { try(t, os.Truncate(index(dir), 0)) }, texts, "backup"},
		"a lost index":                  {func(t *testing.T, dir string) { try(t, os.Remove(index(dir))) }, texts, "backup"},
		"an index of garbage": {func(t *testing.T, dir string) {
			try(t, os.WriteFile(index(dir), bytes.Repeat([]byte("garbage "), 10_000), 0o600))
		}, texts, "backup"},
		"an index cut short": {func(t *testing.T, dir string) { try(t, os.Truncate(index(dir), 3*4096)) }, texts, ""},
		"a circle of pages":  {circle, texts, ""},
		"a changed body": {func(t *testing.T, dir string) {
			b, err := os.ReadFile(body(t, dir, 0))
			b[100] ^= 1
			try(t, errors.Join(err, os.WriteFile(body(t, dir, 0), b, 0o600)))
		}, reported, "changed by damage"},
		"a body cut short": {func(t *testing.T, dir string) { try(t, os.Truncate(body(t, dir, 0), 1000)) }, reported, "changed by damage"},
		"a body is missing": {func(t *testing.T, dir string) {
			try(t, errors.Join(os.Remove(body(t, dir, 0)), os.RemoveAll(filepath.Join(dir, "pool"))))
		}, reported, "lost"},
		"a body is missing but pooled": {func(t *testing.T, dir string) {
			// Another account has it, too.
			try(t, errors.Join(os.Link(body(t, dir, 0), filepath.Join(dir, "other")), os.Remove(body(t, dir, 0))))
		}, same, "from the pool"},
		"a body under another number": {func(t *testing.T, dir string) {
			path := body(t, dir, 0)
			_, sum, _ := strings.Cut(filepath.Base(path), "-")
			try(t, os.Rename(path, filepath.Join(filepath.Dir(path), "77-"+sum)))
			try(t, os.RemoveAll(filepath.Join(dir, "pool")))
		}, reported, "lost"},
		"a file that is no body": {func(t *testing.T, dir string) {
			try(t, os.WriteFile(filepath.Join(dir, "accounts/ann/bodies/0/0-00"), nil, 0o600))
		}, same, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			before := furnish(t, dir, 60)
			s := openTest(t, dir)
			a, err := s.Account(t.Context(), "ann")
			if err != nil {
				t.Fatal(err)
			}
			try(t, a.backup(t.Context()))
			try(t, s.Close())
			tt.plant(t, dir)
			s = openTest(t, dir)
			said := mend(t, s, true)
			t.Logf("%s", said)
			after := see(t, s)
			switch tt.want {
			case same:
				if diff := cmp.Diff(before, after, cmp.AllowUnexported(world{})); diff != "" {
					t.Errorf("the account changed (-before +after):\n%s", diff)
				}
			case texts:
				if diff := cmp.Diff(before.texts(), after.texts()); diff != "" {
					t.Errorf("texts changed (-before +after):\n%s", diff)
				}
			case reported:
				if cmp.Equal(before.msgs, after.msgs) {
					t.Error("nothing was damaged")
				}
			}
			if !strings.Contains(said, tt.said) {
				t.Errorf("the repair does not say %q", tt.said)
			}
			kept, err := filepath.Glob(filepath.Join(dir, "accounts/ann/damaged-*/report.txt"))
			if err != nil || len(kept) != 1 {
				t.Errorf("kept %v, %v", kept, err)
			}
			deliver(t, s, "ann")
		})
	}
}

// quiet discards the log.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func plantTrace(tx *bolt.Tx) error {
	b, _ := appendTrace(nil, []imap.UID{5})
	return tx.Bucket(vanishedBucket).Put(vanishedKey(1, 2), b)
}

func putTrace(tx *bolt.Tx, key []byte, uid imap.UID) error {
	b, _ := appendTrace(nil, []imap.UID{uid})
	return tx.Bucket(vanishedBucket).Put(key, b)
}

// putTwice puts the first messages of INBOX there again, as a second chunk.
func putTwice(tx *bolt.Tx) error {
	c, err := decodeChunk(1, tx.Bucket(chunksBucket).Get(chunkKey(1, 1)))
	if err != nil {
		return err
	}
	c.base, c.msgs = c.msgs[3].UID, c.msgs[3:6]
	return tx.Bucket(chunksBucket).Put(chunkKey(1, c.base), appendChunk(nil, c))
}

// TestALostIndexComesBack: with its copy each message has its mailbox, UID,
// flags and date again, and only UIDVALIDITY says that clients must look anew;
// without, its text and the date that it tells.
func TestALostIndexComesBack(t *testing.T) {
	for name, copied := range map[string]bool{"with its copy": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			before := furnish(t, dir, 60)
			s := openTest(t, dir)
			a, err := s.Account(t.Context(), "ann")
			try(t, err)
			try(t, a.backup(t.Context()))
			try(t, s.Close())
			try(t, os.Remove(filepath.Join(dir, "accounts/ann/index.db")))
			if !copied {
				try(t, os.Remove(filepath.Join(dir, "accounts/ann/index.bak")))
			}
			s = openTest(t, dir)
			t.Logf("%s", mend(t, s, true))
			after := see(t, s)
			if !copied {
				// Small texts were in the index; each that was in a file is there.
				have := strings.Join(after.texts(), "\n")
				for i := 1; i < 60; i += 2 {
					if subject := fmt.Sprintf("Subject: message %d\r\n", i); i != 1 && !strings.Contains(have, subject) {
						t.Errorf("%q is missing", subject)
					}
				}
				return
			}
			if diff := cmp.Diff(before.msgs, after.msgs); diff != "" {
				t.Errorf("messages (-before +after):\n%s", diff)
			}
			if diff := cmp.Diff(before.subs, after.subs); diff != "" {
				t.Errorf("subscriptions (-before +after):\n%s", diff)
			}
			for mailbox, validity := range before.boxes {
				if now := after.boxes[mailbox]; now <= validity {
					t.Errorf("%s has UIDVALIDITY %d after %d", mailbox, now, validity)
				}
			}
		})
	}
}

// everywhere destroys a text wherever it stands in the index, and the backup.
func everywhere(text string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		path := filepath.Join(dir, "accounts/ann/index.db")
		b, err := os.ReadFile(path)
		try(t, err)
		n := bytes.Count(b, []byte(text))
		if n == 0 {
			t.Fatalf("%q is not in the index", text)
		}
		b = bytes.ReplaceAll(b, []byte(text), bytes.Repeat([]byte("!"), len(text)))
		try(t, errors.Join(os.WriteFile(path, b, 0o600), os.Remove(filepath.Join(dir, "accounts/ann/index.bak"))))
	}
}

// circle lets a branch page of the index point to itself.
func circle(t *testing.T, dir string) {
	path := filepath.Join(dir, "accounts/ann/index.db")
	b, err := os.ReadFile(path)
	try(t, err)
	page, found := os.Getpagesize(), false
	for at := 2 * page; at+page <= len(b); at += page {
		if kind := binary.NativeEndian.Uint16(b[at+8:]); kind == 1 {
			copy(b[at+16+8:at+16+16], b[at:at+8])
			found = true
		}
	}
	if !found {
		t.Fatal("there is no branch page")
	}
	try(t, os.WriteFile(path, b, 0o600))
}

// TestRandomDamageLosesNothingSilently destroys parts of an index at random,
// in a process that may not use much memory, as a reader that runs in a circle
// would. Whatever is then not there, the repair must have said so.
func TestRandomDamageLosesNothingSilently(t *testing.T) {
	const inside = "PILLARBOX_TEST_INSIDE"
	if os.Getenv(inside) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	// Not address space, of which Go and bbolt reserve much.
	try(t, unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: 1 << 30, Max: 1 << 30}))
	origin := t.TempDir()
	before := furnish(t, origin, 40)
	whole, err := os.ReadFile(filepath.Join(origin, "accounts/ann/index.db"))
	try(t, err)
	used := len(bytes.TrimRight(whole, "\x00"))/4096*4096 + 4096
	random := rand.New(rand.NewPCG(4, 2))
	for i := range 40 {
		dir := t.TempDir()
		try(t, exec.CommandContext(t.Context(), "cp", "-a", origin+"/.", dir).Run())
		b := bytes.Clone(whole)
		at := random.IntN(used)
		switch i % 4 {
		case 0:
			for range 1 + random.IntN(8) {
				b[random.IntN(used)] ^= 1 << random.IntN(8)
			}
		case 1:
			b = b[:at]
		case 2:
			clear(b[at/4096*4096:][:4096*(1+random.IntN(3))])
		case 3: // a page in another's place
			copy(b[at/4096*4096:][:4096], whole[random.IntN(used)/4096*4096:])
		}
		try(t, os.WriteFile(filepath.Join(dir, "accounts/ann/index.db"), b, 0o600))
		s := openTest(t, dir)
		said := mend(t, s, false)
		after := see(t, s)
		left := map[string]int{}
		for _, text := range after.texts() {
			left[text]++
		}
		missing := 0
		for _, text := range before.texts() {
			if left[text]--; left[text] < 0 {
				missing++
			}
		}
		t.Logf("damage %d: %d of %d missing", i, missing, len(before.msgs))
		if missing > 0 && !strings.Contains(said, "lost") && !strings.Contains(said, "no longer listed") {
			t.Errorf("damage %d: %d messages are missing, and the repair says only:\n%s", i, missing, said)
		}
		try(t, s.Close())
	}
}
