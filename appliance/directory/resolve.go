package directory

import (
	"context"
	"fmt"
	"strings"
)

// postmaster must be deliverable in every domain (RFC 5321, section 4.5.1).
const postmaster = "postmaster"

// Resolve returns the accounts that mail for an address goes to, each once, in
// the order in which they were named. user+tag@ goes to user@, unless user+tag@
// is an address itself. postmaster, with a domain of ours or without one, goes
// to the oldest account where no alias says otherwise. ErrUnknownRecipient if
// nobody gets it.
func (d *Directory) Resolve(_ context.Context, address string) ([]Account, error) {
	s := d.state.Load()
	addr, ok := s.recipient(address)
	if !ok {
		return nil, fmt.Errorf("resolve recipient: %w", ErrUnknownRecipient)
	}
	var to []Account
	s.walk(addr, func(a Address) {
		if e := s.byAddress[a]; e != nil {
			to = append(to, e.Account)
		}
	})
	if len(to) == 0 {
		return nil, fmt.Errorf("resolve recipient: %w", ErrUnknownRecipient)
	}
	return to, nil
}

// recipient finds the account's or alias's address that mail is meant for.
func (s *state) recipient(address string) (Address, bool) {
	if strings.EqualFold(address, postmaster) {
		return s.postmaster("")
	}
	addr, err := ParseAddress(address)
	if err != nil {
		return Address{}, false
	}
	if s.known(addr) {
		return addr, true
	}
	base, ok := addr.base()
	if ok && s.known(base) {
		return base, true
	}
	if base.Local == postmaster {
		return s.postmaster(base.Domain)
	}
	return Address{}, false
}

func (s *state) known(addr Address) bool {
	return s.byAddress[addr] != nil || s.aliases[addr] != nil
}

// postmaster returns who stands in for a postmaster that nobody named. Without
// a domain that is the postmaster of the oldest account's domain.
func (s *state) postmaster(domain string) (Address, bool) {
	e := s.oldest(domain)
	if e == nil {
		return Address{}, false
	}
	if named := (Address{Local: postmaster, Domain: e.addr.Domain}); s.known(named) {
		return named, true
	}
	return e.addr, true
}
