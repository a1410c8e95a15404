package imap

import (
	"context"

	"pillarbox/appliance/imap/command"
	"pillarbox/storage"
)

// delete is DELETE (RFC 9051, section 6.3.5).
func (s *session) delete(ctx context.Context, a *command.Delete) error {
	name := folderName(a.Mailbox)
	if name == storage.Inbox {
		return storage.ErrInboxImmutable
	}
	box, err := s.lookupOwn(name)
	if err != nil {
		return err
	}
	if err := s.acct.DeleteMailbox(ctx, box.Name); err != nil {
		return err
	}
	if s.sel != nil && s.sel.id == box.ID {
		// A person deletes the folder before their eyes, and not every client
		// closes it first; Dovecot and Cyrus close it for them, too.
		s.closed()
	}
	return nil
}
