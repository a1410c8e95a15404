package directory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"pillarbox/storage"
)

// maxTargets bounds the addresses one alias leads to.
const maxTargets = 1000

// Alias is an address that leads to others: a group of the office, or another
// name of one person.
type Alias struct {
	Address     string   `json:"address"` // canonical
	Targets     []string `json:"targets"` // canonical, in the order they were given
	Description string   `json:"description,omitempty"`
	Writers     Writers  `json:"writers,omitempty"`
}

// AddAlias makes an alias, or adds targets to one that exists. Targets are
// addresses of accounts or of other aliases; a target that is there already is
// no error. Errors that tell what to change are ErrAddress, ErrAddressTaken,
// ErrAliasTarget, ErrAliasLoop and ErrTooMany.
func (d *Directory) AddAlias(ctx context.Context, address string, targets ...string) error {
	if err := d.addAlias(ctx, address, targets); err != nil {
		return fmt.Errorf("add alias: %w", err)
	}
	return nil
}

func (d *Directory) addAlias(ctx context.Context, address string, targets []string) error {
	addr, err := ParseAddress(address)
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		return fmt.Errorf("%w: none was given", ErrAliasTarget)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.state.Load()
	r, err := s.aliasRecord(addr, d.now())
	if err != nil {
		return err
	}
	return d.putAlias(ctx, s, addr, r, targets)
}

// aliasRecord returns what is stored of an alias, or what a new one begins with.
func (s *state) aliasRecord(addr Address, now time.Time) (aliasRecord, error) {
	switch old := s.aliases[addr]; {
	case old != nil:
		r := old.record
		r.Targets = slices.Clone(r.Targets)
		return r, nil
	case s.taken(addr):
		return aliasRecord{}, fmt.Errorf("%w: %s is an account", ErrAddressTaken, addr)
	case len(s.aliases) >= maxAliases:
		return aliasRecord{}, fmt.Errorf("%w: %d aliases", ErrTooMany, maxAliases)
	}
	return aliasRecord{Created: now.UTC()}, nil
}

// putAlias adds targets to a record and writes it. d.mu is held.
func (d *Directory) putAlias(ctx context.Context, s *state, addr Address, r aliasRecord, targets []string) error {
	for _, t := range targets {
		target, err := s.aliasTarget(addr, t)
		if err != nil {
			return err
		}
		if !slices.Contains(r.Targets, target) {
			r.Targets = append(r.Targets, target)
		}
	}
	if len(r.Targets) > maxTargets {
		return fmt.Errorf("%w: %d targets of one alias", ErrTooMany, maxTargets)
	}
	return d.update(ctx, func(tx *storage.SystemTx) error {
		return put(tx, sectionAliases, addr.String(), r)
	})
}

// aliasTarget checks that an alias may lead to target.
func (s *state) aliasTarget(from Address, target string) (string, error) {
	t, err := ParseAddress(target)
	if err != nil {
		return "", err
	}
	if t == from || s.leadsTo(t, from) {
		return "", fmt.Errorf("%w: %s", ErrAliasLoop, t)
	}
	if !s.known(t) {
		if !s.ours(t.Domain) {
			return "", fmt.Errorf("%w: %s is outside the office, and the box does not send mail to other servers yet", ErrAliasTarget, t)
		}
		return "", fmt.Errorf("%w: %s", ErrAliasTarget, t)
	}
	return t.String(), nil
}

// leadsTo tells whether alias from reaches to by any number of steps.
func (s *state) leadsTo(from, to Address) bool {
	found := false
	s.walk(from, func(a Address) { found = found || a == to })
	return found
}

// walk calls f once for each address that from leads to, itself included,
// nearest first. Loops, which AddAlias does not allow, end here all the same.
func (s *state) walk(from Address, f func(Address)) {
	seen := map[Address]bool{from: true}
	for queue := []Address{from}; len(queue) > 0; queue = queue[1:] {
		f(queue[0])
		a := s.aliases[queue[0]]
		if a == nil {
			continue
		}
		for _, t := range a.targets {
			if !seen[t] {
				seen[t] = true
				queue = append(queue, t)
			}
		}
	}
}

// RemoveAlias takes targets away from an alias, or removes it if none are
// given or none are left. ErrNoAlias if there is no such alias.
func (d *Directory) RemoveAlias(ctx context.Context, address string, targets ...string) error {
	if err := d.removeAlias(ctx, address, targets); err != nil {
		return fmt.Errorf("remove alias: %w", err)
	}
	return nil
}

func (d *Directory) removeAlias(ctx context.Context, address string, targets []string) error {
	addr, err := ParseAddress(address)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.state.Load()
	a := s.aliases[addr]
	if a == nil {
		return fmt.Errorf("%w: %s", ErrNoAlias, addr)
	}
	if len(targets) == 0 {
		targets = a.record.Targets
	}
	gone := map[string]bool{}
	for _, t := range targets {
		target, err := ParseAddress(t)
		if err != nil {
			return err
		}
		if !slices.Contains(a.targets, target) {
			return fmt.Errorf("%w: %s does not lead to %s", ErrNoAlias, addr, target)
		}
		gone[target.String()] = true
	}
	left := s.targets()
	left[addr] = slices.DeleteFunc(left[addr], func(t string) bool { return gone[t] })
	if len(left[addr]) == 0 {
		delete(left, addr)
		drop(left, addr)
	}
	return d.update(ctx, func(tx *storage.SystemTx) error { return s.putTargets(tx, left) })
}

// targets returns a copy of what each alias leads to.
func (s *state) targets() map[Address][]string {
	all := make(map[Address][]string, len(s.aliases))
	for addr, a := range s.aliases {
		all[addr] = slices.Clone(a.record.Targets)
	}
	return all
}

// drop takes an address that is gone out of all aliases. An alias whose last
// target it was is gone as well.
func drop(aliases map[Address][]string, gone Address) {
	for queue := []Address{gone}; len(queue) > 0; queue = queue[1:] {
		target := queue[0].String()
		for from, targets := range aliases {
			if !slices.Contains(targets, target) {
				continue
			}
			targets = slices.DeleteFunc(targets, func(t string) bool { return t == target })
			aliases[from] = targets
			if len(targets) == 0 {
				delete(aliases, from)
				queue = append(queue, from)
			}
		}
	}
}

// putTargets writes the aliases whose targets differ from those of s.
func (s *state) putTargets(tx *storage.SystemTx, all map[Address][]string) error {
	for addr, a := range s.aliases {
		targets, ok := all[addr]
		if !ok {
			if err := tx.Delete(sectionAliases, addr.String()); err != nil {
				return err
			}
			continue
		}
		if slices.Equal(targets, a.record.Targets) {
			continue
		}
		r := a.record
		r.Targets = targets
		if err := put(tx, sectionAliases, addr.String(), r); err != nil {
			return err
		}
	}
	return nil
}

// Aliases returns all aliases, sorted by domain, then local part.
func (d *Directory) Aliases(context.Context) ([]Alias, error) {
	s := d.state.Load()
	all := make([]Alias, 0, len(s.aliases))
	for _, addr := range slices.SortedFunc(maps.Keys(s.aliases), Address.compare) {
		all = append(all, s.aliases[addr].shown(addr))
	}
	return all, nil
}
