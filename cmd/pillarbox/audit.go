package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"pillarbox/appliance"
	"pillarbox/appliance/audit"
	"pillarbox/appliance/control"
)

type auditCommand struct {
	List       auditListCommand       `cmd:"" help:"Show who did what, the newest last."`
	Verify     auditVerifyCommand     `cmd:"" help:"Find out whether the record was changed."`
	Checkpoint auditCheckpointCommand `cmd:"" help:"Print a signed line to be kept elsewhere, against which verify can compare."`
	Export     auditExportCommand     `cmd:"" help:"Write the record as JSON Lines or CSV."`
	Kinds      auditKindsCommand      `cmd:"" help:"Tell what is recorded, what of it is personal data, and how long it is kept."`
}

// auditFilterFlags choose records.
type auditFilterFlags struct {
	Since   moment   `help:"Only from then on: 2026-11-27, 2026-11-27T13:00:00Z, or how long ago, such as 36h or 7d." placeholder:"TIME"`
	Until   moment   `help:"Only before then." placeholder:"TIME"`
	Kind    []string `help:"Only of this kind, such as signin.failed, or signin for all that begin so. See: pillarbox audit kinds" placeholder:"KIND"`
	Account string   `help:"Only about this account or alias." placeholder:"ADDRESS"`
	Book    string   `help:"Only acts (of administrators and the box) or access (sign-ins, handshakes, bans)." enum:",acts,access" default:"" placeholder:"BOOK"`
}

func (f *auditFilterFlags) filter() audit.Filter {
	return audit.Filter{
		Since: time.Time(f.Since), Until: time.Time(f.Until), Kinds: f.Kind, Account: f.Account, Book: audit.Book(f.Book),
	}
}

// moment is a time on the command line.
type moment time.Time

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *moment) UnmarshalText(text []byte) error {
	s := string(text)
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			*m = moment(t)
			return nil
		}
	}
	ago, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		ago = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || ago < 0 {
		return fmt.Errorf("%q is no time, such as 2026-11-27 or 36h", s)
	}
	*m = moment(time.Now().Add(-ago))

	return nil
}

type auditListCommand struct {
	dataFlag
	jsonFlag
	auditFilterFlags

	Lines  int    `short:"n" help:"How many at most: the newest." default:"50" placeholder:"N"`
	Before string `help:"Only what stands before a place, which a listing tells that is not the last." placeholder:"PLACE"`
}

// Help is printed below the flags.
func (c *auditListCommand) Help() string {
	return `Sign-ins, handshakes and bans that the box made appear after two minutes at most. Those
that are alike are counted, for ten minutes or, of sign-ins that succeeded, an hour, and
then are one line.`
}

// Run lists records.
func (c *auditListCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		f := c.filter()
		f.Limit = c.Lines
		var err error
		if f.Before, err = audit.ParsePlace(c.Before); err != nil {
			return &usageError{err: err}
		}
		entries, err := client.AuditRecords(ctx, f)
		if err != nil {
			return err
		}
		if len(entries) == c.Lines && !c.JSON {
			fmt.Fprintf(e.stderr, "For those before: --before %s\n", f.Before.After(entries))
		}
		slices.Reverse(entries)
		if c.JSON {
			return printJSON(e.stdout, entries)
		}
		if len(entries) == 0 {
			_, err := fmt.Fprintln(e.stdout, "Nothing of that kind is recorded.")
			return err
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "TIME\tWHAT\tWHOM\tBY\tMORE")
		for _, r := range entries {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Time.Local().Format(time.DateTime), r.Kind,
				orDash(r.Values[audit.ValueAccount]), orDash(by(&r)), more(&r))
		}

		return w.Flush()
	})
}

// by returns who did it, or from where.
func by(r *audit.Entry) string {
	if actor := r.Values[audit.ValueActor]; actor != "" {
		return actor
	}

	return r.Values[audit.ValueRemote]
}

// more returns the other values.
func more(r *audit.Entry) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(r.Values)) {
		if name != audit.ValueAccount && name != audit.ValueActor && (name != audit.ValueRemote || by(r) != r.Values[name]) {
			parts = append(parts, name+": "+r.Values[name])
		}
	}

	return strings.Join(parts, ", ")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}

	return s
}

type auditCheckpointCommand struct {
	dataFlag
	jsonFlag

	PublicKey bool `help:"Print the key that checkpoints are signed with instead."`
}

// Help is printed below the flags.
func (c *auditCheckpointCommand) Help() string {
	return `Who has the box in his hands can rewrite its record and sign it anew. Keep this line where
the box cannot reach it: on paper, in a mail to somebody else, on another machine. Later

    pillarbox audit verify --kept FILE

tells whether what was recorded until then is still as it was.`
}

// Run prints a checkpoint.
func (c *auditCheckpointCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		cp, err := client.AuditCheckpoint(ctx)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return printJSON(e.stdout, cp)
		case c.PublicKey:
			_, err = fmt.Fprint(e.stdout, cp.PublicKey)
		default:
			_, err = fmt.Fprintln(e.stdout, cp.Checkpoint)
		}

		return err
	})
}

type auditKindsCommand struct {
	dataFlag
	jsonFlag
}

// Help is printed below the flags.
func (c *auditKindsCommand) Help() string {
	return `For questions of data protection: each kind of record, what it holds, whether that is about
what a person did, and how long it is kept, by the settings ("audit" in: pillarbox network
settings). Records leave a file at a time, at most a twelfth of that time later, or earlier
when their book is full. Passwords and the content of messages are never recorded.`
}

// Run lists what is recorded; without a data folder, as it is usual.
func (c *auditKindsCommand) Run(ctx context.Context, e *env) error {
	kinds := control.AuditKinds(audit.DefaultKeep)
	err := c.with(ctx, e, false, func(client *control.Client) (err error) {
		kinds, err = client.AuditKinds(ctx)
		return err
	})
	switch {
	case err != nil && !errors.Is(err, appliance.ErrNoData):
		return err
	case c.JSON:
		return printJSON(e.stdout, kinds)
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KIND\tWHAT HAPPENED\tPERSONAL\tKEPT\tHOLDS")
	sizes := map[audit.Book]int64{}
	for _, k := range kinds {
		personal := "no"
		if k.Personal {
			personal = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d days\t%s\n", k.Kind, k.Text, personal, k.KeptDays, strings.Join(k.Values, ", "))
		sizes[k.Book] = k.MaxBytes
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "Of sign-ins, handshakes and bans at most %s are kept, of all else %s; the oldest leave first.\n",
		size(sizes[audit.Access]), size(sizes[audit.Acts]))

	return err
}

// errChanged says that the record is not as it was written.
var errChanged = errors.New("the audit record is not as it was written")
