package audit

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"pillarbox/storage/ledger"
)

// Filter chooses records. Zero fields choose all.
type Filter struct {
	Since   time.Time
	Until   time.Time // not included
	Kinds   []string  // names, or what stands before their point, such as "signin"
	Account string    // in any of a record's values that name an account
	Book    Book
	Limit   int // of List: how many at most, the newest; 0 means 50
}

// Validate says what is wrong.
func (f *Filter) Validate() error {
	if f.Book != "" && f.Book != Acts && f.Book != Access {
		return fmt.Errorf("choose records: there is no book %q; there are %s and %s", f.Book, Acts, Access)
	}
	for _, name := range f.Kinds {
		if !slices.ContainsFunc(Kinds(), func(s Spec) bool { return matches(s.Kind, name) }) {
			return fmt.Errorf("choose records: there is no kind %q", name)
		}
	}

	return nil
}

func matches(k Kind, name string) bool {
	return string(k) == name || strings.HasPrefix(string(k), name+".")
}

// takes tells whether the filter chooses a record.
func (f *Filter) takes(r *Record) bool {
	switch {
	case !f.Since.IsZero() && r.Time.Before(f.Since):
		return false
	case !f.Until.IsZero() && !r.Time.Before(f.Until):
		return false
	case f.Account != "" && !strings.EqualFold(r.Values[ValueAccount], f.Account) && !strings.EqualFold(r.Values["alias"], f.Account):
		return false
	}

	return len(f.Kinds) == 0 || slices.ContainsFunc(f.Kinds, func(name string) bool { return matches(r.Kind, name) })
}

// sieve returns what tells quickly that a record is none of those that the
// filter takes, by its octets: to decode a hundred thousand takes a second. It
// may let others through, and is for one goroutine.
func (f *Filter) sieve() func(data []byte) bool {
	account := ""
	if strings.IndexFunc(f.Account, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		account = strings.ToLower(f.Account)
	}
	var lower []byte

	return func(data []byte) bool {
		at, kind, ok := glance(data)
		switch {
		case !ok: // DecodeRecord says what it is
			return true
		case !f.Since.IsZero() && at.Before(f.Since), !f.Until.IsZero() && !at.Before(f.Until):
			return false
		case len(f.Kinds) > 0 && !slices.ContainsFunc(f.Kinds, func(name string) bool { return bytes.HasPrefix(kind, []byte(name)) }):
			return false
		}
		if account == "" {
			return true
		}
		lower = append(lower[:0], data...)
		for i, c := range lower {
			if 'A' <= c && c <= 'Z' {
				lower[i] = c + 'a' - 'A'
			}
		}

		return bytes.Contains(lower, []byte(account))
	}
}

// Entry is a record with what is known of it.
type Entry struct {
	Book     Book     `json:"book"`
	Severity Severity `json:"severity,omitempty"` // "" of a kind that this version does not know
	Record
	Hash Hash `json:"hash"`
}

// entryOf returns what is shown of a record.
func (l *Log) entryOf(b Book, r Record, hash Hash) Entry {
	return Entry{Book: b, Severity: l.specs[r.Kind].Severity, Record: r, Hash: hash}
}

// books returns those that a filter chooses.
func (l *Log) books(f *Filter) []*book {
	all := []*book{l.acts, l.access}
	if f.Book == "" {
		return all
	}

	return []*book{l.book(f.Book)}
}

// List returns the newest records that the filter chooses, the newest first.
// What cannot be read is left out: Verify tells of it.
func (l *Log) List(ctx context.Context, f Filter) ([]Entry, error) {
	if err := f.Validate(); err != nil {
		return nil, err
	}
	limit := cmp.Or(f.Limit, 50)
	found := []Entry{}
	for _, b := range l.books(&f) {
		entries, err := l.newest(ctx, b, &f, limit)
		if err != nil {
			return nil, fmt.Errorf("list records: %w", err)
		}
		found = append(found, entries...)
	}
	slices.SortStableFunc(found, func(x, y Entry) int { return y.Time.Compare(x.Time) })

	return found[:min(limit, len(found))], nil
}

// newest reads the files from the last backwards until there are enough.
func (l *Log) newest(ctx context.Context, b *book, f *Filter, limit int) ([]Entry, error) {
	segments, _, err := b.snapshot()
	if err != nil {
		return nil, err
	}
	var found []Entry
	for _, s := range slices.Backward(segments) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var here []Entry
		if err := l.each(b, s, f, func(e Entry) { here = append(here, e) }); err != nil {
			return nil, err
		}
		slices.Reverse(here)
		if found = append(found, here...); len(found) >= limit {
			return found[:limit], nil
		}
	}

	return found, nil
}

// each calls use for the records of a file that the filter chooses.
func (l *Log) each(b *book, s ledger.Segment, f *Filter, use func(Entry)) error {
	may := f.sieve()

	return b.read(s, func(_ int64, data []byte) {
		if !may(data) {
			return
		}
		if r, err := DecodeRecord(data); err == nil && f.takes(&r) {
			use(l.entryOf(b.name, r, HashOf(data)))
		}
	}, func(ledger.Gap) {})
}
