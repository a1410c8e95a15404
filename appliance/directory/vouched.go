package directory

import "fmt"

// Vouched finds the account of an address for whose owner somebody else vouches,
// such as the office's OpenID provider. login is who the client says that it is,
// by the address or a name that the account has; "" says nothing. The error is
// ErrNoAccount where there is no such account, or the two are not the same
// person: nobody has guessed anything.
func (d *Directory) Vouched(address, login string) (Login, error) {
	s := d.state.Load()
	e := s.vouched(address)
	if e == nil {
		return Login{}, fmt.Errorf("vouched for %q: %w", address, ErrNoAccount)
	}
	if login != "" && s.login(login) != e {
		return Login{}, fmt.Errorf("vouched for %q, and not for %q: %w of both names", address, login, ErrNoAccount)
	}
	return Login{Account: e.Account}, nil
}

// vouched returns the account with exactly that address; nil if there is none.
// A local part will not do: another domain may have that, too.
func (s *state) vouched(address string) *entry {
	a, err := ParseAddress(address)
	if err != nil {
		return nil
	}
	return s.byAddress[a]
}
