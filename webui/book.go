package webui

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Book is what is kept of those who sign in to the pages: roles, second factors,
// sessions and tokens, and the examinations of the doctor. A command works on it
// as the pages do, without them. Its methods may be called at once.
type Book struct {
	now      func() time.Time
	sessions *sessions
	users    *users
	tokens   *tokens
	rounds   *rounds
	halves   halves
}

// OpenBook reads what is kept; now is nil for time.Now.
func OpenBook(store Store, log *slog.Logger, now func() time.Time) (b *Book, err error) {
	b = &Book{now: now}
	if now == nil {
		b.now = time.Now
	}
	b.halves.now = b.now
	if b.sessions, err = loadSessions(store, b.now); err != nil {
		return nil, fmt.Errorf("open sessions of the web page: %w", err)
	}
	if b.users, err = loadUsers(store); err != nil {
		return nil, fmt.Errorf("open users of the web page: %w", err)
	}
	if b.tokens, err = loadTokens(store, b.now); err != nil {
		return nil, fmt.Errorf("open tokens: %w", err)
	}
	if b.rounds, err = loadRounds(store, log); err != nil {
		return nil, fmt.Errorf("open examinations: %w", err)
	}

	return b, nil
}

// UserState is what is kept of somebody, without secrets.
type UserState struct {
	Role     string
	Factor   time.Time // since when they have a second factor; zero: they have none
	Recovery int       // codes that are left
	Passkeys []PasskeyState
	Sessions []SessionState // the one used last first
}

// PasskeyState is a passkey, without its key.
type PasskeyState struct {
	Name, Host string
	Created    time.Time
}

// SessionState is somebody who is signed in. ID ends it, and opens nothing.
type SessionState struct {
	ID            string
	Created, Seen time.Time
	Ends          time.Time // when it is not used
	Remote, Means string
	Agent         string
}

// User returns what is kept of an account, or of the administrator for "".
func (b *Book) User(account string) UserState {
	u := b.users.get(userOf(account))
	s := UserState{Role: u.role().String(), Recovery: len(u.Recovery), Passkeys: []PasskeyState{}, Sessions: []SessionState{}}
	if u.hasFactor() {
		s.Factor = u.Since
	}
	for _, k := range u.Passkeys {
		s.Passkeys = append(s.Passkeys, PasskeyState{k.Name, k.Host, k.Created})
	}
	for _, x := range b.sessions.of(userOf(account)) {
		s.Sessions = append(s.Sessions, SessionState{x.ID, x.Created, x.Seen, x.ends(), x.Remote, x.Means, x.Agent})
	}

	return s
}

func userOf(account string) string {
	if account == "" {
		return admin
	}

	return account
}

// SetRole gives an account another role and signs it out, so that the next
// session has it. It returns the role before; a *Refusal says that there is no
// such role.
func (b *Book) SetRole(ctx context.Context, account, address, name string) (before string, err error) {
	role, err := ParseRole(name)
	if err != nil || role < Person {
		return "", &Refusal{fmt.Sprintf("%q is no role: choose person, auditor, operator or administrator", name)}
	}
	_, err = b.users.change(ctx, account, func(u *user) bool {
		before = u.role().String()
		u.Role, u.Address = role, address
		return true
	})
	if err != nil {
		return "", err
	}
	_, err = b.EndSessions(ctx, account, "")

	return before, err
}

// ResetFactor takes the second factor, its recovery codes and all passkeys of
// somebody away and signs them out: a telephone that was lost may hold any of
// them. It tells whether there was something.
func (b *Book) ResetFactor(ctx context.Context, account string) (bool, error) {
	had, err := b.users.change(ctx, userOf(account), func(u *user) bool {
		had := u.hasFactor() || len(u.Recovery)+len(u.Passkeys) > 0
		u.Secret, u.Since, u.LastStep, u.Recovery, u.Passkeys = "", time.Time{}, 0, nil, nil
		return had
	})
	if err != nil {
		return false, err
	}
	_, err = b.EndSessions(ctx, account, "")

	return had, err
}

// EndSessions signs somebody out, everywhere or of one session, and returns how
// many ended. Everywhere means who has yet to type a code, too.
func (b *Book) EndSessions(ctx context.Context, account, id string) (n int, err error) {
	if id == "" {
		b.halves.endOf(userOf(account))
	}
	err = b.sessions.end(ctx, func(x *session) bool {
		ends := x.User == userOf(account) && (id == "" || x.ID == id)
		if ends {
			n++
		}
		return ends
	})

	return n, err
}

// Forget removes what is known of an account that is gone.
func (b *Book) Forget(ctx context.Context, account string) error {
	if _, err := b.EndSessions(ctx, account, ""); err != nil {
		return err
	}

	if err := b.tokens.forget(ctx, account); err != nil {
		return err
	}

	return b.users.forget(ctx, account)
}

// TokenState is a token, without its secret. ID revokes it, and opens nothing.
type TokenState struct {
	ID, Name, Role, By string
	Created, Expires   time.Time
	Used               *time.Time
}

func (x *token) state() TokenState {
	return TokenState{x.ID, x.Name, x.Role.String(), x.By, x.Created, x.Expires, x.Used}
}

// Tokens returns all, by name.
func (b *Book) Tokens() []TokenState {
	all := []TokenState{}
	for _, x := range b.tokens.list() {
		all = append(all, x.state())
	}

	return all
}

// The bounds of a token.
const (
	maxTokenName = 60 // octets
	maxTokenDays = 3650
)

// AddToken makes a token for so many days and returns its secret, which cannot be
// shown again. It never may more than the user may at the time who asks for it now.
// A *Refusal says what is wrong.
func (b *Book) AddToken(ctx context.Context, name, roleName string, days int, by string) (TokenState, string, error) {
	role, err := ParseRole(roleName)
	switch {
	case err != nil || role < Auditor:
		return TokenState{}, "", &Refusal{fmt.Sprintf("%q is no role of a token: choose auditor, operator or administrator", roleName)}
	case name == "" || len(name) > maxTokenName:
		return TokenState{}, "", &Refusal{"give the token a name of at most 60 characters: what it is for"}
	case days < 1 || days > maxTokenDays:
		return TokenState{}, "", &Refusal{"a token lasts a day at least, and ten years at most"}
	}
	maker, _ := ctx.Value(userKey{}).(string)
	x := token{Name: name, Role: role, By: by, Maker: maker, Expires: b.now().Add(time.Duration(days) * 24 * time.Hour)}
	secret, err := b.tokens.add(ctx, x)
	if err != nil {
		return TokenState{}, "", err
	}
	all := b.Tokens()
	i := slices.IndexFunc(all, func(t TokenState) bool { return t.ID == hashOf(secret) })
	if i < 0 {
		return TokenState{}, "", &Refusal{"the token was revoked at once"}
	}

	return all[i], secret, nil
}

// RevokeToken takes a token away; false if there is none.
func (b *Book) RevokeToken(ctx context.Context, id string) (TokenState, bool, error) {
	gone, ok, err := b.tokens.revoke(ctx, id)

	return gone.state(), ok, err
}

// Rounds returns the examinations that are kept, as JSON, the newest first.
func (b *Book) Rounds() ([]json.RawMessage, error) {
	_, past := b.rounds.look()
	all := []json.RawMessage{}
	for i := range past {
		text, err := json.Marshal(&past[i])
		if err != nil {
			return nil, fmt.Errorf("write examination: %w", err)
		}
		all = append(all, text)
	}

	return all, nil
}
