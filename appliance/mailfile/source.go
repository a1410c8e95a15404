package mailfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/emersion/go-imap/v2"
)

// Kind tells how messages are kept in a file.
type Kind string

// The kinds of file.
const (
	Single  Kind = "message"
	Mbox    Kind = "mbox"
	Maildir Kind = "maildir"
	Cyrus   Kind = "cyrus" // a folder of Cyrus's spool
)

// Errors that callers tell apart.
var (
	ErrEmpty      = errors.New("the file is empty")
	ErrNotMaildir = errors.New("the folder is not a Maildir: it has neither a folder \"cur\" nor a folder \"new\"")
	ErrNotFile    = errors.New("neither a file nor a folder")
)

// Message is one message of a Source.
type Message struct {
	Name  string      // where it stands, for a person to find it
	Flags []imap.Flag // nil if none, or if the file does not tell
	Date  time.Time   // when it arrived; zero if the file does not tell
	Bytes int64       // octets it takes in the file, a measure of progress; -1 if not known
	UID   imap.UID    // that the mailbox knows it by; 0 if the file does not tell
	Key   string      // of one in a file of its own: the file's name, without flags

	End      int64     // of one in an mbox: where what follows begins in the file
	Expunged bool      // Thunderbird has deleted it, and not yet compacted the folder
	Internal bool      // it is no mail, but what a program knows of its folder
	Exported *Exported // what stands in front of one in an mbox as our export writes it; otherwise nil

	open   func() (io.ReadCloser, error)
	settle func(ours bool) error // nil where there is nothing to settle
}

// Open returns the message's octets. Messages of one Source may be read at
// the same time, until the Source is closed.
func (m *Message) Open() (io.ReadCloser, error) {
	r, err := m.open()
	if err != nil {
		return nil, fmt.Errorf("open message: %w", err)
	}

	return r, nil
}

// Source is a file or folder with messages.
type Source struct {
	Path  string
	Kind  Kind
	Bytes int64 // octets in all, a measure of progress

	// UIDValidity and UIDNext belong to the messages' UIDs; 0 if the source does
	// not tell. Those of an mbox are known once its first message was seen.
	UIDValidity uint32
	UIDNext     imap.UID

	// Unread lists Maildir++ folders below a Maildir, which are Sources of
	// their own.
	Unread []string

	promised *ManifestMailbox      // what the export says that it holds; nil if it is none
	sums     map[imap.UID][32]byte // as the export wrote them beside a Maildir's messages
	file     *os.File
	entries  []entry
	records  map[imap.UID]cyrusRecord
}

// Open finds out what path holds.
func Open(path string) (*Source, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open mail: %w", err)
	}
	switch {
	case fi.IsDir() && isCyrus(path):
		return openCyrus(path)
	case fi.IsDir():
		return openMaildir(path)
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("open mail: %s: %w", path, ErrNotFile)
	case fi.Size() == 0:
		return nil, fmt.Errorf("open mail: %s: %w", path, ErrEmpty)
	}

	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open mail: %w", err)
	}
	s := &Source{Path: path, Kind: Single, Bytes: fi.Size(), file: f}
	mbox, err := startsMbox(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open mail: %s: %w", path, err), f.Close())
	}
	if mbox {
		s.Kind = Mbox
	}

	return s, nil
}

// Messages iterates over the messages in their order. An error belongs to
// the message it comes with (only its Name is set then) and the iteration
// goes on, unless there is no way on.
func (s *Source) Messages(ctx context.Context) iter.Seq2[*Message, error] {
	switch s.Kind {
	case Mbox:
		return s.mboxMessages(ctx)
	case Maildir:
		return s.entryMessages(ctx, s.maildirAt())
	case Cyrus:
		return s.entryMessages(ctx, s.cyrusAt)
	default:
		return func(yield func(*Message, error) bool) {
			yield(&Message{
				Name:  filepath.Base(s.Path),
				Bytes: s.Bytes,
				open: func() (io.ReadCloser, error) {
					return newBody(io.NewSectionReader(s.file, 0, s.Bytes), endsFromFirstLine, false)
				},
			}, nil)
		}
	}
}

// Len is how many messages a Maildir or a folder of Cyrus has; -1 where that is
// not known.
func (s *Source) Len() int {
	if s.Kind == Maildir || s.Kind == Cyrus {
		return len(s.entries)
	}

	return -1
}

// Keyed returns a way to the messages of a Maildir or a folder of Cyrus by their
// Key, or what name makes of it, also to those whose flags have changed since.
// An error that is fs.ErrNotExist says that there is none any more.
func (s *Source) Keyed(name func(key string) string) func(key string) (*Message, error) {
	at := s.cyrusAt
	if s.Kind == Maildir {
		at = s.maildirAt()
	}
	index := make(map[string]int32, len(s.entries))
	for i := range s.entries {
		index[name(s.entries[i].key())] = int32(i)
	}

	return func(key string) (*Message, error) {
		i, ok := index[key]
		if !ok {
			return nil, fmt.Errorf("read mail: %s: %w", key, fs.ErrNotExist)
		}
		return at(int(i))
	}
}

// Close lets the file go.
func (s *Source) Close() error {
	if s.file == nil {
		return nil
	}

	return s.file.Close()
}

// FromReader makes a message of a stream, such as standard input, that can be
// opened once. A "From " line in front, which delivery agents used to add, is
// dropped.
func FromReader(name string, r io.Reader) *Message {
	return &Message{
		Name:  name,
		Bytes: -1,
		open: func() (io.ReadCloser, error) {
			b, err := newBody(r, endsFromFirstLine, false)
			if err != nil {
				return nil, err
			}

			return b, b.dropFromLine()
		},
	}
}
