package mailfile

import (
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
	"time"

	"github.com/emersion/go-imap/v2"
)

// copiedAfter is how much newer than its name a file may be: a delivery takes
// a moment, and clocks differ.
const copiedAfter = 48 * time.Hour

// entry is one file of a Maildir.
type entry struct {
	dir, name string
	arrived   int64 // Unix seconds from the file's name, the order of arrival; 0 if it tells none
	size      int64
	uid       imap.UID // 0 if no list has it
	twin      bool     // a file before it has the same name but for its flags
}

func openMaildir(path string) (*Source, error) {
	s := &Source{Path: path, Kind: Maildir}
	found := false
	for _, dir := range []string{"cur", "new"} {
		list, err := readDirWithin(path, dir)
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
	s.number()

	below, err := filepath.Glob(filepath.Join(escapeGlob(path), ".*", "cur"))
	if err != nil {
		return nil, fmt.Errorf("open mail: %w", err)
	}
	for _, p := range below {
		s.Unread = append(s.Unread, filepath.Dir(p))
	}

	return s, nil
}

// number gives the entries their UIDs, and sorts them: what has none came after
// the list was written.
func (s *Source) number() {
	index := make(map[string]int, len(s.entries))
	for i, en := range s.entries {
		index[baseName(en.name)] = i
	}
	list := readUIDList(s.Path, func(name string) bool { _, ok := index[name]; return ok })
	s.UIDValidity, s.UIDNext = list.Validity, list.Next
	taken := make(map[imap.UID]bool, len(list.UIDs))
	for name, uid := range list.UIDs {
		if !taken[uid] { // a damaged list; which of the two has the UID does not matter
			taken[uid] = true
			s.entries[index[name]].uid = uid
		}
	}
	slices.SortFunc(s.entries, func(a, b entry) int {
		return cmp.Or(
			cmp.Compare(uint32(a.uid)-1, uint32(b.uid)-1), // 0 comes last
			cmp.Compare(a.arrived, b.arrived), cmp.Compare(a.name, b.name),
		)
	})
	named := make(map[string]bool, len(s.entries))
	for i := range s.entries {
		base := baseName(s.entries[i].name)
		s.entries[i].twin = named[base]
		named[base] = true
	}
}

func (s *Source) add(dir string, e fs.DirEntry) {
	name := e.Name()
	if strings.HasPrefix(name, ".") {
		return
	}
	// A link to a message of the folder is followed; a pipe, which would block, is
	// not opened.
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

// entryMessages yields what lies in a file of its own, by at.
func (s *Source) entryMessages(ctx context.Context, at func(i int) (*Message, error)) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for i := range s.entries {
			m, err := at(i)
			if ctx.Err() != nil {
				yield(m, fmt.Errorf("read mail: %w", ctx.Err()))
				return
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

// key is the file's name without its flags. Two files should not have the same,
// but a program that copied them by hand may have left both.
func (en *entry) key() string {
	if en.twin {
		return en.dir + "/" + en.name
	}

	return baseName(en.name)
}

// maildirAt returns a way to the messages by their position.
func (s *Source) maildirAt() func(i int) (*Message, error) {
	uids := make(map[imap.UID]bool, len(s.entries))
	for i := range s.entries {
		uids[s.entries[i].uid] = true
	}
	keywords, many := ReadKeywords(s.Path), readManyKeywords(s.Path, func(uid imap.UID) bool { return uids[uid] })

	return func(i int) (*Message, error) {
		en := &s.entries[i]
		m := &Message{
			Name: filepath.Join(filepath.Base(s.Path), en.dir, en.name), Key: en.key(),
			Bytes: en.size, UID: en.uid,
		}
		path := filepath.Join(en.dir, en.name)
		ends := endsFromFirstLine
		ours, verbatim := exportedName(en.name)
		if ours {
			ends = endsToCRLF
		}
		if verbatim {
			ends = endsKept
		}
		fi, err := statWithin(s.Path, path)
		if errors.Is(err, fs.ErrNotExist) { // its flags have changed since it was listed
			if path, err = s.moved(m.Key); err == nil {
				fi, err = statWithin(s.Path, path)
			}
		}
		if err == nil && fi.Size() == 0 && !ours {
			err = ErrEmpty
		}
		if err != nil {
			return m, fmt.Errorf("read maildir: %w", err)
		}
		m.Flags = maildirFlags(filepath.Base(path), keywords, many[en.uid])
		m.Date = arrival(fi.ModTime(), en.arrived)
		m.open = func() (io.ReadCloser, error) { return openFile(s.Path, path, ends) }

		return m, nil
	}
}

// moved finds a file, from the folder, by its name without flags.
func (s *Source) moved(base string) (string, error) {
	for _, dir := range []string{"cur", "new"} {
		list, err := readDirWithin(s.Path, dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		for _, e := range list {
			if baseName(e.Name()) == base {
				return filepath.Join(dir, e.Name()), nil
			}
		}
	}

	return "", fs.ErrNotExist
}

// fileBody closes its file.
type fileBody struct {
	*body
	f *os.File
}

func (b *fileBody) Close() error { return errors.Join(b.body.Close(), b.f.Close()) }

// arrival is the time of the file, which programs set to the date of arrival.
// But a file that is newer than its name was copied without its time.
func arrival(modified time.Time, named int64) time.Time {
	if t := time.Unix(named, 0); named > 0 && modified.Sub(t) > copiedAfter {
		return t
	}

	return modified
}

func openFile(dir, name string, ends lineEnds) (io.ReadCloser, error) {
	f, err := openWithin(dir, name)
	if err != nil {
		return nil, err
	}
	b, err := newBody(f, ends, false)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}

	return &fileBody{body: b, f: f}, nil
}

// maildirFlags reads the letters after ":2,". Windows programs, which cannot
// have a colon in a name, write ";" or "!".
func maildirFlags(name string, keywords, more []imap.Flag) []imap.Flag {
	var set flagSet
	for _, f := range more {
		set.add(f)
	}
	letters, ok := strings.CutPrefix(name, baseName(name))
	if ok && len(letters) > 3 {
		letters = letters[3:]
	}
	for _, c := range letters {
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

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
