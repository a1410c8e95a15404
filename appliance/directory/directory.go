package directory

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"pillarbox/storage"
)

// Config says what a Directory works on.
type Config struct {
	Store  *storage.Store   // must not be nil
	Logger *slog.Logger     // must not be nil
	Now    func() time.Time // nil means time.Now

	// MaxHashes is how many password hashes are computed at once, each in
	// 19 MiB of memory, beside one of a password that was right before. 0 means
	// one for each CPU, but at most 4.
	MaxHashes int
}

// Directory is the office's accounts and aliases. Its methods may be called
// from several goroutines.
type Directory struct {
	store *storage.Store
	log   *slog.Logger
	now   func() time.Time

	state atomic.Pointer[state] // never nil, replaced by each change
	mu    sync.Mutex            // held by who changes the directory

	hashing chan struct{} // one element for each hash being computed
	kept    chan struct{} // the same of the place that strangers do not get
	tidy    *time.Timer   // gives the hashes' memory back, see release
	cache   *cache
	dummy   phc // what a log-in under an unknown name is compared with
	salts   salts
	uses    uses

	watchMu  sync.Mutex
	watchers map[int]func(Change)
	watchID  int
}

// New reads the directory and brings to an end what a crash interrupted.
func New(c *Config) (*Directory, error) {
	d := &Directory{
		store:    c.Store,
		log:      c.Logger,
		now:      c.Now,
		dummy:    noPassword(present),
		watchers: map[int]func(Change){},
	}
	if d.now == nil {
		d.now = time.Now
	}
	n := c.MaxHashes
	if n == 0 {
		n = min(runtime.GOMAXPROCS(0), 4)
	}
	d.hashing, d.kept = make(chan struct{}, n), make(chan struct{}, 1)
	d.tidy = time.AfterFunc(tidyAfter, debug.FreeOSMemory)
	d.tidy.Stop()
	d.cache = newCache(d.now)
	ctx := context.Background()
	if err := d.claim(ctx); err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	if err := d.claimSalts(ctx); err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	if err := d.load(); err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	if who := d.keyless(d.state.Load()); len(who) > 0 {
		d.log.Info("SCRAM is not offered until these have signed in, or have got a new password",
			"accounts", len(who), "first", who[:min(len(who), 5)])
	}
	if err := d.loadUses(); err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	if err := d.recover(ctx); err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	return d, nil
}

// recover rolls back accounts that were being added, finishes those that were
// being removed, and reports folders without a record.
func (d *Directory) recover(ctx context.Context) error {
	for id, e := range d.state.Load().accounts {
		if e.state == stateActive {
			continue
		}
		if e.state == stateAdding && d.inUse(ctx, id) {
			// The record is older than the folder: a damaged database may have
			// been mended from what an older page knew.
			d.log.Warn("an account was said to be half made, and has an owner or mail; it is kept", "account", id, "address", e.Address)
			r := e.record()
			r.State = stateActive
			if err := d.update(ctx, func(tx *storage.SystemTx) error { return put(tx, sectionAccounts, string(id), r) }); err != nil {
				return err
			}
			continue
		}
		d.log.Info("finishing what was interrupted", "account", id, "address", e.Address, "state", e.state)
		if err := d.erase(ctx, id); err != nil {
			return err
		}
	}
	folders, err := d.store.Accounts()
	if err != nil {
		return fmt.Errorf("list account folders: %w", err)
	}
	for _, id := range folders {
		if _, ok := d.state.Load().accounts[id]; !ok {
			d.log.Warn("an account's folder belongs to no account; it is left alone: pillarbox check --repair makes it one's", "account", id)
		}
	}
	d.keepOwners(ctx)
	return nil
}

// inUse tells whether an account's folder shows that the account was whole.
func (d *Directory) inUse(ctx context.Context, id storage.AccountID) bool {
	if owner, err := d.store.Owner(id); owner != nil || errors.Is(err, storage.ErrCorrupt) {
		return true
	}
	a, err := d.store.Account(ctx, id)
	if errors.Is(err, storage.ErrNoAccount) {
		return false
	}
	return err != nil || a.Quota().UsedMessages > 0
}

// keepOwners has each account's folder say whose it is, see package doc. Where
// that fails the next start tries again.
func (d *Directory) keepOwners(ctx context.Context) {
	for id, e := range d.state.Load().accounts {
		if e.state == stateActive {
			d.keepOwner(ctx, id, e.record())
		}
	}
}

func (d *Directory) keepOwner(ctx context.Context, id storage.AccountID, r accountRecord) {
	if d.knowsOwner(id, r) {
		return
	}
	text, err := json.Marshal(r)
	if err == nil {
		err = d.store.SetOwner(ctx, id, text)
	}
	if err != nil {
		d.log.Warn("the folder of an account does not say whose it is", "account", id, "address", r.Address, "err", err)
	}
}

// knowsOwner tells whether a folder says what it must. One that cannot be read
// does not.
func (d *Directory) knowsOwner(id storage.AccountID, r accountRecord) bool {
	text, err := json.Marshal(r)
	have, readErr := d.store.Owner(id)
	return err == nil && readErr == nil && bytes.Equal(have, text)
}

// erase deletes an account's folder, then its record.
func (d *Directory) erase(ctx context.Context, id storage.AccountID) error {
	if err := d.store.DeleteAccount(ctx, id); err != nil && !errors.Is(err, storage.ErrNoAccount) {
		return fmt.Errorf("delete mail of account %s: %w", id, err)
	}
	return d.update(ctx, func(tx *storage.SystemTx) error {
		return tx.Delete(sectionAccounts, string(id))
	})
}

// update makes a change durable and replaces the state. The caller holds d.mu,
// unless nobody else has d yet.
func (d *Directory) update(ctx context.Context, f func(tx *storage.SystemTx) error) error {
	if err := d.store.System().Update(ctx, f); err != nil {
		return fmt.Errorf("write directory: %w", err)
	}
	return d.load()
}
