package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"pillarbox/appliance/config"
	"pillarbox/appliance/control"
)

type networkSettingsCommand struct {
	dataFlag

	Version int `help:"An earlier version." placeholder:"NUMBER"`
}

// Help is printed below the flags.
func (c *networkSettingsCommand) Help() string {
	return `The settings are one JSON document: office, network, firewall, ports and more. To
change them use "pillarbox settings set" or "settings edit", or write them to a file,
edit it, and hand it to "pillarbox settings apply".`
}

// Run prints the settings that are confirmed.
func (c *networkSettingsCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		s, err := client.Settings(ctx)
		if err != nil {
			return err
		}
		v := s.Current
		if c.Version > 0 {
			if v, err = client.SettingsVersion(ctx, c.Version); err != nil {
				return err
			}
		}
		return printJSON(e.stdout, v.Document)
	})
}

type networkPlanCommand struct {
	dataFlag
	jsonFlag

	File string `arg:"" help:"The settings (JSON), - for standard input." placeholder:"FILE"`
}

// Help is printed below the flags.
func (c *networkPlanCommand) Help() string {
	return `Nothing is changed; the settings are tried on a copy of the network. What DHCP
would give is not known, so an address that it gave before stays as it is.`
}

// Run shows what a file would change.
func (c *networkPlanCommand) Run(ctx context.Context, e *env) error {
	d, err := readDocument(c.File, e.stdin)
	if err != nil {
		return err
	}

	return c.with(ctx, e, false, func(client *control.Client) error {
		p, err := client.PlanSettings(ctx, d)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, p)
		}
		return printPlan(e.stdout, p.Diff, p.Reports)
	})
}

// readDocument reads settings from a file, or from standard input.
func readDocument(name string, stdin io.Reader) (*config.Document, error) {
	if name == "-" {
		d, err := config.Parse(stdin)
		return &d, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	defer f.Close()
	d, err := config.Parse(f)

	return &d, err
}

func printPlan(w io.Writer, diff []config.Change, reports []config.Report) error {
	var b strings.Builder
	for _, c := range diff {
		fmt.Fprintln(&b, c)
	}
	for _, r := range reports {
		for _, s := range r.Steps {
			fmt.Fprintf(&b, "%s: %s\n", r.Applier, s)
		}
		for _, n := range r.Notes {
			fmt.Fprintf(&b, "%s: note: %s\n", r.Applier, n)
		}
	}
	_, err := io.WriteString(w, b.String())

	return err
}

type networkApplyCommand struct {
	dataFlag
	jsonFlag

	Yes  bool   `help:"Do not ask."`
	Now  bool   `help:"Do not wait for the window in which changes are allowed."`
	Why  string `help:"The reason, for the record." placeholder:"TEXT"`
	File string `arg:"" help:"The settings (JSON), - for standard input (with --yes)." placeholder:"FILE"`
}

// Help is printed below the flags.
func (c *networkApplyCommand) Help() string {
	return `The change holds for a while (90 seconds, unless the settings say otherwise).
Confirm it in that time by "pillarbox network confirm"; else what was before
holds again, also after a crash or a power cut.`
}

// Run applies a file.
func (c *networkApplyCommand) Run(ctx context.Context, e *env) error {
	d, err := readDocument(c.File, e.stdin)
	if err != nil {
		return err
	}

	return c.with(ctx, e, false, func(client *control.Client) error {
		if !c.Yes {
			if err := showAndAsk(ctx, e, client, d); err != nil {
				return err
			}
		}
		return propose(ctx, e, client, &control.ProposeSettings{Document: d, Why: c.Why, Now: c.Now}, c.JSON)
	})
}

// showAndAsk shows what a document would change and asks whether to apply it.
func showAndAsk(ctx context.Context, e *env, client *control.Client, d *config.Document) error {
	p, err := client.PlanSettings(ctx, d)
	if err != nil {
		return err
	}
	if err := printPlan(e.stderr, p.Diff, p.Reports); err != nil {
		return err
	}

	return agree(e, "Apply this?")
}

var errNotAgreed = errors.New("nothing was changed")

// agree asks a person.
func agree(e *env, question string) error {
	if terminal(e.stdin) == nil {
		return &usageError{err: errors.New("there is nobody to ask: --yes applies without asking")}
	}
	if _, err := fmt.Fprint(e.stderr, question+" [y/N] "); err != nil {
		return err
	}
	answer, err := bufio.NewReader(e.stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errNotAgreed
	}

	return nil
}

func propose(ctx context.Context, e *env, client *control.Client, p *control.ProposeSettings, asJSON bool) error {
	r, err := client.ProposeSettings(ctx, p)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(e.stdout, r)
	}

	return printPending(e.stdout, &r.Pending)
}

type networkConfirmCommand struct {
	dataFlag
	jsonFlag

	Change string `arg:"" optional:"" help:"Which change; without it the one that is applied." placeholder:"ID"`
}

// Run keeps the change that is applied.
func (c *networkConfirmCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		v, err := client.ConfirmSettings(ctx, c.Change)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, v)
		}
		_, err = fmt.Fprintf(e.stdout, "Confirmed: version %d holds.\n", v.Number)
		return err
	})
}

type networkRevertCommand struct {
	dataFlag

	Change string `arg:"" optional:"" help:"Which change; without it the one that is pending." placeholder:"ID"`
}

// Run takes the change that is pending back.
func (c *networkRevertCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		if err := client.RevertSettings(ctx, c.Change); err != nil {
			return err
		}
		_, err := fmt.Fprintln(e.stdout, "Taken back: what was before holds.")
		return err
	})
}

type networkHistoryCommand struct {
	dataFlag
	jsonFlag
}

// Run lists the versions.
func (c *networkHistoryCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		s, err := client.Settings(ctx)
		if err != nil {
			return err
		}
		all, err := client.SettingsVersions(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, all)
		}
		return printHistory(e.stdout, &s, all)
	})
}

func printHistory(w io.Writer, s *control.Settings, all []config.Version) error {
	var b strings.Builder
	if p := s.Pending; p != nil {
		fmt.Fprintf(&b, "%s since %s, by %s: ", p.State, p.Proposed.Local().Format(time.DateTime), p.By)
		switch p.State {
		case config.Waiting:
			fmt.Fprintf(&b, "waits for %s\n", p.Begins.Local().Format(time.DateTime))
		case config.Applying, config.Applied:
			fmt.Fprintf(&b, "to be confirmed until %s\n", p.Ends.Local().Format(time.TimeOnly))
		}
		for _, c := range p.Diff {
			fmt.Fprintf(&b, "  %s\n", c)
		}
	}
	for applier, problem := range s.Unheld {
		fmt.Fprintf(&b, "attention: may not hold for %s: %s\n", applier, problem)
	}
	for i, v := range all {
		fmt.Fprintf(&b, "version %d, %s, by %s", v.Number, v.Confirmed.Local().Format(time.DateTime), v.By)
		if v.Why != "" {
			fmt.Fprintf(&b, ": %s", v.Why)
		}
		b.WriteByte('\n')
		if i+1 < len(all) {
			for _, c := range config.Diff(&all[i+1].Document, &v.Document) {
				fmt.Fprintf(&b, "  %s\n", c)
			}
		}
	}
	_, err := io.WriteString(w, b.String())

	return err
}

type networkRestoreCommand struct {
	dataFlag
	jsonFlag

	Yes     bool   `help:"Do not ask."`
	Now     bool   `help:"Do not wait for the window in which changes are allowed."`
	Why     string `help:"The reason, for the record." placeholder:"TEXT"`
	Version int    `arg:"" help:"The version, see \"network history\"." placeholder:"NUMBER"`
}

// Run applies an earlier version; it is to be confirmed as any change.
func (c *networkRestoreCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		if !c.Yes {
			v, err := client.SettingsVersion(ctx, c.Version)
			if err != nil {
				return err
			}
			if err := showAndAsk(ctx, e, client, &v.Document); err != nil {
				return err
			}
		}
		return propose(ctx, e, client, &control.ProposeSettings{Version: c.Version, Why: c.Why, Now: c.Now}, c.JSON)
	})
}
