package imap

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
	"pillarbox/storage"
)

// specialUses are the uses a client may give a mailbox it makes (RFC 6154,
// section 3). \All and \Flagged would be views of other mailboxes, which
// storage does not have.
var specialUses = map[imap.MailboxAttr]bool{
	imap.MailboxAttrArchive: true,
	imap.MailboxAttrDrafts:  true,
	imap.MailboxAttrJunk:    true,
	imap.MailboxAttrSent:    true,
	imap.MailboxAttrTrash:   true,
}

// create is CREATE (RFC 9051, section 6.3.4), with USE of RFC 6154.
func (s *session) create(ctx context.Context, a *command.Create) error {
	m := storage.NewMailbox{Name: folderName(a.Mailbox)}
	if m.Name == storage.Inbox {
		return no(imap.ResponseCodeAlreadyExists, "INBOX always exists")
	}
	switch len(a.SpecialUse) {
	case 0:
	case 1:
		m.SpecialUse = a.SpecialUse[0]
	default:
		return no(codeUseAttr, "A mailbox can have one special use only")
	}
	if m.SpecialUse != "" {
		if !specialUses[m.SpecialUse] {
			return no(codeUseAttr, "That special use is not available here")
		}
		for _, box := range s.acct.Mailboxes() {
			if box.SpecialUse == m.SpecialUse {
				return no(codeUseAttr, "Another mailbox has that special use")
			}
		}
	}
	box, err := s.acct.CreateMailbox(ctx, m)
	if err != nil {
		return err
	}
	if box.Name != a.Mailbox {
		s.announce(box.Name, a.Mailbox)
	}
	code := append(s.appendMailboxID([]byte("MAILBOXID ("), box.ID), ')')
	return ok(string(code), "")
}

// codeUseAttr is RFC 6154's answer to a use that cannot be had.
const codeUseAttr imap.ResponseCode = "USEATTR"

// announce tells an IMAP4rev2 client what name a mailbox has now (RFC 9051,
// sections 6.3.4 to 6.3.6, OLDNAME).
func (s *session) announce(name, old string) {
	if !s.enabled.rev2 {
		return
	}
	b := append(s.out.Buf, `* LIST () "/" `...)
	b = wire.AppendMailbox(b, name, true)
	b = append(b, ` ("OLDNAME" (`...)
	b = wire.AppendMailbox(b, old, true)
	s.out.Buf = append(b, "))\r\n"...)
}
