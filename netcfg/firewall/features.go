package firewall

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Features are what a kernel can do beyond what every ruleset needs.
type Features struct {
	Rates  bool // the rate of each source
	Counts bool // the open connections of each source
	Log    bool // a log of packets that somebody can read

	// Missing says in words what is needed, or would be of use, and is not
	// there.
	Missing []string
}

// notes returns what a person should know of what is missing.
func (f *Features) notes(log bool) []string {
	var all []string
	if !f.Rates {
		all = append(all, "this kernel cannot bound the rate of new connections of a source: the mail server does")
	}
	if !f.Counts {
		all = append(all, "this kernel cannot count the open connections of a source: the mail server does")
	}
	if log && !f.Log {
		all = append(all, "this kernel keeps no log of packets: what is dropped is counted only")
	}

	return all
}

// loggerFile names what the kernel's log of IPv4 packets ends in: NONE, or
// nfnetlink_log, which nobody reads here, or nf_log_ipv4 or nf_log_syslog.
const loggerFile = "/proc/sys/net/netfilter/nf_log/2"

// probe finds out what the kernel can do, by trying it in a table that no
// packet meets.
func probe(ctx context.Context, table string) (f Features, err error) {
	k := newKernel(table)
	if err := k.with(ctx, func(c *nftables.Conn) error {
		_, err := k.exists(c)
		return err
	}); err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, k.remove(ctx)) }()
	try := func(missing string, kind setKind, r rule) (bool, error) {
		s := set{name: "probe", kind: kind, family: ipv4, bits: sourceBits(ipv4), size: 16}
		if kind == ratesSet {
			s.timeout = minForget
		}
		there, err := k.can(ctx, &s, &r)
		if err == nil && !there {
			f.Missing = append(f.Missing, missing)
		}
		return there, err
	}
	// Every ruleset needs these: without them none stands, and why is said.
	if _, err = try("sets of addresses", sourcesSet, rule{name: "probe", family: ipv4, source: "probe"}); err != nil {
		return f, err
	}
	if _, err = try("connection tracking (CONFIG_NFT_CT)", sourcesSet, rule{name: "probe", states: []ConnState{Established}}); err != nil {
		return f, err
	}
	if _, err = try("rates (CONFIG_NFT_LIMIT)", sourcesSet, rule{name: "probe", limit: limit{perSecond: 1, burst: 5}}); err != nil {
		return f, err
	}
	over := rule{name: "probe", family: ipv4, over: bound{set: "probe", perMinute: 60, burst: 5}}
	if f.Rates, err = try("rates of single sources (dynamic sets)", ratesSet, over); err != nil {
		return f, err
	}
	over.over = bound{set: "probe", count: 5}
	if f.Counts, err = try("connections of single sources (CONFIG_NFT_CONNLIMIT)", countsSet, over); err != nil {
		return f, err
	}
	if f.Log, err = try("the log of packets (CONFIG_NFT_LOG)", sourcesSet, rule{name: "probe", log: "probe: "}); err != nil {
		return f, err
	}
	if b, err := os.ReadFile(loggerFile); f.Log && err == nil && !strings.HasPrefix(string(b), "nf_log") {
		f.Log = false
		f.Missing = append(f.Missing, "a log of packets that can be read (CONFIG_NF_LOG_SYSLOG)")
	}

	return f, nil
}

// can tells whether the kernel takes a rule.
func (k *kernel) can(ctx context.Context, s *set, r *rule) (bool, error) {
	// Of a batch that is refused the table before stands, with a rule that may
	// look alike.
	if err := k.remove(ctx); err != nil {
		return false, err
	}
	there := false
	err := k.with(ctx, func(c *nftables.Conn) error {
		k.clear(c)
		c.AddTable(k.table)
		set, _ := s.kernelSet(k.table, 1)
		if err := c.AddSet(set.Set, nil); err != nil {
			return fmt.Errorf("write a set: %w", err)
		}
		chain := c.AddChain(&nftables.Chain{Name: "probe", Table: k.table})
		want := r.expressions(map[string]kernelSet{s.name: set}, Counter{})
		c.AddRule(&nftables.Rule{Table: k.table, Chain: chain, Exprs: want})
		_ = c.Flush() // what it says is not to be relied upon
		exists, err := k.exists(c)
		if err != nil || !exists {
			return err
		}
		rules, err := c.GetRules(k.table, chain)
		there = err == nil && len(rules) == 1 && sameKinds(rules[0].Exprs, want)
		return nil
	})

	return there, err
}

func sameKinds(have, want []expr.Any) bool {
	if len(have) != len(want) {
		return false
	}
	for i := range have {
		if fmt.Sprintf("%T", have[i]) != fmt.Sprintf("%T", want[i]) {
			return false
		}
	}

	return true
}
