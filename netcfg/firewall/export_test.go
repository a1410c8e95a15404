package firewall

import (
	"context"

	"pillarbox/netcfg/policy"
)

// ApplyBroken does what Apply does with a ruleset that the kernel refuses: its
// last rule leads to a chain that is not there.
func (f *Firewall) ApplyBroken(ctx context.Context, p *policy.Policy, n Network) (Report, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := Compile(p, &n, f.features)
	if err != nil {
		return Report{}, err
	}
	input := r.chain(inputChain)
	input.rules = append(input.rules, rule{name: "broken", verdict: jump, target: "nowhere"})

	return f.apply(ctx, r, nil, p, &n)
}

// RuleNames returns the names of all rules, in order.
func (r *Ruleset) RuleNames() []string {
	var all []string
	for _, c := range r.chains {
		for i := range c.rules {
			all = append(all, c.rules[i].name)
		}
	}

	return all
}

// MaxBans is how many bans of a family there can be.
const MaxBans = maxBans
