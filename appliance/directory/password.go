package directory

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"pillarbox/storage"
)

const (
	minPassword = 8    // characters; NIST SP 800-63B, section 5.1.1.2
	maxPassword = 1024 // octets; bounds the work before the hash
)

// SetPassword replaces an account's password; what was made for devices stays.
// Errors that tell what to change are ErrNoAccount and ErrPassword.
func (d *Directory) SetPassword(ctx context.Context, address string, password Secret) error {
	e, err := d.setPassword(ctx, address, password)
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	d.cache.drop(e.ID)
	d.tell(Change{Account: e.ID, What: PasswordChanged})
	return nil
}

func (d *Directory) setPassword(ctx context.Context, address string, password Secret) (*entry, error) {
	e, err := d.find(address)
	if err != nil {
		return nil, err
	}
	cred, err := d.newPassword(ctx, e.addr, password)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	// Hashing took its time: what was found before may have changed.
	if e, err = d.find(address); err != nil {
		return nil, err
	}
	return e, d.update(ctx, func(tx *storage.SystemTx) error {
		for i := range e.credentials {
			if !e.credentials[i].isPassword() {
				continue
			}
			if err := deleteCredential(tx, e.ID, e.credentials[i].id); err != nil {
				return err
			}
		}
		return put(tx, sectionCredentials, credentialKey(e.ID, cred.id), cred.record)
	})
}

// newPassword checks a password that somebody chose and hashes it.
func (d *Directory) newPassword(ctx context.Context, addr Address, password Secret) (credential, error) {
	text, err := preparePassword(string(password))
	if err != nil {
		return credential{}, err
	}
	if err := checkPassword(addr, text); err != nil {
		return credential{}, err
	}
	place, err := d.acquire(ctx, true)
	if err != nil {
		return credential{}, err
	}
	defer d.release(place)
	h := hashPassword(text, present)
	r := credentialRecord{Kind: kindPassword, Hash: h.String(), Created: d.now().UTC()}
	if r.SCRAM, err = d.scramKeys(addr.String(), text); err != nil {
		return credential{}, err
	}
	return credential{id: newID(), hash: h, record: r}, nil
}

// preparePassword brings a password into the form that is hashed (RFC 8265,
// section 4.2: OpaqueString), so that it is the same from every keyboard.
func preparePassword(password string) (string, error) {
	if len(password) > maxPassword {
		return "", fmt.Errorf("%w: it is longer than %d octets", ErrPassword, maxPassword)
	}
	if password == "" {
		return "", fmt.Errorf("%w: it is empty", ErrPassword)
	}
	text, err := precis.OpaqueString.String(password)
	if err != nil {
		return "", fmt.Errorf("%w: it holds a character that cannot be typed everywhere", ErrPassword)
	}
	return text, nil
}

// checkPassword applies the policy: long enough, and not the first guess.
func checkPassword(addr Address, password string) error {
	first, _ := utf8.DecodeRuneInString(password)
	switch {
	case utf8.RuneCountInString(password) < minPassword:
		return fmt.Errorf("%w: it has fewer than %d characters; choose a longer one, such as three or four words",
			ErrPassword, minPassword)
	case strings.Trim(password, string(first)) == "":
		return fmt.Errorf("%w: it is one character over and over", ErrPassword)
	case strings.EqualFold(password, addr.String()), strings.EqualFold(password, addr.Local), strings.EqualFold(password, addr.Domain):
		return fmt.Errorf("%w: it is the address or a part of it", ErrPassword)
	}
	return nil
}
