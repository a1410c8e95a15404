package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"pillarbox/appliance/control"
	"pillarbox/appliance/ports/sunset"
)

// planCommand is about leaving old ways of reading mail behind.
type planCommand struct {
	Show     planShowCommand     `cmd:"" default:"withargs" help:"Tell how the plans stand."`
	Make     planMakeCommand     `cmd:"" help:"Make a plan to leave port 990, 993, TLS 1.2 or passwords behind."`
	Start    planStartCommand    `cmd:"" help:"Approve a plan: its steps begin when their dates come."`
	Next     planNextCommand     `cmd:"" help:"Begin the next step now."`
	Pause    planPauseCommand    `cmd:"" help:"Keep a plan from going on; what its step does stays."`
	Resume   planResumeCommand   `cmd:"" help:"End a pause."`
	Rollback planRollbackCommand `cmd:"" help:"Let everybody in by both ways again, at once."`
	Accept   planAcceptCommand   `cmd:"" help:"Let people be cut off who were not told."`
	BrownOut planBrownoutCommand `cmd:"" help:"Plan some minutes in which the old way is refused to everybody, to see who breaks."`
	Drop     planDropCommand     `cmd:"" help:"End a plan: both ways stay."`
	Own      planOwnCommand      `cmd:"" help:"Tell or say why port 990 is open, who answers for it and when that is looked at again."`
	Report   planReportCommand   `cmd:"" help:"Write a report with runbook, inventory and decisions, to print or for a spreadsheet."`
}

// Help is printed below the flags.
func (c *planCommand) Help() string {
	return `A plan goes from step to step: dual (both ways work), announce (whoever comes by the old way
is told so by the mail program and by mail), pilot and phases (chosen people and networks
are refused there, with what to change), closed (everybody is, with an explanation) and
silent (the port is gone). A step begins when its date has come, the window for changes is
open and nobody would be cut off who was not told. When failures rise the plan
pauses by itself, and goes back by itself if they stay.`
}

// kindArgument is which plan is meant.
type kindArgument struct {
	Kind sunset.Kind `arg:"" help:"The plan: leave-990, leave-993, tls-1.3 or no-passwords." enum:"leave-990,leave-993,tls-1.3,no-passwords" placeholder:"PLAN"`
}

// actFlags are those of everything that is decided.
type actFlags struct {
	dataFlag
	jsonFlag
	kindArgument

	Why string `help:"The reason, for the record." placeholder:"TEXT"`
}

// act decides something and shows how the plan stands then.
func (c *actFlags) act(ctx context.Context, e *env, act string, a control.PlanAct) error {
	a.Why = c.Why

	return c.with(ctx, e, false, func(client *control.Client) error {
		s, err := client.ActOnPlan(ctx, c.Kind, act, &a)
		if err != nil {
			return explainPlan(err, c.Kind)
		}
		if c.JSON {
			return printJSON(e.stdout, s)
		}
		return printStanding(e.stdout, &s)
	})
}

// explainPlan adds what to do next.
func explainPlan(err error, k sunset.Kind) error {
	switch codeOf(err) {
	case control.CodeNoPlan:
		return &hintError{"Make one first: pillarbox plan make " + string(k), err}
	case control.CodePlanCheck:
		return &hintError{fmt.Sprintf("See who it is: pillarbox plan show %s. Wait, accept them by name (plan accept), or begin all the same (plan next --anyway).", k), err}
	case control.CodePlanTaken:
		return &hintError{"See it: pillarbox plan show. It ends by: pillarbox plan drop", err}
	}

	return err
}

type (
	planStartCommand    struct{ actFlags }
	planPauseCommand    struct{ actFlags }
	planResumeCommand   struct{ actFlags }
	planRollbackCommand struct{ actFlags }
	planDropCommand     struct{ actFlags }

	planNextCommand struct {
		actFlags

		Now    bool `help:"Do not wait for the window in which changes are allowed."`
		Anyway bool `help:"Although its check finds somebody who would be cut off unexpectedly."`
	}
	planAcceptCommand struct {
		actFlags

		People []string `arg:"" help:"Their addresses." placeholder:"ADDRESS"`
	}
	planBrownoutCommand struct {
		actFlags

		At  planTime    `help:"When: 2027-01-10T10:00, or in how long, such as 36h. People are told from now on." placeholder:"TIME" required:"" xor:"brownout"`
		For sunset.Span `help:"For how long, an hour at most." default:"10m" placeholder:"TIME"`
		End bool        `help:"End the one that is on, or cancel the one that is planned." required:"" xor:"brownout"`
	}
)

// Run approves a plan.
func (c *planStartCommand) Run(ctx context.Context, e *env) error {
	return c.act(ctx, e, "start", control.PlanAct{})
}

// Run pauses a plan.
func (c *planPauseCommand) Run(ctx context.Context, e *env) error {
	return c.act(ctx, e, "pause", control.PlanAct{})
}

// Run ends a pause.
func (c *planResumeCommand) Run(ctx context.Context, e *env) error {
	return c.act(ctx, e, "resume", control.PlanAct{})
}

// Run takes a plan back.
func (c *planRollbackCommand) Run(ctx context.Context, e *env) error {
	return c.act(ctx, e, "rollback", control.PlanAct{})
}

// Run ends a plan.
func (c *planDropCommand) Run(ctx context.Context, e *env) error {
	return c.act(ctx, e, "drop", control.PlanAct{})
}

// Run begins the next step.
func (c *planNextCommand) Run(ctx context.Context, e *env) error {
	return c.act(ctx, e, "next", control.PlanAct{Going: sunset.Going{Now: c.Now, Anyway: c.Anyway}})
}

// Run accepts people.
func (c *planAcceptCommand) Run(ctx context.Context, e *env) error {
	return c.act(ctx, e, "accept", control.PlanAct{People: c.People})
}

// Run plans a brown-out, or ends one.
func (c *planBrownoutCommand) Run(ctx context.Context, e *env) error {
	return c.act(ctx, e, "brownout", control.PlanAct{Begins: time.Time(c.At), For: c.For, End: c.End})
}

// planTime is a time to come on the command line.
type planTime time.Time

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *planTime) UnmarshalText(text []byte) error {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, string(text), time.Local); err == nil {
			*p = planTime(t)
			return nil
		}
	}
	var in sunset.Span
	if err := in.UnmarshalText(text); err != nil {
		return fmt.Errorf("%q is no time, such as 2027-01-10, 2027-01-10T22:00 or 36h", text)
	}
	*p = planTime(time.Now().Add(time.Duration(in)))

	return nil
}

// planStep is a step on the command line: who, and from when on.
type planStep struct{ sunset.Step }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *planStep) UnmarshalText(text []byte) error {
	who, when, dated := strings.Cut(string(text), "=")
	var err error
	if s.Who, err = sunset.ParseWho(who); err != nil {
		return err
	}
	if dated {
		return (*planTime)(&s.Begins).UnmarshalText([]byte(when))
	}

	return nil
}

type planMakeCommand struct {
	dataFlag
	jsonFlag
	kindArgument

	Why      string      `help:"The reason, for the record." placeholder:"TEXT"`
	Announce planTime    `help:"When people begin to be told; without it when the plan is started." placeholder:"TIME"`
	Pilot    *planStep   `help:"Who is refused first: addresses, aliases and networks, with commas between them." placeholder:"WHO[=TIME]"`
	Phase    []planStep  `help:"Who is refused next; may be given several times, in their order. \"everybody\" is one, too." placeholder:"WHO[=TIME]" sep:"none"`
	Close    planTime    `help:"When everybody is. A step without a time begins by \"plan next\"." placeholder:"TIME"`
	Grace    sunset.Span `help:"For how long a closed port explains itself." default:"30d" placeholder:"TIME"`
	NoMail   bool        `help:"Send no mail."`
	File     string      `help:"Read the plan from a file with JSON, with words and measures (see --example); \"-\" is standard input." placeholder:"FILE"`
	Example  bool        `help:"Print such a file, with everything that it may hold, and make nothing."`
}

// Run makes a plan.
func (c *planMakeCommand) Run(ctx context.Context, e *env) error {
	spec, err := c.spec(e)
	if err != nil {
		return &usageError{err: err}
	}
	if c.Example {
		full, err := spec.Complete()
		if err != nil {
			return &usageError{err: err}
		}
		return printJSON(e.stdout, full)
	}

	return c.with(ctx, e, false, func(client *control.Client) error {
		s, err := client.MakePlan(ctx, spec)
		if err != nil {
			return explainPlan(err, c.Kind)
		}
		if c.JSON {
			return printJSON(e.stdout, s)
		}
		if err := printWholePlan(e.stdout, &s); err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "\nNothing happens until it is approved: pillarbox plan start %s\n", c.Kind)
		return err
	})
}

// maxPlanFile bounds a file with a plan in octets.
const maxPlanFile = 512 << 10

func (c *planMakeCommand) spec(e *env) (*sunset.Spec, error) {
	spec := &sunset.Spec{Kind: c.Kind, Why: c.Why, Grace: c.Grace, NoMail: c.NoMail}
	if c.File != "" {
		var r io.Reader = e.stdin
		if c.File != "-" {
			f, err := os.Open(c.File)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			r = f
		}
		d := json.NewDecoder(io.LimitReader(r, maxPlanFile))
		d.DisallowUnknownFields()
		if err := d.Decode(spec); err != nil {
			return nil, fmt.Errorf("read the plan: %w", err)
		}
		if spec.Kind != c.Kind {
			return nil, errors.New("the file is for another kind of plan")
		}
		return spec, nil
	}
	spec.Steps = []sunset.Step{{Stage: sunset.Announce, Begins: time.Time(c.Announce)}}
	if c.Pilot != nil {
		c.Pilot.Stage = sunset.Pilot
		spec.Steps = append(spec.Steps, c.Pilot.Step)
	}
	for _, p := range c.Phase {
		p.Stage = sunset.Phase
		spec.Steps = append(spec.Steps, p.Step)
	}
	spec.Steps = append(spec.Steps, sunset.Step{Stage: sunset.Closed, Begins: time.Time(c.Close)})

	return spec, nil
}

type planOwnCommand struct {
	dataFlag
	jsonFlag

	Owner  string   `help:"Who answers for port 990; an address of the office is reminded by mail." placeholder:"ADDRESS"`
	Why    string   `help:"Why it is open." placeholder:"TEXT"`
	Review planTime `help:"When that is looked at again." placeholder:"TIME"`
}

// Run tells who owns port 990, or says so.
func (c *planOwnCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		o := sunset.Ownership{Owner: c.Owner, Why: c.Why, Review: time.Time(c.Review)}
		var err error
		if o.Owner == "" && o.Why == "" && o.Review.IsZero() {
			o, err = client.Ownership(ctx)
		} else {
			o, err = client.Own(ctx, o)
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, o)
		}
		if o.Owner == "" {
			_, err = fmt.Fprintln(e.stdout, "Nobody has said who answers for port 990 and why it is open.")
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "Port 990: %s answers for it; open because: %s; to be looked at again by %s (said by %s on %s).\n",
			o.Owner, o.Why, o.Review.Local().Format(time.DateOnly), o.By, o.At.Local().Format(time.DateOnly))
		return err
	})
}

type planReportCommand struct {
	dataFlag
	jsonFlag

	CSV bool   `name:"csv" help:"Write CSV." xor:"form"`
	Out string `short:"o" help:"Write into this file instead of standard output." placeholder:"FILE"`
}

// Help is printed below the flags.
func (c *planReportCommand) Help() string {
	return `Without --csv or --json the report is one HTML page that needs nothing from elsewhere, to be
read or printed. It holds personal data: whose device came when and from where.`
}

// Run writes a report.
func (c *planReportCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) (err error) {
		r, err := client.PlanReport(ctx)
		if err != nil {
			return err
		}
		out := e.stdout
		if c.Out != "" {
			f, err := os.OpenFile(c.Out, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, f.Close()) }()
			out = f
		}
		switch {
		case c.JSON:
			return printJSON(out, r)
		case c.CSV:
			return r.WriteCSV(out)
		}
		return r.WriteHTML(out)
	})
}
