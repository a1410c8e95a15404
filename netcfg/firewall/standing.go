package firewall

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// standing is the table as the kernel has it.
type standing struct {
	chains   []*nftables.Chain
	rules    map[string][]*nftables.Rule // by chain
	sets     map[string]*nftables.Set
	elements map[string][]nftables.SetElement // of sets that are fixed
}

// read reads the table; nil says that there is none.
func (k *kernel) read(ctx context.Context) (*standing, error) {
	var s *standing
	err := k.with(ctx, func(c *nftables.Conn) error {
		there, err := k.exists(c)
		if err != nil || !there {
			return err
		}
		s = &standing{
			rules: map[string][]*nftables.Rule{}, sets: map[string]*nftables.Set{}, elements: map[string][]nftables.SetElement{},
		}
		chains, err := c.ListChainsOfTableFamily(k.table.Family)
		if err != nil {
			return fmt.Errorf("list chains: %w", err)
		}
		for _, chain := range chains {
			if chain.Table.Name != k.table.Name {
				continue
			}
			s.chains = append(s.chains, chain)
			if s.rules[chain.Name], err = c.GetRules(k.table, chain); err != nil {
				return fmt.Errorf("list the rules of %s: %w", chain.Name, err)
			}
		}
		sets, err := c.GetSets(k.table)
		if err != nil {
			return fmt.Errorf("list sets: %w", err)
		}
		for _, set := range sets {
			set.Table = k.table
			s.sets[set.Name] = set
			if set.Interval {
				if s.elements[set.Name], err = c.GetSetElements(set); err != nil {
					return fmt.Errorf("list the set %s: %w", set.Name, err)
				}
			}
		}

		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the table back: %w", err)
	}

	return s, nil
}

// tag is what a table says of itself.
type tag struct {
	stands            Stands // PolicyStands, MinimumStands or NothingStands
	revision, network string
}

func (s *standing) label() tag {
	nothing := tag{stands: NothingStands}
	if s == nil || len(s.rules[revisionChain]) != 1 {
		return nothing
	}
	words := strings.Fields(commentOf(s.rules[revisionChain][0]))
	if len(words) != 3 {
		return nothing
	}
	switch stands := Stands(words[0]); stands {
	case PolicyStands, MinimumStands:
		return tag{stands: stands, revision: words[1], network: words[2]}
	case PreviousStands, NothingStands:
	}

	return nothing
}

// differs returns in what the table is not what a ruleset says, or nil.
func (s *standing) differs(r *Ruleset) error {
	if s == nil {
		return errors.New("the table is not there")
	}
	if len(s.chains) != len(r.chains) {
		return fmt.Errorf("%d chains instead of %d", len(s.chains), len(r.chains))
	}
	for i := range r.chains {
		want := &r.chains[i]
		k := slices.IndexFunc(s.chains, func(c *nftables.Chain) bool { return c.Name == want.name })
		if k < 0 {
			return fmt.Errorf("the chain %s is not there", want.name)
		}
		if err := want.differs(s.chains[k], s.rules[want.name]); err != nil {
			return fmt.Errorf("the chain %s: %w", want.name, err)
		}
	}
	if len(s.sets) != len(r.sets) {
		return fmt.Errorf("%d sets instead of %d", len(s.sets), len(r.sets))
	}
	for i := range r.sets {
		want := &r.sets[i]
		if s.sets[want.name] == nil {
			return fmt.Errorf("the set %s is not there", want.name)
		}
		if want.kind == networksSet && !sameElements(intervals(want.networks), s.elements[want.name]) {
			return fmt.Errorf("the set %s holds other networks", want.name)
		}
	}

	return nil
}

func (c *chain) differs(have *nftables.Chain, rules []*nftables.Rule) error {
	want := c.kernelChain(have.Table)
	if (want.Hooknum == nil) != (have.Hooknum == nil) {
		return errors.New("the kernel calls it at another place")
	}
	if want.Hooknum != nil && (*want.Hooknum != *have.Hooknum || have.Policy == nil || *want.Policy != *have.Policy) {
		return errors.New("the kernel calls it at another place, or it ends otherwise")
	}
	if len(rules) != len(c.rules) {
		return fmt.Errorf("%d rules instead of %d", len(rules), len(c.rules))
	}
	for i, r := range rules {
		if name := commentOf(r); name != c.rules[i].name {
			return fmt.Errorf("the rule %q instead of %q", name, c.rules[i].name)
		}
	}

	return nil
}

// sameElements tells whether intervals are the same. Some kernels add one that
// ends at the first address.
func sameElements(a, b []nftables.SetElement) bool {
	return slices.Equal(elementKeys(a), elementKeys(b))
}

func elementKeys(elements []nftables.SetElement) []string {
	var all []string
	for _, e := range elements {
		if e.IntervalEnd && strings.Trim(string(e.Key), "\x00") == "" {
			continue
		}
		all = append(all, fmt.Sprintf("%x %t", e.Key, e.IntervalEnd))
	}
	slices.Sort(all)

	return all
}

// fingerprint tells apart tables that decide differently, whatever the reason.
// Two kernels may give different ones to the same ruleset.
func (s *standing) fingerprint() string {
	h := sha256.New()
	chains := slices.Clone(s.chains)
	slices.SortFunc(chains, func(a, b *nftables.Chain) int { return cmp.Compare(a.Name, b.Name) })
	for _, c := range chains {
		fmt.Fprintf(h, "chain %s %s\n", c.Name, c.Type)
		if c.Hooknum != nil && c.Policy != nil && c.Priority != nil {
			fmt.Fprintf(h, "hook %d %d %d\n", *c.Hooknum, *c.Priority, *c.Policy)
		}
		for _, r := range s.rules[c.Name] {
			fmt.Fprintf(h, "rule %s\n", commentOf(r))
			for _, e := range r.Exprs {
				fmt.Fprintf(h, "%s\n", expressionText(e))
			}
		}
	}
	var names []string
	for name := range s.sets {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		k := s.sets[name]
		fmt.Fprintf(h, "set %s %s %d %s %v\n", name, k.KeyType.Name, k.Size, k.Timeout, elementKeys(s.elements[name]))
	}

	return hex.EncodeToString(h.Sum(nil))
}

// expressionText returns an expression without what changes by itself: what is
// counted, and the number that a set has only while it is written.
func expressionText(e expr.Any) string {
	switch e := e.(type) {
	case *expr.Counter:
		return "counter"
	case *expr.Lookup:
		return fmt.Sprintf("lookup %s %t", e.SetName, e.Invert)
	case *expr.Dynset:
		text := fmt.Sprintf("dynset %s %d", e.SetName, e.Operation)
		for _, inner := range e.Exprs {
			text += " " + expressionText(inner)
		}
		return text
	}
	b, err := expr.Marshal(unix.NFPROTO_INET, e)
	if err != nil {
		return fmt.Sprintf("%T %v", e, err)
	}

	return fmt.Sprintf("%x", b)
}

// counters returns what the rules have counted, in the order of the rules.
func (s *standing) counters() []Counter {
	var all []Counter
	for _, c := range s.chains {
		if c.Name == revisionChain {
			continue
		}
		for _, r := range s.rules[c.Name] {
			for _, e := range r.Exprs {
				if n, ok := e.(*expr.Counter); ok {
					all = append(all, Counter{Name: commentOf(r), Packets: n.Packets, Bytes: n.Bytes})
				}
			}
		}
	}

	return all
}
