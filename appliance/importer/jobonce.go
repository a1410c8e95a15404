package importer

import (
	"context"
	"fmt"
)

// Once moves mail from a source that somebody holds open, and compares it, while
// the caller waits. It is no job: cut off, it goes on when it is called again.
func (j *Jobs) Once(ctx context.Context, src Source, address string, o Options, by string, p *Progress) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	account, address, err := j.conf.Account(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	const job = "once"
	j.record(ctx, Happening{What: JobStarted, Job: job, Account: address, By: by, Text: "from " + src.Origin()})
	task := &Task{Source: src, Account: account, Address: address, Options: o, Progress: p}
	report, err := j.conf.Engine.Run(ctx, task)
	if err == nil {
		var verified *Report
		if verified, err = j.conf.Engine.Verify(ctx, task); err == nil {
			report.Verified, report.Bad = verified.Verified, verified.Bad
		}
	}
	end := "done"
	if err != nil {
		end = err.Error()
	}
	j.record(ctx, Happening{What: JobEnded, Job: job, Account: address, Text: end})

	return report, err
}
