package directory

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"pillarbox/appliance/scram"
	"pillarbox/storage"
)

// format is the version of the stored form that package doc describes.
const format = 1

const (
	sectionDirectory   = "directory"
	sectionAccounts    = "directory/accounts"
	sectionCredentials = "directory/credentials"
	sectionAliases     = "directory/aliases"
	sectionAdmin       = "directory/admin"
	sectionUses        = "directory/uses"
	keyFormat          = "format"
	keySalts           = "salts"
)

// The states of an account, see package doc.
const (
	stateAdding   = "adding"
	stateActive   = "active"
	stateRemoving = "removing"
)

// The kinds of credential.
const (
	kindPassword = "password" // what a person has chosen
	kindDevice   = "device"   // made here for one device

	kindCertificate = "certificate" // of a device that has its key
)

type accountRecord struct {
	Address string    `json:"address"`
	Name    string    `json:"name,omitempty"`
	Created time.Time `json:"created"`
	Quota   int64     `json:"quota,omitempty"` // octets
	State   string    `json:"state"`

	Suspended bool `json:"suspended,omitempty"`
}

type credentialRecord struct {
	Kind    string    `json:"kind"`
	Hash    string    `json:"hash"`            // PHC string, or see deviceHash and Fingerprint
	Label   string    `json:"label,omitempty"` // the device's name
	Created time.Time `json:"created"`

	// SCRAM holds the keys for signing in without sending the password; nil
	// until a sign-in shows it, where a version before these kept it.
	SCRAM     *scram.Keys `json:"scram,omitempty"`
	NoSending bool        `json:"no_sending,omitempty"`

	Expires time.Time `json:"expires,omitzero"` // of a certificate
}

type aliasRecord struct {
	Targets     []string  `json:"targets"`
	Created     time.Time `json:"created"`
	Description string    `json:"description,omitempty"`
	Writers     Writers   `json:"writers,omitempty"`
}

func credentialKey(id storage.AccountID, credential string) string {
	return string(id) + "/" + credential
}

// put writes a record as JSON.
func put(tx *storage.SystemTx, section, key string, record any) error {
	b, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	return tx.Put(section, key, b)
}

// claim marks the sections as ours, or refuses those of a newer version.
func (d *Directory) claim(ctx context.Context) error {
	var found []byte
	err := d.store.System().View(func(tx *storage.SystemTx) error {
		found = tx.Get(sectionDirectory, keyFormat)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read format: %w", err)
	}
	if found == nil {
		err := d.store.System().Update(ctx, func(tx *storage.SystemTx) error {
			return tx.Put(sectionDirectory, keyFormat, []byte(strconv.Itoa(format)))
		})
		if err != nil {
			return fmt.Errorf("write format: %w", err)
		}
		return nil
	}
	n, err := strconv.Atoi(string(found))
	switch {
	case err != nil:
		return fmt.Errorf("read format: %w: %w", storage.ErrCorrupt, err)
	case n > format:
		return fmt.Errorf("read format %d: %w", n, storage.ErrNewerFormat)
	}
	return nil
}

// load reads everything and replaces the state.
func (d *Directory) load() error {
	s := newState()
	err := d.store.System().View(func(tx *storage.SystemTx) error {
		if err := tx.All(sectionAccounts, s.loadAccount); err != nil {
			return err
		}
		err := tx.All(sectionCredentials, func(key string, value []byte) error {
			// One damaged credential must not keep the whole office out.
			if err := s.loadCredential(key, value); err != nil {
				d.log.Error("a credential cannot be read; set the password anew", "key", key, "err", err)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return tx.All(sectionAliases, s.loadAlias)
	})
	if err != nil {
		return fmt.Errorf("read directory: %w", err)
	}
	s.index()
	s.scram = len(d.keyless(s)) == 0
	d.state.Store(s)
	return nil
}

func (s *state) loadAccount(key string, value []byte) error {
	r, err := decodeAccount(value)
	if err != nil {
		return fmt.Errorf("account %s: %w", key, err)
	}
	addr, err := ParseAddress(r.Address)
	if err != nil {
		return fmt.Errorf("account %s: %w", key, err)
	}
	id := storage.AccountID(key)
	s.accounts[id] = &entry{
		Account: Account{ID: id, Address: addr.String(), Name: r.Name, Created: r.Created, Quota: r.Quota, Suspended: r.Suspended},
		addr:    addr,
		state:   r.State,
	}
	return nil
}

func (s *state) loadCredential(key string, value []byte) error {
	id, credID, ok := strings.Cut(key, "/")
	e := s.accounts[storage.AccountID(id)]
	if !ok || e == nil {
		return fmt.Errorf("no account has it: %w", storage.ErrCorrupt)
	}
	var r credentialRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return fmt.Errorf("%w: %w", storage.ErrCorrupt, err)
	}
	if r.SCRAM != nil && !r.SCRAM.Valid() {
		r.SCRAM = nil // they come again with the next sign-in
	}
	c := credential{id: credID, record: r}
	var err error
	switch r.Kind {
	case kindPassword:
		c.hash, err = parsePHC(r.Hash)
	case kindDevice:
		c.device, err = parseDeviceHash(r.Hash)
	case kindCertificate:
		c.certificate, err = parseFingerprint(r.Hash)
	default:
		return fmt.Errorf("kind %q is unknown: %w", r.Kind, storage.ErrCorrupt)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", storage.ErrCorrupt, err)
	}
	e.credentials = append(e.credentials, c)
	return nil
}

func (s *state) loadAlias(key string, value []byte) error {
	var r aliasRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return fmt.Errorf("alias %s: %w: %w", key, storage.ErrCorrupt, err)
	}
	addr, err := ParseAddress(key)
	if err != nil {
		return fmt.Errorf("alias %s: %w: %w", key, storage.ErrCorrupt, err)
	}
	a := &alias{record: r}
	for _, t := range r.Targets {
		target, err := ParseAddress(t)
		if err != nil {
			return fmt.Errorf("alias %s: %w: %w", key, storage.ErrCorrupt, err)
		}
		a.targets = append(a.targets, target)
	}
	s.aliases[addr] = a
	return nil
}
