package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"pillarbox/appliance/control"
	"pillarbox/appliance/importer"
)

// importVariable is where the environment may hold the password at the source.
const importVariable = "PILLARBOX_IMPORT_PASSWORD"

type importCommand struct {
	IMAP    importIMAPCommand    `cmd:"" name:"imap" help:"Move mail in from an IMAP server: Dovecot, Cyrus, Exchange or another."`
	Files   importFilesCommand   `cmd:"" name:"files" help:"Move mail in from Maildirs, mboxes or Cyrus's spool."`
	Archive importArchiveCommand `cmd:"" help:"Move mail in from one file: a zip, a tar (also with gzip) or an mbox, which is uploaded."`
	List    importListCommand    `cmd:"" help:"List the imports."`
	Status  importStatusCommand  `cmd:"" help:"Tell how far an import is."`
	Report  importReportCommand  `cmd:"" help:"Show what became of somebody's mail."`
	Verify  importVerifyCommand  `cmd:"" help:"Compare what came with the source, message by message."`
	CutOver importCutOverCommand `cmd:"" name:"cut-over" help:"Take what is new a last time, compare everything, and end."`
	Pause   importPauseCommand   `cmd:"" help:"Stop an import until it is resumed."`
	Resume  importResumeCommand  `cmd:"" help:"Go on with an import, with a new password if need be."`
	Cancel  importCancelCommand  `cmd:"" help:"End an import; what came stays."`
	Remove  importRemoveCommand  `cmd:"" help:"Take an import that has ended off the list; what came stays."`
}

// sourcePassword is for commands that sign in at a source.
type sourcePassword struct {
	PasswordStdin bool   `help:"Read the password at the source from the first line of standard input." xor:"password"`
	PasswordFile  string `help:"Read it from the first line of a file." placeholder:"FILE" xor:"password"`
	OAuthSecret   string `name:"oauth-secret-file" help:"Beside people's refresh tokens: the application's secret, if it has one, in the first line of a file." placeholder:"FILE"`
}

// read returns the password.
func (p *sourcePassword) read(e *env, whose string) (importer.Secret, error) {
	s, err := secretFrom(e, p.PasswordStdin, p.PasswordFile, importVariable, "Password of "+whose+" at the source: ")

	return importer.Secret(s), err
}

func readSecretFile(name string) (importer.Secret, error) {
	s, err := secretInFile(name)

	return importer.Secret(s), err
}

type importListCommand struct {
	dataFlag
	jsonFlag
}

// Run lists.
func (c *importListCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		list, err := client.Imports(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, list)
		}
		for i := range list {
			job := &list[i]
			fmt.Fprintf(e.stdout, "%s  %-9s  %s  from %s\n", job.ID, job.State, plural(len(job.People), "account"), fromText(job))
		}

		return nil
	})
}

func fromText(job *importer.Job) string {
	if s := job.From.IMAP; s != nil {
		return s.Host
	}

	return cmp.Or(job.From.Upload, job.From.Path)
}

type importStatusCommand struct {
	dataFlag
	jsonFlag

	ID     string `arg:"" help:"The import." placeholder:"ID"`
	Follow bool   `short:"f" help:"Go on telling until it ends."`
}

// Run tells.
func (c *importStatusCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		job, err := client.Import(ctx, c.ID, 0, 0)
		if err == nil && c.Follow {
			job, err = followImport(ctx, client, e, job)
		}
		switch {
		case err != nil:
			return err
		case c.JSON:
			return printJSON(e.stdout, job)
		}

		return printImport(e.stdout, &job)
	})
}

// followImport shows how far an import is until it ends or waits for somebody.
func followImport(ctx context.Context, client *control.Client, e *env, job importer.Job) (importer.Job, error) {
	bar := newProgress(e.stderr, 0)
	defer bar.finish()
	for job.State == importer.Running {
		var done, total int64
		waits := ""
		following := true
		for i := range job.People {
			p := &job.People[i]
			following = following && (p.Stage == importer.StageFollowing || p.Stage == importer.StageDone || p.Stage == importer.StageFailed || p.Stage == importer.StageLocked)
			if s := p.Progress; s != nil {
				done, total = done+s.MessagesIn, total+s.Messages
				if s.Note != "" {
					waits = s.Note
				}
			}
		}
		if total > 0 {
			bar.reach(min(done, total), total)
		}
		if waits != "" && bar.bar != nil {
			bar.bar.Describe(waits)
		}
		if following && job.Follow && !job.CutOver {
			break
		}
		var err error
		if job, err = client.Import(ctx, job.ID, job.Version, 20*time.Second); err != nil {
			return job, err
		}
	}

	return job, nil
}

func printImport(w io.Writer, job *importer.Job) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, from %s, begun %s by %s\n", job.ID, job.State, fromText(job), job.Created.Format(time.DateTime), job.By)
	if job.Warning != "" {
		fmt.Fprintf(&b, "warning: %s\n", job.Warning)
	}
	for i := range job.People {
		p := &job.People[i]
		fmt.Fprintf(&b, "%s → %s: %s", p.User, p.Account, stageText(job, p))
		if s := p.Progress; s != nil && p.Stage == importer.StageMoving {
			fmt.Fprintf(&b, ", %d of %d messages", s.MessagesIn, s.Messages)
			if s.PerSecond > 0 {
				fmt.Fprintf(&b, ", %.0f a second, %s/s", s.PerSecond, size(s.BytesPerSec))
			}
			if s.SecondsLeft > 0 {
				fmt.Fprintf(&b, ", about %v left", time.Duration(s.SecondsLeft)*time.Second)
			}
			if s.Note != "" {
				fmt.Fprintf(&b, "; %s", s.Note)
			}
		} else if p.Runs > 0 {
			fmt.Fprintf(&b, ", %d messages there, %d came (%s)", p.Total.Listed, p.Total.Taken, size(p.Total.TakenBytes))
		}
		if p.Bad > 0 {
			fmt.Fprintf(&b, ", %d QUARANTINED (pillarbox import report %s --person %d)", p.Bad, job.ID, i+1)
		}
		if p.Error != "" {
			fmt.Fprintf(&b, ": %s", oneLine(errors.New(p.Error)))
		}
		b.WriteByte('\n')
	}
	switch {
	case job.State == importer.Locked:
		fmt.Fprintf(&b, "It goes on where it was with %s: pillarbox import resume %s%s\n", keyText(job), job.ID, resumeFlags(job))
	case job.State == importer.Running && job.Follow && !job.CutOver:
		fmt.Fprintf(&b, "It takes what is new until you say: pillarbox import cut-over %s\n", job.ID)
	}
	_, err := io.WriteString(w, b.String())

	return err
}

// stageText says how far somebody's mail is.
func stageText(job *importer.Job, p *importer.Person) string {
	switch {
	case p.Stage == importer.StageDone && p.OK != nil && *p.OK:
		return "done and verified"
	case p.Stage == importer.StageDone && p.OK != nil:
		return "done, but NOT as at the source"
	case p.Stage == importer.StageDone, p.Stage == importer.StageFailed:
	case p.Stage == importer.StageLocked || job.State == importer.Locked:
		return "waits for " + keyText(job)
	case p.Stage == importer.StageRetrying && job.State == importer.Running:
		return "tries again at " + p.Next.Local().Format(time.TimeOnly)
	case job.State != importer.Running:
		return string(job.State)
	}

	return string(p.Stage)
}

// keyText names what signs in at the source.
func keyText(job *importer.Job) string {
	s := job.From.IMAP
	switch {
	case s == nil || s.SignIn != importer.ByXOAUTH2:
		return "the password"
	case s.OAuth == nil:
		return "a new token"
	case s.OneSecret():
		return "the application's secret"
	}

	return "a new refresh token"
}

// resumeFlags are those without which several people's import cannot go on.
func resumeFlags(job *importer.Job) string {
	if s := job.From.IMAP; s != nil && !s.OneSecret() && len(job.People) > 1 {
		return " --people FILE"
	}

	return ""
}

// person says whose of a job's.
type person struct {
	Person int `help:"Whose of the import's people, counted from 1." default:"1" placeholder:"N"`
}

type importReportCommand struct {
	dataFlag
	jsonFlag
	person

	ID string `arg:"" help:"The import." placeholder:"ID"`
}

// Run shows it.
func (c *importReportCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		report, err := client.ImportReport(ctx, c.ID, max(c.Person-1, 0))
		if err != nil {
			return err
		}

		return showReport(e.stdout, report, c.JSON)
	})
}

func showReport(w io.Writer, r *importer.Report, asJSON bool) error {
	if asJSON {
		return printJSON(w, r)
	}

	return printImportReport(w, r)
}

func printImportReport(w io.Writer, r *importer.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s → %s\n", r.Source, r.Account)
	if r.Facts.Server != "" {
		fmt.Fprintf(&b, "the server calls itself %s\n", r.Facts.Server)
	}
	if r.Facts.QuotaUsed > 0 {
		fmt.Fprintf(&b, "quota there: %s used of %s\n", size(r.Facts.QuotaUsed), quotaText(r.Facts.Quota))
	}
	for i := range r.Mailboxes {
		m := &r.Mailboxes[i]
		if m.Skipped != "" {
			fmt.Fprintf(&b, "  %s: left out: %s\n", m.From, m.Skipped)
			continue
		}
		fmt.Fprintf(&b, "  %s → %s: %d there", m.From, m.To, m.Listed)
		for _, n := range []struct {
			n    int64
			what string
		}{
			{m.Taken, "new"}, {m.Known, "known"}, {m.Claimed, "here already"}, {m.Flagged, "with other flags"}, {m.Expunged, "expunged"},
			{m.Quarantined, "QUARANTINED"}, {m.Damaged, "DAMAGED"}, {m.Gone, "gone meanwhile"},
		} {
			if n.n > 0 {
				fmt.Fprintf(&b, ", %d %s", n.n, n.what)
			}
		}
		if m.KeptUIDs {
			b.WriteString(", with their UIDs")
		}
		for who, rights := range m.ACL {
			if len(m.ACL) > 1 {
				fmt.Fprintf(&b, "; %s may %s", who, rights)
			}
		}
		b.WriteByte('\n')
	}
	for _, text := range r.Remarks {
		fmt.Fprintf(&b, "note: %s\n", text)
	}
	for _, bad := range r.Bad {
		fmt.Fprintf(&b, "quarantined: %s, %s: %s", bad.Mailbox, bad.Message, bad.Reason)
		if bad.File != "" {
			fmt.Fprintf(&b, "; its octets are in %s", bad.File)
		}
		b.WriteByte('\n')
	}
	if x := r.Estimate; x != nil {
		fmt.Fprintf(&b, "to be moved: %d messages, %s", x.Messages, size(x.Bytes))
		if x.TooBig > 0 {
			fmt.Fprintf(&b, "; %d would be quarantined", x.TooBig)
		}
		if x.Seconds > 0 {
			fmt.Fprintf(&b, "; at most about %v at %s/s, the rate of a sample", time.Duration(x.Seconds)*time.Second, size(x.BytesPerSec))
		}
		b.WriteByte('\n')
	}
	if v := r.Verified; v != nil {
		verdict := "it is all here"
		if n := r.Total.Quarantined; n > 0 {
			verdict = fmt.Sprintf("it is all here but %s in quarantine", plural(int(n), "message"))
		}
		if !v.OK {
			verdict = "it is NOT all here"
		}
		fmt.Fprintf(&b, "compared: %d messages, %s: %s", v.Messages, size(v.Bytes), verdict)
		if v.Left > 0 {
			fmt.Fprintf(&b, "; %d were deleted or moved here since they came", v.Left)
		}
		if v.Sizes > 0 {
			fmt.Fprintf(&b, "; of %d the source announces another size than it gives", v.Sizes)
		}
		b.WriteByte('\n')
		for _, d := range v.Differences {
			fmt.Fprintf(&b, "  %s\n", d)
		}
	}
	_, err := io.WriteString(w, b.String())

	return err
}

func quotaText(limit int64) string {
	if limit == 0 {
		return "no limit"
	}

	return size(limit).String()
}

type importVerifyCommand struct {
	dataFlag
	jsonFlag
	person
	sourcePassword

	ID string `arg:"" help:"The import." placeholder:"ID"`
}

// Run compares.
func (c *importVerifyCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		job, err := client.Import(ctx, c.ID, 0, 0)
		if err != nil {
			return err
		}
		ask := &control.VerifyImport{Person: max(c.Person-1, 0)}
		if job.From.IMAP != nil && ask.Person < len(job.People) {
			if ask.ResumeJob, err = c.secrets(e, &job, ask.Person); err != nil {
				return err
			}
		}
		report, err := client.VerifyImport(ctx, c.ID, ask)
		if err != nil {
			return err
		}
		if err := showReport(e.stdout, report, c.JSON); err != nil {
			return err
		}
		if !report.Verified.OK {
			return errors.New("what is here is not what the source has; the differences stand above")
		}

		return nil
	})
}

// secrets asks for the password of a person, or for that which serves everybody.
func (p *sourcePassword) secrets(e *env, job *importer.Job, i int) (ask control.ResumeJob, err error) {
	from := job.From.IMAP
	if from.OneSecret() {
		ask.Secret, err = p.read(e, cmp.Or(from.Admin, "the application"))
		return ask, err
	}
	if p.OAuthSecret != "" {
		if ask.Secret, err = readSecretFile(p.OAuthSecret); err != nil {
			return ask, err
		}
	}
	who := job.People[i].User
	secret, err := p.read(e, who)
	ask.People = []importer.Login{{User: who, Secret: secret}}

	return ask, err
}

type importActCommand struct {
	dataFlag
	jsonFlag

	ID string `arg:"" help:"The import." placeholder:"ID"`
}

func (c *importActCommand) run(ctx context.Context, e *env, act, done string) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		job, err := client.ChangeImport(ctx, c.ID, act)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return printJSON(e.stdout, job)
		}
		fmt.Fprintf(e.stdout, "%s %s\n", done, job.ID)

		return nil
	})
}

type importCutOverCommand struct{ importActCommand }

// Run asks for the last run.
func (c *importCutOverCommand) Run(ctx context.Context, e *env) error {
	return c.run(ctx, e, "cut-over", "asked for the last run of")
}

type importPauseCommand struct{ importActCommand }

// Run pauses.
func (c *importPauseCommand) Run(ctx context.Context, e *env) error {
	return c.run(ctx, e, "pause", "paused")
}

type importCancelCommand struct{ importActCommand }

// Run cancels.
func (c *importCancelCommand) Run(ctx context.Context, e *env) error {
	return c.run(ctx, e, "cancel", "cancelled")
}

type importResumeCommand struct {
	dataFlag
	jsonFlag
	sourcePassword

	ID     string `arg:"" help:"The import." placeholder:"ID"`
	People string `help:"A list with the people's new passwords, see 'import imap --help'." placeholder:"FILE"`
	Same   bool   `help:"With the passwords that the server still has."`
}

// Run goes on.
func (c *importResumeCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		job, err := client.Import(ctx, c.ID, 0, 0)
		if err != nil {
			return err
		}
		var ask control.ResumeJob
		switch {
		case c.People != "":
			ask.People, err = readPeople(c.People)
		case job.From.IMAP == nil || c.Same || job.State == importer.Paused && !c.PasswordStdin && c.PasswordFile == "":
		case len(job.People) > 1 && !job.From.IMAP.OneSecret():
			err = &usageError{err: errors.New("several people have passwords of their own: give --people")}
		default:
			ask, err = c.secrets(e, &job, 0)
		}
		if err != nil {
			return err
		}
		if job, err = client.ResumeImport(ctx, c.ID, &ask); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, job)
		}
		fmt.Fprintf(e.stdout, "resumed %s\n", job.ID)

		return nil
	})
}

type importRemoveCommand struct {
	dataFlag

	ID string `arg:"" help:"The import." placeholder:"ID"`
}

// Run removes.
func (c *importRemoveCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		if err := client.RemoveImport(ctx, c.ID); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "removed %s\n", c.ID)

		return nil
	})
}

func readPeople(name string) ([]importer.Login, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the list of people: %w", err)
	}
	defer f.Close()
	list, err := importer.ParsePeople(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}

	return list, nil
}

// serverPort reads HOST, HOST:PORT, an address, or [ADDRESS]:PORT.
func serverPort(target string) (string, uint16, error) {
	host, port, err := splitTarget(target)
	if err == nil && host == "" {
		err = errors.New("the name or address of the server is missing before :" + strconv.Itoa(int(port)))
	}

	return host, port, err
}
