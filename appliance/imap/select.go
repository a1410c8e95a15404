package imap

import (
	"context"
	"errors"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
	"pillarbox/storage"
)

// systemFlags are the flags every mailbox has.
const systemFlags = `\Answered \Flagged \Deleted \Seen \Draft`

// selectMailbox is SELECT and EXAMINE.
func (s *session) selectMailbox(ctx context.Context, c *command.Select) error {
	if c.QResync != nil && !s.enabled.qresync {
		return errNoQResync()
	}
	// RFC 9051, section 6.3.2: the mailbox before is let go even if this
	// command fails.
	if s.sel != nil {
		s.closed()
	}
	mb, err := s.lookup(c.Mailbox, imap.ResponseCodeNonExistent)
	if err != nil {
		return err
	}
	sel, err := openSelected(ctx, s.acct, mb.ID, c.ReadOnly)
	if err != nil {
		return err
	}
	if c.CondStore {
		s.enabled.condstore = true
	}
	s.sel = sel
	s.tellSelected()
	if c.QResync != nil {
		if err := s.resync(ctx, c.QResync); err != nil {
			s.drop()
			return err
		}
	}
	if c.ReadOnly {
		return ok("READ-ONLY", "")
	}
	return ok("READ-WRITE", "")
}

// closed lets the selected mailbox go and says so.
func (s *session) closed() {
	s.drop()
	s.untagged("OK [CLOSED] The previous mailbox is closed")
}

// tellSelected sends what SELECT tells of a mailbox.
func (s *session) tellSelected() {
	sel := s.sel
	mb := sel.snap.Mailbox()
	if s.enabled.rev2 {
		s.tellName(mb)
	}
	b := appendFlagList(s.out.Buf, sel.snap.Keywords())
	b = appendCount(b, sel.len(), "EXISTS")
	if !s.enabled.rev2 {
		b = appendCount(b, sel.numRecent(), "RECENT")
		if seq := firstUnseen(sel.snap); seq > 0 {
			b = appendOKNumber(b, "UNSEEN", uint64(seq), "The first unseen message")
		}
	}
	b = appendPermanentFlags(b, sel)
	b = appendOKNumber(b, "UIDVALIDITY", uint64(mb.UIDValidity), "UIDs are valid")
	b = appendOKNumber(b, "UIDNEXT", uint64(mb.UIDNext), "The next UID")
	// RFC 7162, section 7: a mod-sequence is at least 1.
	b = appendOKNumber(b, "HIGHESTMODSEQ", max(uint64(mb.HighestModSeq), 1), "The highest mod-sequence")
	b = append(s.appendMailboxID(append(b, "* OK [MAILBOXID ("...), mb.ID), ")] The mailbox\r\n"...)
	s.out.Buf = b
}

// tellName sends the LIST response of the mailbox that was selected
// (RFC 9051, section 6.3.2): a localised name may have led to it.
func (s *session) tellName(mb *storage.Mailbox) {
	for _, f := range s.folders() {
		if f.box != nil && f.box.ID == mb.ID {
			s.writeList(&command.List{}, f)
		}
	}
}

// closeMailbox is CLOSE: it expunges without telling, except what was examined.
// So it must not tell of the mod-sequence either (RFC 7162, section 3.2.8).
func (s *session) closeMailbox(ctx context.Context) error {
	if !s.sel.readOnly {
		_, _, err := s.acct.Expunge(ctx, s.sel.id, nil)
		if err != nil && !errors.Is(err, storage.ErrNoMailbox) { // one that was deleted can be left too
			return err
		}
	}
	s.drop()
	return nil
}

// unselect is UNSELECT (RFC 3691).
func (s *session) unselect(context.Context) error {
	s.drop()
	return nil
}

// unseenProbe is how many messages from the end firstUnseen looks at before
// it starts from the front.
const unseenProbe = 1024

// firstUnseen returns the sequence number of the first message without \Seen,
// 0 if there is none. The number of unseen messages is known, and they are
// mostly the newest: so it counts from the end, and only if that leads
// nowhere goes through the mailbox from the front.
func firstUnseen(snap *storage.Snapshot) int {
	left := int(snap.Mailbox().NumUnseen)
	if left == 0 {
		return 0
	}
	n := snap.Len()
	for i := n - 1; i >= max(0, n-unseenProbe); i-- {
		if snap.At(i).Flags&storage.Seen == 0 {
			if left--; left == 0 {
				return i + 1
			}
		}
	}
	for i, m := range snap.All(0) {
		if m.Flags&storage.Seen == 0 {
			return i + 1
		}
	}
	return 0
}

// appendFlagList appends the FLAGS response.
func appendFlagList(b []byte, keywords []string) []byte {
	b = append(b, "* FLAGS ("+systemFlags...)
	return append(appendKeywords(b, keywords), ")\r\n"...)
}

// appendPermanentFlags appends the PERMANENTFLAGS code: none may be changed
// in an examined mailbox.
func appendPermanentFlags(b []byte, sel *selected) []byte {
	if sel.readOnly {
		return append(b, "* OK [PERMANENTFLAGS ()] The mailbox is read-only\r\n"...)
	}
	b = append(b, "* OK [PERMANENTFLAGS ("+systemFlags...)
	b = appendKeywords(b, sel.snap.Keywords())
	if len(sel.snap.Keywords()) < storage.MaxKeywords {
		b = append(b, ` \*`...)
	}
	return append(b, ")] Flags are kept\r\n"...)
}

func appendKeywords(b []byte, keywords []string) []byte {
	for _, k := range keywords {
		b = append(b, ' ')
		b = append(b, k...)
	}
	return b
}

// appendOKNumber appends an untagged OK with a code that has a number.
func appendOKNumber(b []byte, code string, n uint64, text string) []byte {
	b = append(b, "* OK ["...)
	b = append(b, code...)
	b = append(b, ' ')
	b = wire.AppendUint(b, n)
	b = append(b, "] "...)
	b = append(b, text...)
	return append(b, "\r\n"...)
}
