package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"pillarbox/appliance/control"
)

type supportCommand struct {
	Bundle supportBundleCommand `cmd:"" default:"withargs" help:"Write a bundle for somebody who helps with the box."`
	Show   supportShowCommand   `cmd:"" help:"Tell what a bundle would hold, and write none."`
}

type supportBundleCommand struct {
	dataFlag

	KeepNames bool   `name:"keep-names" help:"Leave names and addresses as they are."`
	Output    string `short:"o" help:"The file to write; it must not be there yet. Without it a file in this folder, with today's date." type:"path" placeholder:"FILE"`
}

type supportShowCommand struct {
	dataFlag
	jsonFlag
}

// Help is printed below the flags.
func (c *supportCommand) Help() string {
	return `A bundle is a ZIP archive with the log, the settings, health, ports, network, audit
records and figures of the program and the machine. Passwords, keys and tokens are taken
out, and no mail is in it; names and addresses are replaced, unless --keep-names is given:
the same person is the same person-… throughout a bundle. Look through it before you send
it. It can be made without a running server, too.`
}

// Run writes a bundle.
func (c *supportBundleCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		name := c.Output
		if name == "" {
			name = "pillarbox-support-" + time.Now().Format("20060102-150405") + ".zip"
		}
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("make a bundle: %w", err)
		}
		err = client.SupportBundle(ctx, f, control.SupportRequest{KeepNames: c.KeepNames})
		if err = errors.Join(err, f.Close()); err != nil {
			return errors.Join(err, os.Remove(name))
		}
		_, err = fmt.Fprintf(e.stdout, "wrote %s; look through it before you send it: README.txt in it says what is there\n", name)

		return err
	})
}

// Run lists the parts.
func (c *supportShowCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		parts, err := client.SupportParts(ctx)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return printJSON(e.stdout, parts)
		}
		t := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "FILE\tHOLDS")
		for _, p := range parts {
			fmt.Fprintf(t, "%s\t%s\n", p.Name, p.Title)
		}

		return t.Flush()
	})
}
