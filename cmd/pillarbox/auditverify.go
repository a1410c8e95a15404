package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/control"
)

// maxKept is how much is read of a file with checkpoints, in octets.
const maxKept = 1 << 20

type auditVerifyCommand struct {
	dataFlag
	jsonFlag

	Kept []string `help:"A file with checkpoints that were kept elsewhere, each a line; - is standard input. Lines that are none are skipped, such as the beginning of a mail." placeholder:"FILE"`
}

// Help is printed below the flags.
func (c *auditVerifyCommand) Help() string {
	return `Every record carries the hash of the one before it, and the box signs now and then where
the record ends. This reads all of it and finds what was changed, removed, put in or cut
off since then. Against somebody who holds the whole box, its key too, only a checkpoint
that was kept elsewhere helps: pillarbox audit checkpoint --help`
}

// Run verifies the record.
func (c *auditVerifyCommand) Run(ctx context.Context, e *env) error {
	var kept []string
	for _, name := range c.Kept {
		lines, err := readCheckpoints(name, e)
		if err != nil {
			return err
		}
		kept = append(kept, lines...)
	}

	return c.with(ctx, e, false, func(client *control.Client) error {
		r, err := client.AuditVerify(ctx, kept...)
		if err != nil {
			return err
		}
		if c.JSON {
			err = printJSON(e.stdout, r)
		} else {
			err = printReport(e.stdout, r, len(kept))
		}
		if err == nil && len(r.Findings) > 0 {
			err = &hintError{"Keep the folder audit of the data folder as it is, and a copy of the whole of it, before anything else is done.", errChanged}
		}

		return err
	})
}

// readCheckpoints returns the lines of a file that are checkpoints.
func readCheckpoints(name string, e *env) ([]string, error) {
	in := e.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read kept checkpoints: %w", err)
		}
		defer f.Close()
		in = f
	}
	var found []string
	lines := bufio.NewScanner(io.LimitReader(in, maxKept))
	for lines.Scan() {
		// What stands before it is a log's.
		at := strings.Index(lines.Text(), audit.CheckpointPrefix)
		if at < 0 {
			continue
		}
		line := strings.TrimSpace(lines.Text()[at:])
		if _, err := audit.ParseCheckpoint(line); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		found = append(found, line)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read kept checkpoints: %w", err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: there is no checkpoint in it", name)
	}

	return found, nil
}

// printReport tells in words what was found.
func printReport(w io.Writer, r *audit.Report, kept int) error {
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s%s\n", findingPlace(&f), f.Text)
	}
	if r.More > 0 {
		fmt.Fprintf(w, "and %s more\n", plural(r.More, "finding"))
	}
	for _, f := range r.Notes {
		fmt.Fprintf(w, "note: %s%s\n", findingPlace(&f), f.Text)
	}
	newer := 0
	for _, b := range r.Books {
		newer += int(b.After)
		if b.Records == 0 {
			fmt.Fprintf(w, "read no records of %s\n", b.Book)
			continue
		}
		fmt.Fprintf(w, "read %s of %s, numbers %d to %d\n", plural(b.Records, "record"), b.Book, b.First, b.Last)
	}
	if r.Checkpoint != nil {
		fmt.Fprintf(w, "compared with the box's own checkpoint of %s; %s newer\n",
			r.Checkpoint.Time.Local().Format("2006-01-02 15:04:05"), are(newer, "record"))
	}
	if kept > 0 {
		fmt.Fprintf(w, "compared with %s that you kept\n", plural(kept, "checkpoint"))
	}
	if len(r.Findings) > 0 {
		return nil
	}
	_, err := fmt.Fprintln(w, "nothing was changed or removed")

	return err
}

// are returns "1 record is" or "2 records are".
func are(n int, what string) string {
	if n == 1 {
		return plural(n, what) + " is"
	}

	return plural(n, what) + " are"
}

// findingPlace says where something was found.
func findingPlace(f *audit.Finding) string {
	var parts []string
	if f.Book != "" {
		parts = append(parts, string(f.Book))
	}
	if f.File != "" {
		parts = append(parts, f.File)
	}
	if f.Offset > 0 {
		parts = append(parts, fmt.Sprintf("octet %d", f.Offset))
	}
	if len(parts) == 0 {
		return ""
	}

	return strings.Join(parts, ", ") + ": "
}
