package imap

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
	"pillarbox/storage"
)

// status is STATUS (RFC 9051, section 6.3.11).
func (s *session) status(ctx context.Context, a *command.Status) error {
	box, err := s.lookup(a.Mailbox, imap.ResponseCodeNonExistent)
	if err != nil {
		return err
	}
	if a.Options.HighestModSeq {
		// RFC 7162, section 3.1: asking for it enables CONDSTORE.
		s.enabled.condstore = true
	}
	return s.writeStatus(ctx, a.Mailbox, box, &a.Options, a.MailboxID)
}

// writeStatus writes a STATUS response. The name is the one the client used.
func (s *session) writeStatus(ctx context.Context, name string, box *storage.Mailbox, o *imap.StatusOptions, mailboxID bool) error {
	var recent int
	if o.NumRecent {
		var err error
		if recent, err = s.countRecent(ctx, box.ID); err != nil {
			return err
		}
	}
	b := append(s.out.Buf, "* STATUS "...)
	b = wire.AppendMailbox(b, name, s.utf8Names())
	b = append(b, " ("...)
	start := len(b)
	item := func(asked bool, name string, n uint64) {
		if !asked {
			return
		}
		if len(b) > start {
			b = append(b, ' ')
		}
		b = append(b, name...)
		b = wire.AppendUint(b, n)
	}
	item(o.NumMessages, "MESSAGES ", uint64(box.NumMessages))
	item(o.NumRecent, "RECENT ", uint64(recent))
	item(o.UIDNext, "UIDNEXT ", uint64(box.UIDNext))
	item(o.UIDValidity, "UIDVALIDITY ", uint64(box.UIDValidity))
	item(o.NumUnseen, "UNSEEN ", uint64(box.NumUnseen))
	item(o.NumDeleted, "DELETED ", uint64(box.NumDeleted))
	item(o.Size, "SIZE ", uint64(box.Size))
	item(o.DeletedStorage, "DELETED-STORAGE ", uint64(box.DeletedSize+1023)/1024) // RFC 9208: units of 1024 octets
	item(o.AppendLimit, "APPENDLIMIT ", uint64(s.srv.limits.AppendSize))
	item(o.HighestModSeq, "HIGHESTMODSEQ ", max(uint64(box.HighestModSeq), 1)) // RFC 7162, section 7: at least 1
	if mailboxID {
		if len(b) > start {
			b = append(b, ' ')
		}
		b = append(s.appendMailboxID(append(b, "MAILBOXID ("...), box.ID), ')')
	}
	s.out.Buf = append(b, ")\r\n"...)
	return nil
}

// countRecent counts the messages no session was told of. The session that has
// the mailbox selected counts as others do: the number has no other use than
// to say "there is new mail".
func (s *session) countRecent(ctx context.Context, id storage.MailboxID) (int, error) {
	snapshot, err := s.acct.Snapshot(ctx, id)
	if err != nil {
		return 0, err
	}
	first, _ := snapshot.Find(s.acct.TakeRecent(id, true))
	return snapshot.Len() - first, nil
}
