package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/emersion/go-imap/v2"
)

// Source is one person's mail somewhere else: an account of an IMAP server, a
// Maildir, an mbox. Its methods may be called from several goroutines.
type Source interface {
	// Origin names it, such as "imap ada@mail.old.example": the same mail has the
	// same name in every run, whatever the way to it. At most 512 octets.
	Origin() string
	// Mailboxes lists them, at most MaxMailboxes, parents before children.
	Mailboxes(ctx context.Context) ([]Mailbox, error)
	// Open opens a way to read. The caller closes it.
	Open(ctx context.Context) (Reader, error)
	// Parallel is how many Readers are of use at the same time, at least 1.
	Parallel() int
	// Wait returns when something may have changed, or after most. A source that
	// cannot tell waits that long.
	Wait(ctx context.Context, most time.Duration) error
	// Close lets everything go.
	Close() error
}

// Reader is one way into a source: a connection, say. It is used by one
// goroutine at a time. After an error of its own (not of one message) it is
// closed by its user, who opens another.
type Reader interface {
	// Messages lists a mailbox in its order. Mailbox is one that Mailboxes has
	// listed; Messages brings its UIDValidity, UIDNext and Mark up to date before
	// it yields anything. An error that is a *MessageError is of the message that
	// comes with it (its Key and Name are set) and the listing goes on; any other
	// ends it. The last message that ends a listing without an error is not
	// marked: a listing is whole when the sequence ends.
	Messages(ctx context.Context, mb *Mailbox) iter.Seq2[Message, error]
	// Read calls take once for each of msgs, in any order; of those for which it
	// does not, the source no longer has any. r ends with io.EOF when the message
	// is whole, and is good until take returns; take need not read it to the end.
	// With err, a *MessageError, the message cannot be had and r is nil. What take
	// returns ends Read and is returned; any other error is of the Reader.
	Read(ctx context.Context, mb *Mailbox, msgs []Message, take func(i int, r io.Reader, err error) error) error
	// Close ends it.
	Close() error
}

// Bounds on what a source may list.
const (
	MaxMailboxes = 10_000
	MaxKey       = 200 // octets of Message.Key
	MaxFlags     = 256 // of one message
)

// Namespace says whose a mailbox is (RFC 2342).
type Namespace string

// The namespaces.
const (
	Personal Namespace = ""
	Others   Namespace = "others" // another person's, who shares it
	Shared   Namespace = "shared"
)

// Mailbox is one mailbox of a source.
type Mailbox struct {
	// ID is how the source itself calls it, unique in the source, the same in
	// every run, at most 1,000 octets.
	ID string
	// Path has the levels of its name in UTF-8, without the prefix of its
	// namespace: {"Archive", "2024"} for "INBOX.Archive.2024". {"INBOX"} is INBOX.
	// A level may contain any character, also those that we do not allow.
	Path       []string
	Namespace  Namespace
	SpecialUse imap.MailboxAttr // "" if the source does not say
	Subscribed bool
	Unfit      string // why it cannot be taken; mostly ""
	NoSelect   bool   // it holds no messages, only mailboxes below it

	UIDValidity uint32   // 0: its messages have no UIDs
	UIDNext     imap.UID // 0: not known
	ModSeq      uint64   // the highest mod-sequence (RFC 7162); 0: not known
	Messages    int64    // -1: not known
	Bytes       int64    // of all messages; -1: not known
	// Mark stands for the present state of the mailbox: as long as it is the same,
	// no message came, went or changed. "" where the source has none.
	Mark string

	// Lost says, in words such as "2 of 120 messages", what the mailbox's own list
	// names and it does not have; mostly "". Messages sets it at its end.
	Lost string

	ACL map[string]string // rights (RFC 4314) by identifier; nil if not known

	spelled string // the name for the client library, where that is not ID (see speller)
}

// name is how the client library is asked for it.
func (mb *Mailbox) name() string {
	if mb.spelled != "" {
		return mb.spelled
	}
	return mb.ID
}

// Message is one message of a mailbox, without its octets.
type Message struct {
	// Key is the same in every run and no other message's of its mailbox.
	Key   string
	Name  string      // where it stands, for a person to find it; "" for UID
	UID   imap.UID    // 0 if it has none
	Flags []imap.Flag // as the source has them, without \Recent; may be shared, not to be changed
	Date  time.Time   // when it arrived; zero if not known
	Size  int64       // octets; -1 if not known. Some servers only estimate it.
	Lacks string      // what the source has of it and nobody can read, such as "flags"; mostly ""
	Sum   []byte      // SHA-256 of its octets as the source once noted it; nil if it did not
}

// where tells a person which message it is.
func (m *Message) where() string {
	if m.Name == "" {
		return fmt.Sprintf("UID %d", m.UID)
	}
	return m.Name
}

// damaged tells whether what came is not what the source once noted.
func (m *Message) damaged(hash [32]byte) bool { return len(m.Sum) > 0 && !bytes.Equal(m.Sum, hash[:]) }

// MessageError says that one message cannot be had, for a reason that trying
// again does not mend.
type MessageError struct{ Err error }

// Error implements error.
func (e *MessageError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *MessageError) Unwrap() error { return e.Err }

// Errors of sources that the engine tells apart; all others it takes for ones
// that pass, and tries again.
var (
	// ErrSignIn says that the source refuses the log-in.
	ErrSignIn = errors.New("the server refuses the log-in")
	// ErrTrust says that the server's certificate is not trusted; see *TrustError.
	ErrTrust = errors.New("the server's certificate is not trusted")
	// ErrRefused says that the source cannot work as it is asked to.
	ErrRefused = errors.New("the source cannot be used")
)

// BusyError says that the source wants to be left alone for a while.
type BusyError struct {
	For  time.Duration // 0: it does not say
	Text string
}

// Error implements error.
func (e *BusyError) Error() string { return "the server is busy: " + e.Text }

// Facts is what a source tells beside its mail, for the report.
type Facts struct {
	Server    string `json:"server,omitempty"`     // name and version, as it says
	QuotaUsed int64  `json:"quota_used,omitempty"` // octets
	Quota     int64  `json:"quota,omitempty"`      // octets; 0: none, or not known
}

// Noter is a Source that has found what it does not read.
type Noter interface {
	Notes() []string // in words for people
}

// Teller is a Source that knows Facts.
type Teller interface {
	Facts(ctx context.Context) (Facts, error)
}
