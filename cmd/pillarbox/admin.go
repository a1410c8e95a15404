package main

import (
	"context"
	"fmt"

	"pillarbox/appliance/control"
)

type adminCommand struct {
	Passwd adminPasswdCommand `cmd:"" help:"Set or change the administrator's password."`
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
