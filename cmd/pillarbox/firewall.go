package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"pillarbox/appliance/control"
)

// firewallCommand is the firewall's part of the command line.
type firewallCommand struct {
	Show    firewallShowCommand    `cmd:"" help:"Show who may reach what, and what was counted."`
	Explain firewallExplainCommand `cmd:"" help:"Tell what happens to a connection, and why."`
}

type firewallShowCommand struct {
	dataFlag
	jsonFlag
}

// Run shows the rules that stand.
func (c *firewallShowCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		r, err := client.FirewallRules(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, r)
		}
		text := r.Words
		if text == "" {
			text = "No rules stand: every open port can be reached by everybody on the network.\n"
		}
		if r.Problem != "" {
			text += "problem: " + r.Problem + "\n"
		}
		_, err = io.WriteString(e.stdout, text)
		return err
	})
}

type firewallExplainCommand struct {
	dataFlag
	jsonFlag

	Address netip.Addr `arg:"" help:"Where the connection comes from." placeholder:"ADDRESS"`
	Port    uint16     `arg:"" help:"Where it goes to, such as 993." placeholder:"PORT"`
}

// errRefused makes the exit status tell what the words say.
var errRefused = errors.New("the connection is refused")

// Run tells which rule decides.
func (c *firewallExplainCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		d, err := client.ExplainFirewall(ctx, c.Address, c.Port)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, d)
		}
		what := "let in"
		if !d.Accepted {
			what = "refused"
		}
		if _, err := fmt.Fprintf(e.stdout, "%s to port %d: %s by the rule %q: %s\n", c.Address, c.Port, what, d.Rule, d.Why); err != nil {
			return err
		}
		if len(d.Path) > 0 {
			_, err = fmt.Fprintf(e.stdout, "on its way: %s\n", strings.Join(d.Path, ", "))
		}
		if err == nil && !d.Accepted {
			err = errRefused
		}
		return err
	})
}
