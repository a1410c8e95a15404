package audit

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"sync"
	"time"

	"pillarbox/storage/ledger"
)

// book is one chain.
type book struct {
	name    Book
	dir     string
	segment int64

	mu     sync.Mutex
	keep   Keep
	ledger *ledger.Ledger // nil until it is opened
	head   Head
	told   []Event // of the opening, that are not recorded yet
	closed bool

	// files is held for writing while files are removed, so that who reads
	// them all finds them.
	files sync.RWMutex
}

// entry is an event with its time, to be recorded.
type entry struct {
	at     time.Time
	kind   Kind
	values map[string]string
}

// open opens the book once it is needed. The caller holds mu. What fails is
// tried again by the next caller: a full disk may have room by then.
func (b *book) open() error {
	if b.closed {
		return ledger.ErrClosed
	}
	if b.ledger != nil {
		return nil
	}
	l, tail, err := ledger.Open(&ledger.Config{Dir: b.dir, SegmentSize: b.segment})
	if err != nil {
		return err
	}
	head, err := findHead(l)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	b.ledger, b.head = l, head
	place := map[string]string{"file": tail.File, "offset": strconv.FormatInt(tail.Offset, 10)}
	switch {
	case tail.Torn > 0:
		place["octets"] = strconv.FormatInt(tail.Torn, 10)
		b.told = append(b.told, Event{Kind: AuditTorn, More: place})
	case tail.Damaged:
		b.told = append(b.told, Event{Kind: AuditDamaged, More: place})
	}

	return nil
}

// findHead returns number and hash of the last record. What is no record though
// its checksum is right, such as one of a newer version, has a number all the
// same: that after the one before it.
func findHead(l *ledger.Ledger) (Head, error) {
	segments := l.Segments()
	var head Head
	for i := len(segments) - 1; i >= 0; i-- {
		var (
			last  []byte
			seq   uint64
			known bool
			after uint64 // entries after the last that is a record
		)
		err := l.Read(segments[i], func(_ int64, data []byte) {
			last = data
			after++
			if r, err := DecodeRecord(data); err == nil {
				seq, known, after = r.Seq, true, 0
			}
		}, func(ledger.Gap) {})
		if err != nil {
			return Head{}, err
		}
		if head.Hash == (Hash{}) && len(last) > 0 {
			head.Hash = HashOf(last)
		}
		head.Seq += after
		if known {
			head.Seq += seq
			break
		}
	}

	return head, nil
}

// append makes records durable, all or none.
func (b *book) append(entries ...entry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.open(); err != nil {
		return fmt.Errorf("record in the book of %s: %w", b.name, err)
	}
	if n := len(b.told); n > 0 {
		now := time.Now()
		first := make([]entry, 0, n+len(entries))
		for _, e := range b.told {
			first = append(first, entry{now, e.Kind, e.values()})
		}
		entries = append(first, entries...)
	}
	if len(entries) == 0 {
		return nil
	}
	head := b.head
	octets := make([][]byte, len(entries))
	for i, e := range entries {
		r := next(head.Seq, head.Hash, e.at, e.kind, e.values)
		octets[i] = r.Encode()
		head = Head{Seq: r.Seq, Hash: HashOf(octets[i])}
	}
	if err := b.ledger.Append(octets...); err != nil {
		return fmt.Errorf("record in the book of %s: %w", b.name, err)
	}
	b.head, b.told = head, nil

	return nil
}

// kept returns how long the book is kept.
func (b *book) kept() Keep {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.keep
}

// setKeep says how long the book is kept; zero fields mean DefaultKeep.
func (b *book) setKeep(k Keep) {
	usual := DefaultKeep(b.name)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keep = Keep{Age: cmp.Or(k.Age, usual.Age), Size: cmp.Or(k.Size, usual.Size)}
}

// note has something recorded with the next that is.
func (b *book) note(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told = append(b.told, e)
}

// toldOf returns what is to be recorded with the next that is.
func (b *book) toldOf() []Event {
	b.mu.Lock()
	defer b.mu.Unlock()

	return slices.Clone(b.told)
}

// now returns where the book's end is.
func (b *book) now() (Head, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.open(); err != nil {
		return Head{}, fmt.Errorf("open the book of %s: %w", b.name, err)
	}

	return b.head, nil
}

// used tells whether the book was opened.
func (b *book) used() bool {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.ledger != nil
}

// snapshot returns the files as they are, and the end that belongs to them.
func (b *book) snapshot() ([]ledger.Segment, Head, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.open(); err != nil {
		return nil, Head{}, fmt.Errorf("open the book of %s: %w", b.name, err)
	}

	return b.ledger.Segments(), b.head, nil
}

// hashOf returns the hash of a record. It reads no file before the one that would
// hold it.
func (b *book) hashOf(seq uint64) (hash Hash, there bool, err error) {
	segments, _, err := b.snapshot()
	for i := len(segments) - 1; i >= 0 && err == nil && !there; i-- {
		older := false
		err = b.read(segments[i], func(_ int64, data []byte) {
			r, err := DecodeRecord(data)
			if err != nil {
				return
			}
			older = older || r.Seq < seq
			if r.Seq == seq {
				hash, there = HashOf(data), true
			}
		}, func(ledger.Gap) {})
		if older {
			break
		}
	}

	return hash, there, err
}

// read calls f for each entry of a file. One that was removed meanwhile has none.
func (b *book) read(s ledger.Segment, f func(offset int64, data []byte), gap func(ledger.Gap)) error {
	err := b.ledger.Read(s, f, gap)
	if errors.Is(err, fs.ErrNotExist) {
		gap(ledger.Gap{Size: s.Size})
		return nil
	}

	return err
}

func (b *book) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.ledger == nil {
		return nil
	}

	return b.ledger.Close()
}
