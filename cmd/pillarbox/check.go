package main

import (
	"context"
	"fmt"

	"pillarbox/appliance/control"
	"pillarbox/appliance/verify"
)

type checkCommand struct {
	dataFlag
	jsonFlag
}

// checkResult is what a script reads.
type checkResult struct {
	verify.Report

	Found []verify.Problem `json:"found"`
}

// Run reads all mail.
func (c *checkCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		result := checkResult{Found: []verify.Problem{}}
		report, err := client.Check(ctx, func(f control.Finding) {
			switch {
			case f.Problem == nil:
			case c.JSON:
				result.Found = append(result.Found, *f.Problem)
			default:
				fmt.Fprintf(e.stdout, "%s, %s%s: %s\n", f.Problem.Account, f.Problem.Mailbox, uidText(f.Problem), f.Problem.Text)
			}
		})
		if err != nil {
			return err
		}
		result.Report = report
		if c.JSON {
			if err := printJSON(e.stdout, result); err != nil {
				return err
			}
		} else {
			fmt.Fprintf(e.stdout, "read %s (%s) in %s of %s\n", plural(report.Messages, "message"), size(report.Bytes),
				plural(report.Mailboxes, "mail folder"), plural(report.Accounts, "account"))
		}
		if report.Problems > 0 {
			return fmt.Errorf("%s found; keep the data folder as it is and restore what is damaged from a backup",
				plural(report.Problems, "problem"))
		}

		return nil
	})
}

func uidText(p *verify.Problem) string {
	if p.UID == 0 {
		return ""
	}

	return fmt.Sprintf(", UID %d", p.UID)
}
