package firewall

import (
	"context"
	"errors"
)

// State returns how the firewall is now. It asks the kernel for every rule and
// set, and is not for a tight loop.
func (f *Firewall) State(ctx context.Context) (State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := State{Stands: f.stands, Missing: f.features.Missing, Problem: f.problem}
	table, err := f.kernel.read(ctx)
	if err != nil {
		return s, err
	}
	if f.ruleset != nil {
		s.Notes = append(s.Notes, f.ruleset.notes...)
		if err := f.verify(table); err != nil && s.Problem == "" {
			s.Problem = err.Error()
		}
	}
	if table == nil {
		s.Stands = NothingStands
		return s, nil
	}
	s.Revision = table.label().revision
	s.Counters = table.counters()
	if f.ruleset != nil {
		words := f.ruleset.why()
		for i := range s.Counters {
			s.Counters[i].Why = words[s.Counters[i].Name]
		}
	}
	err = f.fill(ctx, &s, table)

	return s, err
}

// fill adds how full the sets are.
func (f *Firewall) fill(ctx context.Context, s *State, table *standing) error {
	if f.ruleset == nil {
		return nil
	}
	var failed []error
	for i := range f.ruleset.sets {
		set := &f.ruleset.sets[i]
		if set.kind == networksSet || table.sets[set.name] == nil {
			continue
		}
		list, err := f.kernel.sources(ctx, set)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		n := len(list)
		if n == 0 && set.size == maxWideBans {
			continue // there are many, and few are used
		}
		full := n >= int(set.size)
		s.Sets = append(s.Sets, SetState{Name: set.name, Elements: n, Size: int(set.size), Full: full})
		if full && set.kind != sourcesSet {
			s.Notes = append(s.Notes, "the set "+set.name+" is full: the kernel does not bound further sources, the mail server does")
		}
	}

	return errors.Join(failed...)
}

// why returns what each rule is for, by its name.
func (r *Ruleset) why() map[string]string {
	all := map[string]string{}
	for _, c := range r.chains {
		for i := range c.rules {
			all[c.rules[i].name] = c.rules[i].why
		}
	}

	return all
}

// Ruleset returns what stands, or nil where that is not known.
func (f *Firewall) Ruleset() *Ruleset {
	f.mu.Lock()
	defer f.mu.Unlock()

	return f.ruleset
}
