package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"pillarbox/appliance"
	"pillarbox/appliance/control"
	"pillarbox/storage"
)

type checkCommand struct {
	dataFlag
	jsonFlag

	Repair bool `help:"Mend what is found; what was there is kept beside."`
}

// checkResult is what a script reads.
type checkResult struct {
	control.Report

	Found  []control.Problem `json:"found"`
	Mended []control.Problem `json:"mended"`
}

// checking is a check as it goes.
type checking struct {
	*checkCommand
	e      *env
	bar    *progress
	result checkResult
}

// Run reads all mail.
func (c *checkCommand) Run(ctx context.Context, e *env) error {
	r := &checking{checkCommand: c, e: e, bar: newProgress(e.stderr, 0)}
	r.result.Found, r.result.Mended = []control.Problem{}, []control.Problem{}
	check := func(client *control.Client) error { return r.check(ctx, client) }
	err := c.with(ctx, e, false, check)
	if folder := (*folderError)(nil); !errors.As(err, &folder) || !errors.Is(err, storage.ErrCorrupt) {
		return err
	}
	// Not even the accounts are known.
	if err := r.mend(ctx); err != nil {
		return err
	}

	return c.with(ctx, e, false, check)
}

// mend sees to a folder that cannot be opened.
func (r *checking) mend(ctx context.Context) error {
	say := func(kind string, to *[]control.Problem) func(storage.Problem) {
		return func(p storage.Problem) {
			r.say(to, kind, &control.Problem{Account: string(p.Account), Mailbox: p.Mailbox, UID: p.UID, Text: p.Text})
		}
	}
	found, mended := say("", &r.result.Found), say("repair: ", &r.result.Mended)
	if !r.Repair {
		mended = nil
	}
	log := slog.New(slog.NewTextHandler(r.e.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	err := appliance.Mend(ctx, &appliance.Config{Dir: r.Data, Logger: log, Version: version}, found, mended)
	if err != nil {
		return &folderError{dir: r.Data, err: err}
	}
	if r.Repair {
		return nil
	}
	if r.JSON {
		r.result.Problems, r.result.Left = len(r.result.Found), len(r.result.Found)
		if err := printJSON(r.e.stdout, r.result); err != nil {
			return err
		}
	}

	return &hintError{
		hint: "No mail is served until it is mended, and none was read. " + mendHint(r.Data),
		err:  fmt.Errorf("%s found in what the server knows of its accounts", plural(len(r.result.Found), "problem")),
	}
}

// mendHint says how a damaged data folder is mended.
func mendHint(dir string) string {
	return "Make a copy of the data folder, then mend it: pillarbox check --repair --data " + quote(dir)
}

func (r *checking) say(to *[]control.Problem, kind string, p *control.Problem) {
	*to = append(*to, *p)
	if r.JSON {
		return
	}
	r.bar.finish()
	fmt.Fprintf(r.e.stdout, "%s%s%s\n", kind, place(p), p.Text)
}

func (r *checking) check(ctx context.Context, client *control.Client) error {
	run := client.Check
	if r.Repair {
		run = client.Repair
	}
	before := len(r.result.Found)
	report, err := run(ctx, func(f control.Finding) {
		switch {
		case f.Progress != nil:
			r.bar.reach(f.Progress.Done, f.Progress.Total)
		case f.Problem != nil:
			r.say(&r.result.Found, "", f.Problem)
		case f.Mended != nil:
			r.say(&r.result.Mended, "repair: ", f.Mended)
		}
	})
	r.bar.finish()
	if err != nil {
		return err
	}
	report.System = report.System || before > 0 // then it was mended before anything else could be read
	r.result.Report = report
	r.result.Problems += before
	if r.JSON {
		if err := printJSON(r.e.stdout, r.result); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(r.e.stdout, "read %s (%s) in %s of %s\n", plural(int(report.Messages), "message"), size(report.Bytes),
			plural(report.Mailboxes, "mail folder"), plural(report.Accounts, "account"))
	}
	if report.System && !r.JSON {
		fmt.Fprintln(r.e.stdout, "mended what the server knows of its accounts")
	}
	if report.Repaired > 0 && !r.JSON {
		fmt.Fprintf(r.e.stdout, "mended %s\n", plural(report.Repaired, "account"))
	}
	switch {
	case report.Left > 0 && r.Repair:
		return fmt.Errorf("%s left after the repair, as told above; of what is damaged beyond repair, keep the data folder as it is and restore it from a backup",
			plural(report.Left, "problem"))
	case report.Problems > 0 && !r.Repair:
		return &hintError{hint: mendHint(r.Data), err: fmt.Errorf("%s found", plural(report.Problems, "problem"))}
	}

	return nil
}

// place names where a problem is, as far as it is in one place.
func place(p *control.Problem) string {
	var parts []string
	if p.Account != "" {
		parts = append(parts, p.Account)
	}
	if p.Mailbox != "" {
		parts = append(parts, p.Mailbox)
	}
	if p.UID != 0 {
		parts = append(parts, fmt.Sprintf("UID %d", p.UID))
	}
	if len(parts) == 0 {
		return ""
	}

	return strings.Join(parts, ", ") + ": "
}
