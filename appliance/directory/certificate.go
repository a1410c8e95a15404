package directory

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Fingerprint is the SHA-256 of a certificate.
type Fingerprint [32]byte

// certificateScheme begins a fingerprint in the database: "sha256$HEX".
const certificateScheme = "sha256$"

func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

var errFingerprint = errors.New("not the fingerprint of a certificate")

func parseFingerprint(s string) (f Fingerprint, err error) {
	digits, ok := strings.CutPrefix(s, certificateScheme)
	if !ok || len(digits) != hex.EncodedLen(len(f)) {
		return f, errFingerprint
	}
	if _, err := hex.Decode(f[:], []byte(digits)); err != nil {
		return f, errFingerprint
	}
	return f, nil
}

// AddCertificate lets a device in by a certificate whose key it has, until the
// certificate expires. Errors are those of AddDevice.
func (d *Directory) AddCertificate(ctx context.Context, address string, n NewDevice, f Fingerprint, expires time.Time) (Device, error) {
	name, err := deviceName(n.Name)
	if err != nil {
		return Device{}, fmt.Errorf("add device: %w", err)
	}
	dev, err := d.putDevice(ctx, address, credentialRecord{
		Kind: kindCertificate, Hash: certificateScheme + f.String(), Label: name, Created: d.now().UTC(), NoSending: n.NoSending, Expires: expires.UTC(),
	})
	if err != nil {
		return Device{}, fmt.Errorf("add device: %w", err)
	}
	return dev, nil
}

// Certified finds the account and the device of a certificate. The error is
// ErrCredentials where there is none, or it was revoked, or has expired.
func (d *Directory) Certified(f Fingerprint) (Login, error) {
	c, ok := d.state.Load().byCertificate[f]
	switch {
	case !ok:
		return Login{}, fmt.Errorf("certificate %s: %w: it is nobody's, or was revoked", f, ErrCredentials)
	case !d.now().Before(c.credential.record.Expires):
		return Login{}, fmt.Errorf("certificate of %s: %w: it has expired on %s", c.credential.record.Label, ErrCredentials,
			c.credential.record.Expires.Format(time.DateOnly))
	}
	return c.entry.loginBy(c.credential), nil
}

// HasCertificates tells whether any device has one that is good still.
func (d *Directory) HasCertificates() bool {
	for _, c := range d.state.Load().byCertificate {
		if d.now().Before(c.credential.record.Expires) {
			return true
		}
	}
	return false
}

// Expiring lists the devices whose certificate expires within a time, or has,
// as "DEVICE of ADDRESS, DATE", in that order.
func (d *Directory) Expiring(within time.Duration) (all []string) {
	for _, e := range d.state.Load().sorted {
		for i := range e.credentials {
			c := &e.credentials[i]
			if c.isCertificate() && !d.now().Add(within).Before(c.record.Expires) {
				all = append(all, fmt.Sprintf("%s of %s, %s", c.record.Label, e.Address, c.record.Expires.Format(time.DateOnly)))
			}
		}
	}
	return all
}
