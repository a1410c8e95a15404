package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"pillarbox/appliance/control"
	"pillarbox/appliance/directory"
)

type aliasCommand struct {
	Add    aliasAddCommand    `cmd:"" help:"Make an alias, or add targets to one."`
	List   aliasListCommand   `cmd:"" help:"List the aliases."`
	Remove aliasRemoveCommand `cmd:"" help:"Remove an alias, or some of its targets."`
	Set    aliasSetCommand    `cmd:"" help:"Say what a group is for and who may write to it, or give it other members."`
}

type aliasAddCommand struct {
	dataFlag

	Address string   `arg:"" help:"The alias, such as info@office.example."`
	Targets []string `arg:"" help:"Addresses of accounts or other aliases that get its mail."`
}

// Run makes an alias.
func (c *aliasAddCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		if err := client.AddAlias(ctx, directory.Alias{Address: c.Address, Targets: c.Targets}); err != nil {
			if codeOf(err) == control.CodeAddressTaken {
				return &hintError{"An account has it; give the alias another address. See: pillarbox account list", err}
			}
			return err
		}
		_, err := fmt.Fprintf(e.stdout, "%s leads to %s\n", c.Address, strings.Join(c.Targets, ", "))

		return err
	})
}

type aliasListCommand struct {
	dataFlag
	jsonFlag
}

// Run lists the aliases.
func (c *aliasListCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		aliases, err := client.Aliases(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, aliases)
		}
		if len(aliases) == 0 {
			_, err := fmt.Fprintln(e.stdout, "There are no aliases.")
			return err
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ADDRESS\tLEADS TO\tWHO MAY WRITE\tFOR")
		for _, a := range aliases {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", a.Address, strings.Join(a.Targets, ", "), writersText(a.Writers), a.Description)
		}

		return w.Flush()
	})
}

type aliasRemoveCommand struct {
	dataFlag

	Address string   `arg:"" help:"The alias."`
	Targets []string `arg:"" optional:"" help:"Targets to remove; without any the whole alias goes."`
}

// Run removes an alias or targets of it.
func (c *aliasRemoveCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		if err := client.RemoveAlias(ctx, c.Address, c.Targets...); err != nil {
			return err
		}
		if len(c.Targets) == 0 {
			_, err := fmt.Fprintf(e.stdout, "removed %s\n", c.Address)
			return err
		}
		_, err := fmt.Fprintf(e.stdout, "%s no longer leads to %s\n", c.Address, strings.Join(c.Targets, ", "))

		return err
	})
}

type aliasSetCommand struct {
	dataFlag
	jsonFlag

	Address     string   `arg:"" help:"The group or alias."`
	Members     []string `help:"Its members from now on; without this they stay." placeholder:"ADDRESS,…"`
	Description *string  `help:"What it is for."`
	Writers     string   `help:"Who may write to it: anybody, or office, which goes by the sender that the delivering server names." enum:",anybody,office" default:""`
}

// Run changes a group.
func (c *aliasSetCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		a, err := client.Alias(ctx, c.Address)
		if err != nil {
			return err
		}
		n := control.AliasChange{Targets: a.Targets, Description: a.Description, Writers: a.Writers}
		if c.Members != nil {
			n.Targets = c.Members
		}
		if c.Description != nil {
			n.Description = *c.Description
		}
		switch c.Writers {
		case "anybody":
			n.Writers = directory.Anybody
		case "office":
			n.Writers = directory.OfficeOnly
		}
		if a, err = client.SetAlias(ctx, c.Address, n); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, a)
		}
		_, err = fmt.Fprintf(e.stdout, "%s leads to %s; %s may write to it\n", a.Address, strings.Join(a.Targets, ", "), writersText(a.Writers))

		return err
	})
}

func writersText(w directory.Writers) string {
	if w == directory.Anybody {
		return "anybody"
	}

	return "the office only"
}
