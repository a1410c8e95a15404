package audit

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
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
	Before  Place // only what stands before it
	Limit   int   // of List: how many at most, the newest; 0 means 50
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

// takes tells whether the filter chooses a record of a book.
func (f *Filter) takes(b Book, r *Record) bool {
	before := *f.Before.of(b)
	switch {
	case before != 0 && r.Seq >= before:
		return false
	case !f.Since.IsZero() && r.Time.Before(f.Since):
		return false
	case !f.Until.IsZero() && !r.Time.Before(f.Until):
		return false
	case f.Account != "" && !strings.EqualFold(r.Values[ValueAccount], f.Account) && !strings.EqualFold(r.Values["alias"], f.Account):
		return false
	}

	return len(f.Kinds) == 0 || slices.ContainsFunc(f.Kinds, func(name string) bool { return matches(r.Kind, name) })
}

// sieve returns what tells quickly that a record of a book is none of those that
// the filter takes, by its octets: to decode a hundred thousand takes a second. It
// may let others through.
func (f *Filter) sieve(b Book) func(data []byte) bool {
	before := *f.Before.of(b)
	kinds := make([][]byte, len(f.Kinds))
	for i, name := range f.Kinds {
		kinds[i] = []byte(name)
	}
	names := folded(f.Account)

	return func(data []byte) bool {
		g, ok := glance(data)
		switch {
		case !ok: // DecodeRecord says what it is
			return true
		case before != 0 && g.seq >= before:
			return false
		case !f.Since.IsZero() && g.at < f.Since.UnixMilli(), !f.Until.IsZero() && g.at > f.Until.UnixMilli():
			return false
		case len(kinds) > 0 && !slices.ContainsFunc(kinds, func(name []byte) bool { return bytes.HasPrefix(g.kind, name) }):
			return false
		}

		return names == nil || names(g.rest)
	}
}

// folded returns what finds a text whatever the case of its letters; nil where that
// is not simple.
func folded(text string) func(data []byte) bool {
	if text == "" || strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
		return nil
	}
	// By an octet that has no case, such as the @, of which records have few.
	at := max(strings.IndexFunc(text, func(r rune) bool { return !unicode.IsLetter(r) }), 0)
	mark := text[at : at+1]
	if unicode.IsLetter(rune(mark[0])) {
		mark = strings.ToLower(mark) + strings.ToUpper(mark)
	}
	want := []byte(text)

	return func(data []byte) bool {
		for from := at; from < len(data); from++ {
			i := bytes.IndexAny(data[from:], mark)
			if i < 0 {
				return false
			}
			from += i
			if begin := from - at; begin+len(want) <= len(data) && bytes.EqualFold(data[begin:begin+len(want)], want) {
				return true
			}
		}

		return false
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
	var books [][]Entry
	for _, b := range l.books(&f) {
		entries, err := l.newest(ctx, b, &f, limit)
		if err != nil {
			return nil, fmt.Errorf("list records: %w", err)
		}
		books = append(books, entries)
	}

	return newestOf(books, limit), nil
}

// newestOf merges books by time. They are cut in the order of their numbers, which
// is not always that of time, since clocks are set and some is written down later:
// so whatever is cut off has smaller numbers than what is shown, and a [Place] finds
// it.
func newestOf(books [][]Entry, limit int) []Entry {
	found := []Entry{}
	for len(found) < limit {
		next := -1
		for i, b := range books {
			if len(b) > 0 && (next < 0 || b[0].Time.After(books[next][0].Time)) {
				next = i
			}
		}
		if next < 0 {
			break
		}
		found, books[next] = append(found, books[next][0]), books[next][1:]
	}
	slices.SortStableFunc(found, func(x, y Entry) int { return y.Time.Compare(x.Time) })

	return found
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
	may := f.sieve(b.name)

	return b.read(s, func(_ int64, data []byte) {
		if !may(data) {
			return
		}
		if r, err := DecodeRecord(data); err == nil && f.takes(b.name, &r) {
			use(l.entryOf(b.name, r, HashOf(data)))
		}
	}, func(ledger.Gap) {})
}
