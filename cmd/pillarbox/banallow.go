package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"pillarbox/appliance/control"
)

type banAllowCommand struct {
	dataFlag
	jsonFlag

	Network string `arg:"" help:"An address or a network, such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32."`
	Note    string `help:"What it is." placeholder:"TEXT"`
}

// Help is printed below the flags.
func (c *banAllowCommand) Help() string {
	return `A ban that it has already does not hold any more. Guessing is slowed down from there
as from everywhere.`
}

// Run puts a network on the allow-list.
func (c *banAllowCommand) Run(ctx context.Context, e *env) error {
	if err := checkNetwork(c.Network); err != nil {
		return err
	}

	return c.with(ctx, e, false, func(client *control.Client) error {
		a, err := client.Allow(ctx, control.NewAllowed{Network: c.Network, Note: c.Note})
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, a)
		}
		_, err = fmt.Fprintf(e.stdout, "%s is never banned\n", networkName(a.Network))

		return err
	})
}

type banDisallowCommand struct {
	dataFlag

	Network string `arg:"" help:"The address or network, as the list has it."`
}

// Run takes a network off the allow-list.
func (c *banDisallowCommand) Run(ctx context.Context, e *env) error {
	if err := checkNetwork(c.Network); err != nil {
		return err
	}

	return c.with(ctx, e, false, func(client *control.Client) error {
		err := client.Disallow(ctx, c.Network)
		if codeOf(err) == control.CodeNotAllowed {
			return &hintError{"Nothing was changed. See what is: pillarbox ban allowed", err}
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "%s can be banned again\n", c.Network)

		return err
	})
}

type banAllowedCommand struct {
	dataFlag
	jsonFlag
}

// Run lists the allow-list.
func (c *banAllowedCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		list, err := client.Allowed(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, list)
		}
		if len(list) == 0 {
			_, err := fmt.Fprintln(e.stdout, "The allow-list is empty. This machine itself is never banned.")
			return err
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NEVER BANNED\tSINCE\tNOTE")
		for _, a := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\n", networkName(a.Network), a.Since.Local().Format(time.DateTime), a.Note)
		}

		return w.Flush()
	})
}
