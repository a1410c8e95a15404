package directory

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"pillarbox/appliance/scram"
	"pillarbox/storage"
)

// salts makes the salt that goes with a name: always the same, whether an
// account is called so or not, so that no sign-in by SCRAM tells which names
// exist. It is of the local part alone, since a short name is as good as an
// address. All credentials of an account share it, for the server must name it
// before it knows which of them the client has.
type salts struct {
	key [sha256.Size]byte
}

func (s *salts) of(login string) []byte {
	local := login
	if at := strings.LastIndexByte(login, '@'); at >= 0 {
		local = login[:at]
	}
	if canonical, err := canonicalLocal(local); err == nil {
		local = canonical
	} else {
		local = strings.ToLower(local)
	}
	m := hmac.New(sha256.New, s.key[:])
	m.Write([]byte(local))
	return m.Sum(nil)[:scram.SaltSize]
}

// current tells whether an account's credential can be used for SCRAM.
func (s *salts) current(e *entry, k *scram.Keys) bool {
	return k != nil && k.Iterations == scram.Iterations && bytes.Equal(k.Salt, s.of(e.Address))
}

// claimSalts reads the key of the salts, or makes it. Where it was lost, keys
// for SCRAM are made anew as people sign in.
func (d *Directory) claimSalts(ctx context.Context) error {
	var found []byte
	if err := d.store.System().View(func(tx *storage.SystemTx) error {
		found = tx.Get(sectionDirectory, keySalts)
		return nil
	}); err != nil {
		return fmt.Errorf("read the key of the salts: %w", err)
	}
	if copy(d.salts.key[:], found) == len(found) && len(found) == len(d.salts.key) {
		return nil
	}
	rand.Read(d.salts.key[:]) // never fails
	if err := d.store.System().Update(ctx, func(tx *storage.SystemTx) error {
		return tx.Put(sectionDirectory, keySalts, d.salts.key[:])
	}); err != nil {
		return fmt.Errorf("write the key of the salts: %w", err)
	}
	return nil
}

// scramKeys makes the keys of a password of an account.
func (d *Directory) scramKeys(address, text string) (*scram.Keys, error) {
	k, err := scram.Derive(text, d.salts.of(address), scram.Iterations)
	if err != nil {
		return nil, err
	}
	return &k, nil
}

// keyless returns the addresses of those who cannot sign in by SCRAM, by one
// credential at least.
func (d *Directory) keyless(s *state) (addresses []string) {
	for _, e := range s.sorted {
		if slices.ContainsFunc(e.credentials, func(c credential) bool {
			return !c.isCertificate() && !d.salts.current(e, c.record.SCRAM)
		}) {
			addresses = append(addresses, e.Address)
		}
	}
	return addresses
}

// Keyless returns the addresses of those who keep SCRAM from being offered.
func (d *Directory) Keyless(context.Context) ([]string, error) {
	return d.keyless(d.state.Load()), nil
}

// OffersSCRAM tells whether everybody can sign in by SCRAM. As long as one
// cannot it must not be offered to any: mail programs take it where they see it,
// and nobody knows who it is before. Passwords that an older version has stored
// get their keys when they are next used.
func (d *Directory) OffersSCRAM() bool { return d.state.Load().scram }

// Salt returns what a client is told that signs in by SCRAM under a name.
func (d *Directory) Salt(login string) (salt []byte, iterations int) {
	return d.salts.of(login), scram.Iterations
}

// Match finds the credential whose keys a proof matches. Errors are those of
// Authenticate. It takes the same time for every name.
func (d *Directory) Match(login string, proof *scram.Proof) (Login, *scram.Keys, error) {
	e := d.state.Load().login(login)
	var found *credential
	left := 1 + maxDevices
	if e != nil {
		for i := range e.credentials {
			c := &e.credentials[i]
			if !d.salts.current(e, c.record.SCRAM) {
				continue
			}
			left--
			if proof.Matches(c.record.SCRAM) {
				found = c
			}
		}
	}
	none := scram.Keys{Stored: make([]byte, sha256.Size)}
	for range left {
		proof.Matches(&none)
	}
	switch {
	case found != nil && d.state.Load().has(e.ID, found.id):
		return e.loginBy(found), found.record.SCRAM, nil
	case e == nil || e.passwordless():
		return Login{}, nil, fmt.Errorf("match: %w", d.nobody(e, login))
	}
	return Login{}, nil, fmt.Errorf("match: %w: wrong password", ErrCredentials)
}
