package directory

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"pillarbox/storage"
)

// maxWait is how long a log-in waits for its turn to be hashed. Mail programs
// give up after 20 to 60 s.
const maxWait = 10 * time.Second

// Login is what somebody signed in by, and to which account.
type Login struct {
	Account
	Credential string // an id that is never used twice
	Device     string // the name of the device whose password it was, "" for the person's own
	NoSending  bool   // mail may be read by it, not sent
}

func (e *entry) loginBy(c *credential) Login {
	return Login{Account: e.Account, Credential: c.id, Device: c.named(), NoSending: c.record.NoSending}
}

// Authenticate finds the account that a login and a password, a person's or a
// device's, belong to. The login is the full address, or the local part where
// only one account has it. ErrCredentials means that name or password is wrong,
// with ErrNoAccount that it is the name; any other error that it could not be
// found out. Who lets the client in tells Used.
func (d *Directory) Authenticate(ctx context.Context, login, password string, remote net.Addr) (Login, error) {
	l, err := d.authenticate(ctx, login, password, remote)
	if err != nil {
		return Login{}, fmt.Errorf("authenticate: %w", err)
	}
	return l, nil
}

func (d *Directory) authenticate(ctx context.Context, login, password string, remote net.Addr) (Login, error) {
	text, err := preparePassword(password)
	if err != nil {
		// Work is done all the same, on a text that no password has.
		text = ""
	}
	e := d.state.Load().login(login)
	if c := e.deviceOf(password); c != nil && d.state.Load().has(e.ID, c.id) {
		d.renewDevice(ctx, e, c, password, remote)
		return e.loginBy(c), nil
	}
	if c := d.remembered(e, text); c != nil {
		return e.loginBy(c), nil
	}
	place, err := d.acquire(ctx, d.regular(e, text))
	if err != nil {
		return Login{}, err
	}
	defer d.release(place)
	if e == nil || e.passwordless() {
		d.dummy.matches(text)
		return Login{}, d.nobody(e, login)
	}
	// A mail program opens several connections at once; the first of them
	// may have done the work while this one waited.
	if c := d.remembered(e, text); c != nil {
		return e.loginBy(c), nil
	}
	for i := range e.credentials {
		c := &e.credentials[i]
		if !c.isPassword() || !c.hash.matches(text) {
			continue
		}
		if !d.state.Load().has(e.ID, c.id) {
			return Login{}, fmt.Errorf("%w: it was changed just now", ErrCredentials)
		}
		d.cache.put(e.ID, c.id, text)
		d.renew(ctx, e, c, text, remote)
		return e.loginBy(c), nil
	}
	return Login{}, fmt.Errorf("%w: wrong password", ErrCredentials)
}

// Whose returns the account that a login leads to, as Authenticate takes it.
func (d *Directory) Whose(login string) (Account, bool) {
	e := d.state.Load().login(login)
	if e == nil {
		return Account{}, false
	}
	return e.Account, true
}

// Spelling returns the one name under which sign-ins are counted and banned, for
// all the ways in which a login can be written: short or whole, in capitals, or
// with a domain of other letters that means the same. A short name is that of its
// account; one that nobody has is treated as if somebody of the oldest domain had
// it, so that what is counted together does not tell which names exist.
func (d *Directory) Spelling(login string) string {
	s := d.state.Load()
	if e := s.login(login); e != nil {
		return e.Address
	}
	name := login
	if oldest := s.oldest(""); oldest != nil && !strings.Contains(login, "@") {
		name += "@" + oldest.addr.Domain
	}
	if addr, err := ParseAddress(name); err == nil {
		return addr.String()
	}
	return strings.ToLower(login)
}

// nobody says why a name without a password cannot be signed in by. e is nil
// where no account is called so.
func (d *Directory) nobody(e *entry, login string) error {
	switch {
	case e != nil:
		return fmt.Errorf("%w: the account has no password", ErrCredentials)
	case d.state.Load().ambiguous(login):
		return fmt.Errorf("%w: %w", ErrCredentials, ErrAmbiguous)
	}
	return fmt.Errorf("%w: %w", ErrCredentials, ErrNoAccount)
}

// deviceOf finds the device that a password is of; nil if there is none. It
// takes the same time however many devices an account has, and whether it is
// there at all.
func (e *entry) deviceOf(password string) (found *credential) {
	text, ok := deviceText(password)
	if !ok {
		return nil
	}
	left := maxDevices
	if e != nil {
		for i := range e.credentials {
			if c := &e.credentials[i]; !c.isPassword() && !c.isCertificate() {
				left--
				if c.device.matches(text) {
					found = c
				}
			}
		}
	}
	none := deviceHash{salt: make([]byte, saltSize)}
	for range left {
		none.matches(text)
	}
	return found
}

// remembered returns the credential whose password was verified a short time ago.
func (d *Directory) remembered(e *entry, text string) *credential {
	if e == nil {
		return nil
	}
	for i := range e.credentials {
		c := &e.credentials[i]
		if c.isPassword() && d.cache.has(e.ID, c.id, text) && d.state.Load().has(e.ID, c.id) {
			return c
		}
	}
	return nil
}

// regular tells whether a password was right some time ago, so that who has it
// need not stand in line with those who guess.
func (d *Directory) regular(e *entry, text string) bool {
	if e == nil {
		return false
	}
	return slices.ContainsFunc(e.credentials, func(c credential) bool {
		return c.isPassword() && d.cache.had(e.ID, c.id, text)
	})
}

// renew replaces a hash by one with the present costs, and makes the keys for
// SCRAM that a password of an older version lacks. The log-in succeeds whether
// this does or not.
func (d *Directory) renew(ctx context.Context, e *entry, c *credential, text string, remote net.Addr) {
	r := c.record
	if weak := c.hash.weakerThan(present); weak && c.isPassword() {
		h := hashPassword(text, present)
		r.Hash = h.String()
	}
	if !d.salts.current(e, r.SCRAM) {
		keys, err := d.scramKeys(e.Address, text)
		if err != nil {
			d.log.Warn("no keys for SCRAM could be made of the password", "account", e.ID, "remote", remote, "err", err)
			return
		}
		r.SCRAM = keys
	}
	if r == c.record {
		return
	}
	// The lock is held while a removed account's mail is deleted; a log-in
	// does not wait for that.
	if !d.mu.TryLock() {
		return
	}
	defer d.mu.Unlock()
	if !d.state.Load().has(e.ID, c.id) {
		return
	}
	err := d.update(ctx, func(tx *storage.SystemTx) error {
		return put(tx, sectionCredentials, credentialKey(e.ID, c.id), r)
	})
	if err != nil {
		d.log.Warn("what is kept of a password could not be made anew", "account", e.ID, "remote", remote, "err", err)
		return
	}
	d.log.Info("what is kept of a password was made anew, with the present costs", "account", e.ID, "remote", remote)
}

// renewDevice is renew for a device, whose keys lack only after a loss.
func (d *Directory) renewDevice(ctx context.Context, e *entry, c *credential, password string, remote net.Addr) {
	if d.salts.current(e, c.record.SCRAM) {
		return
	}
	place, err := d.acquire(ctx, true)
	if err != nil {
		return
	}
	defer d.release(place)
	text, _ := deviceText(password)
	d.renew(ctx, e, c, showDevice(text), remote)
}

// acquire waits for one of the places in which hashes are computed. One of them is
// kept for who is no stranger: guesses that come faster than they can be hashed
// would otherwise keep all out whose password is not remembered just then.
func (d *Directory) acquire(ctx context.Context, regular bool) (place chan struct{}, err error) {
	var kept chan struct{} // nil never has room
	if regular {
		kept = d.kept
	}
	select {
	case d.hashing <- struct{}{}:
		return d.hashing, nil
	default:
	}
	t := time.NewTimer(maxWait)
	defer t.Stop()
	select {
	case d.hashing <- struct{}{}:
		return d.hashing, nil
	case kept <- struct{}{}:
		return kept, nil
	case <-t.C:
		return nil, ErrBusy
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// tidyAfter is how long no password has been hashed when the memory is given
// back.
const tidyAfter = 2 * time.Second

// release gives the place back. Each hash leaves some 20 MB of garbage, which
// the collector would keep from a small machine for minutes: there is too
// little else going on to make it run.
func (d *Directory) release(place chan struct{}) {
	<-place
	d.tidy.Reset(tidyAfter)
}
