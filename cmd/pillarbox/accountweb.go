package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"pillarbox/appliance/control"
)

// roleText says what a person may do, and whether they may sign in at all.
func roleText(a control.Account) string {
	if a.Suspended {
		return a.Role + ", suspended"
	}

	return a.Role
}

type accountNameCommand struct {
	dataFlag

	Address string `arg:"" help:"The account's address."`
	Name    string `arg:"" help:"The person's name; an empty one takes it away."`
}

// Run changes a name.
func (c *accountNameCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		if err := client.SetName(ctx, c.Address, c.Name); err != nil {
			return err
		}
		_, err := fmt.Fprintf(e.stdout, "%s is called %q\n", c.Address, c.Name)

		return err
	})
}

type accountQuotaCommand struct {
	dataFlag

	Address string `arg:"" help:"The account's address."`
	Quota   size   `arg:"" help:"Such as 500M or 10G; 0 takes the limit away."`
}

// Run changes a limit.
func (c *accountQuotaCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		if err := client.SetQuota(ctx, c.Address, int64(c.Quota)); err != nil {
			return err
		}
		limit := c.Quota.String() + " of mail"
		if c.Quota == 0 {
			limit = "as much mail as there is room for"
		}
		_, err := fmt.Fprintf(e.stdout, "%s may hold %s\n", c.Address, limit)

		return err
	})
}

type accountSuspendCommand struct {
	dataFlag

	Address string `arg:"" help:"The account's address."`
}

// Run suspends an account.
func (c *accountSuspendCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		if err := client.Suspend(ctx, c.Address, true); err != nil {
			return err
		}
		_, err := fmt.Fprintf(e.stdout, "nobody can sign in to %s; mail for it still comes in\n", c.Address)

		return err
	})
}

type accountUnsuspendCommand struct {
	dataFlag

	Address string `arg:"" help:"The account's address."`
}

// Run ends a suspension.
func (c *accountUnsuspendCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		if err := client.Suspend(ctx, c.Address, false); err != nil {
			return err
		}
		_, err := fmt.Fprintf(e.stdout, "%s can sign in again\n", c.Address)

		return err
	})
}

type accountWebCommand struct {
	dataFlag
	jsonFlag

	Address string `arg:"" help:"The account's address."`
}

// Run tells of the web page's user.
func (c *accountWebCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		return showPageUser(ctx, e, client, c.Address, c.JSON)
	})
}

// showPageUser tells of a person, or of the administrator for "".
func showPageUser(ctx context.Context, e *env, client *control.Client, address string, asJSON bool) error {
	u, err := client.PageUser(ctx, address)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(e.stdout, u)
	}
	factor := "none"
	if u.Factor != nil {
		factor = fmt.Sprintf("since %s, %s left", u.Factor.Local().Format(time.DateOnly), plural(u.RecoveryCodes, "recovery code"))
	}
	fmt.Fprintf(e.stdout, "role           %s\nsecond factor  %s\n", u.Role, factor)
	for _, k := range u.Passkeys {
		fmt.Fprintf(e.stdout, "passkey        %s, at %s, since %s\n", k.Name, k.Host, k.Created.Local().Format(time.DateOnly))
	}
	if len(u.Sessions) == 0 {
		_, err := fmt.Fprintln(e.stdout, "not signed in to the web page")
		return err
	}

	return showSessions(e.stdout, u.Sessions)
}

func showSessions(out io.Writer, all []control.PageSession) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SIGNED IN FROM\tSINCE\tLAST SEEN\tBY")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Remote, s.Created.Local().Format(time.DateTime), s.Seen.Local().Format(time.DateTime), s.Means)
	}

	return w.Flush()
}

type accountRoleCommand struct {
	dataFlag

	Address string `arg:"" help:"The account's address."`
	Role    string `arg:"" help:"person, auditor (reads all), operator (keeps people and bans) or administrator (all)." enum:"person,auditor,operator,administrator"`
}

// Run gives a role.
func (c *accountRoleCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		if err := client.SetRole(ctx, c.Address, c.Role); err != nil {
			return err
		}
		_, err := fmt.Fprintf(e.stdout, "the role of %s is %s; who was signed in signs in anew\n", c.Address, c.Role)

		return err
	})
}

type accountResetFactorCommand struct {
	dataFlag

	Address string `arg:"" help:"The account's address."`
}

// Run resets a second factor.
func (c *accountResetFactorCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error { return resetFactor(ctx, e, client, c.Address, c.Address) })
}

func resetFactor(ctx context.Context, e *env, client *control.Client, address, name string) error {
	reset, err := client.ResetFactor(ctx, address)
	if err != nil {
		return err
	}
	if !reset.Had {
		_, err = fmt.Fprintf(e.stdout, "%s has no second factor and no passkey\n", name)
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s signs in to the web page by the password alone; recovery codes and passkeys are gone, too\n", name)

	return err
}

type accountSignOutCommand struct {
	dataFlag

	Address string `arg:"" help:"The account's address."`
}

// Run ends a person's sessions of the web page.
func (c *accountSignOutCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error { return signOut(ctx, e, client, c.Address, c.Address) })
}

func signOut(ctx context.Context, e *env, client *control.Client, address, name string) error {
	ended, err := client.EndSessions(ctx, address)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s is signed out of the web page (%s)\n", name, plural(ended.Ended, "session"))

	return err
}
