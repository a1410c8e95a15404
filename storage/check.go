package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	bolt "go.etcd.io/bbolt"

	"pillarbox/storage/pages"
)

// CheckOptions says how thorough a check is.
type CheckOptions struct {
	Bodies   bool                    // read every body and compare its hash
	Found    func(p Problem)         // called for each problem; must not be nil
	Mended   func(p Problem)         // makes it a repair: called for each thing that was done; nil changes nothing
	Progress func(done, total int64) // messages of all accounts; called for each; may be nil
}

// CheckReport counts what a check has read and found.
type CheckReport struct {
	Accounts  int
	Mailboxes int
	Messages  int64
	Bytes     int64 // of the messages, each copy counted
	Orphans   int   // bodies of deliveries that were cut off, which are kept for a week
	Problems  int
	Repaired  int  // accounts whose index was built anew
	System    bool // the system database was built anew
	Left      int  // problems that are there after the repair; all where there was none
}

// Problem is one inconsistency. Account, Mailbox and UID are empty where it
// is not theirs.
type Problem struct {
	Account AccountID
	Mailbox string
	UID     imap.UID
	Text    string
}

// Check compares everything in the folder with everything else, and with
// Mended repairs the accounts in which it finds a problem, one after the
// other. It may run while mail is served; whoever uses an account that is
// repaired gets ErrClosed. An error means that it could not go on, not that it
// found something.
func (s *Store) Check(ctx context.Context, o CheckOptions) (CheckReport, error) {
	var report CheckReport
	ids, err := s.Accounts()
	if err != nil {
		return report, err
	}
	c := &checker{ctx: ctx, o: o, report: &report}
	if err := c.system(s); err != nil {
		return report, fmt.Errorf("check system database: %w", err)
	}
	for _, id := range ids {
		// What an account that cannot be opened holds is not known.
		if a, err := s.Account(ctx, id); err == nil {
			c.total += a.Quota().UsedMessages
		}
	}
	for _, id := range ids {
		if err := c.one(s, id); err != nil {
			return report, fmt.Errorf("check account %s: %w", id, err)
		}
	}
	return report, nil
}

// system checks the system database and, if that is asked for and needed,
// mends it.
func (c *checker) system(s *Store) error {
	look := func(c *checker) error {
		if err := c.read(s.system.db, func(tx *bolt.Tx) error {
			_, err := readSystem(tx, nil)
			return err
		}); err != nil {
			return err
		}
		_, err := readSystemCopy(c.ctx, s.system.copy.path, nil)
		if errors.Is(err, ErrCorrupt) {
			c.found(Problem{Text: fmt.Sprintf("%s: %v", systemBackup, err)})
			return nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // none is due yet
		}
		return err
	}
	if err := look(c); err != nil {
		return err
	}
	c.report.Left = c.report.Problems
	if c.report.Problems == 0 || c.o.Mended == nil {
		return nil
	}
	if err := s.system.repair(c.ctx, s.dir, s.now(), c.o.Mended); err != nil {
		return err
	}
	c.report.System = true
	again := &checker{ctx: c.ctx, o: c.o, report: &CheckReport{}}
	if err := look(again); err != nil {
		return err
	}
	c.report.Left = again.report.Problems
	return nil
}

// one checks an account and, if that is asked for and needed, repairs it and
// checks it again.
func (c *checker) one(s *Store, id AccountID) error {
	before := *c.report
	mendable, err := c.open(s, id)
	if err != nil {
		return err
	}
	found := c.report.Problems - before.Problems
	if found == 0 || !mendable || c.o.Mended == nil {
		c.report.Left += found
		return nil
	}
	if err := s.repairAccount(c.ctx, id, c.o.Mended); errors.Is(err, ErrNoAccount) {
		return nil // removed meanwhile
	} else if err != nil {
		return err
	}
	// What counts is how things are now.
	again := &checker{ctx: c.ctx, o: c.o, report: &CheckReport{}, total: c.total, done: c.done}
	again.o.Progress = nil
	if _, err := again.open(s, id); err != nil {
		return err
	}
	r := *again.report
	c.report.Accounts, c.report.Mailboxes = before.Accounts+r.Accounts, before.Mailboxes+r.Mailboxes
	c.report.Messages, c.report.Bytes = before.Messages+r.Messages, before.Bytes+r.Bytes
	c.report.Repaired++
	c.report.Left += r.Problems
	return nil
}

// open checks an account, and tells whether a repair may help.
func (c *checker) open(s *Store, id AccountID) (mendable bool, err error) {
	a, err := s.Account(c.ctx, id)
	switch {
	case errors.Is(err, ErrNoAccount): // removed meanwhile
		return false, nil
	case errors.Is(err, ErrClosed):
		return false, err
	case err != nil:
		text, _, _ := strings.Cut(err.Error(), "\n") // below may be a stack
		c.found(Problem{Account: id, Text: text})
		return errors.Is(err, ErrCorrupt), nil
	}
	return true, c.check(a)
}

// checker checks one account after the other: its index in one read
// transaction, then its body files, which may take long and must not keep the
// index from growing.
type checker struct {
	ctx    context.Context
	o      CheckOptions
	report *CheckReport
	total  int64 // messages of all accounts

	a        *Account // the one being checked
	counters counters
	refs     map[DataID]uint64 // messages that use each data record
	sum      Quota
	filed    []filed
	done     int64 // messages of all accounts that are checked
}

// filed is a message whose body is a file.
type filed struct {
	mailbox string
	uid     imap.UID
	data    DataID
	size    int64
	hash    bodyHash
}

func (c *checker) problem(mailbox string, uid imap.UID, format string, args ...any) {
	p := Problem{Mailbox: mailbox, UID: uid, Text: fmt.Sprintf(format, args...)}
	if c.a != nil {
		p.Account = c.a.id
	}
	c.found(p)
}

func (c *checker) found(p Problem) {
	c.report.Problems++
	c.o.Found(p)
}

func (c *checker) check(a *Account) error {
	c.a, c.refs, c.sum, c.filed = a, map[DataID]uint64{}, Quota{}, nil
	err := c.read(a.db, c.account)
	if err == nil {
		err = c.bodies()
	}
	if errors.Is(err, ErrClosed) {
		return nil // removed meanwhile
	}
	if err == nil {
		err = eachOrphan(a.dir, func(string, time.Time) error {
			c.report.Orphans++
			return nil
		})
	}
	c.report.Accounts++
	return err
}

// read checks a database's pages, then calls f in the same transaction.
// Damage at which bbolt panics is a problem found.
func (c *checker) read(db *database, f func(*bolt.Tx) error) error {
	name := "database"
	if c.a == nil {
		name = "system database"
	}
	err := pages.ErrGone
	for errors.Is(err, pages.ErrGone) { // commits overtook the transaction
		err = db.view(func(tx *bolt.Tx) error {
			r, err := db.checkState(c.ctx, tx)
			if err != nil {
				return err
			}
			if r.Torn {
				c.problem("", 0, "%s: one of its two headers is damaged; the last change may be missing", name)
			}
			if r.Leaked > 0 {
				c.problem("", 0, "%s: %d pages are neither in use nor free", name, r.Leaked)
			}
			return f(tx)
		})
	}
	if errors.Is(err, ErrCorrupt) {
		text, _, _ := strings.Cut(err.Error(), "\n")
		c.problem("", 0, "%s: %s", name, text)
		return nil
	}
	return err
}

func (c *checker) account(tx *bolt.Tx) error {
	var err error
	if c.counters, err = decodeCounters(tx.Bucket(metaBucket).Get(countersKey)); err != nil {
		c.problem("", 0, "%v", err)
		return nil
	}
	names := map[string]bool{}
	err = tx.Bucket(mailboxesBucket).ForEach(func(k, v []byte) error {
		id, ok := keyMailbox(k)
		if !ok {
			c.problem("", 0, "a mailbox has an odd key %x", k)
			return nil
		}
		r, err := decodeMailbox(id, v)
		if err != nil {
			c.problem("", 0, "%v", err)
			return nil
		}
		if names[r.Name] {
			c.problem(r.Name, 0, "two mailboxes have this name")
		}
		names[r.Name] = true
		c.report.Mailboxes++
		return c.mailbox(tx, r)
	})
	if err != nil {
		return err
	}
	if !names[Inbox] {
		c.problem(Inbox, 0, "the mailbox is missing")
	}
	if q := c.counters.quota; q.UsedBytes != c.sum.UsedBytes || q.UsedMessages != c.sum.UsedMessages {
		c.problem("", 0, "the account counts %d octets in %d messages, and holds %d in %d",
			q.UsedBytes, q.UsedMessages, c.sum.UsedBytes, c.sum.UsedMessages)
	}
	if b := tx.Bucket(notesBucket); b != nil {
		err := b.ForEach(func(k, v []byte) error {
			if d := summed(v); d.bad {
				c.problem("", 0, "the note %x cannot be read", k)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if err := c.data(tx); err != nil {
		return err
	}
	return c.files(tx)
}

func (c *checker) mailbox(tx *bolt.Tx, r *mailboxRecord) error {
	count := &box{}
	var last imap.UID
	var live []imap.UID
	prefix := mailboxKey(r.ID)
	cur := tx.Bucket(chunksBucket).Cursor()
	for k, v := cur.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = cur.Next() {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		base, ok := keyUID(k)
		if !ok {
			c.problem(r.Name, 0, "messages have an odd key %x", k)
			continue
		}
		ch, err := decodeChunk(base, v)
		if err != nil {
			c.problem(r.Name, base, "%v", err)
			continue
		}
		for i := range ch.msgs {
			m := &ch.msgs[i]
			switch {
			case m.UID <= last || m.UID < base:
				c.problem(r.Name, m.UID, "the UID does not ascend")
			case m.UID >= r.UIDNext:
				c.problem(r.Name, m.UID, "the UID is not below UIDNEXT %d", r.UIDNext)
			case m.ModSeq > r.HighestModSeq:
				c.problem(r.Name, m.UID, "mod-sequence %d is above HIGHESTMODSEQ %d", m.ModSeq, r.HighestModSeq)
			}
			for bit := len(r.keywords); bit < MaxKeywords; bit++ {
				if m.Keywords.Has(bit) {
					c.problem(r.Name, m.UID, "it has keyword %d, the mailbox knows %d", bit, len(r.keywords))
				}
			}
			last = m.UID
			live = append(live, m.UID)
			c.refs[m.Data]++
			count.mb.NumMessages++
			count.mb.Size += m.Size
			count.count(m, 1)
			c.message(tx, r.Name, m)
		}
	}
	c.traces(tx, r, live)
	c.sum.UsedBytes += count.mb.Size
	c.sum.UsedMessages += int64(count.mb.NumMessages)
	if r.HighestModSeq > c.counters.modSeq {
		c.problem(r.Name, 0, "HIGHESTMODSEQ %d is above the account's %d", r.HighestModSeq, c.counters.modSeq)
	}
	have, want := r.Mailbox, count.mb
	if have.NumMessages != want.NumMessages || have.NumUnseen != want.NumUnseen || have.NumDeleted != want.NumDeleted ||
		have.Size != want.Size || have.DeletedSize != want.DeletedSize {
		c.problem(r.Name, 0, "the mailbox counts %d messages (%d unseen, %d deleted, %d octets), and holds %d (%d, %d, %d)",
			have.NumMessages, have.NumUnseen, have.NumDeleted, have.Size, want.NumMessages, want.NumUnseen, want.NumDeleted, want.Size)
	}
	return nil
}

func (c *checker) message(tx *bolt.Tx, mailbox string, m *Message) {
	c.report.Messages++
	c.report.Bytes += m.Size
	if !c.record(tx, mailbox, m) {
		c.progress()
	}
}

func (c *checker) progress() {
	c.done++
	if c.o.Progress != nil {
		c.o.Progress(c.done, c.total)
	}
}

// record checks a message's data and tells whether a body file remains to be
// checked.
func (c *checker) record(tx *bolt.Tx, mailbox string, m *Message) bool {
	v := tx.Bucket(dataBucket).Get(dataKey(m.Data))
	if v == nil {
		c.problem(mailbox, m.UID, "its data %d is missing", m.Data)
		return false
	}
	var r dataRecord
	if err := decodeData(m.Data, v, &r); err != nil {
		c.problem(mailbox, m.UID, "%v", err)
		return false
	}
	if _, err := r.Record.Parts(); err != nil {
		c.problem(mailbox, m.UID, "its structure: %v", err)
	}
	if size := r.BodySize + int64(len(r.Prefix)); size != m.Size {
		c.problem(mailbox, m.UID, "it counts %d octets, its data %d", m.Size, size)
	}
	if c.refs[m.Data] > 1 {
		return false // looked at with the first copy
	}
	if !r.inline {
		c.filed = append(c.filed, filed{mailbox, m.UID, m.Data, r.BodySize, r.hash})
		return true
	}
	if err := c.inline(tx.Bucket(bodiesBucket).Get(dataKey(m.Data)), &r); err != nil {
		c.problem(mailbox, m.UID, "body: %v", err)
	}
	return false
}

func (c *checker) inline(body []byte, r *dataRecord) error {
	if int64(len(body)) != r.BodySize {
		return fmt.Errorf("%d octets instead of %d", len(body), r.BodySize)
	}
	if c.o.Bodies && sha256.Sum256(body) != r.hash {
		return errors.New("its hash is wrong")
	}
	return nil
}

// bodies checks the body files. One that is missing may be of a message that
// was expunged meanwhile.
func (c *checker) bodies() error {
	for _, m := range c.filed {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		err := c.file(&m)
		if errors.Is(err, fs.ErrNotExist) {
			if err = c.a.missing(m.data); errors.Is(err, ErrNoMessage) {
				err = nil
			}
		}
		if errors.Is(err, ErrClosed) {
			return err
		}
		if err != nil {
			c.problem(m.mailbox, m.uid, "body: %v", err)
		}
		c.progress()
	}
	return nil
}

// file checks that a body file is there with its size, and its hash if asked.
func (c *checker) file(m *filed) error {
	f, err := os.Open(c.a.bodyPath(m.data, m.hash))
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if fi.Size() != m.size {
		return fmt.Errorf("%d octets instead of %d", fi.Size(), m.size)
	}
	if !c.o.Bodies {
		return nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if bodyHash(h.Sum(nil)) != m.hash {
		return errors.New("its hash is wrong")
	}
	return nil
}

// data compares the reference counts with the messages.
func (c *checker) data(tx *bolt.Tx) error {
	refs := tx.Bucket(refsBucket)
	err := tx.Bucket(dataBucket).ForEach(func(k, _ []byte) error {
		id := DataID(binary.BigEndian.Uint64(k))
		want, err := decodeRefs(id, refs.Get(k))
		if err != nil {
			c.problem("", 0, "%v", err)
		}
		if have := c.refs[id]; have != want {
			c.problem("", 0, "data %d counts %d messages, and %d have it", id, want, have)
		}
		if id >= c.counters.nextData {
			c.problem("", 0, "data %d is not below the next number %d", id, c.counters.nextData)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return refs.ForEach(func(k, _ []byte) error {
		if tx.Bucket(dataBucket).Get(k) == nil {
			c.problem("", 0, "data %x is counted but missing", k)
		}
		return nil
	})
}

// files looks for body files that nothing refers to.
func (c *checker) files(tx *bolt.Tx) error {
	root := filepath.Join(c.a.dir, "bodies")
	folders, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		files, err := os.ReadDir(filepath.Join(root, folder.Name()))
		if err != nil {
			return err
		}
		for _, f := range files {
			number, _, _ := strings.Cut(f.Name(), "-")
			n, err := strconv.ParseUint(number, 16, 64)
			id := DataID(n)
			// Later ones are of deliveries that began after this check.
			if err == nil && (id >= c.counters.nextData || tx.Bucket(dataBucket).Get(dataKey(id)) != nil) || c.doomed(tx, id) {
				continue
			}
			c.problem("", 0, "the file %s/%s belongs to no message", folder.Name(), f.Name())
		}
	}
	return nil
}

// doomed tells whether a body file waits to be unlinked.
func (c *checker) doomed(tx *bolt.Tx, id DataID) bool {
	key := dataKey(id)
	k, _ := tx.Bucket(garbageBucket).Cursor().Seek(key)
	return bytes.HasPrefix(k, key)
}
