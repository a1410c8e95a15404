package main

import (
	"context"
	"errors"
	"fmt"

	"pillarbox/appliance/control"
)

type metricsCommand struct {
	Show  metricsShowCommand  `cmd:"" default:"withargs" help:"Print the metrics as Prometheus reads them."`
	Token metricsTokenCommand `cmd:"" help:"Make the token by which Prometheus may read them, and show it, this once."`
}

type metricsShowCommand struct{ dataFlag }

// errNoMetrics says that there is nothing to be seen.
var errNoMetrics = errors.New("no server runs on this data folder, so nothing was counted: start it first")

// Run prints the metrics.
func (c *metricsShowCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		status, err := client.Status(ctx)
		if err != nil {
			return err
		}
		if len(status.Listeners) == 0 {
			return errNoMetrics
		}
		page, err := client.Metrics(ctx)
		if err != nil {
			return err
		}
		_, err = e.stdout.Write(page)

		return err
	})
}

type metricsTokenCommand struct {
	dataFlag
	jsonFlag

	Remove bool `help:"Take the token away: nobody can read the metrics any more."`
}

// Help is printed below the flags.
func (c *metricsTokenCommand) Help() string {
	return `The one before opens them no longer. The port, 9464, opens by the settings: "metrics":
true in "ports" (pillarbox network settings).`
}

// Run makes a token or takes it away.
func (c *metricsTokenCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		if c.Remove {
			if err := client.DropMetricsToken(ctx); err != nil {
				return err
			}
			_, err := fmt.Fprintln(e.stdout, "nobody can read the metrics any more")
			return err
		}
		t, err := client.NewMetricsToken(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, t)
		}
		_, err = fmt.Fprintf(e.stdout, "token %s\nIt is not shown again.\n", t.Token)

		return err
	})
}
