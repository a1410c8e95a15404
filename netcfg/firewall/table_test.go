package firewall_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"pillarbox/netcfg/firewall"
	"pillarbox/netcfg/netlab"
	"pillarbox/netcfg/policy"
)

// strange is a table of somebody else.
func strange(t *testing.T, name string, family nftables.TableFamily) *nftables.Table {
	t.Helper()
	c, err := nftables.New()
	must(t, err)
	table := c.AddTable(&nftables.Table{Name: name, Family: family})
	chain := c.AddChain(&nftables.Chain{Name: "theirs", Table: table})
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept}}})
	must(t, c.Flush())
	t.Cleanup(func() {
		c.DelTable(table)
		if err := c.Flush(); err != nil {
			t.Error(err)
		}
	})

	return table
}

// tables returns all that the kernel has, in words.
func tables(t *testing.T) []string {
	t.Helper()
	c, err := nftables.New()
	must(t, err)
	all, err := c.ListTables()
	must(t, err)
	chains, err := c.ListChains()
	must(t, err)
	var texts []string
	for _, table := range all {
		text := fmt.Sprintf("%d %s", table.Family, table.Name)
		for _, chain := range chains {
			if chain.Table.Name == table.Name && chain.Table.Family == table.Family {
				rules, err := c.GetRules(table, chain)
				must(t, err)
				text += fmt.Sprintf(" %s:%d", chain.Name, len(rules))
			}
		}
		texts = append(texts, text)
	}

	return texts
}

func TestOtherTablesAreLeftAlone(t *testing.T) {
	l := newLab(t)
	strange(t, "docker", nftables.TableFamilyINet)
	strange(t, "pillarbox", nftables.TableFamilyIPv4)
	before := tables(t)
	fw := open(t)
	if diff := cmp.Diff(before, tables(t)); diff != "" {
		t.Errorf("to look at the kernel leaves something behind:\n%s", diff)
	}
	apply(t, fw, public(), l.network())
	must(t, fw.Ban(t.Context(), prefix("198.51.100.7/32"), time.Hour))
	p := policy.Default()
	apply(t, fw, &p, l.network())
	if _, err := fw.ApplyBroken(t.Context(), public(), l.network()); err == nil {
		t.Error("a broken ruleset is no error")
	}
	if n := len(tables(t)); n != len(before)+1 {
		t.Errorf("%d tables beside ours", n-1)
	}
	must(t, fw.Remove(t.Context()))
	if diff := cmp.Diff(before, tables(t)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	must(t, fw.Remove(t.Context()))
}

func TestWhatTheKernelRefusesLeavesTheOldTable(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	first := apply(t, fw, public(), l.network())
	must(t, fw.Ban(t.Context(), prefix("198.51.100.7/32"), time.Hour))
	p := policy.Default()
	r, err := fw.ApplyBroken(t.Context(), &p, l.network())
	if err == nil || !strings.Contains(err.Error(), "what stands is not what was written") {
		t.Errorf("%v", err)
	}
	if r.Stands != firewall.PreviousStands || r.Revision != first.Revision {
		t.Errorf("%+v", r)
	}
	if !l.opens(l.wan, remote4, 993) || l.opens(l.wan, addr("198.51.100.7"), 993) {
		t.Error("what was open, or banned, is so no more")
	}
	must(t, fw.Verify(t.Context()))
	s, err := fw.State(t.Context())
	must(t, err)
	if s.Stands != firewall.PreviousStands || s.Problem == "" || s.Revision != first.Revision {
		t.Errorf("stands %s, problem %q", s.Stands, s.Problem)
	}
	// The next good one stands as if nothing had been.
	apply(t, fw, &p, l.network())
	if s, err = fw.State(t.Context()); err != nil || s.Problem != "" || l.opens(l.wan, remote4, 993) {
		t.Errorf("%v %q", err, s.Problem)
	}
}

func TestTheMinimumStandsWhereNothingElseDoes(t *testing.T) {
	l := newLab(t)
	bad := public()
	bad.Services[policy.IMAPSLegacy] = policy.Rule{From: policy.Anyone}
	for _, c := range []struct {
		name  string
		apply func(*firewall.Firewall) (firewall.Report, error)
	}{
		{"a policy that is not valid", func(fw *firewall.Firewall) (firewall.Report, error) {
			return fw.Apply(t.Context(), bad, l.network())
		}},
		{"no policy", func(fw *firewall.Firewall) (firewall.Report, error) {
			return fw.Apply(t.Context(), nil, l.network())
		}},
		{"a ruleset that the kernel refuses", func(fw *firewall.Firewall) (firewall.Report, error) {
			return fw.ApplyBroken(t.Context(), public(), l.network())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fw := open(t)
			r, err := c.apply(fw)
			if err == nil || r.Stands != firewall.MinimumStands || r.Revision == "" || len(r.Notes) == 0 {
				t.Fatalf("%+v %v", r, err)
			}
			for _, from := range []netip.Addr{peer4, peer6, peerLink} {
				if !l.opens(l.lan, from, 443) || !l.opens(l.lan, from, 80) {
					t.Errorf("the administrator is locked out at %s", from)
				}
				if l.opens(l.lan, from, 993) || l.opens(l.wan, from, 443) {
					t.Errorf("more than the minimum is open to %s", from)
				}
			}
			if l.opens(l.wan, remote4, 443) || l.opens(l.lan, remote4, 443) || l.answers(l.wan, ping(remote4, boxWAN4)) != 1 {
				t.Error("the minimum is another")
			}
			// Bans work there, and live on.
			must(t, fw.Ban(t.Context(), prefix("198.51.100.7/32"), time.Hour))
			apply(t, fw, public(), l.network())
			if l.opens(l.wan, addr("198.51.100.7"), 993) || !l.opens(l.wan, remote4, 993) {
				t.Error("after the minimum the policy does not stand, or a ban is lost")
			}
			must(t, fw.Remove(t.Context()))
		})
	}
}

// TestNoOldNetworkLocksTheAdministratorOut has the LAN change while the policy
// cannot be applied: what stood is for a network that is no more.
func TestNoOldNetworkLocksTheAdministratorOut(t *testing.T) {
	l := newLab(t)
	var before firewall.Network
	before.Add(lanName, prefix("192.168.7.1/24"))
	bad := public()
	bad.Services[policy.IMAPSLegacy] = policy.Rule{From: policy.Anyone}

	fw := open(t)
	apply(t, fw, public(), before)
	must(t, fw.Ban(t.Context(), prefix("198.51.100.7/32"), time.Hour))
	if l.opens(l.lan, peer4, 443) && l.opens(l.lan, peer4, 587) {
		t.Fatal("the LAN of now is known too early")
	}
	r, err := fw.Apply(t.Context(), bad, l.network())
	if err == nil || r.Stands != firewall.PreviousStands || !r.Changed {
		t.Fatalf("%+v %v", r, err)
	}
	if !l.opens(l.lan, peer4, 443) || !l.opens(l.lan, peer4, 587) || !l.opens(l.wan, remote4, 993) || l.opens(l.wan, addr("198.51.100.7"), 993) {
		t.Error("the policy that stood does not stand for the network as it is now")
	}
	apply(t, fw, public(), before)

	// A process that has just begun does not know what the policy was.
	again := open(t)
	if r, err = again.Apply(t.Context(), bad, before); err == nil || r.Stands != firewall.PreviousStands || r.Changed || !l.opens(l.wan, remote4, 993) {
		t.Errorf("for the same network: %+v %v", r, err)
	}
	var wrong firewall.Network
	wrong.Add("")
	if r, err = again.Apply(t.Context(), public(), wrong); err == nil || r.Stands != firewall.PreviousStands || r.Changed {
		t.Errorf("for a network that cannot be: %+v %v", r, err)
	}
	if r, err = again.Apply(t.Context(), bad, l.network()); err == nil || r.Stands != firewall.MinimumStands {
		t.Errorf("for another network: %+v %v", r, err)
	}
	if !l.opens(l.lan, peer4, 443) || l.opens(l.wan, remote4, 993) {
		t.Error("the administrator is locked out, or more than the minimum is open")
	}
	if r, err = again.Apply(t.Context(), public(), wrong); err == nil || r.Stands != firewall.MinimumStands || !l.opens(l.lan, peer4, 443) {
		t.Errorf("for a network that cannot be, after the minimum: %+v %v", r, err)
	}
}

func TestAGuardStandsUntilAPolicyDoes(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	if !l.opens(l.wan, remote4, 993) {
		t.Fatal("without a firewall nothing is open")
	}
	if r, err := fw.Guard(t.Context(), l.network()); err != nil || r.Stands != firewall.MinimumStands || !r.Changed {
		t.Errorf("%+v %v", r, err)
	}
	if l.opens(l.wan, remote4, 993) || !l.opens(l.lan, peer4, 443) {
		t.Error("the minimum does not stand")
	}
	apply(t, fw, public(), l.network())
	if r, err := fw.Guard(t.Context(), l.network()); err != nil || r.Stands != firewall.PreviousStands || r.Changed || !l.opens(l.wan, remote4, 993) {
		t.Errorf("a guard takes a policy's place: %+v %v", r, err)
	}
}

// TestWithoutTheRightNothingIsDoneAndThatIsSaid runs on a thread that may not
// administer the network.
func TestWithoutTheRightNothingIsDoneAndThatIsSaid(t *testing.T) {
	said := make(chan error)
	go func() {
		runtime.LockOSThread() // and end with it
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&head, &none[0]); err != nil {
			said <- err
			return
		}
		_, err := firewall.Open(t.Context(), &firewall.Config{Logger: slog.New(slog.DiscardHandler)})
		said <- err
	}()
	if err := <-said; !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "the right to administer the network is missing") {
		t.Errorf("%v", err)
	}
}

// TestCallersMayComeAtOnce has all that changes the table done by many.
func TestCallersMayComeAtOnce(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	apply(t, fw, public(), l.network())
	var callers sync.WaitGroup
	for i := range 3 {
		callers.Go(func() {
			for n := range 3 {
				p := public()
				p.Services[policy.SMTP] = policy.Rule{From: policy.LAN, Rate: 10 + i*10 + n}
				if r, err := fw.Apply(t.Context(), p, l.network()); err != nil || r.Stands != firewall.PolicyStands {
					t.Errorf("%+v %v", r, err)
				}
				if err := fw.Ban(t.Context(), banned(i*100+n), time.Hour); err != nil {
					t.Error(err)
				}
				if _, err := fw.State(t.Context()); err != nil {
					t.Error(err)
				}
				if err := fw.Verify(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	all, err := fw.Bans(t.Context())
	must(t, err)
	if len(all) != 9 {
		t.Errorf("%d bans of 9", len(all))
	}
}

func TestWithoutAManagedInterfaceOnlyTheMachineItselfIsLetIn(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	p := policy.Default()
	r := apply(t, fw, &p, firewall.Network{})
	if len(r.Notes) == 0 {
		t.Error("nobody is told")
	}
	if l.opens(l.lan, peer4, 443) || l.opens(l.lan, peerLink, 443) || l.opens(l.lan, peer4, 993) {
		t.Error("a network that is not known is let in")
	}
	// The network comes up.
	if r := apply(t, fw, &p, l.network()); !r.Changed || !l.opens(l.lan, peer4, 443) {
		t.Errorf("%+v", r)
	}
}

func TestTheSameAgainChangesNothingAndAnotherNetworkDoes(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	first := apply(t, fw, public(), l.network())
	if !first.Changed {
		t.Error("the first table is no change")
	}
	if again := apply(t, fw, public(), l.network()); again.Changed || again.Revision != first.Revision {
		t.Errorf("%+v", again)
	}
	var n firewall.Network
	n.Add(lanName, prefix("192.168.7.1/24"))
	if other := apply(t, fw, public(), n); !other.Changed || other.Revision == first.Revision {
		t.Errorf("%+v", other)
	}
	if l.opens(l.lan, peer4, 587) || !l.opens(l.lan, addr("192.168.7.9"), 587) {
		t.Error("the LAN is still the old one")
	}
}

func TestWhatSomebodyElseChangesIsSeenAndPutRight(t *testing.T) {
	l := newLab(t)
	for _, c := range []struct {
		name   string
		change func(c *nftables.Conn, table *nftables.Table, input *nftables.Chain)
	}{
		{"a rule more", func(c *nftables.Conn, table *nftables.Table, input *nftables.Chain) {
			c.InsertRule(&nftables.Rule{Table: table, Chain: input, Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}})
		}},
		{"a rule less", func(c *nftables.Conn, table *nftables.Table, input *nftables.Chain) {
			rules, err := c.GetRules(table, input)
			must(t, err)
			must(t, c.DelRule(rules[len(rules)-1]))
		}},
		{"a rule that does something else", func(c *nftables.Conn, table *nftables.Table, input *nftables.Chain) {
			rules, err := c.GetRules(table, input)
			must(t, err)
			last := rules[len(rules)-1]
			last.Exprs = []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept}}
			c.ReplaceRule(last)
		}},
		{"a network more", func(c *nftables.Conn, table *nftables.Table, _ *nftables.Chain) {
			s := &nftables.Set{Table: table, Name: "on-eth0-v4", Interval: true}
			must(t, c.SetAddElements(s, []nftables.SetElement{{Key: []byte{198, 51, 100, 0}}, {Key: []byte{198, 51, 101, 0}, IntervalEnd: true}}))
		}},
		{"a chain that lets all in", func(c *nftables.Conn, table *nftables.Table, input *nftables.Chain) {
			policy := nftables.ChainPolicyAccept
			input.Table, input.Policy = table, &policy
			c.AddChain(input)
		}},
		{"no table", func(c *nftables.Conn, table *nftables.Table, _ *nftables.Chain) { c.DelTable(table) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			fw := open(t)
			apply(t, fw, public(), l.network())
			must(t, fw.Verify(t.Context()))
			conn, err := nftables.New()
			must(t, err)
			table := &nftables.Table{Name: "pillarbox", Family: nftables.TableFamilyINet}
			input, err := conn.ListChain(table, "input")
			must(t, err)
			c.change(conn, table, input)
			must(t, conn.Flush())
			if err := fw.Verify(t.Context()); err == nil {
				t.Error("nobody sees it")
			}
			if s, err := fw.State(t.Context()); err != nil || s.Problem == "" {
				t.Errorf("the state does not tell: %v", err)
			}
			if r := apply(t, fw, public(), l.network()); !r.Changed {
				t.Error("it is not put right")
			}
			must(t, fw.Verify(t.Context()))
		})
	}
}

// TestTheLargestPolicyStands has every bound at its end: more rules than fit
// into the usual buffers of a socket.
func TestTheLargestPolicyStands(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	p := policy.Default()
	for i := range 256 {
		p.LAN = append(p.LAN, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 17))
	}
	for s := range policy.Ports() {
		r := policy.Rule{From: policy.Networks, Override: "a test"}
		for i := range 256 {
			a := [16]byte{0x20, 0x01, 0x0d, 0xb8, byte(i)}
			r.Networks = append(r.Networks, netip.PrefixFrom(netip.AddrFrom16(a), 48))
		}
		p.Services[s] = r
	}
	n := l.network()
	for i := range 63 {
		n.Add(fmt.Sprintf("vlan%d", i), netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, byte(i), 0}), 24), netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, byte(i)}), 64))
	}
	r := apply(t, fw, &p, n)
	if rules := len(fw.Ruleset().RuleNames()); rules < 1500 {
		t.Errorf("%d rules only", rules)
	}
	if !l.opens(l.wan, addr("2001:db8:ff00::1"), 993) || l.opens(l.wan, addr("2001:db8:ff01::1"), 993) ||
		!l.opens(l.wan, addr("10.255.0.1"), 993) || l.opens(l.wan, addr("10.255.128.1"), 993) || !l.opens(l.lan, peer4, 993) {
		t.Error("the last of all networks is not the last")
	}
	if again := apply(t, fw, &p, n); again.Changed || again.Revision != r.Revision {
		t.Error("it is not the same when it is read back")
	}
}

// TestNftReadsTheTable has the tool of others read what we write.
func TestNftReadsTheTable(t *testing.T) {
	if testing.Short() {
		t.Skip("the firmware has no such tool")
	}
	netlab.Require(t, "nft")
	l := newLab(t)
	fw := open(t)
	apply(t, fw, public(), l.network())
	out, err := exec.Command("nft", "list", "table", "inet", "pillarbox").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{
		`iifname "lo" counter packets`, `ct state established,related counter`, `type filter hook input priority filter; policy drop;`,
		`type filter hook forward priority filter; policy drop;`, `tcp dport 993 counter`, `goto imaps comment "imaps"`,
		`ip saddr @bans4 counter`, `drop comment "banned/ipv4"`, `elements = { 192.0.2.0/24 }`,
		`update @imaps-rate4 { ip saddr limit rate over 300/minute burst 100 packets }`, `icmpv6 type nd-router-advert ip6 hoplimit 255`,
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("nft does not show %q", want)
		}
	}
}
