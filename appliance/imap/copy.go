package imap

import (
	"context"
	"errors"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
	"pillarbox/storage"
)

// copy is COPY, MOVE (RFC 6851) and their UID forms.
func (s *session) copy(ctx context.Context, c *command.Copy) error {
	sel := s.sel
	if c.Move && sel.readOnly {
		return errReadOnly()
	}
	if err := s.refresh(ctx); err != nil {
		return err
	}
	set, err := sel.resolve(c.Set)
	if err != nil {
		return err
	}
	dest, err := s.lookup(c.Mailbox, imap.ResponseCodeTryCreate)
	if err != nil {
		return err
	}
	// RFC 2180, section 4.4.1: a copy by sequence numbers is made of all
	// messages or of none. UIDs that are gone are passed over.
	if set.ghosts && !c.UID {
		return no(codeExpungeIssued, "Some of the messages were expunged meanwhile")
	}
	if len(set.spans) == 0 {
		return ok("", "No message matched")
	}
	if c.Move {
		return s.move(ctx, sel.uidSet(set), dest.ID)
	}
	res, err := s.acct.Copy(ctx, sel.id, sel.uidSet(set), dest.ID)
	if err != nil {
		return s.copyFailed(err, dest.ID)
	}
	if len(res.Source) == 0 {
		return ok("", "No message matched")
	}
	return ok(string(appendCopyUID(nil, &res)), "")
}

// move tells of the new UIDs before the messages go (RFC 6851, section 4.3).
func (s *session) move(ctx context.Context, uids imap.UIDSet, to storage.MailboxID) error {
	res, err := s.acct.Move(ctx, s.sel.id, uids, to)
	if err != nil {
		return s.copyFailed(err, to)
	}
	if len(res.Source) == 0 {
		return ok("", "No message matched")
	}
	b := appendCopyUID(append(s.out.Buf, "* OK ["...), &res)
	s.out.Buf = append(b, "] Moved\r\n"...)
	if err := s.sync(ctx, true); err != nil {
		return err
	}
	return s.removed(s.sel.snap.Mailbox().HighestModSeq)
}

// copyFailed tells a destination that has just been deleted from other errors.
func (s *session) copyFailed(err error, to storage.MailboxID) error {
	if errors.Is(err, storage.ErrNoMailbox) && s.acct.MailboxByID(to) == nil {
		return no(imap.ResponseCodeTryCreate, "No such mailbox")
	}
	return err
}

// appendCopyUID appends the COPYUID code without its brackets (RFC 4315). Both
// sets ascend, so the first UID of one belongs to the first of the other.
func appendCopyUID(b []byte, res *storage.CopyResult) []byte {
	b = append(b, "COPYUID "...)
	b = wire.AppendUint(b, res.UIDValidity)
	b = wire.AppendNums(append(b, ' '), res.Source)
	return wire.AppendNums(append(b, ' '), res.Dest)
}
