package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"pillarbox/appliance/control"
	"pillarbox/appliance/exporter"
	"pillarbox/appliance/importer"
)

// onBox has the server export, and follows it. Where no server runs, this
// process does it, one account after the other. User is the name at the target
// of the one account.
func (f *exportFlags) onBox(ctx context.Context, e *env, n *exporter.NewMove, user string, background bool) error {
	return f.with(ctx, e, false, func(client *control.Client) error {
		accounts, err := f.accounts(ctx, client)
		if err != nil {
			return err
		}
		for _, account := range accounts {
			n.People = append(n.People, importer.Login{User: user, Account: account})
		}
		m, err := client.AddExport(ctx, n)
		var answer *control.Error
		switch {
		case errors.As(err, &answer) && answer.Code == control.CodeNoServer && !background:
			return f.each(ctx, e, accounts, func(account string, bar exportProgress) (*exporter.Report, error) {
				return client.Export(ctx, oneExport(n, account), bar.tell)
			})
		case err != nil:
			return err
		case background && f.JSON:
			return printJSON(e.stdout, m)
		case background:
			fmt.Fprintf(e.stdout, "begun %s; see: pillarbox export status %s\n", m.ID, m.ID)
			return nil
		}
		if m, err = followExport(ctx, client, e, m); err != nil {
			if ctx.Err() != nil {
				fmt.Fprintf(e.stderr, "The export goes on on the box: pillarbox export status %s (or pause, cancel)\n", m.ID)
			}
			return err
		}

		return exportEnd(ctx, client, e, &m, f.JSON)
	})
}

// oneExport is one person's part of a move.
func oneExport(n *exporter.NewMove, account string) *exporter.Request {
	ask := n.To
	ask.Account, ask.Secret = account, string(n.Secret)
	if ask.Server != nil {
		server := *ask.Server
		if server.User = n.People[0].User; server.User == "" {
			server.User = account
		}
		ask.Server = &server
	}
	if n.Apart {
		ask.Dir += "/" + strings.ReplaceAll(account, "/", "_")
	}

	return &ask
}

// exportEnd tells what became of everybody's mail.
func exportEnd(ctx context.Context, client *control.Client, e *env, m *exporter.Move, asJSON bool) error {
	out := exportOutcome{e: e, json: asJSON}
	for i := range m.People {
		p := &m.People[i]
		report, err := client.ExportReport(ctx, m.ID, i)
		if err != nil {
			report = nil // it never came so far; p.Error says why
		}
		err = nil
		switch {
		case p.Error != "":
			err = errors.New(p.Error)
		case report == nil || p.Stage != importer.StageDone:
			err = fmt.Errorf("the export is %s: pillarbox export resume %s", m.State, m.ID)
		}
		out.add(p.Account, report, err)
	}

	return out.end()
}

// followExport shows how far an export is until it ends or waits for somebody.
func followExport(ctx context.Context, client *control.Client, e *env, m exporter.Move) (exporter.Move, error) {
	bar := exportProgress{newProgress(e.stderr, 0)}
	defer bar.finish()
	for m.State == importer.Running {
		var all exporter.Progress
		for i := range m.People {
			if p := m.People[i].Progress; p != nil {
				all.Done, all.DoneBytes = all.Done+p.Done, all.DoneBytes+p.DoneBytes
				all.Total, all.TotalBytes = all.Total+p.Total, all.TotalBytes+p.TotalBytes
			} else if m.People[i].Stage == importer.StageDone {
				t := &m.People[i].Total
				all.Done, all.DoneBytes, all.Total, all.TotalBytes = all.Done+t.Listed, all.DoneBytes+t.Bytes, all.Total+t.Listed, all.TotalBytes+t.Bytes
			}
		}
		if all.Total > 0 {
			bar.tell(all)
		}
		next, err := client.ShowExport(ctx, m.ID, m.Version, 20*time.Second)
		if err != nil {
			return m, err
		}
		m = next
	}

	return m, nil
}

type exportListCommand struct {
	dataFlag
	jsonFlag
}

// Run lists.
func (c *exportListCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		list, err := client.Exports(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, list)
		}
		for i := range list {
			m := &list[i]
			fmt.Fprintf(e.stdout, "%s  %-9s  %s  to %s\n", m.ID, m.State, plural(len(m.People), "account"), m.To.Where())
		}

		return nil
	})
}

type exportStatusCommand struct {
	dataFlag
	jsonFlag

	ID     string `arg:"" help:"The export." placeholder:"ID"`
	Follow bool   `short:"f" help:"Go on telling until it ends."`
}

// Run tells.
func (c *exportStatusCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		m, err := client.ShowExport(ctx, c.ID, 0, 0)
		if err == nil && c.Follow {
			m, err = followExport(ctx, client, e, m)
		}
		switch {
		case err != nil:
			return err
		case c.JSON:
			return printJSON(e.stdout, m)
		}
		printMove(e, &m)

		return nil
	})
}

func printMove(e *env, m *exporter.Move) {
	fmt.Fprintf(e.stdout, "%s: %s, to %s, begun %s by %s\n", m.ID, m.State, m.To.Where(), m.Created.Format(time.DateTime), m.By)
	if m.Warning != "" {
		fmt.Fprintf(e.stdout, "warning: %s\n", m.Warning)
	}
	for i := range m.People {
		p := &m.People[i]
		line := p.Account + " → " + p.Where + ": " + moverState(p)
		if s := p.Progress; s != nil {
			line += fmt.Sprintf(", %d of %d messages", s.Done, s.Total)
			if s.PerSecond > 0 {
				line += fmt.Sprintf(", %.0f a second, %s/s", s.PerSecond, size(s.BytesPerSec))
			}
			if s.SecondsLeft > 0 {
				line += fmt.Sprintf(", about %v left", time.Duration(s.SecondsLeft)*time.Second)
			}
		} else if p.Runs > 0 {
			line += fmt.Sprintf(", %d messages, %d put there (%s)", p.Total.Listed, p.Total.Put, size(p.Total.PutBytes))
		}
		if p.Error != "" {
			line += ": " + oneLine(errors.New(p.Error))
		}
		fmt.Fprintln(e.stdout, line)
	}
	if m.State == importer.Locked {
		fmt.Fprintf(e.stdout, "It needs the password at the target: pillarbox export resume %s\n", m.ID)
	}
}

func moverState(p *exporter.Mover) string {
	switch {
	case p.Stage == importer.StageRetrying:
		return "tries again at " + p.Next.Local().Format(time.TimeOnly)
	case p.Stage == importer.StageDone && p.OK != nil && *p.OK:
		return "done and compared"
	case p.Stage == importer.StageDone:
		return "done, but NOT everything is there as on the box"
	case p.Stage == importer.StageLocked:
		return "the password is refused"
	}

	return string(p.Stage)
}

type exportReportCommand struct {
	dataFlag
	jsonFlag

	ID     string `arg:"" help:"The export." placeholder:"ID"`
	Person int    `help:"Whose of the export's people, counted from 1." default:"1" placeholder:"N"`
}

// Run shows it.
func (c *exportReportCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		report, err := client.ExportReport(ctx, c.ID, max(c.Person-1, 0))
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, report)
		}
		printExport(e.stdout, report)

		return nil
	})
}

type exportActCommand struct {
	dataFlag
	jsonFlag

	ID string `arg:"" help:"The export." placeholder:"ID"`
}

func (c *exportActCommand) run(ctx context.Context, e *env, act, done string) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		m, err := client.ChangeExport(ctx, c.ID, act)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return printJSON(e.stdout, m)
		}
		fmt.Fprintf(e.stdout, "%s %s\n", done, m.ID)

		return nil
	})
}

type exportPauseCommand struct{ exportActCommand }

// Run pauses.
func (c *exportPauseCommand) Run(ctx context.Context, e *env) error {
	return c.run(ctx, e, "pause", "paused")
}

type exportCancelCommand struct{ exportActCommand }

// Run cancels.
func (c *exportCancelCommand) Run(ctx context.Context, e *env) error {
	return c.run(ctx, e, "cancel", "cancelled")
}

type exportResumeCommand struct {
	dataFlag
	jsonFlag
	targetPassword

	ID   string `arg:"" help:"The export." placeholder:"ID"`
	Same bool   `help:"With the passwords that the server still has."`
}

// Run goes on.
func (c *exportResumeCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		m, err := client.ShowExport(ctx, c.ID, 0, 0)
		if err != nil {
			return err
		}
		var ask control.ResumeJob
		if s := m.To.Server; s != nil && !c.Same && (m.State == importer.Locked || c.PasswordStdin || c.PasswordFile != "") {
			if ask.Secret, err = c.read(e, s.Host); err != nil {
				return err
			}
		}
		if m, err = client.ResumeExport(ctx, c.ID, &ask); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, m)
		}
		fmt.Fprintf(e.stdout, "resumed %s\n", m.ID)

		return nil
	})
}

type exportRemoveCommand struct {
	dataFlag

	ID string `arg:"" help:"The export." placeholder:"ID"`
}

// Run removes.
func (c *exportRemoveCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		if err := client.RemoveExport(ctx, c.ID); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "removed %s\n", c.ID)

		return nil
	})
}
