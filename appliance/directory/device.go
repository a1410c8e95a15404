package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"pillarbox/storage"
)

const (
	maxDevices    = 50 // of one account; a sign-in compares with each
	maxDeviceName = 64 // octets
)

// Device is a device that has a password, or a certificate, of its own for an
// account.
type Device struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	// NoSending says that it may read mail but send none.
	NoSending bool `json:"no_sending"`
	// Expires is when its certificate does; nil for a password.
	Expires *time.Time `json:"expires,omitempty"`
	// LastUsed is when somebody last signed in by it, from LastRemote; nil if
	// nobody did. After a crash both may be an hour old.
	LastUsed   *time.Time `json:"last_used,omitempty"`
	LastRemote string     `json:"last_remote,omitempty"`
}

// NewDevice says what a device to be added is to be.
type NewDevice struct {
	Name      string // of the person's choice, such as "telephone"
	NoSending bool
}

// AddDevice makes a password for a device and returns it. It cannot be shown
// again. Errors that tell what to change are ErrNoAccount, ErrDeviceName,
// ErrDeviceTaken and ErrTooMany.
func (d *Directory) AddDevice(ctx context.Context, address string, n NewDevice) (Device, Secret, error) {
	dev, password, err := d.addDevice(ctx, address, n)
	if err != nil {
		return Device{}, "", fmt.Errorf("add device: %w", err)
	}
	return dev, password, nil
}

func (d *Directory) addDevice(ctx context.Context, address string, n NewDevice) (Device, Secret, error) {
	name, err := deviceName(n.Name)
	if err != nil {
		return Device{}, "", err
	}
	e, err := d.find(address)
	if err != nil {
		return Device{}, "", err
	}
	password := newDevicePassword()
	text, _ := deviceText(password)
	h := hashDevice(text)
	r := credentialRecord{Kind: kindDevice, Hash: h.String(), Label: name, Created: d.now().UTC(), NoSending: n.NoSending}
	// The keys are of what is shown: a program that does not send a password
	// cannot have its hyphens taken out.
	if r.SCRAM, err = d.scramKeys(e.Address, password); err != nil {
		return Device{}, "", err
	}
	dev, err := d.putDevice(ctx, address, r)
	if err != nil {
		return Device{}, "", err
	}
	return dev, Secret(password), nil
}

// putDevice adds the record of a device to an account.
func (d *Directory) putDevice(ctx context.Context, address string, r credentialRecord) (Device, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, err := d.find(address)
	if err != nil {
		return Device{}, err
	}
	devices := 0
	for i := range e.credentials {
		c := &e.credentials[i]
		if c.isPassword() {
			continue
		}
		if devices++; strings.EqualFold(c.record.Label, r.Label) {
			return Device{}, fmt.Errorf("%w: %s", ErrDeviceTaken, c.record.Label)
		}
	}
	if devices >= maxDevices {
		return Device{}, fmt.Errorf("%w: %d devices of one account; revoke those that are not used any more", ErrTooMany, maxDevices)
	}
	c := credential{id: newID(), record: r}
	if err := d.update(ctx, func(tx *storage.SystemTx) error {
		return put(tx, sectionCredentials, credentialKey(e.ID, c.id), r)
	}); err != nil {
		return Device{}, err
	}
	return d.device(&c), nil
}

// Devices lists the devices of an account, the oldest first.
func (d *Directory) Devices(_ context.Context, address string) ([]Device, error) {
	e, err := d.find(address)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	list := []Device{}
	for i := range e.credentials {
		if c := &e.credentials[i]; !c.isPassword() {
			list = append(list, d.device(c))
		}
	}
	slices.SortStableFunc(list, func(a, b Device) int { return a.Created.Compare(b.Created) })
	return list, nil
}

// RevokeDevice takes a device's password or certificate away and ends its sessions. The device
// is named by its name or its ID. ErrNoAccount or ErrNoDevice if there is none.
func (d *Directory) RevokeDevice(ctx context.Context, address, device string) (Device, error) {
	id, gone, err := d.revokeDevice(ctx, address, device)
	if err != nil {
		return Device{}, fmt.Errorf("revoke device: %w", err)
	}
	d.tell(Change{Account: id, What: DeviceRevoked, Credential: gone.ID})
	return gone, nil
}

func (d *Directory) revokeDevice(ctx context.Context, address, device string) (storage.AccountID, Device, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, err := d.find(address)
	if err != nil {
		return "", Device{}, err
	}
	name := norm.NFC.String(strings.TrimSpace(device))
	i := slices.IndexFunc(e.credentials, func(c credential) bool {
		return !c.isPassword() && (c.id == device || strings.EqualFold(c.record.Label, name))
	})
	if i < 0 {
		return "", Device{}, fmt.Errorf("%w: %s", ErrNoDevice, device)
	}
	c := &e.credentials[i]
	gone := d.device(c)
	if err := d.update(ctx, func(tx *storage.SystemTx) error { return deleteCredential(tx, e.ID, c.id) }); err != nil {
		return "", Device{}, err
	}
	d.uses.forget(c.id)
	return e.ID, gone, nil
}

func (d *Directory) device(c *credential) Device {
	dev := Device{ID: c.id, Name: c.record.Label, Created: c.record.Created, NoSending: c.record.NoSending}
	if c.isCertificate() {
		dev.Expires = &c.record.Expires
	}
	if u, ok := d.uses.last(c.id); ok {
		dev.LastUsed, dev.LastRemote = &u.At, u.Remote
	}
	return dev
}

func deviceName(name string) (string, error) {
	if !utf8.ValidString(name) || len(name) > maxDeviceName {
		return "", fmt.Errorf("%w: it is not UTF-8 or longer than %d octets", ErrDeviceName, maxDeviceName)
	}
	name = norm.NFC.String(strings.TrimSpace(name))
	if name == "" || len(name) > maxDeviceName || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", fmt.Errorf("%w: it is empty, too long or holds what cannot be printed", ErrDeviceName)
	}
	return name, nil
}

// deleteCredential takes a credential away, with what is known of its use.
func deleteCredential(tx *storage.SystemTx, id storage.AccountID, credential string) error {
	if err := tx.Delete(sectionUses, credential); err != nil {
		return err
	}
	return tx.Delete(sectionCredentials, credentialKey(id, credential))
}
