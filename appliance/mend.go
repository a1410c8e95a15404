package appliance

import (
	"context"
	"errors"
	"fmt"

	"pillarbox/appliance/directory"
	"pillarbox/storage"
)

// Mend is for a data folder that cannot be opened because the database that
// knows the accounts is damaged: with ErrCorrupt New and Connect refuse it. It
// calls found with each fault and, unless mended is nil, mends it; what is
// lost for good is among what mended gets, by name. Where the first fault is
// in the file itself, only with mended can it tell what else there is.
func Mend(ctx context.Context, c *Config, found, mended func(storage.Problem)) error {
	faulty, err := storage.RepairSystem(ctx, c.Dir, found, mended)
	if err != nil || faulty && mended == nil {
		return err
	}
	store, err := storage.Open(ctx, &storage.Config{Dir: c.Dir, Logger: c.Logger.With("service", "storage")})
	if err != nil {
		return fmt.Errorf("open data folder %s: %w", c.Dir, err)
	}
	_, err = directory.Mend(ctx, store, found, mended)

	return errors.Join(err, store.Close())
}
