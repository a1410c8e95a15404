package imap

import (
	"context"
	"fmt"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/wire"
	"pillarbox/storage"
)

// selected is the mailbox a session has selected.
type selected struct {
	view                       // what the client counts
	id       storage.MailboxID // keeps its meaning when the mailbox is renamed
	readOnly bool              // by EXAMINE
	snap     *storage.Snapshot // the newest content the client was told of; the view's base
	recent   imap.UIDSet       // UIDs that are \Recent in this session
	saved    imap.UIDSet       // the saved search result "$" (RFC 5182)

	told     storage.ModSeq // up to which the client was told of everything
	heldBack bool           // it has been told that this is not all

	changed <-chan struct{}
	stop    func()
}

// openSelected opens a mailbox for a session.
func openSelected(ctx context.Context, acct *storage.Account, id storage.MailboxID, readOnly bool) (*selected, error) {
	// The watch comes first, so that no change falls between it and the snapshot.
	changed, stop := acct.Watch(id)
	recent := acct.TakeRecent(id, readOnly)
	snap, err := acct.Snapshot(ctx, id)
	if err != nil {
		stop()
		return nil, fmt.Errorf("open mailbox: %w", err)
	}
	sel := &selected{
		view:     newView(snap),
		id:       id,
		readOnly: readOnly,
		snap:     snap,
		told:     snap.Mailbox().HighestModSeq,
		changed:  changed,
		stop:     stop,
	}
	sel.addRecent(recent)
	return sel, nil
}

// changes returns the channel that gets a value after each change of the mailbox.
func (sel *selected) changes() <-chan struct{} { return sel.changed }

// resolve finds the messages that a set of the client names.
func (sel *selected) resolve(set imap.NumSet) (messages, error) {
	m, err := sel.view.resolve(set, sel.saved)
	if err != nil {
		return m, bad("Invalid message sequence number")
	}
	return m, nil
}

// addRecent makes the messages from a UID on \Recent in this session.
func (sel *selected) addRecent(from imap.UID) {
	n := sel.snap.Len()
	if from == 0 || n == 0 {
		return
	}
	if last := sel.snap.At(n - 1).UID; from <= last {
		sel.recent.AddRange(from, last)
	}
}

// numRecent counts the messages that are \Recent in this session.
func (sel *selected) numRecent() int {
	m := sel.uids(sel.recent)
	return m.count()
}

// isRecent tells whether a message is \Recent in this session.
func (sel *selected) isRecent(uid imap.UID) bool {
	return len(sel.recent) > 0 && sel.recent.Contains(uid)
}

// appendFlags appends "FLAGS (…)" of a message of the base.
func (s *session) appendFlags(b []byte, m *storage.Message) []byte {
	b = append(b, "FLAGS ("...)
	start := len(b)
	b = s.sel.snap.AppendFlags(b, m)
	// RFC 9051 has no \Recent.
	if !s.enabled.rev2 && s.sel.isRecent(m.UID) {
		if len(b) > start {
			b = append(b, ' ')
		}
		b = append(b, `\Recent`...)
	}
	return append(b, ')')
}

// appendModSeq appends "MODSEQ (n)" of a message.
func appendModSeq(b []byte, m *storage.Message) []byte {
	b = append(b, "MODSEQ ("...)
	b = wire.AppendUint(b, m.ModSeq)
	return append(b, ')')
}

// drop lets the selected mailbox go.
func (s *session) drop() {
	if s.sel != nil {
		s.sel.stop()
		s.sel = nil
	}
}

// codeExpungeIssued is EXPUNGEISSUED (RFC 5530, section 3).
const codeExpungeIssued = "EXPUNGEISSUED"

// errReadOnly answers a command that would change an examined mailbox.
func errReadOnly() error {
	return no("READ-ONLY", "The mailbox was opened read-only")
}

// someGone answers a command that was carried out for all messages it named
// but those that another session expunged meanwhile.
// RFC 2180, section 4.1 leaves the choice of OK or NO; with NO many clients
// throw away what they have got, and with OK they learn the rest by the
// EXPUNGE that follows.
func someGone() error {
	return ok(codeExpungeIssued, "Some of the messages were expunged meanwhile")
}
