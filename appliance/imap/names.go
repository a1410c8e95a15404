package imap

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// folderName returns a mailbox name as storage wants it. Some clients end the
// name of a folder that is to hold others with the delimiter
// (RFC 9051, section 6.3.4: it is no part of the name).
func folderName(name string) string {
	if len(name) > 1 {
		name = strings.TrimSuffix(name, string(storage.Delimiter))
	}
	return canonical(name)
}

// lookup finds a mailbox, or answers NO with the code given.
func (s *session) lookup(name string, code imap.ResponseCode) (*storage.Mailbox, error) {
	if m := s.acct.Mailbox(folderName(name)); m != nil {
		return m, nil
	}
	return nil, no(code, "No such mailbox")
}

// lookupOwn finds a mailbox by its own name, for what cannot be undone: a
// client that deletes the "Sent Items" it had elsewhere must not hit Sent.
func (s *session) lookupOwn(name string) (*storage.Mailbox, error) {
	m, err := s.lookup(name, imap.ResponseCodeNonExistent)
	if err != nil {
		return nil, err
	}
	if own, err := storage.CanonicalName(folderName(name)); err != nil || own != m.Name {
		return nil, no(imap.ResponseCodeNonExistent, "No such mailbox")
	}
	return m, nil
}

// parents yields the names above name, the nearest first.
func parents(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for {
			i := strings.LastIndexByte(name, storage.Delimiter)
			if i <= 0 {
				return
			}
			name = name[:i]
			if !yield(name) {
				return
			}
		}
	}
}
