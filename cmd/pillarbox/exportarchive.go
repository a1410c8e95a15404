package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"pillarbox/appliance/control"
	"pillarbox/appliance/mailfile"
)

type exportArchiveCommand struct {
	dataFlag

	File    string `arg:"" help:"The file; - for standard output." placeholder:"FILE"`
	Account string `required:"" help:"The account." placeholder:"ADDRESS"`
	Form    string `help:"mbox (a zip) or maildir (a tar)." enum:"mbox,maildir" default:"mbox"`
}

// Run writes the file. It has its name only when it is whole.
func (c *exportArchiveCommand) Run(ctx context.Context, e *env) error {
	if c.File != "-" {
		if err := mailfile.Outside(c.File, c.Data); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}

	return c.with(ctx, e, false, func(client *control.Client) error {
		if c.File == "-" {
			return client.Archive(ctx, c.Account, c.Form, e.stdout)
		}
		if _, err := os.Lstat(c.File); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("write the file: %w", cmp.Or(err, fmt.Errorf("%s is there already; give another name", c.File)))
		}
		// A name that nobody else can have made a link of.
		f, err := os.CreateTemp(filepath.Dir(c.File), ".pillarbox-archive-*.partial")
		if err != nil {
			return fmt.Errorf("write the file: %w", err)
		}
		partial := f.Name()
		if err := client.Archive(ctx, c.Account, c.Form, f); err != nil {
			return errors.Join(err, f.Close(), os.Remove(partial))
		}
		if err := errors.Join(f.Sync(), f.Close(), os.Rename(partial, c.File)); err != nil {
			return fmt.Errorf("write the file: %w", errors.Join(err, os.Remove(partial)))
		}

		return nil
	})
}
