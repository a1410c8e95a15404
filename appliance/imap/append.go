package imap

import (
	"context"
	"errors"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
	"pillarbox/storage"
)

// append is APPEND (RFC 9051, section 6.3.12), with any number of messages
// (RFC 3502). Each is staged, and so durable, as it comes in; all go into the
// mailbox together or none does.
func (s *session) append(ctx context.Context, a *command.Append) error {
	var msgs []storage.AppendMessage
	defer func() {
		for _, m := range msgs {
			_ = m.Body.Close() // the mailbox has its own
		}
	}()
	var total int64
	for {
		next, err := a.Next()
		if err != nil {
			return err
		}
		if next == nil {
			break
		}
		total += next.Size
		if err := s.admit(a, next, len(msgs), total); err != nil {
			return errors.Join(err, next.Refuse())
		}
		r, err := next.Accept()
		if err != nil {
			return err
		}
		// Of a message that cannot be stored, the loop passes over the rest.
		body, err := s.srv.stager.Stage(ctx, r)
		if err != nil {
			return err
		}
		msgs = append(msgs, storage.AppendMessage{Body: body, Flags: next.Flags, InternalDate: next.Time})
	}
	box, err := s.lookup(a.Mailbox, imap.ResponseCodeTryCreate)
	if err != nil {
		return err
	}
	res, err := s.acct.Append(ctx, box.ID, msgs)
	if errors.Is(err, storage.ErrNoMailbox) {
		return no(imap.ResponseCodeTryCreate, "No such mailbox")
	}
	if err != nil {
		return err
	}
	code := wire.AppendUint([]byte("APPENDUID "), res.UIDValidity)
	code = wire.AppendNums(append(code, ' '), res.UIDs)
	return ok(string(code), "")
}

// admit tells before a message is sent why it cannot be taken.
func (s *session) admit(a *command.Append, m *command.AppendMessage, before int, total int64) error {
	if _, err := s.lookup(a.Mailbox, imap.ResponseCodeTryCreate); err != nil {
		return err
	}
	switch {
	case m.Size == 0:
		// RFC 3502, section 3: an empty message is how a client gives up.
		return no("", "An empty message cancels the command")
	case m.Size > s.srv.limits.AppendSize:
		return no(imap.ResponseCodeTooBig, "The message is larger than allowed")
	case before >= s.srv.limits.AppendMessages:
		return no(imap.ResponseCodeLimit, "Too many messages in one command")
	}
	if q := s.acct.Quota(); q.LimitBytes > 0 && q.UsedBytes+total > q.LimitBytes {
		return storage.ErrOverQuota
	}
	return nil
}
