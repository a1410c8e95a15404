package imap

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/storage"
)

// rename is RENAME (RFC 9051, section 6.3.6).
func (s *session) rename(ctx context.Context, a *command.Rename) error {
	from, err := s.lookupOwn(a.From)
	if err != nil {
		return err
	}
	to := folderName(a.To)
	if to == storage.Inbox {
		return no(imap.ResponseCodeAlreadyExists, "INBOX always exists")
	}
	if err := s.acct.RenameMailbox(ctx, from.Name, to); err != nil {
		return err
	}
	if box := s.acct.MailboxByID(from.ID); box != nil && box.Name != storage.Inbox {
		to = box.Name // as storage normalised it
	} else if box := s.acct.Mailbox(to); box != nil {
		to = box.Name
	}
	s.announce(to, a.From)
	return nil
}
