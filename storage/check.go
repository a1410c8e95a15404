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

	"github.com/emersion/go-imap/v2"
	bolt "go.etcd.io/bbolt"
)

// maxProblems bounds a report; a folder with more is beyond reading anyway.
const maxProblems = 1000

// CheckOptions says how thorough a check is.
type CheckOptions struct {
	Bodies   bool                                   // read every body and compare its hash
	Progress func(account AccountID, done, all int) // called per message; may be nil
}

// CheckReport is what a check found.
type CheckReport struct {
	Accounts  int       `json:"accounts"`
	Mailboxes int       `json:"mailboxes"`
	Messages  int       `json:"messages"`
	Bytes     int64     `json:"bytes"` // of the messages, copies counted each
	Problems  []Problem `json:"problems"`
}

// Problem is one inconsistency.
type Problem struct {
	Account AccountID `json:"account,omitempty"`
	Mailbox string    `json:"mailbox,omitempty"`
	UID     imap.UID  `json:"uid,omitempty"`
	Text    string    `json:"text"`
}

// Check compares everything in the folder with everything else and changes
// nothing. It may run while mail is served. An error means that it could not
// go on, not that it found something.
func (s *Store) Check(ctx context.Context, o CheckOptions) (*CheckReport, error) {
	report := &CheckReport{Problems: []Problem{}}
	ids, err := s.Accounts()
	if err != nil {
		return nil, err
	}
	if err := s.system.db.View(func(tx *bolt.Tx) error { return (&checker{report: report}).pages(tx) }); err != nil {
		return nil, fmt.Errorf("check system database: %w", err)
	}
	for _, id := range ids {
		a, err := s.Account(ctx, id)
		switch {
		case errors.Is(err, ErrNoAccount):
			continue // removed meanwhile
		case errors.Is(err, ErrClosed):
			return nil, err
		case err != nil:
			report.add(Problem{Account: id, Text: err.Error()})
			continue
		}
		c := &checker{ctx: ctx, a: a, o: o, report: report, refs: map[DataID]uint64{}}
		if err := a.db.View(c.account); err != nil {
			return nil, fmt.Errorf("check account %s: %w", id, closedError(err))
		}
		c.settle()
		report.Accounts++
	}
	return report, nil
}

func (r *CheckReport) add(p Problem) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, p)
	}
}

// checker checks one account in one read transaction.
type checker struct {
	ctx      context.Context
	a        *Account
	o        CheckOptions
	report   *CheckReport
	counters counters
	refs     map[DataID]uint64 // messages that use each data record
	sum      Quota
	total    int
	absent   []absent
}

// absent is a message whose body file was not found.
type absent struct {
	mailbox string
	uid     imap.UID
	data    DataID
}

func (c *checker) problem(mailbox string, uid imap.UID, format string, args ...any) {
	p := Problem{Mailbox: mailbox, UID: uid, Text: fmt.Sprintf(format, args...)}
	if c.a != nil {
		p.Account = c.a.id
	}
	c.report.add(p)
}

// pages lets bbolt check its tree.
func (c *checker) pages(tx *bolt.Tx) error {
	for err := range tx.Check() {
		c.problem("", 0, "database pages: %v", err)
	}
	return nil
}

func (c *checker) account(tx *bolt.Tx) error {
	if err := c.pages(tx); err != nil {
		return err
	}
	var err error
	if c.counters, err = decodeCounters(tx.Bucket(metaBucket).Get(countersKey)); err != nil {
		c.problem("", 0, "%v", err)
		return nil
	}
	c.total = int(c.counters.quota.UsedMessages)
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
	if err := c.data(tx); err != nil {
		return err
	}
	return c.files(tx)
}

func (c *checker) mailbox(tx *bolt.Tx, r *mailboxRecord) error {
	count := &box{}
	var last imap.UID
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
			c.refs[m.Data]++
			count.mb.NumMessages++
			count.mb.Size += m.Size
			count.count(m, 1)
			c.message(tx, r.Name, m)
		}
	}
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
	if c.o.Progress != nil {
		c.o.Progress(c.a.id, c.report.Messages, c.total)
	}
	v := tx.Bucket(dataBucket).Get(dataKey(m.Data))
	if v == nil {
		c.problem(mailbox, m.UID, "its data %d is missing", m.Data)
		return
	}
	var r dataRecord
	if err := decodeData(m.Data, v, &r); err != nil {
		c.problem(mailbox, m.UID, "%v", err)
		return
	}
	if size := r.BodySize + int64(len(r.Prefix)); size != m.Size {
		c.problem(mailbox, m.UID, "it counts %d octets, its data %d", m.Size, size)
	}
	if c.refs[m.Data] > 1 {
		return // looked at with the first copy
	}
	switch err := c.body(tx, m.Data, &r); {
	case errors.Is(err, fs.ErrNotExist):
		c.absent = append(c.absent, absent{mailbox, m.UID, m.Data})
	case err != nil:
		c.problem(mailbox, m.UID, "body: %v", err)
	}
}

// settle tells, after the check's transaction, lost bodies from those of
// messages that were expunged while it ran.
func (c *checker) settle() {
	for _, m := range c.absent {
		if err := c.a.missing(m.data); !errors.Is(err, ErrNoMessage) {
			c.problem(m.mailbox, m.uid, "body: %v", err)
		}
	}
}

// body checks that a body is there with its size, and its hash if asked.
func (c *checker) body(tx *bolt.Tx, id DataID, r *dataRecord) error {
	if r.inline {
		body := tx.Bucket(bodiesBucket).Get(dataKey(id))
		if int64(len(body)) != r.BodySize {
			return fmt.Errorf("%d octets instead of %d", len(body), r.BodySize)
		}
		if c.o.Bodies && sha256.Sum256(body) != r.hash {
			return errors.New("its hash is wrong")
		}
		return nil
	}
	f, err := os.Open(c.a.bodyPath(id, r.hash))
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if fi.Size() != r.BodySize {
		return fmt.Errorf("%d octets instead of %d", fi.Size(), r.BodySize)
	}
	if !c.o.Bodies {
		return nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if bodyHash(h.Sum(nil)) != r.hash {
		return errors.New("its hash is wrong")
	}
	return nil
}

// data compares the reference counts with the messages.
func (c *checker) data(tx *bolt.Tx) error {
	refs := tx.Bucket(refsBucket)
	err := tx.Bucket(dataBucket).ForEach(func(k, _ []byte) error {
		id := DataID(binary.BigEndian.Uint64(k))
		want := uint64(1)
		if v := refs.Get(k); v != nil {
			want, _ = binary.Uvarint(v)
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
