package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"pillarbox/appliance/control"
	"pillarbox/appliance/ports"
)

type portSimulateCommand struct {
	dataFlag
	jsonFlag

	Change string   `arg:"" enum:"close,tls13,no-plain" help:"close (a port), tls13 (TLS 1.3 alone) or no-plain (neither PLAIN nor LOGIN)."`
	Port   portName `arg:"" optional:"" help:"Which port: 993 or 990. Without it tls13 and no-plain are for all."`
}

// Help is printed below the flags.
func (c *portSimulateCommand) Help() string {
	return `Counts who came in the last 30 days in a way that the change closes, whether the same device,
or at least the same person, was seen in another way, and says what each has to do. Nothing is
changed. What cannot be known is told at the end.`
}

// Run tells what would break.
func (c *portSimulateCommand) Run(ctx context.Context, e *env) error {
	if c.Change == string(ports.Close) && c.Port == "" {
		return &usageError{command: "pillarbox port simulate", err: errors.New("say which port: pillarbox port simulate close 990")}
	}

	return c.with(ctx, e, false, func(client *control.Client) error {
		f, err := client.Simulate(ctx, ports.Scenario{Change: ports.What(c.Change), Port: string(c.Port)})
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, f)
		}

		return showForecast(e.stdout, &f)
	})
}

func showForecast(w io.Writer, f *ports.Forecast) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", f.Summary)
	if f.OtherWise > 0 {
		fmt.Fprintf(&b, "%s would notice nothing.\n", plural(f.OtherWise, "client"))
	}
	for i := range f.Affected {
		b.WriteString("\n")
		showAffected(&b, &f.Affected[i])
	}
	if len(f.Moved) > 0 {
		b.WriteString("\nMoved already:\n")
	}
	for i := range f.Moved {
		a := &f.Moved[i]
		fmt.Fprintf(&b, "  %s of %s (%s), last in the old way at %s\n", a.Client.Name(), a.Client.Account, a.Client.ID, a.Last.Local().Format(time.DateTime))
	}
	if len(f.Strangers) > 0 {
		b.WriteString("\nConnect, but do not sign in as it is (pillarbox port strangers):\n")
	}
	for _, s := range f.Strangers {
		fmt.Fprintf(&b, "  %s, last at %s", networkName(s.Network), s.Last.Local().Format(time.DateTime))
		if s.Name != "" {
			fmt.Fprintf(&b, ", %s", s.Name)
		}
		if len(s.Accounts) > 0 {
			fmt.Fprintf(&b, ", from where clients of %s come, too", strings.Join(s.Accounts, ", "))
		}
		b.WriteString("\n")
	}
	b.WriteString("\nWhat cannot be known:\n")
	for _, text := range f.Unknown {
		fmt.Fprintf(&b, "  - %s\n", text)
	}
	_, err := io.WriteString(w, b.String())

	return err
}

func showAffected(b *strings.Builder, a *ports.Affected) {
	c := &a.Client
	fmt.Fprintf(b, "%s of %s (%s)\n", c.Name(), c.Account, c.ID)
	fmt.Fprintf(b, "  is           %s, at %s, with %s\n", cmp.Or(c.Program, "a program that does not say what it is"), addressWords(&a.From), credentialWords(&c.Credential))
	fmt.Fprintf(b, "  came by      %s: %s on %s, last at %s\n", strings.Join(a.Ways, ", "), plural(a.Sessions, "session"), plural(a.Days, "day"), a.Last.Local().Format(time.DateTime))
	switch a.Elsewhere {
	case ports.Both, ports.Moved:
		fmt.Fprintf(b, "  elsewhere    it comes in another way, too, last at %s\n", a.OtherLast.Local().Format(time.DateTime))
	case ports.Person:
		fmt.Fprintf(b, "  elsewhere    the person does: %s, last at %s\n", strings.Join(a.Others, ", "), a.OtherLast.Local().Format(time.DateTime))
	case ports.Nowhere:
		b.WriteString("  elsewhere    nothing of this person was seen: no mail at all for it\n")
	}
	fmt.Fprintf(b, "  do           %s\n", a.Do)
}
