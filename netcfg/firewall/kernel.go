package firewall

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// socketBuffer holds all that the kernel answers to the largest batch; with
	// the usual size its answers are lost, although the batch stands.
	socketBuffer = 8 << 20

	// kernelTime bounds how long the kernel is waited for. A batch takes well
	// under a second; a kernel that does not answer as the library expects would
	// never be done.
	kernelTime = time.Minute
)

// ErrUnsupported says that the kernel has no nftables.
var ErrUnsupported = errors.New("this kernel has no nftables (CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET)")

// kernel is the table's side of the kernel.
type kernel struct {
	table *nftables.Table
}

func newKernel(name string) *kernel {
	return &kernel{table: &nftables.Table{Name: name, Family: nftables.TableFamilyINet}}
}

// with calls f with a connection of its own: answers that an earlier batch has
// left in the socket would be taken for those of the next.
func (k *kernel) with(ctx context.Context, f func(c *nftables.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	deadline := time.Now().Add(kernelTime)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	c, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(s *netlink.Conn) error {
		// Where the right to pass the system's bound is missing, as in a user's
		// namespace, the kernel takes what is allowed.
		return errors.Join(s.SetReadBuffer(socketBuffer), s.SetWriteBuffer(socketBuffer), s.SetDeadline(deadline))
	}))
	if err != nil {
		return fmt.Errorf("open a socket to the kernel's nftables: %w", err)
	}

	return errors.Join(f(c), c.CloseLasting())
}

// exists tells whether the table is there.
func (k *kernel) exists(c *nftables.Conn) (bool, error) {
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EPROTONOSUPPORT):
		return false, fmt.Errorf("%w: %w", ErrUnsupported, err)
	case errors.Is(err, unix.EPERM):
		return false, fmt.Errorf("list tables: the right to administer the network is missing: %w", err)
	case err != nil:
		return false, fmt.Errorf("list tables: %w", err)
	}
	for _, t := range tables {
		if t.Name == k.table.Name && t.Family == k.table.Family {
			return true, nil
		}
	}

	return false, nil
}

// remove deletes the table, and makes sure that it is gone.
func (k *kernel) remove(ctx context.Context) error {
	return k.with(ctx, func(c *nftables.Conn) error {
		k.clear(c)
		failed := c.Flush()
		there, err := k.exists(c)
		if err != nil {
			return err
		}
		if there {
			return fmt.Errorf("remove the table %s: it is still there: %w", k.table.Name, orSilence(failed))
		}

		return nil
	})
}

// clear adds to a batch what deletes the table whether it is there or not.
func (k *kernel) clear(c *nftables.Conn) {
	c.AddTable(k.table)
	c.DelTable(k.table)
}

// errSilent is what is said where the kernel has not told why.
var errSilent = errors.New("the kernel gave no reason")

func orSilence(err error) error {
	if err == nil {
		return errSilent
	}

	return err
}

// install replaces the table by one that holds a ruleset, with the sources and
// counters that were there. It says only what the kernel has said: what stands
// is found out by read.
func (k *kernel) install(ctx context.Context, r *Ruleset, sources map[string][]element, counters map[string]Counter) error {
	return k.with(ctx, func(c *nftables.Conn) error {
		k.clear(c)
		c.AddTable(k.table)
		sets := map[string]kernelSet{}
		for i := range r.sets {
			s, elements := r.sets[i].kernelSet(k.table, uint32(i+1))
			if err := c.AddSet(s.Set, elements); err != nil {
				return fmt.Errorf("write the set %s: %w", s.Name, err)
			}
			sets[s.Name] = s
			if err := addElements(c, s.Set, sources[s.Name]); err != nil {
				return err
			}
		}
		chains := map[string]*nftables.Chain{}
		for i := range r.chains {
			chains[r.chains[i].name] = c.AddChain(r.chains[i].kernelChain(k.table))
		}
		for _, chain := range r.chains {
			for i := range chain.rules {
				rule := &chain.rules[i]
				c.AddRule(&nftables.Rule{
					Table: k.table, Chain: chains[chain.name], Exprs: rule.expressions(sets, counters[rule.name]), UserData: comment(rule.name),
				})
			}
		}
		if err := c.Flush(); err != nil {
			return fmt.Errorf("write the table: %w", err)
		}

		return nil
	})
}

func (c *chain) kernelChain(t *nftables.Table) *nftables.Chain {
	k := &nftables.Chain{Name: c.name, Table: t}
	if c.hook == noHook {
		return k
	}
	policy := nftables.ChainPolicyDrop
	if c.accept {
		policy = nftables.ChainPolicyAccept
	}
	k.Type, k.Priority, k.Policy = nftables.ChainTypeFilter, nftables.ChainPriorityFilter, &policy
	switch c.hook {
	case inputHook:
		k.Hooknum = nftables.ChainHookInput
	case forwardHook:
		k.Hooknum = nftables.ChainHookForward
	case outputHook:
		k.Hooknum = nftables.ChainHookOutput
	case noHook:
	}

	return k
}
