package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"pillarbox/storage"
)

// adminName is what the administrator is called; no password may be that.
const adminName = "admin"

// InitAdmin takes the administrator's password as an argon2id hash in PHC form,
// made elsewhere, if there is no password yet, and tells whether it did. The
// error for a hash that cannot be used is ErrHash.
func (d *Directory) InitAdmin(ctx context.Context, hash Secret) (bool, error) {
	h, err := parsePHC(string(hash))
	if err != nil {
		return false, fmt.Errorf("set the administrator's password: %w: %w", ErrHash, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.admin(); !errors.Is(err, ErrNoAdmin) {
		return false, err
	}
	r := credentialRecord{Kind: kindPassword, Hash: h.String(), Created: d.now().UTC()}

	return true, d.putAdmin(ctx, r)
}

// HasAdmin tells whether the administrator has a password.
func (d *Directory) HasAdmin() (bool, error) {
	_, err := d.admin()
	if errors.Is(err, ErrNoAdmin) {
		return false, nil
	}

	return err == nil, err
}

// ClaimAdmin sets the administrator's password if there is none yet, and tells
// whether it did. ErrPassword tells what to change.
func (d *Directory) ClaimAdmin(ctx context.Context, password Secret) (bool, error) {
	cred, err := d.newPassword(ctx, Address{Local: adminName}, password)
	if err != nil {
		return false, fmt.Errorf("claim the box: %w", err)
	}
	cred.record.SCRAM = nil // nobody signs in by it to mail
	d.mu.Lock()
	defer d.mu.Unlock()
	if taken, err := d.HasAdmin(); taken || err != nil {
		return false, err
	}

	return true, d.putAdmin(ctx, cred.record)
}

// SetAdmin replaces the administrator's password. ErrPassword tells what to
// change.
func (d *Directory) SetAdmin(ctx context.Context, password Secret) error {
	cred, err := d.newPassword(ctx, Address{Local: adminName}, password)
	if err != nil {
		return fmt.Errorf("set the administrator's password: %w", err)
	}
	cred.record.SCRAM = nil // nobody signs in by it to mail
	d.mu.Lock()
	defer d.mu.Unlock()

	return d.putAdmin(ctx, cred.record)
}

// VerifyAdmin checks the administrator's password. ErrCredentials if it is
// another one, ErrNoAdmin if none was ever set.
func (d *Directory) VerifyAdmin(ctx context.Context, password Secret) error {
	r, err := d.admin()
	if err != nil {
		return fmt.Errorf("verify the administrator's password: %w", err)
	}
	h, err := parsePHC(r.Hash)
	if err != nil {
		return fmt.Errorf("verify the administrator's password: %w: %w", storage.ErrCorrupt, err)
	}
	text, err := preparePassword(string(password))
	if err != nil {
		return fmt.Errorf("verify the administrator's password: %w", ErrCredentials)
	}
	place, err := d.acquire(ctx, false)
	if err != nil {
		return fmt.Errorf("verify the administrator's password: %w", err)
	}
	defer d.release(place)
	if !h.matches(text) {
		return fmt.Errorf("verify the administrator's password: %w", ErrCredentials)
	}

	return nil
}

// admin reads the administrator's credential.
func (d *Directory) admin() (r credentialRecord, err error) {
	err = d.store.System().View(func(tx *storage.SystemTx) error {
		value := tx.Get(sectionAdmin, kindPassword)
		if value == nil {
			return ErrNoAdmin
		}
		if err := json.Unmarshal(value, &r); err != nil {
			return fmt.Errorf("the administrator's credential: %w: %w", storage.ErrCorrupt, err)
		}
		return nil
	})

	return r, err
}

func (d *Directory) putAdmin(ctx context.Context, r credentialRecord) error {
	err := d.store.System().Update(ctx, func(tx *storage.SystemTx) error {
		return put(tx, sectionAdmin, kindPassword, r)
	})
	if err != nil {
		return fmt.Errorf("write the administrator's password: %w", err)
	}

	return nil
}
