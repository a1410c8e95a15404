package appliance

import (
	"context"
	"errors"

	"pillarbox/appliance/control"
	"pillarbox/appliance/directory"
	"pillarbox/webui"
)

// pageBook shows what the web page keeps of its users to the API.
type pageBook struct{ *webui.Book }

// User implements control.PageBook.
func (b pageBook) User(account string) control.PageUser {
	s := b.Book.User(account)
	u := control.PageUser{Role: s.Role, RecoveryCodes: s.Recovery, Passkeys: []control.PagePasskey{}, Sessions: []control.PageSession{}}
	if !s.Factor.IsZero() {
		u.Factor = &s.Factor
	}
	for _, k := range s.Passkeys {
		u.Passkeys = append(u.Passkeys, control.PagePasskey{Name: k.Name, Host: k.Host, Created: k.Created})
	}
	for _, x := range s.Sessions {
		u.Sessions = append(u.Sessions, control.PageSession(x))
	}

	return u
}

// SetRole implements control.PageBook.
func (b pageBook) SetRole(ctx context.Context, account, address, role string) (string, error) {
	before, err := b.Book.SetRole(ctx, account, address, role)

	return before, refusedAs(control.CodeRole, err)
}

// Tokens implements control.PageBook.
func (b pageBook) Tokens() []control.Token {
	all := []control.Token{}
	for _, t := range b.Book.Tokens() {
		all = append(all, control.Token(t))
	}

	return all
}

// AddToken implements control.PageBook.
func (b pageBook) AddToken(ctx context.Context, n control.NewToken, by string) (control.AddedToken, error) {
	t, secret, err := b.Book.AddToken(ctx, n.Name, n.Role, n.Days, by)

	return control.AddedToken{Token: control.Token(t), Secret: secret}, refusedAs(control.CodeToken, err)
}

// RevokeToken implements control.PageBook.
func (b pageBook) RevokeToken(ctx context.Context, id string) (control.Token, error) {
	t, ok, err := b.Book.RevokeToken(ctx, id)
	if err == nil && !ok {
		err = control.NotFound(control.CodeNoToken, "there is no such token")
	}

	return control.Token(t), err
}

// refusedAs makes an answer of what the book says is wrong.
func refusedAs(code string, err error) error {
	var r *webui.Refusal
	if errors.As(err, &r) {
		return control.Wrong(code, r.Text)
	}

	return err
}

// tellPages has the pages forget who was removed, and ends the sessions of who has
// another password or is suspended; also where a command changed it and no server
// runs.
func (o *office) tellPages(c directory.Change) {
	ctx, err := context.Background(), error(nil)
	switch c.What {
	case directory.AccountRemoved:
		err = o.pages.Forget(ctx, string(c.Account))
	case directory.PasswordChanged, directory.AccountSuspended:
		_, err = o.pages.EndSessions(ctx, string(c.Account), "")
	}
	if err != nil {
		o.log.Error("what the web page keeps of an account may come back at the next start", "account", c.Account, "change", c.What, "err", err)
	}
}
