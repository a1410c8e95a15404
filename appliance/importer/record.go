package importer

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// Fate says what became of a message of the source.
type Fate byte

// The fates.
const (
	Taken       Fate = 1 // it was put into a mailbox
	Claimed     Fate = 2 // the mailbox had it already
	Quarantined Fate = 3 // it could not be put there
)

// Record is what is kept of a message of the source: the note of the
// account's index under [Origin.key].
type Record struct {
	Fate    Fate
	Mailbox storage.MailboxID // where it was put; 0 if quarantined
	UID     imap.UID
	Size    int64    // octets that came; -1 if they could not be had
	Hash    [32]byte // SHA-256 of what came; zero if it could not be had
	Flags   string   // the source's at the last run: sorted, with spaces between them
	Reason  string   // why it was quarantined
}

const recordVersion = 1

// Bounds of a record's texts in octets.
const (
	maxRecordFlags  = 8 << 10
	maxRecordReason = 300
)

var errRecord = errors.New("the record of a message cannot be read")

// Append encodes the record.
func (r *Record) Append(b []byte) []byte {
	b = append(b, recordVersion, byte(r.Fate))
	b = binary.AppendUvarint(b, uint64(r.Mailbox))
	b = binary.AppendUvarint(b, uint64(r.UID))
	b = binary.AppendVarint(b, r.Size)
	b = append(b, r.Hash[:]...)
	b = binary.AppendUvarint(b, uint64(len(r.Flags)))
	b = append(b, r.Flags...)
	return append(b, cut(r.Reason, maxRecordReason)...)
}

// DecodeRecord decodes what Append wrote.
func DecodeRecord(b []byte) (Record, error) {
	var r Record
	if len(b) < 2 || b[0] != recordVersion || b[1] < byte(Taken) || b[1] > byte(Quarantined) {
		return r, errRecord
	}
	r.Fate, b = Fate(b[1]), b[2:]
	number := func(limit uint64) uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > limit {
			b = nil
			return 0
		}
		b = b[n:]
		return v
	}
	r.Mailbox = storage.MailboxID(number(1<<32 - 1))
	r.UID = imap.UID(number(1<<32 - 1))
	size, n := binary.Varint(b)
	if n <= 0 || size < -1 || len(b) < n+len(r.Hash) {
		return Record{}, errRecord
	}
	r.Size = size
	b = b[n:]
	b = b[copy(r.Hash[:], b):]
	flags := number(maxRecordFlags)
	if b == nil || uint64(len(b)) < flags || uint64(len(b))-flags > maxRecordReason {
		return Record{}, errRecord
	}
	r.Flags, r.Reason = string(b[:flags]), string(b[flags:])
	return r, nil
}

// Origin is under which the notes of one mailbox of one source are kept: what
// tells them apart from those of others, whatever the length of their names.
type Origin [16]byte

// The kinds of note, the first octet of a key.
const (
	messageNote = 'm' // Origin, Message.Key → Record
	mailboxNote = 'b' // Origin → the mailbox's state at the end of its last run
)

// OriginOf returns the origin of a mailbox (Mailbox.ID) of a source.
func OriginOf(source, mailbox string) Origin {
	h := sha256.New()
	fmt.Fprintf(h, "%d %s %s", len(source), source, mailbox)
	return Origin(h.Sum(nil)[:16])
}

// prefix is what the keys of the messages' notes have in common.
func (o Origin) prefix() []byte { return append([]byte{messageNote}, o[:]...) }

// key is that of a message's note.
func (o Origin) key(message string) []byte { return append(o.prefix(), message...) }

// mailbox is the key of the mailbox's note.
func (o Origin) mailbox() []byte { return append([]byte{mailboxNote}, o[:]...) }
