package files

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/importer"
	"pillarbox/appliance/mailfile"
)

// reader reads a Source; several share its listings.
type reader struct{ s *Source }

// Close implements importer.Reader.
func (r *reader) Close() error { return nil }

// listing is a mailbox that was listed to its end, so that its messages are
// found again. Users and old are guarded by the Source's mutex.
type listing struct {
	mailbox string
	source  *mailfile.Source
	find    func(key string) (*mailfile.Message, error)
	sums    bool   // keys are those of identify
	lost    string // what its own list names and is not there
	users   int
	old     bool // nobody will ask for it any more
}

// Messages implements importer.Reader.
func (r *reader) Messages(ctx context.Context, mb *importer.Mailbox) iter.Seq2[importer.Message, error] {
	return func(yield func(importer.Message, error) bool) {
		f, err := r.s.folder(mb.ID)
		if err != nil {
			yield(importer.Message{}, err)
			return
		}
		mb.Mark = mark(f) // before anything is looked at
		l, err := r.s.begin(mb.ID, f)
		if err != nil {
			yield(importer.Message{}, err)
			return
		}
		defer r.s.done(l)
		mb.UIDValidity, mb.UIDNext = l.source.UIDValidity, l.source.UIDNext
		err = l.run(ctx, func(m importer.Message, err error) bool {
			// Of an mbox they are known from its first message on.
			mb.UIDValidity, mb.UIDNext = l.source.UIDValidity, l.source.UIDNext
			return yield(m, err)
		})
		switch {
		case errors.Is(err, errStopped):
		case err != nil:
			yield(importer.Message{}, fmt.Errorf("list %s: %w", f.Path, err))
		default:
			mb.Lost = l.lost
			r.s.keep(l)
		}
	}
}

// Read implements importer.Reader.
func (r *reader) Read(ctx context.Context, mb *importer.Mailbox, msgs []importer.Message, take func(i int, r io.Reader, err error) error) error {
	l, err := r.s.listed(ctx, mb.ID)
	if err != nil {
		return err
	}
	defer r.s.done(l)
	for i := range msgs {
		if err := ctx.Err(); err != nil {
			return err
		}
		m, err := l.find(msgs[i].Key)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		sum := ""
		if l.sums {
			sum, _, _ = strings.Cut(msgs[i].Key, "-")
		}
		if err := give(i, m, sum, err, take); err != nil {
			return err
		}
	}

	return nil
}

// give opens a message; one with a sum must have it to its end.
func give(i int, m *mailfile.Message, sum string, err error, take func(i int, r io.Reader, err error) error) error {
	var body io.ReadCloser
	if err == nil {
		body, err = m.Open()
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return take(i, nil, &importer.MessageError{Err: err})
	}

	var r io.Reader = body
	if sum != "" {
		r = &checked{lines: newIdentity(body), want: sum}
	}

	return errors.Join(take(i, r, nil), body.Close())
}

// errChanged says that a file is not any more as it was listed.
var errChanged = errors.New("the file was changed while it was read; once nothing writes to it, another run takes what is there")

// checked reads a message that must be the one that was listed: somebody who
// rewrites an mbox in its place moves other messages to where it was.
type checked struct {
	lines *identity
	want  string
	rest  []byte
	err   error
}

// Read implements io.Reader.
func (c *checked) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		c.rest, c.err = c.lines.next()
		if c.err == io.EOF {
			if sum := c.lines.sum(); hex.EncodeToString(sum[:]) != c.want {
				c.err = &importer.MessageError{Err: errChanged}
			}
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]

	return n, nil
}

// begin opens a mailbox to be listed.
func (s *Source) begin(id string, f mailfile.Folder) (*listing, error) {
	src, err := s.tree.Open(f)
	if err != nil {
		return nil, err
	}

	return &listing{mailbox: id, source: src, users: 1, old: true}, nil
}

// keep keeps a listing in the place of an older one.
func (s *Source) keep(l *listing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.old = false
	s.kept = slices.DeleteFunc(s.kept, func(o *listing) bool {
		if o.mailbox == l.mailbox {
			o.drop()
		}
		return o.mailbox == l.mailbox
	})
	if len(s.kept) >= listings {
		s.kept[0].drop()
		s.kept = s.kept[1:]
	}
	s.kept = append(s.kept, l)
}

// listed returns the listing of a mailbox.
func (s *Source) listed(ctx context.Context, id string) (*listing, error) {
	s.mu.Lock()
	for _, l := range s.kept {
		if l.mailbox == id {
			l.users++
			s.mu.Unlock()
			return l, nil
		}
	}
	s.mu.Unlock()
	f, err := s.folder(id)
	if err != nil {
		return nil, err
	}
	l, err := s.begin(id, f)
	if err != nil {
		return nil, err
	}
	if err := l.run(ctx, func(importer.Message, error) bool { return true }); err != nil {
		s.done(l)
		return nil, fmt.Errorf("list %s: %w", f.Path, err)
	}
	s.keep(l)

	return l, nil
}

// done ends the use of a listing.
func (s *Source) done(l *listing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.users--
	if l.old && l.users == 0 {
		_ = l.source.Close() // it was only read
	}
}

// drop closes a listing when nobody uses it any more. The Source is locked.
func (l *listing) drop() {
	l.old = true
	if l.users == 0 {
		_ = l.source.Close() // it was only read
	}
}

// errStopped says that nobody wants the rest of a listing.
var errStopped = errors.New("stopped")

// run lists the mailbox to its end. An error that it gives to yield is of the
// message it comes with.
func (l *listing) run(ctx context.Context, yield func(importer.Message, error) bool) error {
	var keyed map[string]*mailfile.Message // of an mbox
	if l.source.Len() >= 0 {
		l.find = l.source.Keyed(shortKey)
	} else {
		keyed, l.sums = map[string]*mailfile.Message{}, true
		l.find = func(key string) (*mailfile.Message, error) {
			if m := keyed[key]; m != nil {
				return m, nil
			}
			return nil, fs.ErrNotExist
		}
	}
	alike := map[[16]byte]int{}
	var last imap.UID
	n := 0
	for m, err := range l.source.Messages(ctx) {
		if err != nil && (m.Key == "" || ctx.Err() != nil) {
			return err
		}
		if m.Internal || m.Expunged || errors.Is(err, fs.ErrNotExist) { // the last went away since the folder was read
			continue
		}
		if err := l.source.Settle(m); err != nil {
			return err
		}
		n++
		out := importer.Message{
			Key: shortKey(m.Key), Name: m.Name, Flags: m.Flags[:min(len(m.Flags), importer.MaxFlags)], Date: m.Date, Size: -1,
		}
		if l.source.Kind == mailfile.Cyrus {
			out.Size = m.Bytes
		}
		// A list that is damaged, or that somebody edited, gives nobody a UID twice.
		if m.UID > last {
			out.UID, last = m.UID, m.UID
		}
		if keyed != nil {
			sum, size, err := identify(m)
			if err != nil {
				return err
			}
			out.Key, out.Size = hex.EncodeToString(sum[:])+"-"+strconv.Itoa(alike[sum]), size
			alike[sum]++
			keyed[out.Key] = m
		}
		if sum, ok := l.source.Sum(m); ok {
			out.Sum = sum[:]
		}
		if err != nil {
			err = &importer.MessageError{Err: err}
		}
		if !yield(out, err) {
			return errStopped
		}
	}
	l.lost = lost(l.source, n)

	return nil
}

// maxLost is how many UIDs of messages that are lost are named.
const maxLost = 20

// lost says what the export's own list of a mailbox names and is not among the n
// messages that are there.
func lost(s *mailfile.Source, n int) string {
	uids := s.Lost()
	missing := max(s.Promised()-n, len(uids))
	if missing == 0 {
		return ""
	}
	text := fmt.Sprintf("%d of %d messages", missing, max(s.Promised(), missing))
	for i, uid := range uids[:min(len(uids), maxLost)] {
		text += fmt.Sprintf("%s %d", map[bool]string{true: ": UID", false: ","}[i == 0], uid)
	}

	return text
}

// fileKey stands before a file's name: no key is as long as one of a UID.
const fileKey = "file/name/"

// shortKey stands for a file's name, which may be longer than a key.
func shortKey(name string) string {
	if len(fileKey+name) <= importer.MaxKey {
		return fileKey + name
	}
	sum := sha256.Sum256([]byte(name))

	return fileKey + hex.EncodeToString(sum[:])
}

// identify gives what a message in an mbox is known by, and its size.
func identify(m *mailfile.Message) (sum [16]byte, size int64, err error) {
	body, err := m.Open()
	if err != nil {
		return sum, 0, err
	}
	defer body.Close()
	id := newIdentity(body)
	for {
		line, err := id.next()
		size += int64(len(line))
		if errors.Is(err, io.EOF) {
			return id.sum(), size, nil
		}
		if err != nil {
			return sum, 0, fmt.Errorf("read message: %w", err)
		}
	}
}

// identity reads a message by lines, and sums up what programs leave as it is.
type identity struct {
	br   *bufio.Reader
	hash hash.Hash

	header, skip, inLine bool
}

func newIdentity(r io.Reader) *identity {
	return &identity{br: bufio.NewReaderSize(r, 64<<10), hash: sha256.New(), header: true}
}

// next returns a piece of a line, which is valid until it is called again.
func (d *identity) next() ([]byte, error) {
	line, err := d.br.ReadSlice('\n')
	if d.header && !d.inLine && len(line) > 0 {
		folded := line[0] == ' ' || line[0] == '\t'
		d.skip = folded && d.skip || !folded && changes(line)
		d.header = len(bytes.TrimRight(line, "\r\n")) > 0
	}
	if !d.header {
		d.skip = false
	}
	if !d.skip {
		d.hash.Write(line)
	}
	d.inLine = len(line) > 0 && line[len(line)-1] != '\n'
	if errors.Is(err, bufio.ErrBufferFull) {
		err = nil
	}

	return line, err
}

func (d *identity) sum() (sum [16]byte) {
	copy(sum[:], d.hash.Sum(nil))

	return sum
}

// changes tells whether a header line holds what programs change.
func changes(line []byte) bool {
	name, _, _ := bytes.Cut(line, []byte(":"))
	switch string(bytes.ToLower(name)) {
	case "status", "x-status", "x-keywords", "x-uid", "x-imap", "x-imapbase", "x-mozilla-status", "x-mozilla-status2",
		"x-mozilla-keys", "content-length", "lines":
		return true
	}

	return false
}
