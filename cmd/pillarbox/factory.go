package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"pillarbox/appliance"
	"pillarbox/appliance/factory"
)

// factoryCommand is for the console's menu: who can type there stands before
// the box.
type factoryCommand struct {
	dataFlag

	KeepMail bool `help:"Keep the accounts, their passwords and their mail." xor:"what" required:""`
	WipeMail bool `help:"Delete them too." xor:"what" required:""`
	Cancel   bool `help:"Take back a reset that has not begun." xor:"what" required:""`
	Yes      bool `help:"Do not ask."`
}

// Help is printed below the flags.
func (c *factoryCommand) Help() string {
	return `The reset is done at the next start of the server. Certificates, keys and logs are
deleted; the box makes new ones, and every client has to trust the new certificate.
What the provisioning file on the boot partition says holds as before.`
}

// confirmation is what a person types to have mail deleted.
const confirmation = "delete all mail"

// Run schedules a reset, or cancels one.
func (c *factoryCommand) Run(ctx context.Context, e *env) error {
	if err := c.checkFolder(); err != nil {
		return err
	}
	if _, err := os.Stat(c.Data); err != nil {
		return &folderError{dir: c.Data, err: fmt.Errorf("%w: %w", appliance.ErrNoData, err)}
	}
	if c.Cancel {
		was, err := factory.Cancel(c.Data)
		if err == nil && !was {
			err = errors.New("no factory reset is scheduled")
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(e.stdout, "the factory reset is cancelled")

		return err
	}
	if c.WipeMail && !c.Yes {
		fmt.Fprintf(e.stderr, "All accounts and all mail of %s will be deleted. Type %q to go on: ", c.Data, confirmation)
		typed := bufio.NewScanner(e.stdin)
		if !typed.Scan() || typed.Text() != confirmation {
			return errors.New("nothing was changed")
		}
	}
	if err := factory.Schedule(c.Data, factory.Reset{KeepMail: c.KeepMail, Requested: time.Now().UTC()}); err != nil {
		return err
	}
	what := "all accounts and mail are deleted"
	if c.KeepMail {
		what = "accounts and mail stay"
	}
	_, err := fmt.Fprintf(e.stdout, "at the next start of the server the box is reset; %s\n", what)

	return err
}

// carryOut does the factory reset that is scheduled, and returns which it was.
func carryOut(dir string, e *env) (*factory.Reset, error) {
	r, err := factory.Scheduled(dir)
	if err != nil {
		r = nil // CarryOut says so
	}

	return r, factory.CarryOut(dir, slog.New(slog.NewTextHandler(e.stderr, nil)))
}
