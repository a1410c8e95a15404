package audit

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Format is how records are exported.
type Format string

// The formats.
const (
	JSONLines Format = "jsonl" // one Entry a line
	CSV       Format = "csv"   // for spreadsheets, with a line of names first
)

// ErrFormat says that a format is not known.
var ErrFormat = errors.New("the formats are jsonl and csv")

// columns of CSV are those values that have a column of their own; all others
// share one.
var columns = [...]string{
	ValueActor, ValueAccount, ValueRemote, ValuePort, ValueCount, ValueSince, ValueBefore, ValueAfter,
}

// Export writes the records that the filter chooses, book by book, the oldest
// first, and returns how many. Limit does not count.
func (l *Log) Export(ctx context.Context, w io.Writer, format Format, f Filter) (int, error) {
	if err := f.Validate(); err != nil {
		return 0, err
	}
	var (
		write func(Entry) error
		done  = func() error { return nil }
	)
	switch format {
	case JSONLines:
		enc := json.NewEncoder(w)
		write = func(e Entry) error { return enc.Encode(e) }
	case CSV:
		c := csv.NewWriter(w)
		c.UseCRLF = true // RFC 4180, section 2
		if err := c.Write(slices.Concat([]string{"book", "seq", "time", "kind", "severity"}, columns[:], []string{"more", "hash"})); err != nil {
			return 0, fmt.Errorf("export records: %w", err)
		}
		write = func(e Entry) error { return c.Write(row(&e)) }
		done = func() error { c.Flush(); return c.Error() }
	default:
		return 0, ErrFormat
	}
	n := 0
	for _, b := range l.books(&f) {
		segments, _, err := b.snapshot()
		if err != nil {
			return n, fmt.Errorf("export records: %w", err)
		}
		for _, s := range segments {
			var here []Entry
			err := l.each(b, s, &f, func(e Entry) { here = append(here, e) })
			for _, e := range here {
				if err = errors.Join(err, ctx.Err()); err == nil {
					err = write(e)
					n++
				}
				if err != nil {
					break
				}
			}
			if err != nil {
				return n, fmt.Errorf("export records: %w", err)
			}
		}
	}
	if err := done(); err != nil {
		return n, fmt.Errorf("export records: %w", err)
	}

	return n, nil
}

// row returns a record's line of CSV.
func row(e *Entry) []string {
	line := []string{
		string(e.Book), strconv.FormatUint(e.Seq, 10), e.Time.Format(time.RFC3339Nano), string(e.Kind), string(e.Severity),
	}
	for _, name := range columns {
		line = append(line, plainCell(e.Values[name]))
	}
	var more []string
	for _, name := range slices.Sorted(maps.Keys(e.Values)) {
		if !slices.Contains(columns[:], name) {
			more = append(more, name+"="+e.Values[name])
		}
	}

	return append(line, plainCell(strings.Join(more, "; ")), e.Hash.String())
}

// plainCell keeps a spreadsheet from taking a text, which may come from a
// stranger, for a formula.
func plainCell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}

	return s
}
