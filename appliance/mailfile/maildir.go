package mailfile

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// maxKeywords is how many keywords a Maildir can have: the letters a to z.
const maxKeywords = 26

// entry is one file of a Maildir.
type entry struct {
	dir, name string
	arrived   int64 // Unix seconds from the file's name, the order of arrival
	size      int64
}

func openMaildir(path string) (*Source, error) {
	s := &Source{Path: path, Kind: Maildir}
	found := false
	for _, dir := range []string{"cur", "new"} {
		list, err := os.ReadDir(filepath.Join(path, dir))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("open mail: %w", err)
		}
		found = true
		for _, e := range list {
			s.add(dir, e)
		}
	}
	if !found {
		return nil, fmt.Errorf("open mail: %s: %w", path, ErrNotMaildir)
	}
	slices.SortFunc(s.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.arrived, b.arrived), cmp.Compare(a.name, b.name))
	})

	below, err := filepath.Glob(filepath.Join(escapeGlob(path), ".*", "cur"))
	if err != nil {
		return nil, fmt.Errorf("open mail: %w", err)
	}
	for _, p := range below {
		s.Unread = append(s.Unread, filepath.Dir(p))
	}

	return s, nil
}

func (s *Source) add(dir string, e fs.DirEntry) {
	name := e.Name()
	if strings.HasPrefix(name, ".") {
		return
	}
	// A link to a message is followed; a pipe, which would block, is not opened.
	fi, err := os.Stat(filepath.Join(s.Path, dir, name))
	if err == nil && !fi.Mode().IsRegular() {
		return
	}
	en := entry{dir: dir, name: name}
	if err == nil {
		en.size = fi.Size()
	}
	digits, _, _ := strings.Cut(name, ".")
	if sec, err := strconv.ParseInt(digits, 10, 64); err == nil {
		en.arrived = sec
	}
	s.Bytes += en.size
	s.entries = append(s.entries, en)
}

func (s *Source) maildirMessages(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		keywords := readKeywords(filepath.Join(s.Path, "dovecot-keywords"))
		for _, en := range s.entries {
			m := &Message{Name: filepath.Join(filepath.Base(s.Path), en.dir, en.name), Bytes: en.size}
			if err := ctx.Err(); err != nil {
				yield(m, fmt.Errorf("read maildir: %w", err))
				return
			}
			path := filepath.Join(s.Path, en.dir, en.name)
			fi, err := os.Stat(path)
			if err == nil && fi.Size() == 0 {
				err = ErrEmpty
			}
			if err != nil {
				if !yield(m, fmt.Errorf("read maildir: %w", err)) {
					return
				}
				continue
			}
			m.Flags = maildirFlags(en.name, keywords)
			m.Date = fi.ModTime()
			m.open = func() (io.ReadCloser, error) { return openFile(path) }
			if !yield(m, nil) {
				return
			}
		}
	}
}

// fileBody closes its file.
type fileBody struct {
	*body
	f *os.File
}

func (b *fileBody) Close() error { return errors.Join(b.body.Close(), b.f.Close()) }

func openFile(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := newBody(f, endsFromFirstLine, false)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}

	return &fileBody{body: b, f: f}, nil
}

// maildirFlags reads the letters after ":2,". Windows programs, which cannot
// have a colon in a name, write ";" or "!".
func maildirFlags(name string, keywords []imap.Flag) []imap.Flag {
	i := strings.LastIndexAny(name, ":;!")
	if i < 0 || !strings.HasPrefix(name[i+1:], "2,") {
		return nil
	}
	var set flagSet
	for _, c := range name[i+3:] {
		switch {
		case c == 'S':
			set.add(imap.FlagSeen)
		case c == 'R':
			set.add(imap.FlagAnswered)
		case c == 'F':
			set.add(imap.FlagFlagged)
		case c == 'T':
			set.add(imap.FlagDeleted)
		case c == 'D':
			set.add(imap.FlagDraft)
		case c == 'P':
			set.add(imap.FlagForwarded)
		case c >= 'a' && int(c-'a') < len(keywords) && keywords[c-'a'] != "":
			set.add(keywords[c-'a'])
		}
	}

	return set.sorted()
}

// readKeywords reads Dovecot's list of what the lower-case letters mean. A
// Maildir without one has no keywords.
func readKeywords(path string) []imap.Flag {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()

	keywords := make([]imap.Flag, maxKeywords)
	sc := bufio.NewScanner(io.LimitReader(f, lineBuffer))
	for sc.Scan() {
		number, name, ok := strings.Cut(sc.Text(), " ")
		i, err := strconv.Atoi(number)
		if ok && err == nil && i >= 0 && i < maxKeywords {
			keywords[i] = imap.Flag(strings.TrimSpace(name))
		}
	}

	return keywords
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
