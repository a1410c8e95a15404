package imap

import (
	"context"

	"github.com/emersion/go-imap/v2"

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
	if s.sel != nil && s.sel.id == box.ID {
		// Clients that delete what they have selected do not expect to be
		// thrown out of it.
		return no(imap.ResponseCodeInUse, "The mailbox is selected; close it first")
	}
	return s.acct.DeleteMailbox(ctx, box.Name)
}
