package directory

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"pillarbox/storage"
)

// maxTargets bounds the addresses one alias leads to.
const maxTargets = 1000

// Alias is an address that leads to others.
type Alias struct {
	Address string   `json:"address"` // canonical
	Targets []string `json:"targets"` // canonical, in the order they were given
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
	r := aliasRecord{Created: d.now().UTC()}
	switch old := s.aliases[addr]; {
	case old != nil:
		r = old.record
		r.Targets = slices.Clone(r.Targets)
	case s.taken(addr):
		return fmt.Errorf("%w: %s is an account", ErrAddressTaken, addr)
	case len(s.aliases) >= maxAliases:
		return fmt.Errorf("%w: %d aliases", ErrTooMany, maxAliases)
	}
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
	if s.byAddress[t] == nil && s.aliases[t] == nil {
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
	return d.update(ctx, func(tx *storage.SystemTx) error {
		return s.dropTargets(tx, addr, gone)
	})
}

// dropTargets writes an alias without some of its targets. An alias with none
// left is removed, and so are the references of other aliases to it.
func (s *state) dropTargets(tx *storage.SystemTx, addr Address, gone map[string]bool) error {
	r := s.aliases[addr].record
	r.Targets = slices.DeleteFunc(slices.Clone(r.Targets), func(t string) bool { return gone[t] })
	if len(r.Targets) > 0 {
		return put(tx, sectionAliases, addr.String(), r)
	}
	if err := tx.Delete(sectionAliases, addr.String()); err != nil {
		return err
	}
	return s.dropTarget(tx, addr)
}

// dropTarget takes addr out of every alias that leads to it.
func (s *state) dropTarget(tx *storage.SystemTx, addr Address) error {
	for from, a := range s.aliases {
		if !slices.Contains(a.targets, addr) {
			continue
		}
		if err := s.dropTargets(tx, from, map[string]bool{addr.String(): true}); err != nil {
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
		all = append(all, Alias{Address: addr.String(), Targets: slices.Clone(s.aliases[addr].record.Targets)})
	}
	return all, nil
}
