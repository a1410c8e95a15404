package directory

import (
	"context"
	"fmt"
	"net"
	"time"

	"pillarbox/storage"
)

// maxWait is how long a log-in waits for its turn to be hashed. Mail programs
// give up after 20 to 60 s.
const maxWait = 10 * time.Second

// Authenticate finds the account that a login and a password belong to. The
// login is the full address, or the local part where only one account has it.
// ErrCredentials means that name or password is wrong, with ErrNoAccount that it
// is the name; any other error that it could not be found out.
func (d *Directory) Authenticate(ctx context.Context, login, password string, remote net.Addr) (Account, error) {
	a, err := d.authenticate(ctx, login, password, remote)
	if err != nil {
		return Account{}, fmt.Errorf("authenticate: %w", err)
	}
	return a, nil
}

func (d *Directory) authenticate(ctx context.Context, login, password string, remote net.Addr) (Account, error) {
	text, err := preparePassword(password)
	if err != nil {
		// Work is done all the same, on a text that no password has.
		text = ""
	}
	e := d.state.Load().login(login)
	if e != nil && d.remembered(e, text) {
		return e.Account, nil
	}
	if err := d.acquire(ctx); err != nil {
		return Account{}, err
	}
	defer d.release()
	if e == nil || len(e.credentials) == 0 {
		d.dummy.matches(text)
		if e == nil && d.state.Load().ambiguous(login) {
			return Account{}, fmt.Errorf("%w: %w", ErrCredentials, ErrAmbiguous)
		}
		if e == nil {
			return Account{}, fmt.Errorf("%w: %w", ErrCredentials, ErrNoAccount)
		}
		return Account{}, fmt.Errorf("%w: the account has no password", ErrCredentials)
	}
	// A mail program opens several connections at once; the first of them
	// may have done the work while this one waited.
	if d.remembered(e, text) {
		return e.Account, nil
	}
	for i := range e.credentials {
		c := &e.credentials[i]
		if !c.hash.matches(text) {
			continue
		}
		if !d.state.Load().has(e.ID, c.id) {
			return Account{}, fmt.Errorf("%w: it was changed just now", ErrCredentials)
		}
		d.cache.put(e.ID, c.id, text)
		if c.hash.weakerThan(present) {
			d.rehash(ctx, e, c, text, remote)
		}
		return e.Account, nil
	}
	return Account{}, fmt.Errorf("%w: wrong password", ErrCredentials)
}

// remembered tells whether the password was verified a short time ago.
func (d *Directory) remembered(e *entry, text string) bool {
	for i := range e.credentials {
		if d.cache.has(e.ID, e.credentials[i].id, text) && d.state.Load().has(e.ID, e.credentials[i].id) {
			return true
		}
	}
	return false
}

// rehash replaces a credential's hash by one with the present costs. The
// log-in succeeds whether this does or not.
func (d *Directory) rehash(ctx context.Context, e *entry, c *credential, text string, remote net.Addr) {
	h := hashPassword(text, present)
	// The lock is held while a removed account's mail is deleted; a log-in
	// does not wait for that.
	if !d.mu.TryLock() {
		return
	}
	defer d.mu.Unlock()
	if !d.state.Load().has(e.ID, c.id) {
		return
	}
	r := c.record
	r.Hash = h.String()
	err := d.update(ctx, func(tx *storage.SystemTx) error {
		return put(tx, sectionCredentials, credentialKey(e.ID, c.id), r)
	})
	if err != nil {
		d.log.Warn("the password could not be hashed anew", "account", e.ID, "remote", remote, "err", err)
		return
	}
	d.log.Info("the password was hashed anew with the present costs", "account", e.ID, "remote", remote)
}

// acquire waits for one of the places in which hashes are computed.
func (d *Directory) acquire(ctx context.Context) error {
	select {
	case d.hashing <- struct{}{}:
		return nil
	default:
	}
	t := time.NewTimer(maxWait)
	defer t.Stop()
	select {
	case d.hashing <- struct{}{}:
		return nil
	case <-t.C:
		return ErrBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tidyAfter is how long no password has been hashed when the memory is given
// back.
const tidyAfter = 2 * time.Second

// release gives the place back. Each hash leaves some 20 MB of garbage, which
// the collector would keep from a small machine for minutes: there is too
// little else going on to make it run.
func (d *Directory) release() {
	<-d.hashing
	d.tidy.Reset(tidyAfter)
}
