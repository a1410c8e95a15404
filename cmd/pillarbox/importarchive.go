package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"pillarbox/appliance/control"
	"pillarbox/appliance/importer"
)

type importArchiveCommand struct {
	dataFlag
	jsonFlag

	File     string `arg:"" help:"The file: a zip, a tar (also with gzip) or an mbox." placeholder:"FILE"`
	Account  string `required:"" help:"Whose mail it becomes." placeholder:"ADDRESS"`
	Owner    string `help:"Of a spool that holds the mail of several people: whose." placeholder:"NAME"`
	KeepUIDs bool   `name:"keep-uids" help:"Number empty mailboxes as they were, so that mail programs need not fetch everything again."`
}

// Help is printed below the flags.
func (c *importArchiveCommand) Help() string {
	return fmt.Sprintf(`The box keeps the file (%d GB at most) until its mail is here, and goes on when this command
has ended. In it may be Maildirs, mboxes or Cyrus's spool, as for "import files"; links are left out.`, int64(importer.MaxUpload)>>30)
}

// Run uploads.
func (c *importArchiveCommand) Run(ctx context.Context, e *env) error {
	f, err := os.Open(c.File)
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}

	return c.with(ctx, e, false, func(client *control.Client) error {
		bar := newProgress(e.stderr, 0)
		job, err := client.ImportArchive(ctx, &control.ImportArchive{
			Name: filepath.Base(c.File), Account: c.Account, Owner: c.Owner, KeepUIDs: c.KeepUIDs, Size: fi.Size(),
		}, &sending{f, bar, 0, fi.Size()})
		bar.finish()
		if err != nil {
			return err
		}

		return showImport(ctx, client, e, job, c.JSON)
	})
}

// sending shows how much of a file was sent.
type sending struct {
	io.Reader

	bar        *progress
	sent, size int64
}

// Read implements io.Reader.
func (s *sending) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.sent += int64(n)
	s.bar.reach(min(s.sent, s.size), max(s.size, 1))

	return n, err
}
