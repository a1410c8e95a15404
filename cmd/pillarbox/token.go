package main

import (
	"context"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"pillarbox/appliance/control"
)

type tokenCommand struct {
	Add    tokenAddCommand    `cmd:"" help:"Make a token and show it, this once."`
	List   tokenListCommand   `cmd:"" help:"List the tokens, and when they were last used."`
	Revoke tokenRevokeCommand `cmd:"" help:"Take a token away."`
}

type tokenAddCommand struct {
	dataFlag
	jsonFlag

	Name string `arg:"" help:"What it is for, such as monitoring."`
	Role string `help:"auditor (reads all), operator (keeps people and bans) or administrator (all)." enum:"auditor,operator,administrator" default:"auditor"`
	Days int    `help:"How many days it lasts." default:"90"`
}

// Run makes a token.
func (c *tokenAddCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		made, err := client.AddToken(ctx, control.NewToken{Name: c.Name, Role: c.Role, Days: c.Days})
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, made)
		}
		_, err = fmt.Fprintf(e.stdout, "added %s, %s until %s\ntoken %s\nIt is not shown again.\n",
			made.Name, made.Role, made.Expires.Local().Format(time.DateOnly), made.Secret)

		return err
	})
}

type tokenListCommand struct {
	dataFlag
	jsonFlag
}

// Run lists the tokens.
func (c *tokenListCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		all, err := client.Tokens(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, all)
		}
		if len(all) == 0 {
			_, err := fmt.Fprintln(e.stdout, "There are no tokens.")
			return err
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tROLE\tMADE\tBY\tENDS\tLAST USED")
		for _, t := range all {
			used := "never"
			if t.Used != nil {
				used = t.Used.Local().Format(time.DateTime)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t.Name, t.Role, t.Created.Local().Format(time.DateOnly), t.By, t.Expires.Local().Format(time.DateOnly), used)
		}

		return w.Flush()
	})
}

type tokenRevokeCommand struct {
	dataFlag

	Token string `arg:"" help:"The token's name or ID."`
}

// Run revokes a token.
func (c *tokenRevokeCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		all, err := client.Tokens(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(t control.Token) bool { return t.Name == c.Token || t.ID == c.Token })
		if i < 0 {
			return &control.Error{Code: control.CodeNoToken, Message: "there is no token " + c.Token}
		}
		if _, err := client.RevokeToken(ctx, all[i].ID); err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "%s opens nothing any more\n", all[i].Name)

		return err
	})
}
