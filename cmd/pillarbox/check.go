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
}

// checkResult is what a script reads.
type checkResult struct {
	control.Report

	Found []control.Problem `json:"found"`
}

// Run reads all mail.
func (c *checkCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		result := checkResult{Found: []control.Problem{}}
		bar := newProgress(e.stderr, 0)
		report, err := client.Check(ctx, func(f control.Finding) {
			switch {
			case f.Progress != nil:
				bar.reach(f.Progress.Done, f.Progress.Total)
			case f.Problem == nil:
			case c.JSON:
				result.Found = append(result.Found, *f.Problem)
			default:
				bar.finish()
				fmt.Fprintf(e.stdout, "%s%s\n", place(f.Problem), f.Problem.Text)
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
		if report.Problems > 0 {
			return fmt.Errorf("%s found; keep the data folder as it is and restore what is damaged from a backup",
				plural(report.Problems, "problem"))
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
