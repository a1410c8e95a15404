package directory_test

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/directory"
	"pillarbox/storage"
)

const anna = "anna@office.example"

// addDevice adds a device to Anna's account, a second after the one before.
func (o *office) addDevice(t testing.TB, name string) (directory.Device, string) {
	t.Helper()
	o.now = o.now.Add(time.Second)
	d, password, err := o.AddDevice(t.Context(), anna, directory.NewDevice{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return d, string(password)
}

func TestDevicePassword(t *testing.T) {
	o := newOffice(t)
	o.hire(t, anna)
	o.hire(t, "ben@office.example")
	dev, secret := o.addDevice(t, "  telephone ")
	if !regexp.MustCompile(`^[a-z2-7]{4}(-[a-z2-7]{4}){3}$`).MatchString(secret) {
		t.Errorf("the password is %q", secret)
	}
	bare := strings.ReplaceAll(secret, "-", "")
	wrong := strings.Map(func(r rune) rune {
		if r == '2' {
			return '3'
		}
		return '2'
	}, bare)
	for round := range 2 {
		for name, tt := range map[string]struct {
			login, password string
			ok              bool
		}{
			"as shown":            {anna, secret, true},
			"short name":          {"anna", secret, true},
			"in capitals":         {"ANNA", strings.ToUpper(secret), true},
			"with spaces":         {anna, strings.ReplaceAll(secret, "-", " ") + " ", true},
			"in one piece":        {anna, bare, true},
			"somebody else's":     {"ben", secret, false},
			"nobody's":            {"nobody", secret, false},
			"another":             {anna, wrong, false},
			"one letter less":     {anna, bare[1:], false},
			"one letter more":     {anna, bare + "a", false},
			"another line":        {anna, secret + "\n", false},
			"a no-break hyphen":   {anna, strings.ReplaceAll(secret, "-", "\u2011"), false},
			"the person's own":    {anna, password, true},
			"nothing but hyphens": {anna, strings.Repeat("-", 16), false},
		} {
			l, err := o.Authenticate(t.Context(), tt.login, tt.password, remote)
			if tt.ok != (err == nil) || err != nil && !errors.Is(err, directory.ErrCredentials) {
				t.Errorf("%s: %v", name, err)
			}
			if tt.ok && (l.Address != anna || (l.Device == "telephone") != (tt.password != password) || (l.Credential == dev.ID) != (l.Device != "")) {
				t.Errorf("%s: %+v", name, l)
			}
		}
		if round == 0 {
			o.reopen(t) // what is on the disk must do
		}
	}
	for key, value := range o.section(t, "directory/credentials") {
		if strings.Contains(value, bare) || strings.Contains(value, secret) {
			t.Errorf("%s holds the password: %s", key, value)
		}
	}
	if strings.Contains(o.log.String(), bare[:4]) {
		t.Error("the log shows the password")
	}
}

// TestADeviceSignsInWhileHashesWait: it does not take argon2id's place.
func TestADeviceSignsInWhileHashesWait(t *testing.T) {
	o := newOffice(t)
	o.hire(t, anna)
	_, secret := o.addDevice(t, "telephone")
	defer o.Hold()()
	if _, err := o.Authenticate(t.Context(), anna, secret, remote); err != nil {
		t.Error(err)
	}
}

func TestDevices(t *testing.T) {
	o := newOffice(t)
	o.hire(t, anna)
	var changes []directory.Change
	o.Watch(func(c directory.Change) { changes = append(changes, c) })
	var want []directory.Device
	for _, n := range []directory.NewDevice{{Name: "telephone"}, {Name: "Büro\u0308", NoSending: true}, {Name: "printer"}} {
		o.now = o.now.Add(time.Second)
		d, _, err := o.AddDevice(t.Context(), anna, n)
		if err != nil {
			t.Fatal(err)
		}
		if d.NoSending != n.NoSending || !d.Created.Equal(o.now) || d.LastUsed != nil {
			t.Errorf("%+v of %+v", d, n)
		}
		want = append(want, d)
	}
	list := func() []directory.Device {
		t.Helper()
		got, err := o.Devices(t.Context(), anna)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if diff := cmp.Diff(want, list()); diff != "" {
		t.Error(diff)
	}
	o.reopen(t)
	o.Watch(func(c directory.Change) { changes = append(changes, c) })
	if diff := cmp.Diff(want, list()); diff != "" {
		t.Errorf("after a restart: %s", diff)
	}
	for name, want := range map[string]error{
		"TELEPHONE": directory.ErrDeviceTaken, "": directory.ErrDeviceName, " ": directory.ErrDeviceName, "a\nb": directory.ErrDeviceName,
		"\xff": directory.ErrDeviceName, strings.Repeat("x", 65): directory.ErrDeviceName,
	} {
		if _, _, err := o.AddDevice(t.Context(), anna, directory.NewDevice{Name: name}); !errors.Is(err, want) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, _, err := o.AddDevice(t.Context(), "nobody@office.example", directory.NewDevice{Name: "x"}); !errors.Is(err, directory.ErrNoAccount) {
		t.Error(err)
	}

	// The person's own password is no device's business, nor the other way round.
	if err := o.SetPassword(t.Context(), anna, "another long one"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, list()); diff != "" {
		t.Errorf("after another password: %s", diff)
	}
	changes = nil
	for _, by := range []string{"Telephone", want[1].ID} {
		if _, err := o.RevokeDevice(t.Context(), anna, by); err != nil {
			t.Error(err)
		}
		if _, err := o.RevokeDevice(t.Context(), anna, by); !errors.Is(err, directory.ErrNoDevice) {
			t.Error(err)
		}
	}
	if len(changes) != 2 || changes[0].What != directory.DeviceRevoked || changes[0].Credential != want[0].ID || changes[1].Credential != want[1].ID {
		t.Errorf("changes %+v", changes)
	}
	if diff := cmp.Diff(want[2:], list()); diff != "" {
		t.Error(diff)
	}
	if _, err := o.Authenticate(t.Context(), anna, "another long one", remote); err != nil {
		t.Error(err)
	}
}

func TestARevokedDeviceIsOut(t *testing.T) {
	o := newOffice(t)
	o.hire(t, anna)
	_, secret := o.addDevice(t, "telephone")
	l, err := o.Authenticate(t.Context(), anna, secret, remote)
	if err != nil {
		t.Fatal(err)
	}
	o.Used(t.Context(), &l, remote)
	if _, err := o.RevokeDevice(t.Context(), anna, "telephone"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := o.Authenticate(t.Context(), anna, secret, remote); !errors.Is(err, directory.ErrCredentials) {
			t.Errorf("error %v", err)
		}
		o.reopen(t)
	}
	if left := o.section(t, "directory/uses"); len(left) != 0 {
		t.Errorf("its use is left: %v", left)
	}
}

func TestTooManyDevices(t *testing.T) {
	o := newOffice(t)
	o.hire(t, anna)
	for i := range 50 {
		o.addDevice(t, fmt.Sprint("device ", i))
	}
	if _, _, err := o.AddDevice(t.Context(), anna, directory.NewDevice{Name: "one more"}); !errors.Is(err, directory.ErrTooMany) {
		t.Errorf("error %v", err)
	}
}

// TestLastUse: the list is right at once, the disk to the hour.
func TestLastUse(t *testing.T) {
	o := newOffice(t)
	o.hire(t, anna)
	telephone, secret := o.addDevice(t, "telephone")
	printer, other := o.addDevice(t, "printer")
	signIn := func(secret, from string) {
		t.Helper()
		remote := &net.TCPAddr{IP: net.ParseIP(from), Port: 4711}
		l, err := o.Authenticate(t.Context(), anna, secret, remote)
		if err != nil {
			t.Fatal(err)
		}
		o.Used(t.Context(), &l, remote)
	}
	start := o.now
	for minute := range 130 { // some more than two hours
		o.now = start.Add(time.Duration(minute) * time.Minute)
		signIn(secret, fmt.Sprintf("192.0.2.%d", minute))
		if minute == 10 {
			signIn(other, "2001:db8::1")
		}
	}
	list, err := o.Devices(t.Context(), anna)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		at     time.Time
		remote string
	}{{start.Add(129 * time.Minute), "192.0.2.129"}, {start.Add(10 * time.Minute), "2001:db8::1"}} {
		if list[i].LastUsed == nil || !list[i].LastUsed.Equal(want.at) || list[i].LastRemote != want.remote {
			t.Errorf("%+v, want %+v", list[i], want)
		}
	}
	stored := o.section(t, "directory/uses")
	for id, want := range map[string]string{telephone.ID: "192.0.2.120", printer.ID: "2001:db8::1"} {
		if !strings.Contains(stored[id], want) {
			t.Errorf("the disk has %s, want %s", stored[id], want)
		}
	}
	o.reopen(t)
	if list, err = o.Devices(t.Context(), anna); err != nil || list[0].LastRemote != "192.0.2.120" {
		t.Errorf("after a restart %+v, %v", list, err)
	}
	// A person's own password leaves no trace here.
	signIn(password, "192.0.2.200")
	if got := o.section(t, "directory/uses"); len(got) != 2 {
		t.Errorf("uses %v", got)
	}
}

func TestRemovedAccountTakesItsDevicesAlong(t *testing.T) {
	o := newOffice(t)
	o.hire(t, anna)
	_, secret := o.addDevice(t, "telephone")
	l, err := o.Authenticate(t.Context(), anna, secret, remote)
	if err != nil {
		t.Fatal(err)
	}
	o.Used(t.Context(), &l, remote)
	if err := o.Remove(t.Context(), anna); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"directory/credentials", "directory/uses"} {
		if left := o.section(t, s); len(left) != 0 {
			t.Errorf("%s: %v", s, left)
		}
	}
	o.Used(t.Context(), &l, remote)
	if left := o.section(t, "directory/uses"); len(left) != 0 {
		t.Errorf("a sign-in under way left %v", left)
	}
}

// TestMendKnowsDevices: their records are no damage, and no password.
func TestMendKnowsDevices(t *testing.T) {
	o := newOffice(t)
	o.hire(t, anna)
	o.addDevice(t, "telephone")
	faults := func() (all []string) {
		t.Helper()
		_, err := o.Check(t.Context(), func(p storage.Problem) { all = append(all, p.Text) }, nil)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if found := faults(); len(found) != 0 {
		t.Errorf("found %q", found)
	}
	for key, value := range o.section(t, "directory/credentials") {
		if strings.Contains(value, `"kind":"device"`) {
			o.put(t, "directory/credentials", key, strings.Replace(value, "hmac-sha256$", "hmac-sha256$$", 1))
		} else {
			o.put(t, "directory/credentials", key, "{")
		}
	}
	if found := faults(); len(found) != 3 || !strings.Contains(found[2], "has no password") {
		t.Errorf("found %q", found)
	}
}

func BenchmarkDeviceSignIn(b *testing.B) {
	o := newOffice(b)
	o.hire(b, anna)
	_, secret := o.addDevice(b, "telephone")
	for b.Loop() {
		if _, err := o.Authenticate(b.Context(), anna, secret, remote); err != nil {
			b.Fatal(err)
		}
	}
}
