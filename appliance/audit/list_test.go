package audit_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/audit"
	"pillarbox/storage/ledger"
)

// glob reads the files that a pattern names.
func glob(t testing.TB, pattern string) (files [][]byte) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, b)
	}

	return files
}

func TestFilters(t *testing.T) {
	l := newLog(t, t.TempDir())
	defer closeLog(t, l)
	record(t, l,
		audit.Event{Kind: audit.AccountAdded, Account: "anna@office.example"},
		audit.Event{Kind: audit.AccountRemoved, Account: "ben@office.example"},
		audit.Event{Kind: audit.AliasAdded, More: map[string]string{"alias": "info@office.example"}},
		audit.Event{Kind: audit.BanAdded, Account: "anna@office.example", Remote: "192.0.2.1"},
	)
	for name, tc := range map[string]struct {
		filter audit.Filter
		want   string
	}{
		"an account":       {audit.Filter{Account: "Anna@office.example"}, "account.added ban.added"},
		"an alias":         {audit.Filter{Account: "info@office.example"}, "alias.added"},
		"a kind":           {audit.Filter{Kinds: []string{"account.removed"}}, "account.removed"},
		"kinds of a name":  {audit.Filter{Kinds: []string{"account"}}, "account.added account.removed"},
		"a book":           {audit.Filter{Book: audit.Access}, "ban.added"},
		"the newest":       {audit.Filter{Limit: 1, Book: audit.Acts}, "alias.added"},
		"before a place":   {audit.Filter{Kinds: []string{"account", "ban"}, Before: audit.Place{Acts: 3, Access: 1}}, "account.added"},
		"a word":           {audit.Filter{Account: "Anna"}, ""},
		"several together": {audit.Filter{Kinds: []string{"account", "ban"}, Account: "anna@office.example", Book: audit.Acts}, "account.added"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, e := range list(t, l, tc.filter) {
				got = append([]string{string(e.Kind)}, got...)
			}
			if s := strings.Join(got, " "); s != tc.want {
				t.Errorf("listed %q, want %q", s, tc.want)
			}
		})
	}
	for name, f := range map[string]audit.Filter{"kind": {Kinds: []string{"acc"}}, "book": {Book: "other"}} {
		if _, err := l.List(t.Context(), f); err == nil {
			t.Errorf("an unknown %s is no error", name)
		}
	}
}

func TestExports(t *testing.T) {
	l := newLog(t, t.TempDir())
	defer closeLog(t, l)
	record(t, l,
		audit.Event{Kind: audit.BanAdded, Account: `=HYPERLINK("http://evil.example")`, Remote: "192.0.2.1", Port: 993, More: map[string]string{"reason": "line\r\nbreak \x1b[31m"}},
		audit.Event{Kind: audit.AccountAdded, Account: "anna@office.example", After: `{"quota":1}`},
	)
	var jsonl, sheet bytes.Buffer
	n, err := l.Export(t.Context(), &jsonl, audit.JSONLines, audit.Filter{Kinds: []string{"ban", "account"}})
	if err != nil || n != 2 {
		t.Fatal(n, err)
	}
	// Who has the export can compute the hashes anew.
	for line := range strings.Lines(jsonl.String()) {
		var e audit.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if audit.HashOf(e.Encode()) != e.Hash {
			t.Errorf("the hash of %s is not that of its record", line)
		}
		if strings.ContainsAny(e.Values["reason"], "\r\n\x1b") {
			t.Errorf("control characters were recorded: %q", e.Values["reason"])
		}
	}
	if _, err := l.Export(t.Context(), &sheet, audit.CSV, audit.Filter{Kinds: []string{"ban", "account"}}); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&sheet).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatal(rows, err)
	}
	if rows[2][6] != `'=HYPERLINK("http://evil.example")` || rows[1][12] != `{"quota":1}` {
		t.Errorf("rows %q", rows)
	}
	if _, err := l.Export(t.Context(), &sheet, "xls", audit.Filter{}); err == nil {
		t.Error("an unknown format is no error")
	}
}

// BenchmarkNewest lists the newest 50 of many records: what is read is two
// files, whatever there is.
func BenchmarkNewest(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			writeBook(b, filepath.Join(dir, "access"), n)
			l := audit.New(&audit.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
			for b.Loop() {
				entries, err := l.List(b.Context(), audit.Filter{Book: audit.Access})
				if err != nil || len(entries) != 50 {
					b.Fatal(len(entries), err)
				}
			}
			closeLog(b, l)
		})
	}
}

// writeBook makes a book of sign-ins, faster than by recording each.
func writeBook(b *testing.B, dir string, n int) {
	b.Helper()
	l, _, err := ledger.Open(&ledger.Config{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	var (
		prev  audit.Hash
		batch [][]byte
	)
	for i := range n {
		e := stranger(i)
		r := audit.Record{Seq: uint64(i + 1), Time: time.Now(), Kind: e.Kind, Prev: prev, Values: map[string]string{
			"account": e.Account, "remote": e.Remote, "port": "993", "mechanism": "PLAIN", "reason": "wrong name or password",
		}}
		batch = append(batch, r.Encode())
		prev = audit.HashOf(batch[len(batch)-1])
		if len(batch) < 1000 && i < n-1 {
			continue
		}
		if err := l.Append(batch...); err != nil {
			b.Fatal(err)
		}
		batch = nil
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkVerify reads all and checks every hash.
func BenchmarkVerify(b *testing.B) {
	const n = 100_000
	dir := b.TempDir()
	writeBook(b, filepath.Join(dir, "access"), n)
	l := audit.New(&audit.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	for b.Loop() {
		if r := verify(b, l); r.Books[1].Records != n {
			b.Fatalf("%+v", r.Books)
		}
	}
	closeLog(b, l)
}

// BenchmarkChosen looks for what is rare among 100,000 records.
func BenchmarkChosen(b *testing.B) {
	dir := b.TempDir()
	writeBook(b, filepath.Join(dir, "access"), 100_000)
	l := audit.New(&audit.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	defer closeLog(b, l)
	for name, f := range map[string]audit.Filter{
		"account": {Account: "nobody@office.example"},
		"word":    {Account: "administrator"},
		"kind":    {Kinds: []string{"handshake"}},
		"days":    {Since: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(2001, 1, 2, 0, 0, 0, 0, time.UTC)},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if entries, err := l.List(b.Context(), f); err != nil || len(entries) > 0 {
					b.Fatal(len(entries), err)
				}
			}
		})
	}
}
