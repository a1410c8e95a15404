package audit

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"

	"pillarbox/storage/ledger"
)

// filesPerAge is how many files a book has at least in the time that it is
// kept, so that a record outlives it by no more than that part.
const filesPerAge = 12

// retain removes the files of which all records are too old, and the oldest
// while a book is too large.
func (l *Log) retain(now time.Time) error {
	if err := l.ready(); err != nil {
		return err
	}
	var errs []error
	for _, b := range []*book{l.acts, l.access} {
		if err := l.retainBook(b, now); err != nil {
			errs = append(errs, fmt.Errorf("the book of %s: %w", b.name, err))
		}
	}

	return errors.Join(errs...)
}

func (l *Log) retainBook(b *book, now time.Time) error {
	keep := b.kept()
	segments, _, err := b.snapshot()
	if err != nil || len(segments) == 0 {
		return err
	}
	last, err := b.look(segments[len(segments)-1])
	if err != nil {
		return err
	}
	if last.records > 0 && now.Sub(last.oldest) > keep.Age/filesPerAge {
		if err := b.ledger.Rotate(); err != nil {
			return err
		}
	}
	cut, err := b.cut(segments, keep, now)
	if err != nil || cut.before == 0 {
		return err
	}
	// The anchor first: should the power fail now, all records are still there.
	if err := b.append(entry{now, AuditRetention, map[string]string{
		"through":   strconv.FormatUint(cut.through.Seq, 10),
		"hash":      cut.through.Hash.String(),
		"key":       base64.StdEncoding.EncodeToString(l.signer().Public().(ed25519.PublicKey)),
		"signature": base64.StdEncoding.EncodeToString(ed25519.Sign(l.signer(), anchorStatement(b.name, cut.through))),
		"why":       cut.why,
	}}); err != nil {
		return err
	}
	b.files.Lock()
	defer b.files.Unlock()

	return b.ledger.RemoveBefore(cut.before)
}

// cutting says what is to go.
type cutting struct {
	before  uint32 // the file that is the first to stay; 0 if all stay
	through Head   // the last record that goes
	why     string
}

// cut finds what is too old or too much.
func (b *book) cut(segments []ledger.Segment, keep Keep, now time.Time) (cutting, error) {
	size := int64(0)
	for _, s := range segments {
		size += s.Size
	}
	var c cutting
	for i, s := range segments {
		seen, err := b.look(s)
		if err != nil {
			return cutting{}, err
		}
		tooOld := seen.records > 0 && now.Sub(seen.newest) > keep.Age
		// What is written at the moment is never too much.
		tooMuch := size > keep.Size && i < len(segments)-1
		switch {
		case tooMuch:
			c.why = "size"
		case tooOld && c.why == "":
			c.why = "age"
		}
		if !tooOld && !tooMuch {
			break
		}
		if seen.records > 0 {
			c.through = seen.last
		}
		c.before = s.Number + 1
		size -= s.Size
	}
	if c.through.Seq == 0 {
		return cutting{}, nil
	}

	return c, nil
}

// sight is what a file holds.
type sight struct {
	records        int
	oldest, newest time.Time
	last           Head
}

// look reads a file. A record's time is that of its writing, and not that of
// a neighbour's: a clock may have been wrong.
func (b *book) look(s ledger.Segment) (sight, error) {
	var seen sight
	err := b.read(s, func(_ int64, data []byte) {
		r, err := DecodeRecord(data)
		if err != nil {
			return
		}
		if seen.records == 0 || r.Time.Before(seen.oldest) {
			seen.oldest = r.Time
		}
		if seen.records == 0 || r.Time.After(seen.newest) {
			seen.newest = r.Time
		}
		seen.records++
		seen.last = Head{Seq: r.Seq, Hash: HashOf(data)}
	}, func(ledger.Gap) {})

	return seen, err
}
