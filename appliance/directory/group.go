package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Writers says who may write to an alias.
type Writers string

// The choices.
const (
	Anybody    Writers = ""
	OfficeOnly Writers = "office" // senders whose address is one of the directory's
)

// maxDescription bounds what is said of an alias, in octets.
const maxDescription = 300

// SetAlias makes an alias as it is given, or gives one that exists other members,
// another description and other writers; fresh refuses one that exists, with
// ErrAddressTaken. It returns what was there before, nil if nothing was. Errors
// are those of AddAlias, and ErrAlias.
func (d *Directory) SetAlias(ctx context.Context, a Alias, fresh bool) (before *Alias, err error) {
	if before, err = d.setAlias(ctx, a, fresh); err != nil {
		return nil, fmt.Errorf("set alias: %w", err)
	}
	return before, nil
}

func (d *Directory) setAlias(ctx context.Context, a Alias, fresh bool) (before *Alias, err error) {
	addr, err := ParseAddress(a.Address)
	if err != nil {
		return nil, err
	}
	a.Description = strings.TrimSpace(a.Description)
	switch {
	case len(a.Targets) == 0:
		return nil, fmt.Errorf("%w: none was given", ErrAliasTarget)
	case len(a.Description) > maxDescription || !utf8.ValidString(a.Description) || strings.ContainsFunc(a.Description, unicode.IsControl):
		return nil, fmt.Errorf("%w: the description is longer than %d octets, or more than a line of text", ErrAlias, maxDescription)
	case a.Writers != Anybody && a.Writers != OfficeOnly:
		return nil, fmt.Errorf("%w: writers is %q, and can be %q or empty for anybody", ErrAlias, a.Writers, OfficeOnly)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.state.Load()
	if old := s.aliases[addr]; old != nil {
		if fresh {
			return nil, fmt.Errorf("%w: %s is a group or alias", ErrAddressTaken, addr)
		}
		shown := old.shown(addr)
		before = &shown
	}
	r, err := s.aliasRecord(addr, d.now())
	if err != nil {
		return nil, err
	}
	r.Targets, r.Description, r.Writers = nil, a.Description, a.Writers
	return before, d.putAlias(ctx, s, addr, r, a.Targets)
}

// Admits tells whether a message may come to an address by who its transport says
// has sent it; ErrNotAdmitted if not. That sender is a claim: whoever keeps the
// server in front must see to it that no stranger claims an address of the office.
// It counts to which address somebody writes, and not by which others it goes on.
func (d *Directory) Admits(_ context.Context, sender, recipient string) error {
	s := d.state.Load()
	addr, ok := s.recipient(recipient)
	if !ok || s.aliases[addr] == nil || s.aliases[addr].record.Writers == Anybody {
		return nil
	}
	// What a newer version may have written is no reason to let everybody in.
	if _, ours := s.recipient(sender); !ours {
		return fmt.Errorf("%w: %s", ErrNotAdmitted, addr)
	}
	return nil
}

// ours tells whether somebody has an address in a domain.
func (s *state) ours(domain string) bool {
	for a := range s.byAddress {
		if a.Domain == domain {
			return true
		}
	}
	for a := range s.aliases {
		if a.Domain == domain {
			return true
		}
	}
	return false
}

// shown returns an alias for others to see.
func (a *alias) shown(addr Address) Alias {
	return Alias{
		Address: addr.String(), Targets: slices.Clone(a.record.Targets),
		Description: a.record.Description, Writers: a.record.Writers,
	}
}
