package storage

import (
	"context"
	"errors"
	"sync"
	"time"
)

// upkeepEvery is the time between two rounds of upkeep. What a round does it
// does seldom; it only has to look that often.
const upkeepEvery = 10 * time.Minute

// upkeep looks after the accounts that are open: their backups, the space that
// their indexes no longer need, the reserve and what is kept aside for a while.
type upkeep struct {
	store  *Store
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func startUpkeep(s *Store) *upkeep {
	ctx, cancel := context.WithCancel(context.Background())
	u := &upkeep{store: s, cancel: cancel}
	u.wg.Go(func() { u.run(ctx) })
	return u
}

func (u *upkeep) run(ctx context.Context) {
	tick := time.NewTicker(upkeepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			u.round(ctx)
		}
	}
}

func (u *upkeep) stop() {
	u.cancel()
	u.wg.Wait()
}

// round does what is due. It takes one account after the other, so that it
// never needs much of the disk at once.
func (u *upkeep) round(ctx context.Context) {
	s := u.store
	if err := s.reserve.refill(); err != nil {
		s.log.Warn("no room is kept for deleting on a full disk", "err", err)
	}
	for _, a := range s.openAccounts() {
		for _, f := range []func(context.Context) error{a.compact, a.backup, a.clearOrphans} {
			err := f(ctx)
			if ctx.Err() != nil || errors.Is(err, ErrClosed) {
				break
			}
			if err != nil {
				s.log.Error("looking after an account", "account", a.id, "err", diskError(err))
			}
		}
	}
}

// openAccounts lists the accounts that are open.
func (s *Store) openAccounts() []*Account {
	s.mu.Lock()
	slots := make([]*slot, 0, len(s.accounts))
	for _, sl := range s.accounts {
		slots = append(slots, sl)
	}
	s.mu.Unlock()
	var open []*Account
	for _, sl := range slots {
		sl.mu.Lock()
		if sl.account != nil {
			open = append(open, sl.account)
		}
		sl.mu.Unlock()
	}
	return open
}
