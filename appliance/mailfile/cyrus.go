package mailfile

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
)

// Files in each folder of Cyrus's spool, beside the messages "1.", "2." and so
// on. cyrus.cache and cyrus.annotations are not read.
const (
	cyrusHeaderFile = "cyrus.header"
	cyrusIndexFile  = "cyrus.index"
)

// isCyrus tells whether a folder is a mailbox of Cyrus.
func isCyrus(dir string) bool {
	fi, err := os.Stat(filepath.Join(dir, cyrusHeaderFile))

	return err == nil && fi.Mode().IsRegular()
}

// cyrusName reads the UID out of the name of a message's file.
func cyrusName(name string) (imap.UID, bool) {
	digits, ok := strings.CutSuffix(name, ".")
	if !ok || digits == "" || digits[0] < '1' || digits[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)

	return imap.UID(n), err == nil
}

func openCyrus(path string) (*Source, error) {
	list, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("open mail: %w", err)
	}
	s := &Source{Path: path, Kind: Cyrus}
	header := readCyrusHeader(path)
	index := readCyrusIndex(path, header.flags)
	s.UIDValidity, s.UIDNext, s.records = index.validity, index.next, index.records
	for _, e := range list {
		uid, ok := cyrusName(e.Name())
		if !ok || !e.Type().IsRegular() || s.records[uid].expunged {
			continue
		}
		en := entry{name: e.Name(), uid: uid}
		if fi, err := e.Info(); err == nil {
			en.size = fi.Size()
		}
		s.Bytes += en.size
		s.entries = append(s.entries, en)
	}
	slices.SortFunc(s.entries, func(a, b entry) int { return cmp.Compare(a.uid, b.uid) })

	return s, nil
}

func (s *Source) cyrusAt(i int) (*Message, error) {
	en := &s.entries[i]
	m := &Message{Name: filepath.Join(filepath.Base(s.Path), en.name), Key: en.name, Bytes: en.size, UID: en.uid}
	path := filepath.Join(s.Path, en.name)
	fi, err := os.Stat(path)
	if err == nil && fi.Size() == 0 {
		err = ErrEmpty
	}
	if err != nil {
		return m, fmt.Errorf("read mail: %w", err)
	}
	m.Date = fi.ModTime() // Cyrus sets it to the internal date
	if r, ok := s.records[en.uid]; ok {
		m.Flags, m.Date = r.flags, r.date
	}
	m.open = func() (io.ReadCloser, error) { return openFile(s.Path, en.name, endsKept) }

	return m, nil
}

// cyrusHeader is what is read of a mailbox's cyrus.header.
type cyrusHeader struct {
	name  string // in Cyrus's own form, since version 3.4
	flags []string
}

const (
	cyrusMagic     = "\xa1\x02\x8b\x0dCyrus mailbox header\n"
	maxCyrusHeader = 1 << 20 // octets; a list of access rights may be long
)

func readCyrusHeader(dir string) cyrusHeader {
	f, err := openRegular(filepath.Join(dir, cyrusHeaderFile))
	if err != nil {
		return cyrusHeader{}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxCyrusHeader))
	if err != nil {
		return cyrusHeader{}
	}

	return parseCyrusHeader(string(text))
}

// parseCyrusHeader reads either form. Behind three lines of magic the older
// has a line for quota and identifier and one for the keywords, the newer one
// line such as
//
//	%(T e N office.example!user.ada I … A %(…) U ($Forwarded foo bar))
func parseCyrusHeader(text string) (h cyrusHeader) {
	if !strings.HasPrefix(text, cyrusMagic) {
		return h
	}
	lines := strings.SplitN(text, "\n", 6)
	if len(lines) < 5 {
		return h
	}
	if !strings.HasPrefix(lines[3], "%(") {
		h.keep(strings.Fields(lines[4]))
		return h
	}
	words := dlistWords(lines[3])
	depth := 0
	for i, w := range words {
		switch w {
		case "(":
			depth++
		case ")":
			depth--
		}
		if depth != 1 || i == 0 {
			continue
		}
		// Keys and values alternate; a value may be a list.
		switch {
		case w == "N" && i+1 < len(words) && h.name == "" && words[i+1] != "(":
			h.name = words[i+1]
		case w == "U" && i+1 < len(words) && words[i+1] == "(":
			list := words[i+2:]
			if end := slices.Index(list, ")"); end >= 0 {
				h.keep(list[:end])
			}
		}
	}

	return h
}

// keep takes the keywords; one that is not valid keeps its place.
func (h *cyrusHeader) keep(words []string) {
	for _, w := range words[:min(len(words), maxCyrusFlags)] {
		if !isKeyword(w) {
			w = ""
		}
		h.flags = append(h.flags, w)
	}
}

// dlistWords takes a line of Cyrus's own notation apart: atoms, quoted strings
// and parentheses, also those of "%(".
func dlistWords(line string) (words []string) {
	for i := 0; i < len(line); {
		switch c := line[i]; {
		case c == ' ' || c == '%':
			i++
		case c == '(' || c == ')':
			words = append(words, string(c))
			i++
		case c == '"':
			var b strings.Builder
			for i++; i < len(line) && line[i] != '"'; i++ {
				if line[i] == '\\' && i+1 < len(line) {
					i++
				}
				b.WriteByte(line[i])
			}
			words = append(words, b.String())
			i++
		default:
			end := i + strings.IndexAny(line[i:]+" ", " ()")
			words = append(words, line[i:end])
			i = end
		}
	}

	return words
}

// cyrusRecord is what cyrus.index tells of a message.
type cyrusRecord struct {
	flags    []imap.Flag
	date     time.Time
	expunged bool // the file is kept for a while
}

type cyrusIndex struct {
	validity uint32
	next     imap.UID
	records  map[imap.UID]cyrusRecord
}

// The versions of the index whose dates have 32 bits and whose flags stand
// where they do here: those of Cyrus 2.4 to 3.6.
const (
	cyrusFirst, cyrusLast = 12, 17

	cyrusIndexHead  = 48 // octets of the header that are looked at
	cyrusRecordHead = 52 // octets of a record
	cyrusMaxRecord  = 4096
	maxCyrusFlags   = 128
)

func readCyrusIndex(dir string, names []string) cyrusIndex {
	f, err := openRegular(filepath.Join(dir, cyrusIndexFile))
	if err != nil {
		return cyrusIndex{}
	}
	defer f.Close()
	index, err := parseCyrusIndex(bufio.NewReaderSize(f, lineBuffer), names)
	if err != nil {
		return cyrusIndex{}
	}

	return index
}

// errCyrusIndex says that an index is none, or of a version that is not known.
var errCyrusIndex = errors.New("not an index of Cyrus 2.4 to 3.6")

// parseCyrusIndex reads an index. What is behind a damaged place is not read.
func parseCyrusIndex(r io.Reader, names []string) (cyrusIndex, error) {
	index := cyrusIndex{records: map[imap.UID]cyrusRecord{}}
	head := make([]byte, cyrusIndexHead)
	if _, err := io.ReadFull(r, head); err != nil {
		return index, errCyrusIndex
	}
	word := func(b []byte, at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
	version, start, size := word(head, 8), word(head, 12), word(head, 16)
	if version < cyrusFirst || version > cyrusLast || start < cyrusIndexHead || start > cyrusMaxRecord ||
		size < cyrusRecordHead || size > cyrusMaxRecord {
		return index, errCyrusIndex
	}
	index.validity = word(head, 44)
	if last := word(head, 28); last < 1<<32-1 {
		index.next = imap.UID(last + 1)
	}
	if _, err := io.CopyN(io.Discard, r, int64(start)-cyrusIndexHead); err != nil {
		return index, nil
	}
	record := make([]byte, size)
	for range word(head, 20) {
		if _, err := io.ReadFull(r, record); err != nil {
			break
		}
		uid, system := word(record, 0), word(record, 32)
		if uid == 0 {
			continue
		}
		var set flagSet
		for bit, f := range []imap.Flag{imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagDraft, imap.FlagSeen} {
			if system>>bit&1 != 0 {
				set.add(f)
			}
		}
		for i, name := range names {
			if name != "" && word(record, 36+i/32*4)>>(i%32)&1 != 0 {
				set.add(imap.Flag(name))
			}
		}
		const gone = 3 << 30 // expunged, or its file removed
		index.records[imap.UID(uid)] = cyrusRecord{
			flags: set.sorted(), date: time.Unix(int64(word(record, 4)), 0), expunged: system&gone != 0,
		}
	}

	return index, nil
}

// cyrusMailbox is a mailbox name in Cyrus's own form, taken apart.
//
//	office.example!user.ada.Archive.john^doe → ada@office.example, Archive/john.doe
func cyrusMailbox(internal string) (owner string, levels []string, ok bool) {
	domain, local, found := strings.Cut(internal, "!")
	if !found {
		domain, local = "", internal
	}
	parts := strings.Split(local, ".")
	if len(parts) < 2 || parts[0] != "user" || parts[1] == "" {
		return "", nil, false
	}
	for i := range parts {
		parts[i] = strings.ReplaceAll(parts[i], "^", ".")
	}
	owner = parts[1]
	if domain != "" {
		owner += "@" + domain
	}

	return owner, parts[2:], true
}

// hasCyrusMessages tells whether a folder without a header holds messages named
// as Cyrus names them.
func hasCyrusMessages(list []fs.DirEntry) bool {
	return slices.ContainsFunc(list, func(e fs.DirEntry) bool {
		_, ok := cyrusName(e.Name())
		return ok && e.Type().IsRegular()
	})
}
