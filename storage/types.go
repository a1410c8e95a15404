package storage

import (
	"errors"
	"time"

	"github.com/emersion/go-imap/v2"
)

// AccountID names an account's folder. It is made once and never changes,
// whatever happens to the account's addresses. It consists of 1 to 64
// lower-case letters and digits.
type AccountID string

// MailboxID identifies a mailbox within its account. It is never reused.
type MailboxID uint32

// DataID identifies the immutable part of a message (body, envelope,
// structure) within its account; copies of a message share it. It is never
// reused; with [Account.Epoch] it is what RFC 8474 calls EMAILID.
type DataID uint64

// ModSeq is a mod-sequence (RFC 7162): one counter per account, raised by
// every change, so that a mailbox's HIGHESTMODSEQ never goes back.
type ModSeq uint64

// Delimiter separates the levels of a mailbox name.
const Delimiter = '/'

// Inbox is the canonical name of the mailbox that always exists.
const Inbox = "INBOX"

// Errors that callers tell apart. They come wrapped with what was being done.
var (
	ErrLocked           = errors.New("the data folder is in use by another process")
	ErrNewerFormat      = errors.New("the data was written by a newer version of pillarbox")
	ErrNoAccount        = errors.New("no such account")
	ErrAccountExists    = errors.New("the account exists already")
	ErrNoMailbox        = errors.New("no such mailbox")
	ErrMailboxExists    = errors.New("the mailbox exists already")
	ErrMailboxName      = errors.New("the mailbox name is not valid")
	ErrInboxImmutable   = errors.New("INBOX cannot be deleted")
	ErrHasChildren      = errors.New("the mailbox has mailboxes below it")
	ErrOverQuota        = errors.New("the account is over its quota")
	ErrTooManyKeywords  = errors.New("the mailbox has as many keywords as it can hold")
	ErrKeyword          = errors.New("the keyword is not valid")
	ErrTooManyMailboxes = errors.New("the account has as many mailboxes as it can hold")
	ErrTooBig           = errors.New("the message is larger than allowed")
	ErrNoMessage        = errors.New("the message is no longer there")
	ErrDiskFull         = errors.New("the disk is full")
	ErrCorrupt          = errors.New("the stored data is damaged")
	ErrClosed           = errors.New("the storage is closed")
	ErrUIDsExhausted    = errors.New("the mailbox has used up its UIDs; move its messages to a new one")
	ErrUIDTaken         = errors.New("the UID was given out before")
	ErrUIDValidity      = errors.New("the UIDVALIDITY of another server is too high to be taken over")
	ErrNotEmpty         = errors.New("the mailbox is not empty")
	ErrAccountID        = errors.New("the account identifier is not valid")
)

// SystemFlags is a set of RFC 9051 system flags, as bits.
type SystemFlags uint8

// The system flags. \Recent is a matter of sessions and is not stored.
const (
	Seen SystemFlags = 1 << iota
	Answered
	Flagged
	Deleted
	Draft
)

// MaxKeywords is the number of different keywords one mailbox can hold, as
// many as Cyrus allows, so that nothing is lost in a move.
const MaxKeywords = 128

// Keywords is a set of a mailbox's keywords, as bits that index
// [Snapshot.Keywords].
type Keywords [2]uint64

// Has tells whether keyword i is in the set.
func (k Keywords) Has(i int) bool { return k[i>>6]&(1<<(i&63)) != 0 }

// With returns the set with keyword i added.
func (k Keywords) With(i int) Keywords { k[i>>6] |= 1 << (i & 63); return k }

// Without returns the set with keyword i removed.
func (k Keywords) Without(i int) Keywords { k[i>>6] &^= 1 << (i & 63); return k }

// Message is one message of a mailbox: everything a listing or a flag resync
// needs. It is immutable once a Snapshot holds it.
type Message struct {
	ModSeq       ModSeq
	Data         DataID
	Size         int64 // RFC822.SIZE in octets, with the headers the server added
	InternalDate int64 // Unix seconds
	SaveDate     int64 // Unix seconds; when it came into this mailbox (RFC 8514)
	Keywords     Keywords
	UID          imap.UID
	Zone         int16 // offset of InternalDate from UTC in minutes, as the client gave it
	Flags        SystemFlags
}

// Date returns the internal date with the zone it was given in.
func (m *Message) Date() time.Time {
	return time.Unix(m.InternalDate, 0).In(time.FixedZone("", int(m.Zone)*60))
}

// Mailbox describes a mailbox at one moment. It is immutable.
type Mailbox struct {
	ID            MailboxID
	Name          string // UTF-8 (NFC), levels separated by Delimiter
	SpecialUse    imap.MailboxAttr
	UIDValidity   uint32
	UIDNext       imap.UID
	HighestModSeq ModSeq
	NumMessages   uint32
	NumUnseen     uint32
	NumDeleted    uint32
	Size          int64 // sum of the messages' sizes in octets
	DeletedSize   int64 // of those marked \Deleted, in octets
	Subscribed    bool
	Created       int64 // Unix seconds
}

// NewMailbox says what a mailbox to be created is to be.
type NewMailbox struct {
	Name       string
	SpecialUse imap.MailboxAttr // "" for none
	Subscribed bool
}

// Quota is what an account uses and may use.
type Quota struct {
	UsedBytes    int64
	UsedMessages int64
	LimitBytes   int64 // 0: no limit
}

// AppendMessage is one message to be put into a mailbox.
type AppendMessage struct {
	Body         *Staged
	Prefix       []byte // header fields the server adds in front (whole lines, CRLF); may be nil
	Flags        []imap.Flag
	InternalDate time.Time // zero: now
	UID          imap.UID  // 0: the next; one below the next is ErrUIDTaken
}

// AppendResult tells where messages went.
type AppendResult struct {
	UIDValidity uint32
	UIDs        []imap.UID // in the order of the messages
}

// CopyResult pairs the UIDs of a COPY or MOVE (RFC 4315, COPYUID). Both
// slices ascend and have the same length.
type CopyResult struct {
	UIDValidity uint32
	Source      []imap.UID
	Dest        []imap.UID
}

// FlagOp says how flags are to be changed.
type FlagOp struct {
	Op    imap.StoreFlagsOp
	Flags []imap.Flag
	// UnchangedSince, where set, leaves messages with a higher mod-sequence
	// alone (RFC 7162, section 3.1.3). It is a pointer because 0 has a
	// meaning: nothing may be changed.
	UnchangedSince *ModSeq
}

// StoreResult tells what a flag change did.
type StoreResult struct {
	// Modified lists the UIDs that UnchangedSince left alone, ascending.
	Modified []imap.UID
	// ModSeq is the mod-sequence given to the messages that changed; 0 if
	// none changed.
	ModSeq ModSeq
}
