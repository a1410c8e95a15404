package directory

import (
	"fmt"
	"maps"
	"slices"

	"pillarbox/storage"
)

// readAliases finds aliases that cannot be read, hide an account, lead nowhere
// or back to themselves.
func (m *mender) readAliases(raw map[string][]byte) {
	s := newState()
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		err := s.loadAlias(key, raw[key])
		addr, _ := ParseAddress(key)
		switch {
		case err != nil:
			m.fault("", fmt.Sprintf("the alias %q cannot be read (%v)", key, err), "it is taken out; make it anew", change{sectionAliases, key, nil})
		case addr.String() != key:
			delete(s.aliases, addr)
			m.fault("", fmt.Sprintf("the alias %q is not written as %s", key, addr), "it is taken out; make it anew", change{sectionAliases, key, nil})
		case m.taken(key):
			delete(s.aliases, addr)
			m.fault("", fmt.Sprintf("the alias %s is an account's address", key), "the alias is taken out", change{sectionAliases, key, nil})
		}
	}
	for id, r := range m.accounts {
		if addr, err := ParseAddress(r.Address); err == nil {
			s.accounts[storage.AccountID(id)] = &entry{addr: addr, state: r.State}
		}
	}
	s.index()
	left := s.targets()
	for _, addr := range slices.SortedFunc(maps.Keys(s.aliases), Address.compare) {
		for _, t := range s.aliases[addr].targets {
			gone := s.byAddress[t] == nil && s.aliases[t] == nil
			if !gone && !s.leadsTo(t, addr) {
				continue
			}
			text := fmt.Sprintf("the alias %s leads to %s, which does not exist", addr, t)
			if !gone {
				text = fmt.Sprintf("the alias %s leads back to itself by %s", addr, t)
			}
			m.fault("", text, "it no longer leads there")
			left[addr] = slices.DeleteFunc(left[addr], func(have string) bool { return have == t.String() })
			// The rest of a circle is none without this step.
			a := *s.aliases[addr]
			a.targets = slices.DeleteFunc(slices.Clone(a.targets), func(have Address) bool { return have == t })
			s.aliases[addr] = &a
		}
		if len(left[addr]) == 0 {
			delete(left, addr)
			drop(left, addr)
		}
	}
	if m.mended == nil {
		return
	}
	for addr, a := range s.aliases {
		targets, ok := left[addr]
		r := a.record
		switch {
		case !ok:
			m.mended(storage.Problem{Text: fmt.Sprintf("the alias %s led nowhere any more and is taken out", addr)})
			m.changes = append(m.changes, change{sectionAliases, addr.String(), nil})
		case !slices.Equal(targets, r.Targets):
			r.Targets = targets
			m.changes = append(m.changes, change{sectionAliases, addr.String(), r})
		}
	}
}
