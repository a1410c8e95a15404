package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/schollz/progressbar/v3"

	"pillarbox/appliance/control"
	"pillarbox/appliance/importer"
	"pillarbox/appliance/importer/files"
)

type importFilesCommand struct {
	dataFlag
	jsonFlag

	Path    string `arg:"" help:"A Maildir, an mbox, or a folder of such: Maildir++, Thunderbird's local folders, a spool of Cyrus, our own export."`
	Account string `required:"" help:"Whose mail it becomes." placeholder:"ADDRESS"`
	Owner   string `help:"Of a spool that holds the mail of several people: whose." placeholder:"NAME"`
	OnBox   bool   `help:"The server reads the files, as its own user, and goes on when this command has ended; otherwise this command reads them."`

	KeepUIDs bool     `name:"keep-uids" help:"Number empty mailboxes as they were, so that mail programs need not fetch everything again."`
	Expunge  bool     `help:"Remove here what came in an earlier run and is gone there."`
	Retry    bool     `help:"Try quarantined messages again."`
	Only     []string `sep:"none" help:"Only mailboxes with such a name (a pattern); may be given several times." placeholder:"PATTERN"`
	Except   []string `sep:"none" help:"No mailboxes with such a name." placeholder:"PATTERN"`
	Into     string   `help:"Put everything below this mailbox." placeholder:"NAME"`
}

// Help is printed below the flags.
func (c *importFilesCommand) Help() string {
	return `Mailboxes, flags, keywords, dates, subscriptions and, with --keep-uids, UIDs are taken from
what lies beside the messages: dovecot-uidlist, dovecot-keywords, subscriptions; cyrus.header and
cyrus.index (Cyrus 2.4 to 3.6); Status, X-Status, X-Keywords, X-UID and X-Mozilla-Status in an
mbox. Not read are Dovecot's and Cyrus's other indexes. The files are not changed.

Run it as often as you like: only what is new and what has changed moves. Everything is
compared at the end; a message that cannot be taken is named, and kept as a file on the box.
The exit status is 1 if something is missing.`
}

// Run imports.
func (c *importFilesCommand) Run(ctx context.Context, e *env) error {
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return fmt.Errorf("find the files: %w", err)
	}
	o := importer.Options{KeepUIDs: c.KeepUIDs, Expunge: c.Expunge, Retry: c.Retry, Only: c.Only, Except: c.Except, Into: c.Into}
	if c.OnBox {
		return c.onBox(ctx, e, path, o)
	}
	src, err := files.Open(path, c.Owner)
	if err != nil {
		return err
	}
	defer src.Close()

	return c.with(ctx, e, false, func(client *control.Client) error {
		bar := newProgress(e.stderr, 0)
		report, err := client.ImportFiles(ctx, c.Account, o, src, func(now importer.Snapshot) {
			bar.messages, bar.done, bar.total = int(now.MessagesIn), now.MessagesIn, max(now.Messages, now.MessagesIn, 1)
			bar.show(progressbar.OptionShowCount())
		})
		bar.finish()
		if report != nil {
			if c.JSON {
				err = errors.Join(err, printJSON(e.stdout, report))
			} else {
				err = errors.Join(err, printImportReport(e.stdout, report))
			}
		}
		if err == nil && (report.Total.Quarantined > 0 || report.Verified == nil || !report.Verified.OK) {
			err = errors.New("not everything has come as it should; the reasons stand above")
		}

		return err
	})
}

// onBox has the server read the files, as a job of its own.
func (c *importFilesCommand) onBox(ctx context.Context, e *env, path string, o importer.Options) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		job, err := client.AddImport(ctx, &importer.NewJob{
			From: importer.From{Path: path, Owner: c.Owner}, People: []importer.Login{{User: c.Account, Account: c.Account}}, Options: o,
		})
		if err != nil {
			return err
		}

		return showImport(ctx, client, e, job, c.JSON)
	})
}

// showImport follows a job to its end, and tells what became of it.
func showImport(ctx context.Context, client *control.Client, e *env, job importer.Job, asJSON bool) error {
	job, err := followImport(ctx, client, e, job)
	switch {
	case err != nil:
		return err
	case asJSON:
		err = printJSON(e.stdout, job)
	default:
		err = printImport(e.stdout, &job)
	}

	return errors.Join(err, jobError(&job))
}
