package imap

import (
	"context"

	"pillarbox/appliance/imap/command"
)

// subscribe is SUBSCRIBE and UNSUBSCRIBE (RFC 9051, sections 6.3.7 and
// 6.3.8). A name that does not exist can be subscribed: it may have been
// there, and come back. A localised name subscribes what it stands for, but
// takes no subscription away from it: clients tidy up what they once had.
func (s *session) subscribe(ctx context.Context, a *command.Subscribe) error {
	name := folderName(a.Mailbox)
	if box := s.acct.Mailbox(name); box != nil && !a.Off {
		name = box.Name
	}
	return s.acct.SetSubscribed(ctx, name, !a.Off)
}
