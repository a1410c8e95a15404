package main

import (
	"context"
	"fmt"

	"pillarbox/appliance/control"
)

type adminCommand struct {
	Passwd adminPasswdCommand `cmd:"" help:"Set or change the administrator's password."`

	Web         adminWebCommand         `cmd:"" help:"Show the administrator's second factor, passkeys and sessions on the web page."`
	ResetFactor adminResetFactorCommand `cmd:"" help:"Take the administrator's second factor and passkeys away, for instance with a lost telephone."`
	SignOut     adminSignOutCommand     `cmd:"" name:"sign-out" help:"Sign the administrator out of the web page everywhere."`
}

type adminPasswdCommand struct {
	dataFlag
	passwordFlags
}

// Run sets the password. The data folder is made too if it is missing.
func (c *adminPasswdCommand) Run(ctx context.Context, e *env) error {
	password, err := c.read(e)
	if err != nil {
		return err
	}

	return c.with(ctx, e, true, func(client *control.Client) error {
		if err := client.SetAdmin(ctx, password); err != nil {
			return err
		}
		fmt.Fprintln(e.stdout, "changed the administrator's password")
		if c.GeneratePassword {
			fmt.Fprintf(e.stdout, "password %s\n", string(password))
		}

		return nil
	})
}

// administrator is what the box's own administrator is called.
const administrator = "the administrator"

type adminWebCommand struct {
	dataFlag
	jsonFlag
}

// Run tells of the administrator on the web page.
func (c *adminWebCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error { return showPageUser(ctx, e, client, "", c.JSON) })
}

type adminResetFactorCommand struct{ dataFlag }

// Run resets the administrator's second factor.
func (c *adminResetFactorCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error { return resetFactor(ctx, e, client, "", administrator) })
}

type adminSignOutCommand struct{ dataFlag }

// Run ends the administrator's sessions.
func (c *adminSignOutCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error { return signOut(ctx, e, client, "", administrator) })
}
