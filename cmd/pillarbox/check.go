package main

import (
	"context"
	"fmt"
	"strings"

	"pillarbox/appliance/control"
)

type checkCommand struct {
	dataFlag
	jsonFlag

	Repair bool `help:"Mend the accounts in which something is found; what was there is kept beside."`
}

// checkResult is what a script reads.
type checkResult struct {
	control.Report

	Found  []control.Problem `json:"found"`
	Mended []control.Problem `json:"mended"`
}

// Run reads all mail.
func (c *checkCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		result := checkResult{Found: []control.Problem{}, Mended: []control.Problem{}}
		bar := newProgress(e.stderr, 0)
		say := func(to *[]control.Problem, kind string, p *control.Problem) {
			if c.JSON {
				*to = append(*to, *p)
				return
			}
			bar.finish()
			fmt.Fprintf(e.stdout, "%s%s%s\n", kind, place(p), p.Text)
		}
		run := client.Check
		if c.Repair {
			run = client.Repair
		}
		report, err := run(ctx, func(f control.Finding) {
			switch {
			case f.Progress != nil:
				bar.reach(f.Progress.Done, f.Progress.Total)
			case f.Problem != nil:
				say(&result.Found, "", f.Problem)
			case f.Mended != nil:
				say(&result.Mended, "repair: ", f.Mended)
			}
		})
		bar.finish()
		if err != nil {
			return err
		}
		result.Report = report
		if c.JSON {
			if err := printJSON(e.stdout, result); err != nil {
				return err
			}
		} else {
			fmt.Fprintf(e.stdout, "read %s (%s) in %s of %s\n", plural(int(report.Messages), "message"), size(report.Bytes),
				plural(report.Mailboxes, "mail folder"), plural(report.Accounts, "account"))
		}
		switch {
		case report.Left > 0 && c.Repair:
			return fmt.Errorf("%s left after the repair; keep the data folder as it is and restore what is damaged from a backup",
				plural(report.Left, "problem"))
		case report.Problems > 0 && !c.Repair:
			return &hintError{
				hint: "Make a copy of the data folder, then mend it: pillarbox check --repair",
				err:  fmt.Errorf("%s found", plural(report.Problems, "problem")),
			}
		case report.Repaired > 0 && !c.JSON:
			fmt.Fprintf(e.stdout, "mended %s\n", plural(report.Repaired, "account"))
		}

		return nil
	})
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
