package directory

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// maxAccounts and maxAliases keep the state in memory small: about 1 KiB each.
const (
	maxAccounts = 10_000
	maxAliases  = 10_000
	maxName     = 200 // octets of a person's name
)

// Account is a person's account.
type Account struct {
	ID      storage.AccountID `json:"id"`
	Address string            `json:"address"` // canonical
	Name    string            `json:"name"`
	Created time.Time         `json:"created"`
	Quota   int64             `json:"quota"` // octets; 0: no limit
	// Suspended says that nobody can sign in to it; mail still comes in.
	Suspended bool `json:"suspended,omitempty"`
}

// NewAccount says what an account to be added is to be.
type NewAccount struct {
	Address  string
	Name     string // may be empty
	Password Secret
	Quota    int64 // octets; 0: no limit
}

// specialMailboxes are there from the start, because older mail programs make
// their own where they find none.
var specialMailboxes = []storage.NewMailbox{
	{Name: storage.Inbox, Subscribed: true},
	{Name: "Archive", SpecialUse: imap.MailboxAttrArchive, Subscribed: true},
	{Name: "Drafts", SpecialUse: imap.MailboxAttrDrafts, Subscribed: true},
	{Name: "Junk", SpecialUse: imap.MailboxAttrJunk, Subscribed: true},
	{Name: "Sent", SpecialUse: imap.MailboxAttrSent, Subscribed: true},
	{Name: "Trash", SpecialUse: imap.MailboxAttrTrash, Subscribed: true},
}

// Add makes an account with its mailboxes. It is whole and durable when Add
// returns without an error, and not there at all otherwise. Errors that tell
// what to change are ErrAddress, ErrAddressTaken, ErrPassword and ErrTooMany.
func (d *Directory) Add(ctx context.Context, n NewAccount) (Account, error) {
	a, err := d.add(ctx, n)
	if err != nil {
		return Account{}, fmt.Errorf("add account: %w", err)
	}
	d.tell(Change{Account: a.ID, What: AccountAdded})
	return a, nil
}

func (d *Directory) add(ctx context.Context, n NewAccount) (Account, error) {
	addr, err := ParseAddress(n.Address)
	if err != nil {
		return Account{}, err
	}
	if err := checkName(n.Name); err != nil {
		return Account{}, err
	}
	if n.Quota < 0 {
		return Account{}, errors.New("the quota is negative")
	}
	cred, err := d.newPassword(ctx, addr, n.Password)
	if err != nil {
		return Account{}, err
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.state.Load()
	switch {
	case s.taken(addr):
		return Account{}, fmt.Errorf("%w: %s", ErrAddressTaken, addr)
	case len(s.accounts) >= maxAccounts:
		return Account{}, fmt.Errorf("%w: %d accounts", ErrTooMany, maxAccounts)
	}
	id := storage.AccountID(newID())
	r := accountRecord{
		Address: addr.String(),
		Name:    n.Name,
		Created: d.now().UTC(),
		Quota:   n.Quota,
		State:   stateAdding,
	}
	if err := d.update(ctx, func(tx *storage.SystemTx) error {
		return put(tx, sectionAccounts, string(id), r)
	}); err != nil {
		return Account{}, err
	}
	if err := d.finishAdd(ctx, id, r, cred); err != nil {
		// The caller may have gone away; half an account must not stay for it.
		return Account{}, errors.Join(err, d.erase(context.WithoutCancel(ctx), id))
	}
	r.State = stateActive
	d.keepOwner(ctx, id, r)
	return d.state.Load().accounts[id].Account, nil
}

func checkName(name string) error {
	if len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("%w: it is not one line of text, or longer than %d octets", ErrName, maxName)
	}
	return nil
}

func (d *Directory) finishAdd(ctx context.Context, id storage.AccountID, r accountRecord, cred credential) error {
	if err := d.store.CreateAccount(ctx, id, specialMailboxes); err != nil {
		return fmt.Errorf("make mailboxes: %w", err)
	}
	acct, err := d.store.Account(ctx, id)
	if err != nil {
		return fmt.Errorf("open mailboxes: %w", err)
	}
	if err := acct.SetQuota(ctx, r.Quota); err != nil {
		return fmt.Errorf("set quota: %w", err)
	}
	r.State = stateActive
	return d.update(ctx, func(tx *storage.SystemTx) error {
		if err := put(tx, sectionCredentials, credentialKey(id, cred.id), cred.record); err != nil {
			return err
		}
		return put(tx, sectionAccounts, string(id), r)
	})
}

// List returns all accounts, sorted by domain, then local part.
func (d *Directory) List(context.Context) ([]Account, error) {
	sorted := slices.Clone(d.state.Load().sorted)
	slices.SortFunc(sorted, func(a, b *entry) int { return a.addr.compare(b.addr) })
	all := make([]Account, len(sorted))
	for i, e := range sorted {
		all[i] = e.Account
	}
	return all, nil
}

// Find returns the account that has an address. ErrNoAccount if none has.
func (d *Directory) Find(_ context.Context, address string) (Account, error) {
	e, err := d.find(address)
	if err != nil {
		return Account{}, fmt.Errorf("find account: %w", err)
	}
	return e.Account, nil
}

func (d *Directory) find(address string) (*entry, error) {
	addr, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	e := d.state.Load().byAddress[addr]
	if e == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoAccount, addr)
	}
	return e, nil
}

// Domains returns the domains that accounts and aliases have addresses in, sorted.
func (d *Directory) Domains(context.Context) ([]string, error) {
	s := d.state.Load()
	var domains []string
	for addr := range s.byAddress {
		domains = append(domains, addr.Domain)
	}
	for addr := range s.aliases {
		domains = append(domains, addr.Domain)
	}
	slices.Sort(domains)
	return slices.Compact(domains), nil
}

// SetQuota changes how many octets an account may use; 0 means no limit.
func (d *Directory) SetQuota(ctx context.Context, address string, quota int64) error {
	if quota < 0 {
		return errors.New("set quota: the quota is negative")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	e, err := d.find(address)
	if err != nil {
		return fmt.Errorf("set quota: %w", err)
	}
	r := e.record()
	r.Quota = quota
	if err := d.update(ctx, func(tx *storage.SystemTx) error {
		return put(tx, sectionAccounts, string(e.ID), r)
	}); err != nil {
		return fmt.Errorf("set quota: %w", err)
	}
	d.keepOwner(ctx, e.ID, r)
	acct, err := d.store.Account(ctx, e.ID)
	if err != nil {
		return fmt.Errorf("set quota: %w", err)
	}
	if err := acct.SetQuota(ctx, quota); err != nil {
		return fmt.Errorf("set quota: %w", err)
	}
	return nil
}

// SetName changes how a person is called. ErrName if nobody can be called so.
func (d *Directory) SetName(ctx context.Context, address, name string) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("set name: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	e, err := d.find(address)
	if err != nil {
		return fmt.Errorf("set name: %w", err)
	}
	r := e.record()
	r.Name = name
	if err := d.update(ctx, func(tx *storage.SystemTx) error {
		return put(tx, sectionAccounts, string(e.ID), r)
	}); err != nil {
		return fmt.Errorf("set name: %w", err)
	}
	d.keepOwner(ctx, e.ID, r)
	return nil
}

// Suspend keeps everybody from signing in to an account, or lets them again. Who
// is signed in is told of by a Change. Mail comes in as before.
func (d *Directory) Suspend(ctx context.Context, address string, suspended bool) error {
	id, changed, err := d.suspend(ctx, address, suspended)
	if err != nil {
		return fmt.Errorf("suspend account: %w", err)
	}
	if changed && suspended {
		d.tell(Change{Account: id, What: AccountSuspended})
	}
	return nil
}

func (d *Directory) suspend(ctx context.Context, address string, suspended bool) (storage.AccountID, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, err := d.find(address)
	if err != nil || e.Suspended == suspended {
		return "", false, err
	}
	r := e.record()
	r.Suspended = suspended
	if err := d.update(ctx, func(tx *storage.SystemTx) error {
		return put(tx, sectionAccounts, string(e.ID), r)
	}); err != nil {
		return "", false, err
	}
	d.keepOwner(ctx, e.ID, r)
	return e.ID, true, nil
}

// Remove deletes an account with all its mail. From its first step on nobody
// can log in and no mail comes in; if it is interrupted, calling it again or
// New brings it to an end. Aliases lose the address as a target, and end when
// it was their last.
func (d *Directory) Remove(ctx context.Context, address string) error {
	if err := d.remove(ctx, address); err != nil {
		return fmt.Errorf("remove account: %w", err)
	}
	return nil
}

func (d *Directory) remove(ctx context.Context, address string) error {
	addr, err := ParseAddress(address)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.state.Load()
	e := s.holder(addr)
	if e == nil {
		return fmt.Errorf("%w: %s", ErrNoAccount, addr)
	}
	r := e.record()
	r.State = stateRemoving
	left := s.targets()
	drop(left, addr)
	err = d.update(ctx, func(tx *storage.SystemTx) error {
		for i := range e.credentials {
			if err := deleteCredential(tx, e.ID, e.credentials[i].id); err != nil {
				return err
			}
		}
		if err := s.putTargets(tx, left); err != nil {
			return err
		}
		return put(tx, sectionAccounts, string(e.ID), r)
	})
	if err != nil {
		return err
	}
	d.cache.drop(e.ID)
	for i := range e.credentials {
		d.uses.forget(e.credentials[i].id)
	}
	d.tell(Change{Account: e.ID, What: AccountRemoved})
	// It is decided; a caller who goes away does not stop it half-way.
	return d.erase(context.WithoutCancel(ctx), e.ID)
}

// record returns what is stored of an account.
func (e *entry) record() accountRecord {
	return accountRecord{Address: e.Address, Name: e.Name, Created: e.Created, Quota: e.Quota, State: e.state, Suspended: e.Suspended}
}

// newID returns a name that is never used twice: 26 lower-case letters and digits.
func newID() string { return strings.ToLower(rand.Text()) }
