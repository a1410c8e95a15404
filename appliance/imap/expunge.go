package imap

import (
	"context"
	"strconv"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/storage"
)

// expunge is EXPUNGE and UID EXPUNGE.
func (s *session) expunge(ctx context.Context, c *command.Expunge) error {
	sel := s.sel
	if sel.readOnly {
		return errReadOnly()
	}
	var uids imap.UIDSet // nil: all that are marked \Deleted
	if c.UIDs != nil {
		// A client may know UIDs that this session was not told of, by APPENDUID.
		if err := s.refresh(ctx); err != nil {
			return err
		}
		set, err := sel.resolve(c.UIDs)
		if err != nil {
			return err
		}
		if len(set.spans) == 0 {
			return nil
		}
		uids = sel.uidSet(set)
	}
	_, modSeq, err := s.acct.Expunge(ctx, sel.id, uids)
	if err != nil {
		return err
	}
	if err := s.sync(ctx, true); err != nil {
		return err
	}
	return s.removed(modSeq)
}

// removed answers a command that took messages out of the mailbox: RFC 7162,
// section 3.2.7. By now the client knows everything up to that mod-sequence.
func (s *session) removed(modSeq storage.ModSeq) error {
	if modSeq == 0 || !s.enabled.condstore {
		return nil
	}
	return ok("HIGHESTMODSEQ "+strconv.FormatUint(uint64(modSeq), 10), "")
}
