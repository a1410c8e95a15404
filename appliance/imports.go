package appliance

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/importer"
	"pillarbox/appliance/importer/files"
	"pillarbox/appliance/importer/unpack"
	"pillarbox/appliance/mailfile"
	"pillarbox/storage"
)

// openImports opens the moves of mail from elsewhere. They run where a server does.
func openImports(c *Config, o *office) (*importer.Jobs, error) {
	dir := filepath.Join(c.Dir, "imports")
	log := c.Logger.With("service", "importer")
	people, err := o.directory.List(context.Background()) // asks memory
	if err != nil {
		return nil, fmt.Errorf("list the accounts: %w", err)
	}
	exists := func(id storage.AccountID) bool {
		return slices.ContainsFunc(people, func(a directory.Account) bool { return a.ID == id })
	}
	jobs, err := importer.OpenJobs(&importer.JobsConfig{
		Dir:    dir,
		Logger: log,
		Engine: importer.New(&importer.Config{
			Stager: &stager{o.store, o.space}, Logger: log, Quarantine: importer.QuarantineDir(dir), Room: o.space.roomFor,
		}),
		Account: o.mailOf,
		Exists:  exists,
		Files:   func(path, owner string) (importer.Source, error) { return files.Open(path, owner) },
		MayRead: func(path string) error {
			err := mailfile.Reachable(path, c.Dir)
			var no *mailfile.ReachError
			if errors.As(err, &no) {
				err = fmt.Errorf("%w: %w", importer.ErrRefused, err)
			}
			return err
		},
		Unpack: func(ctx context.Context, archive, name, dir string) (importer.Unpacked, error) {
			return unpackMail(ctx, archive, name, dir, o.space.roomFor)
		},
		Room:   o.space.roomFor,
		Record: o.recordImport,
	})
	if err != nil {
		return nil, fmt.Errorf("open the imports: %w", err)
	}

	o.directory.Watch(func(change directory.Change) { // as long as there is a directory
		if change.What == directory.AccountRemoved {
			jobs.Forget(change.Account)
		}
	})

	return jobs, nil
}

// unpackMail lays out a file that somebody uploaded.
func unpackMail(ctx context.Context, archive, name, dir string, room func(octets int64) error) (importer.Unpacked, error) {
	out, err := unpack.File(ctx, archive, name, dir, unpack.Limits{Room: room})
	var wrong *unpack.Error
	switch {
	case errors.As(err, &wrong):
		err = fmt.Errorf("%w: %w", importer.ErrRefused, err)
	case errors.Is(err, unpack.ErrNoRoom):
		err = fmt.Errorf("%w: %w", importer.ErrNoRoom, err)
	}

	return importer.Unpacked{Files: out.Files, LeftOut: out.LeftOut}, err
}

// mailOf opens the mail of an address.
func (o *office) mailOf(ctx context.Context, address string) (*storage.Account, string, error) {
	found, err := o.directory.Find(ctx, address)
	if err != nil {
		return nil, "", err
	}
	account, err := o.store.Account(ctx, found.ID)

	return account, found.Address, err
}

// recordImport records what happens to a move.
func (o *office) recordImport(ctx context.Context, h importer.Happening) {
	kind := map[importer.Happened]audit.Kind{
		importer.JobStarted: audit.ImportStarted, importer.JobChanged: audit.ImportChanged, importer.JobEnded: audit.ImportEnded,
	}[h.What]
	actor := h.By
	if actor == "" {
		actor = theBox
	}
	_ = o.audit.Record(ctx, audit.Event{ // what failed has been logged
		Kind: kind, Actor: actor, Account: h.Account, More: map[string]string{"job": h.Job, "reason": h.Text},
	})
}
