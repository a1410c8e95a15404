package directory_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/directory"
	"pillarbox/storage"
)

func TestACertificateIsOfOneDeviceUntilItExpiresOrIsRevoked(t *testing.T) {
	o := newOffice(t)
	o.hire(t, anna)
	f := directory.Fingerprint{1, 2, 3}
	refused := func(when, said string) {
		t.Helper()
		if l, err := o.Certified(f); !errors.Is(err, directory.ErrCredentials) || !strings.Contains(err.Error(), said) {
			t.Errorf("%s: %+v, %v", when, l, err)
		}
	}
	refused("before", "nobody's")
	dev, err := o.AddCertificate(t.Context(), anna, directory.NewDevice{Name: "telephone", NoSending: true}, f, o.now.Add(time.Hour))
	if err != nil || dev.Expires == nil || !o.HasCertificates() {
		t.Fatalf("%+v, %v", dev, err)
	}
	if _, err := o.AddCertificate(t.Context(), anna, directory.NewDevice{Name: "Telephone"}, directory.Fingerprint{4}, o.now); !errors.Is(err, directory.ErrDeviceTaken) {
		t.Errorf("a second one of that name: %v", err)
	}
	l, err := o.Certified(f)
	if err != nil || l.Address != anna || l.Device != "telephone" || !l.NoSending || l.Credential != dev.ID {
		t.Errorf("%+v, %v", l, err)
	}
	// It is no password, and keeps nobody from SCRAM.
	if _, err := o.Authenticate(t.Context(), anna, f.String(), remote); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("its fingerprint is taken for a password: %v", err)
	}
	if !o.OffersSCRAM() {
		t.Error("SCRAM is not offered any more")
	}
	if left, err := o.Check(t.Context(), func(p storage.Problem) { t.Errorf("found %s", p.Text) }, nil); err != nil || left != 0 {
		t.Errorf("check: %d, %v", left, err)
	}
	if soon, later := o.Expiring(time.Minute), o.Expiring(2*time.Hour); len(soon) != 0 || len(later) != 1 || !strings.HasPrefix(later[0], "telephone of "+anna) {
		t.Errorf("expiring: %q, %q", soon, later)
	}
	o.now = o.now.Add(2 * time.Hour)
	refused("too late", "has expired")
	if o.HasCertificates() {
		t.Error("one that has expired counts")
	}
	o.now = o.now.Add(-2 * time.Hour)
	if _, err := o.RevokeDevice(t.Context(), anna, "telephone"); err != nil {
		t.Fatal(err)
	}
	refused("after it was revoked", "nobody's")
}

func TestAVouchedPersonIsNobodyElse(t *testing.T) {
	o := newOffice(t)
	o.hire(t, anna)
	o.hire(t, "ben@office.example")
	for _, login := range []string{"", anna, "anna", "ANNA@Office.Example"} {
		if l, err := o.Vouched("Anna@office.example", login); err != nil || l.Address != anna {
			t.Errorf("as %q: %+v, %v", login, l, err)
		}
	}
	for _, tt := range [][2]string{{"nobody@office.example", ""}, {anna, "ben@office.example"}, {"anna", ""}, {"anna@other.example", ""}, {anna, "nobody"}, {"", ""}} {
		if l, err := o.Vouched(tt[0], tt[1]); !errors.Is(err, directory.ErrNoAccount) {
			t.Errorf("%q as %q: %+v, %v", tt[0], tt[1], l, err)
		}
	}
}
