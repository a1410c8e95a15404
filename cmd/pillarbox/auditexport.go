package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/control"
)

type auditExportCommand struct {
	dataFlag
	auditFilterFlags

	Format string `help:"jsonl, one record a line with all its hashes, or csv, for spreadsheets." enum:"jsonl,csv" default:"jsonl" placeholder:"FORMAT"`
	Output string `short:"o" help:"The file to write; it must not be there yet. Without it standard output." type:"path" placeholder:"FILE"`
}

// Help is printed below the flags.
func (c *auditExportCommand) Help() string {
	return `Exports are recorded themselves. They hold personal data: who signed in, when and from
where. In csv a text that a spreadsheet would take for a formula has a ' before it.`
}

// Run exports records.
func (c *auditExportCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		if c.Output == "" {
			_, err := client.AuditExport(ctx, e.stdout, audit.Format(c.Format), c.filter())
			return err
		}
		f, err := os.OpenFile(c.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		n, err := client.AuditExport(ctx, f, audit.Format(c.Format), c.filter())
		if err = errors.Join(err, f.Close()); err != nil {
			return errors.Join(err, os.Remove(c.Output))
		}
		_, err = fmt.Fprintf(e.stdout, "wrote %s to %s\n", plural(n, "record"), c.Output)

		return err
	})
}
