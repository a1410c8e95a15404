package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"pillarbox/appliance/control"
)

type exportArchiveCommand struct {
	dataFlag

	File    string `arg:"" help:"The file; - for standard output." placeholder:"FILE"`
	Account string `required:"" help:"The account." placeholder:"ADDRESS"`
	Form    string `help:"mbox (a zip) or maildir (a tar)." enum:"mbox,maildir" default:"mbox"`
}

// Run writes the file. It has its name only when it is whole.
func (c *exportArchiveCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		if c.File == "-" {
			return client.Archive(ctx, c.Account, c.Form, e.stdout)
		}
		partial := c.File + ".partial"
		f, err := os.OpenFile(partial, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("write the file: %w", err)
		}
		if err := client.Archive(ctx, c.Account, c.Form, f); err != nil {
			return errors.Join(err, f.Close(), os.Remove(partial))
		}
		if err := errors.Join(f.Sync(), f.Close(), os.Rename(partial, c.File)); err != nil {
			return fmt.Errorf("write the file: %w", err)
		}

		return nil
	})
}
