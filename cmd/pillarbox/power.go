package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"pillarbox/appliance/control"
	"pillarbox/appliance/power"
	"pillarbox/appliance/restart"
)

type powerCommand struct {
	Show    powerShowCommand    `cmd:"" default:"withargs" help:"Tell since when it runs, why it started, and what an end would interrupt."`
	Restart powerRestartCommand `cmd:"" help:"Start the box anew."`
	Off     powerOffCommand     `cmd:"" help:"Switch the box off."`
}

type powerShowCommand struct {
	dataFlag
	jsonFlag
}

type powerRestartCommand struct{ powerOrder }

type powerOffCommand struct{ powerOrder }

type powerOrder struct {
	dataFlag

	Yes bool `help:"Do not ask."`
}

// Help is printed below the flags.
func (c *powerCommand) Help() string {
	return `Only the firmware has its machine to itself; elsewhere whoever looks after the machine
starts it, or the server, anew. Services are stopped in order; no mail that was
accepted is lost.`
}

// Run tells how the machine is.
func (c *powerShowCommand) Run(ctx context.Context, e *env) error {
	return c.ask(ctx, func(client *control.Client) error {
		s, err := client.Power(ctx)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return printJSON(e.stdout, s)
		}

		return printPower(e.stdout, &s)
	})
}

// Run starts the box anew.
func (c *powerRestartCommand) Run(ctx context.Context, e *env) error {
	return c.give(ctx, e, power.Restart, "the box starts anew")
}

// Run switches the box off.
func (c *powerOffCommand) Run(ctx context.Context, e *env) error {
	return c.give(ctx, e, power.Off, "the box is being switched off")
}

// ask calls f with a client of the server that runs.
func (d *dataFlag) ask(ctx context.Context, f func(*control.Client) error) error {
	client, err := control.Dial(ctx, d.Data)
	if errors.Is(err, control.ErrNoServer) {
		return fmt.Errorf("%w %s", err, d.Data)
	}
	if err != nil {
		return err
	}
	defer client.Close()

	return f(client)
}

func (c *powerOrder) give(ctx context.Context, e *env, o power.Order, done string) error {
	return c.ask(ctx, func(client *control.Client) error {
		if !c.Yes {
			s, err := client.Power(ctx)
			if err != nil {
				return err
			}
			if len(s.Orders) > 0 { // otherwise the answer says why not
				if err := c.confirm(e, o, &s); err != nil {
					return err
				}
			}
		}
		if err := client.OrderPower(ctx, o); err != nil {
			return err
		}
		_, err := fmt.Fprintln(e.stdout, done)

		return err
	})
}

// confirm shows what would be interrupted.
func (c *powerOrder) confirm(e *env, o power.Order, s *control.PowerState) error {
	if err := printInterrupted(e.stderr, s); err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "Type %q to go on: ", o)
	typed := bufio.NewScanner(e.stdin)
	if !typed.Scan() || typed.Text() != string(o) {
		return errors.New("nothing was done")
	}

	return nil
}

func printInterrupted(w io.Writer, s *control.PowerState) error {
	var b strings.Builder
	for _, p := range s.Ports {
		fmt.Fprintf(&b, "  %-12s %s on port %d\n", "connected", plural(p.Connections, "mail program"), p.Port)
	}
	if len(s.People) > 0 {
		fmt.Fprintf(&b, "  %-12s %s\n", "", strings.Join(s.People, ", "))
	}
	for _, work := range s.Work {
		fmt.Fprintf(&b, "  %-12s %s. %s\n", "interrupted", work.What, work.Then)
	}
	_, err := io.WriteString(w, b.String())

	return err
}

func printPower(w io.Writer, s *control.PowerState) error {
	var b strings.Builder
	fmt.Fprintf(&b, "pillarbox %s\n", s.Version)
	fmt.Fprintf(&b, "  %-12s for %s\n", "server", duration(time.Since(s.Started)))
	if !s.Booted.IsZero() {
		fmt.Fprintf(&b, "  %-12s for %s\n", "machine", duration(time.Since(s.Booted)))
	}
	for i := len(s.Starts) - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "  %-12s %s, %s\n", "started", s.Starts[i].Time.Local().Format(time.DateTime), whyStarted(&s.Starts[i]))
	}
	if err := printInterrupted(&b, s); err != nil {
		return err
	}
	if len(s.Orders) == 0 {
		fmt.Fprintf(&b, "  %-12s not the box's own: it is neither started anew nor switched off from here\n", "power")
	}
	_, err := io.WriteString(w, b.String())

	return err
}

// whyStarted tells in words why a start came.
func whyStarted(s *restart.Start) string {
	reason := ""
	if s.Reason != "" {
		reason = ": " + s.Reason
	}
	switch s.Why {
	case restart.First:
		return "for the first time"
	case restart.Restarted:
		return "by order of " + s.Reason
	case restart.Off:
		return "having been switched off by " + s.Reason
	case restart.Stopped:
		if s.Machine {
			return "the machine having been stopped in order"
		}
		return "the server having been stopped in order"
	case restart.Failed:
		return "after an error" + reason
	case restart.Crashed:
		return "after a crash" + reason
	case restart.Killed:
		return "the server having been killed, by somebody or for want of memory"
	case restart.PowerCut:
		return "the power having been cut, or the kernel having stopped"
	}

	return "it is not known why"
}
