package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/schollz/progressbar/v3"

	"pillarbox/appliance/control"
	"pillarbox/appliance/exporter"
	"pillarbox/appliance/mailfile"
)

// exportCommand moves accounts out.
type exportCommand struct {
	IMAP    exportIMAPCommand    `cmd:"" name:"imap" help:"To an account of another IMAP server."`
	Maildir exportMaildirCommand `cmd:"" help:"To Maildirs, as Dovecot serves them."`
	Mbox    exportMboxCommand    `cmd:"" help:"To mbox files, as Thunderbird keeps its local folders."`
	Archive exportArchiveCommand `cmd:"" help:"One account as one file: a zip of mboxes or a tar of Maildirs."`
	List    exportListCommand    `cmd:"" help:"List the exports that the server runs or has run."`
	Status  exportStatusCommand  `cmd:"" help:"Tell how far an export is."`
	Report  exportReportCommand  `cmd:"" help:"Show what became of somebody's mail."`
	Pause   exportPauseCommand   `cmd:"" aliases:"stop" help:"Stop an export until it is resumed."`
	Resume  exportResumeCommand  `cmd:"" help:"Go on with an export, with a new password if need be."`
	Cancel  exportCancelCommand  `cmd:"" help:"End an export; what is at the target stays."`
	Remove  exportRemoveCommand  `cmd:"" help:"Take an export that has ended off the list; what is at the target stays."`
}

// exportFlags are what all exports have in common.
type exportFlags struct {
	dataFlag
	jsonFlag

	Account   []string `help:"The account; may be given several times." placeholder:"ADDRESS" xor:"who"`
	All       bool     `help:"Every account." xor:"who"`
	Mailbox   []string `help:"Only this mailbox; may be given several times." placeholder:"NAME"`
	VerifyAll bool     `help:"Read back and compare everything, not only what moved this time."`
}

// filesFlags are those of exports to files.
type filesFlags struct {
	Dir     string `arg:"" help:"The folder; made if missing. With several accounts, each gets a folder in it." placeholder:"DIR"`
	Expunge bool   `help:"Remove from the folder what an export put there and is gone from the box."`
	OnBox   bool   `help:"The server writes the files, as its own user, and goes on when this command has ended; otherwise this command writes them."`

	Background bool `help:"With --on-box: return when it has begun; see 'export status'."`
}

const exportHelp = `
Run it as often as you like: what is there already stays, flags follow those on the
box, and only what is missing moves. A run that was cut off goes on where it was. What
moved is read back and compared. The exit status is 0 if everything is there, and 1 if
it is not; messages that could not be exported are named. Each export is recorded.`

type exportMaildirCommand struct {
	exportFlags
	filesFlags

	Layout string `help:"How mailboxes lie in the folder: maildir++ (.Archive.2024) or fs (Archive/2024)." enum:"maildir++,fs" default:"maildir++"`
}

// Help is printed below the flags.
func (c *exportMaildirCommand) Help() string {
	return `UIDs, UIDVALIDITY, keywords, dates and subscriptions go along, in the files in which
Dovecot keeps them: with mail_location = maildir:DIR (or maildir:DIR:LAYOUT=fs) mail programs
go on with what they know. Give the files to Dovecot's user afterwards (chown -R).
` + exportHelp
}

// Run exports.
func (c *exportMaildirCommand) Run(ctx context.Context, e *env) error {
	layout := mailfile.LayoutMaildirPlus
	if c.Layout == "fs" {
		layout = mailfile.LayoutMaildirFS
	}

	return c.exportFlags.files(ctx, e, &c.filesFlags, &exporter.Request{Kind: exporter.KindMaildir, Layout: layout})
}

type exportMboxCommand struct {
	exportFlags
	filesFlags
}

// Help is printed below the flags.
func (c *exportMboxCommand) Help() string {
	return `Each mailbox becomes a file (mboxrd); those below "Archive" lie in "Archive.sbd". Flags and
keywords are in the fields Status, X-Status and X-Keywords in front of each message.
` + exportHelp
}

// Run exports.
func (c *exportMboxCommand) Run(ctx context.Context, e *env) error {
	return c.exportFlags.files(ctx, e, &c.filesFlags, &exporter.Request{Kind: exporter.KindMbox})
}

// files exports to a folder.
func (f *exportFlags) files(ctx context.Context, e *env, to *filesFlags, ask *exporter.Request) error {
	dir, err := filepath.Abs(to.Dir)
	if err != nil {
		return fmt.Errorf("find the folder: %w", err)
	}
	ask.Expunge, ask.Mailboxes, ask.VerifyAll = to.Expunge, f.Mailbox, f.VerifyAll
	apart := f.All || len(f.Account) > 1
	if to.OnBox {
		ask.Dir = dir
		return f.onBox(ctx, e, &exporter.NewMove{To: *ask, Apart: apart}, "", to.Background)
	}
	if to.Background {
		return &usageError{err: errors.New("--background is for what the server does: add --on-box")}
	}

	if err := mailfile.Outside(dir, f.Data); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}

	return f.with(ctx, e, false, func(client *control.Client) error {
		accounts, err := f.accounts(ctx, client)
		if err != nil {
			return err
		}
		return f.each(ctx, e, accounts, func(account string, bar exportProgress) (*exporter.Report, error) {
			ask := *ask
			ask.Account, ask.Dir = account, dir
			if apart {
				ask.Dir = filepath.Join(dir, strings.ReplaceAll(account, string(filepath.Separator), "_"))
			}
			return exportHere(ctx, client, &ask, bar)
		})
	})
}

// exportHere writes files in this process, with what the server reads.
func exportHere(ctx context.Context, client *control.Client, ask *exporter.Request, bar exportProgress) (report *exporter.Report, err error) {
	target, err := ask.Target(nil)
	if err != nil {
		return nil, err
	}
	mail, err := client.ReadMail(ctx, ask.Account, ask.Where())
	if err != nil {
		return nil, err
	}
	defer func() {
		// Also where ctx has ended; a server that is gone has forgotten it, too.
		_ = mail.Close(context.WithoutCancel(ctx))
	}()
	o := ask.Options()
	o.Account, o.Progress = mail.Account, bar.tell

	return exporter.Run(ctx, mail, target, o)
}

// exportResult is what a script reads.
type exportResult struct {
	Reports []*exporter.Report `json:"reports"`
	Error   string             `json:"error,omitempty"`
}

// accounts are those that were named.
func (f *exportFlags) accounts(ctx context.Context, client *control.Client) ([]string, error) {
	if len(f.Account) == 0 && !f.All {
		return nil, &usageError{err: errors.New("name an account (--account), or take --all")}
	}
	if !f.All {
		return f.Account, nil
	}
	list, err := client.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, a := range list {
		all = append(all, a.Address)
	}

	return all, nil
}

// each exports the accounts one after the other, and tells what became of them.
func (f *exportFlags) each(ctx context.Context, e *env, accounts []string, run func(account string, bar exportProgress) (*exporter.Report, error)) error {
	out := exportOutcome{e: e, json: f.JSON}
	for _, account := range accounts {
		bar := exportProgress{newProgress(e.stderr, 0)}
		report, err := run(account, bar)
		bar.finish()
		out.add(account, report, err)
		if ctx.Err() != nil {
			break
		}
	}

	return out.end()
}

// exportOutcome tells what became of several people's mail.
type exportOutcome struct {
	e      *env
	json   bool
	result exportResult
	failed error
}

func (o *exportOutcome) add(account string, report *exporter.Report, err error) {
	if report != nil {
		o.result.Reports = append(o.result.Reports, report)
		if !o.json {
			printExport(o.e.stdout, report)
		}
	}
	if err == nil && !report.OK() {
		err = errors.New("not everything could be exported; the reasons stand above")
	}
	if err != nil {
		o.failed = errors.Join(o.failed, fmt.Errorf("%s: %w", account, err))
	}
}

func (o *exportOutcome) end() error {
	if !o.json {
		return o.failed
	}
	if o.result.Reports == nil {
		o.result.Reports = []*exporter.Report{}
	}
	if o.failed != nil {
		o.result.Error = oneLine(o.failed)
	}

	return errors.Join(o.failed, printJSON(o.e.stdout, o.result))
}

// printExport tells a person what became of an account.
func printExport(w io.Writer, r *exporter.Report) {
	var b strings.Builder
	for _, bad := range r.Bad {
		fmt.Fprintf(&b, "not exported: %s, message %d: %s\n", bad.Mailbox, bad.UID, bad.Reason)
	}
	if more := r.Total.Refused - int64(len(r.Bad)); more > 0 {
		fmt.Fprintf(&b, "not exported: %d more\n", more)
	}
	for _, d := range r.Differences {
		fmt.Fprintf(&b, "differs: %s\n", d)
	}
	for _, remark := range r.Remarks {
		fmt.Fprintf(&b, "note: %s\n", remark)
	}
	t := r.Total
	fmt.Fprintf(&b, "%s to %s: %s moved (%s), %d were there", r.Account, r.Target, plural(int(t.Put), "message"), size(t.PutBytes), t.Known)
	if t.Flagged > 0 {
		fmt.Fprintf(&b, ", %d of them with other flags", t.Flagged)
	}
	if t.Removed > 0 {
		fmt.Fprintf(&b, ", %d removed", t.Removed)
	}
	if t.Left > 0 {
		fmt.Fprintf(&b, "; %d there are not on the box", t.Left)
	}
	fmt.Fprintf(&b, "; %d read back and compared\n", t.Verified)
	_, _ = io.WriteString(w, b.String()) // as with every output
}

// exportProgress shows how far an export is, with rate and time left.
type exportProgress struct{ *progress }

func (p exportProgress) tell(now exporter.Progress) {
	p.total = max(now.TotalBytes, 1)
	p.messages, p.done = int(now.Done), now.DoneBytes
	p.show(progressbar.OptionShowBytes(true))
}
