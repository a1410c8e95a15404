package firewall

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"pillarbox/netcfg/policy"
)

// Config describes a firewall.
type Config struct {
	Logger *slog.Logger // must not be nil
}

// tableName is our table's, of family inet.
const tableName = "pillarbox"

// installTries bounds how often the table is written again because what stands
// is not what was written.
const installTries = 2

// Firewall keeps our table in the kernel. Its methods may be called at once
// from several goroutines. It needs the right to administer the network of the
// namespace that it runs in.
type Firewall struct {
	log      *slog.Logger
	kernel   *kernel
	features Features

	mu      sync.Mutex
	stands  Stands
	ruleset *Ruleset                           // what stands; nil where an earlier run has put it there
	mark    string                             // its fingerprint; "" where that is not known
	remake  func(n *Network) (*Ruleset, error) // compiles the last policy that stood; nil where that is not known
	problem string                             // why a policy does not stand
}

// Open looks at what the kernel can do and at what stands there from an earlier
// run; it changes nothing. The error is ErrUnsupported where the kernel has no
// nftables.
func Open(ctx context.Context, c *Config) (*Firewall, error) {
	f := &Firewall{log: c.Logger, kernel: newKernel(tableName)}
	features, err := probe(ctx, tableName+"-probe")
	if err != nil {
		return nil, fmt.Errorf("find out what the kernel can do: %w", err)
	}
	f.features = features
	for _, missing := range features.Missing {
		f.log.Warn("the kernel lacks a feature of nftables", "feature", missing)
	}
	s, err := f.kernel.read(ctx)
	if err != nil {
		return nil, err
	}
	if f.stands = s.label().stands; f.stands == PolicyStands {
		f.stands = PreviousStands
	}

	return f, nil
}

// Features returns what the kernel can do.
func (f *Firewall) Features() Features { return f.features }

// Guard makes the built-in Minimum stand unless something of ours does already:
// it is for the time before a policy is known.
func (f *Firewall) Guard(ctx context.Context, n Network) (Report, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	return f.fallBack(ctx, &n)
}

// Apply makes a policy stand for a network. It is called again when either
// changes; when neither has, nothing is done. The report is filled also beside
// an error: then it says what stands instead.
func (f *Firewall) Apply(ctx context.Context, p *policy.Policy, n Network) (Report, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := Compile(p, &n, f.features)

	return f.apply(ctx, r, err, p, &n)
}

// apply puts a ruleset there that was compiled, or could not be.
func (f *Firewall) apply(ctx context.Context, r *Ruleset, err error, p *policy.Policy, n *Network) (Report, error) {
	if err == nil {
		changed, failed := f.put(ctx, r)
		if failed == nil {
			kept := p.Clone()
			f.remake = func(n *Network) (*Ruleset, error) { return Compile(&kept, n, f.features) }
			f.problem = ""
			return f.report(changed, r.notes), nil
		}
		err = failed
		if missing := f.features.Missing; len(missing) > 0 {
			err = fmt.Errorf("%w (this kernel lacks %s)", err, strings.Join(missing, ", "))
		}
	}
	f.problem = err.Error()
	report, failed := f.fallBack(ctx, n)

	return report, errors.Join(err, failed)
}

// put makes a ruleset stand, and tells whether it did not before.
func (f *Firewall) put(ctx context.Context, r *Ruleset) (changed bool, err error) {
	before, err := f.kernel.read(ctx)
	if err != nil {
		return false, err
	}
	if before.differs(r) == nil && (f.mark == "" || f.mark == before.fingerprint()) {
		f.stood(r, before)
		return false, nil
	}
	sources, err := f.sources(ctx, before)
	if err != nil {
		return false, err
	}
	counters := map[string]Counter{}
	if before != nil {
		for _, c := range before.counters() {
			counters[c.Name] = c
		}
	}
	for try := 1; ; try++ {
		said := f.kernel.install(ctx, r, sources, counters)
		after, err := f.kernel.read(ctx)
		if err != nil {
			return true, err
		}
		differs := after.differs(r)
		if differs == nil {
			if said != nil {
				f.log.Debug("the kernel reported an error, but the table stands", "err", said)
			}
			f.stood(r, after)
			f.log.Info("firewall", "stands", r.stands, "revision", r.revision)
			return true, nil
		}
		if try == installTries {
			return true, fmt.Errorf("%w; what stands is not what was written: %w", orSilence(said), differs)
		}
	}
}

// stood remembers what stands.
func (f *Firewall) stood(r *Ruleset, s *standing) {
	f.ruleset, f.stands, f.mark = r, r.stands, s.fingerprint()
}

// sources returns what is in the sets that are ours to keep.
func (f *Firewall) sources(ctx context.Context, s *standing) (map[string][]element, error) {
	all := map[string][]element{}
	if s == nil {
		return all, nil
	}
	for _, set := range append(banSets(), exemptSets()...) {
		if s.sets[set.name] == nil {
			continue
		}
		list, err := f.kernel.sources(ctx, &set)
		if err != nil {
			return nil, err
		}
		all[set.name] = list
	}

	return all, nil
}

// fallBack sees to it that something stands although a policy does not: what
// stands, if it is for this network or this one is not valid; else the last
// policy, made for this network; else the minimum. A table for another network
// could lock the administrator out.
func (f *Firewall) fallBack(ctx context.Context, n *Network) (Report, error) {
	s, err := f.kernel.read(ctx)
	if err != nil {
		return f.nothing(err)
	}
	minimum := Minimum(n)
	label := s.label()
	unknown := n.validate() != nil
	if label.stands == MinimumStands && unknown {
		f.stands = MinimumStands
		return f.report(false, nil), nil
	}
	if label.stands == PolicyStands && (unknown || label.network == minimum.network) {
		f.stands = PreviousStands
		if f.ruleset != nil && s.differs(f.ruleset) != nil {
			f.ruleset, f.mark = nil, ""
		}
		return f.report(false, []string{"the policy that stood before still stands"}), nil
	}
	if label.stands == PolicyStands && f.remake != nil {
		if r, err := f.remake(n); err == nil {
			if changed, err := f.put(ctx, r); err == nil {
				f.stands = PreviousStands
				return f.report(changed, append([]string{"the policy that stood before stands, for the network as it is now"}, r.notes...)), nil
			}
		}
	}
	changed, err := f.put(ctx, minimum)
	if err != nil {
		return f.nothing(fmt.Errorf("put the built-in minimum there: %w", err))
	}

	return f.report(changed, minimum.notes), nil
}

// nothing reports that it is not known that anything stands.
func (f *Firewall) nothing(err error) (Report, error) {
	f.stands, f.ruleset, f.mark = NothingStands, nil, ""
	f.problem = err.Error()

	return f.report(false, nil), err
}

func (f *Firewall) report(changed bool, notes []string) Report {
	r := Report{Stands: f.stands, Changed: changed, Notes: notes}
	if f.ruleset != nil {
		r.Revision = f.ruleset.revision
	}

	return r
}

// Verify compares the kernel's table with the one that was put there. It
// returns nil also where nothing was.
func (f *Firewall) Verify(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ruleset == nil {
		return nil
	}
	s, err := f.kernel.read(ctx)
	if err != nil {
		return err
	}

	return f.verify(s)
}

func (f *Firewall) verify(s *standing) error {
	if err := s.differs(f.ruleset); err != nil {
		return fmt.Errorf("the kernel's table is not what was put there: %w", err)
	}
	if f.mark != s.fingerprint() {
		return errors.New("the kernel's table is not what was put there: somebody else has changed a rule or a set")
	}

	return nil
}

// Remove takes our table away, with all bans: the machine is open then.
func (f *Firewall) Remove(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.kernel.remove(ctx); err != nil {
		return err
	}
	f.stands, f.ruleset, f.mark, f.remake, f.problem = NothingStands, nil, "", nil, ""
	f.log.Info("firewall", "stands", f.stands)

	return nil
}
