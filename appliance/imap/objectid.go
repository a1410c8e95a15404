package imap

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"pillarbox/storage"
	"pillarbox/storage/message"
)

// The object identifiers of RFC 8474. Each begins with a letter of its kind;
// the account's epoch keeps one of a mail folder that was made anew from being
// taken for one of the old.

// appendMailboxID appends the MAILBOXID of a mailbox, without parentheses.
func (s *session) appendMailboxID(b []byte, id storage.MailboxID) []byte {
	return s.appendObjectID(b, 'F', uint64(id))
}

// appendEmailID appends the EMAILID of a message: copies share its data.
func (s *session) appendEmailID(b []byte, id storage.DataID) []byte {
	return s.appendObjectID(b, 'M', uint64(id))
}

func (s *session) appendObjectID(b []byte, kind byte, n uint64) []byte {
	b = strconv.AppendUint(append(b, kind), s.acct.Epoch(), 16)
	return strconv.AppendUint(append(b, '-'), n, 16)
}

// emailData finds what an EMAILID stands for.
func (s *session) emailData(id string) (storage.DataID, bool) {
	_, number, _ := strings.Cut(id, "-")
	n, err := strconv.ParseUint(number, 16, 64)
	data := storage.DataID(n)
	return data, err == nil && string(s.appendEmailID(nil, data)) == id
}

// threadIDSize is the part of a hash that makes a THREADID, in octets: enough
// that no two threads have the same by chance.
const threadIDSize = 12

// appendThreadID appends the THREADID of a message, by its stored header
// fields: that of the message that began the thread, as References or
// In-Reply-To name it, else of itself. It so depends on the message alone. It
// never changes, is the same in every mailbox and needs no index; but a reply
// whose sender left out References, and is no answer to the first message,
// begins a thread of its own.
func (s *session) appendThreadID(b []byte, id storage.DataID, fields []byte) []byte {
	root := threadRoot(fields)
	if root == nil {
		return s.appendObjectID(b, 'T', uint64(id))
	}
	sum := sha256.Sum256(root)
	return hex.AppendEncode(append(b, 'T'), sum[:threadIDSize])
}

// threadRoot returns the Message-ID of the first message of a thread.
func threadRoot(fields []byte) []byte {
	var own, parent []byte
	for {
		f, rest, ok := message.NextField(fields)
		if !ok {
			break
		}
		switch {
		case equalFold(f.Name, "References"):
			if id := firstMessageID(f.Value); id != nil {
				return id
			}
		case parent == nil && equalFold(f.Name, "In-Reply-To"):
			parent = firstMessageID(f.Value)
		case own == nil && equalFold(f.Name, "Message-ID"):
			own = firstMessageID(f.Value)
		}
		fields = rest
	}
	if parent != nil {
		return parent
	}
	return own
}

// firstMessageID returns the first "<…>" of a field.
func firstMessageID(value []byte) []byte {
	start := bytes.IndexByte(value, '<')
	if start < 0 {
		return nil
	}
	end := bytes.IndexByte(value[start:], '>')
	if end < 2 {
		return nil
	}
	return value[start : start+end+1]
}
