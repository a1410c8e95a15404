package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"pillarbox/appliance/control"
	"pillarbox/appliance/ports/sunset"
)

type planShowCommand struct {
	dataFlag
	jsonFlag

	Kind string `arg:"" optional:"" help:"Only this plan." placeholder:"PLAN"`
}

// Run tells how the plans stand.
func (c *planShowCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		if c.Kind != "" {
			s, err := client.Plan(ctx, sunset.Kind(c.Kind))
			if err != nil {
				return explainPlan(err, sunset.Kind(c.Kind))
			}
			if c.JSON {
				return printJSON(e.stdout, s)
			}
			return printWholePlan(e.stdout, &s)
		}
		all, err := client.Plans(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, all)
		}
		if len(all) == 0 {
			_, err := fmt.Fprintln(e.stdout, "There is no plan. What closing port 990 would break: pillarbox port simulate close 990")
			return err
		}
		for i := range all {
			if i > 0 {
				fmt.Fprintln(e.stdout)
			}
			if err := printWholePlan(e.stdout, &all[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// printStanding says in a line or two where a plan stands.
func printStanding(w io.Writer, s *sunset.Status) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", s.Kind, s.Place)
	switch {
	case s.Outcome == sunset.Dropped && s.Ended.IsZero():
		b.WriteString(", is being dropped")
	case s.Outcome != "":
		fmt.Fprintf(&b, ", %s", s.Outcome)
	case s.Hold != nil:
		fmt.Fprintf(&b, ", paused by %s", s.Hold.By)
		if s.Hold.Why != "" {
			b.WriteString(": " + s.Hold.Why)
		}
	case s.Started.IsZero():
		b.WriteString(", not approved yet")
	}
	b.WriteByte('\n')
	for _, o := range s.Brownouts {
		if o.State == sunset.Planned || o.State == sunset.On {
			fmt.Fprintf(&b, "brown-out %s: %s, for %s\n", o.State, dateTime(o.Begins), o.For)
		}
	}
	if s.Unheld != "" {
		fmt.Fprintf(&b, "attention: the settings do not follow yet: %s\n", s.Unheld)
	}
	_, err := io.WriteString(w, b.String())

	return err
}

func dateTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}

	return t.Local().Format("2006-01-02 15:04")
}

// printWholePlan tells all of a plan.
func printWholePlan(out io.Writer, s *sunset.Status) error {
	if _, err := fmt.Fprintln(out, s.Title); err != nil {
		return err
	}
	if err := printStanding(out, s); err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\n\tSTEP\tNOT BEFORE\tWHO")
	for i, step := range s.Steps {
		mark := ""
		if i == s.At {
			mark = ">"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", mark, step.Stage, dateTime(step.Begins), step.Who)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	m := &s.Measure
	fmt.Fprintf(out, "\nMoved: %s; not yet: %s; refused in this step: %s, and of them not seen since: %s.\n",
		people(m.Moved), people(m.Remaining), people(len(m.Refused)), fmt.Sprint(len(m.Broken)))
	if m.Judged {
		fmt.Fprintf(out, "Of %s by the new way %d %% failed lately.\n", plural(m.Tried, "sign-in"), m.Rate)
	}
	if c := s.Check; c != nil && len(c.CutOff) > 0 {
		fmt.Fprintf(out, "\n%s would cut off:\n", c.Step)
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, p := range c.CutOff {
			told := map[bool]string{true: "told", false: "not told"}[p.Told]
			if !p.Expected {
				told += ", unexpected"
			}
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", p.Account, dateTime(p.Last), told, strings.Join(p.Devices, "; "))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if c := s.Check; c != nil {
		for _, text := range c.Waits {
			fmt.Fprintf(out, "%s does not begin: %s\n", c.Step, text)
		}
	}
	for _, b := range s.Brownouts {
		if b.State == sunset.Over {
			fmt.Fprintf(out, "brown-out %s to %s: tried %s; came by the new way: %s\n", dateTime(b.Began), dateTime(b.Ended),
				orNone(b.Tried), orNone(b.Came))
		}
	}
	fmt.Fprintln(out)
	w = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, d := range s.Decisions {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", dateTime(d.At), d.What, d.To, d.By, d.Why)
	}

	return w.Flush()
}

func orNone(all []string) string {
	if len(all) == 0 {
		return "nobody"
	}

	return strings.Join(all, ", ")
}

func people(n int) string {
	if n == 1 {
		return "1 person"
	}

	return fmt.Sprintf("%d people", n)
}
