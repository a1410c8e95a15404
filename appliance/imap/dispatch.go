package imap

import (
	"context"

	"pillarbox/appliance/imap/command"
)

// dispatch carries one command out if the state of the session allows it. A
// nil error means "OK <NAME> completed".
func (s *session) dispatch(ctx context.Context, c *command.Command) error {
	switch a := c.Args.(type) {
	case *command.Capability:
		return s.capability()
	case *command.Noop:
		return nil
	case *command.Logout:
		return s.logout()
	case *command.ID:
		return s.id(ctx, a)
	}
	if s.acct == nil {
		return s.dispatchStranger(ctx, c)
	}
	switch a := c.Args.(type) {
	case *command.Login, *command.Authenticate, *command.StartTLS:
		return bad("You are logged in already")
	case *command.Enable:
		return s.enable(a)
	case *command.Select:
		return s.selectMailbox(ctx, a)
	case *command.Create:
		return s.create(ctx, a)
	case *command.Delete:
		return s.delete(ctx, a)
	case *command.Rename:
		return s.rename(ctx, a)
	case *command.Subscribe:
		return s.subscribe(ctx, a)
	case *command.List:
		return s.list(ctx, a)
	case *command.Namespace:
		return s.namespace()
	case *command.Status:
		return s.status(ctx, a)
	case *command.Append:
		return s.append(ctx, a)
	case *command.Idle:
		return s.idle(ctx)
	case *command.GetQuota:
		return s.getQuota(a)
	case *command.GetQuotaRoot:
		return s.getQuotaRoot(a)
	case *command.SetQuota:
		return no("NOPERM", "Only the administrator sets quotas")
	}
	if s.sel == nil {
		return bad("No mailbox is selected")
	}
	return s.dispatchSelected(ctx, c)
}

// dispatchStranger carries out what may be done before log-in only.
func (s *session) dispatchStranger(ctx context.Context, c *command.Command) error {
	switch a := c.Args.(type) {
	case *command.Login:
		return s.login(ctx, a)
	case *command.Authenticate:
		return s.authenticate(ctx, a)
	case *command.StartTLS:
		return bad("TLS is on already")
	}
	return bad("Log in first")
}

// dispatchSelected carries out what needs a selected mailbox.
func (s *session) dispatchSelected(ctx context.Context, c *command.Command) error {
	switch a := c.Args.(type) {
	case *command.Check:
		return nil // everything is durable already
	case *command.Close:
		return s.closeMailbox(ctx)
	case *command.Unselect:
		return s.unselect(ctx)
	case *command.Fetch:
		return s.fetch(ctx, a)
	case *command.Store:
		return s.store(ctx, c, a)
	case *command.Search:
		return s.search(ctx, c.Tag, a)
	case *command.Copy:
		return s.copy(ctx, a)
	case *command.Expunge:
		return s.expunge(ctx, a)
	}
	return bad("Unknown command")
}

// logout is LOGOUT (RFC 9051, section 6.1.3).
func (s *session) logout() error {
	s.untagged("BYE Good-bye")
	s.leaving = true
	return nil
}
