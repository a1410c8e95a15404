package webui

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// Known is somebody whose password was right.
type Known struct {
	ID      string // of the account
	Address string
	Name    string
}

// Gate verifies who somebody is, slowly for those who guess. Its errors are
// ErrWrong, ErrClaimed, or a *Refusal; others mean that it could not be found
// out.
type Gate interface {
	// Claimed tells whether the box has an administrator.
	Claimed() (bool, error)
	// Claim gives it the first one; ErrClaimed if it has one.
	Claim(ctx context.Context, password string) error
	// Administrator verifies the administrator's password.
	Administrator(ctx context.Context, password string, remote net.Addr) error
	// Person verifies the password of a person of the office.
	Person(ctx context.Context, login, password string, remote net.Addr) (Known, error)
	// Weigh has verify look at something else that somebody could guess, such as
	// a code of six digits, and counts it as a password when it is wrong.
	Weigh(ctx context.Context, name, credential string, remote net.Addr, verify func() bool) error
	// Active tells whether the account of an ID is there and may sign in.
	Active(ctx context.Context, id string) (bool, error)
	// Exempt keeps an administrator's present address from being banned.
	Exempt(addr netip.Addr)
}

// ErrWrong is a wrong name, password or code.
var ErrWrong = errors.New("the name or the password is wrong")

// ErrClaimed says that the box has an administrator already.
var ErrClaimed = errors.New("the box has an administrator already")

// Refusal is why somebody is not let in although nothing was wrong, in words for
// them.
type Refusal struct{ Text string }

// Error implements error.
func (r *Refusal) Error() string { return r.Text }

// Of a form that cannot be used as it is.
type problems map[string]string

// add notes the first problem of a field.
func (p problems) add(field, text string) {
	if _, ok := p[field]; !ok {
		p[field] = text
	}
}
