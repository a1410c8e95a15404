package directory_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	peer "github.com/xdg-go/scram"

	"pillarbox/appliance/directory"
	"pillarbox/appliance/scram"
)

// prove signs in by SCRAM, with another implementation as the client.
func (o *office) prove(t testing.TB, login, password string) (directory.Login, error) {
	t.Helper()
	client, err := peer.SHA256.NewClient(login, password, "")
	if err != nil {
		t.Fatal(err)
	}
	c := client.NewConversation()
	step := func(message string) []byte {
		t.Helper()
		answer, err := c.Step(message)
		if err != nil {
			t.Fatal(err)
		}
		return []byte(answer)
	}
	s := scram.NewServer(scram.Config{})
	if err := s.First(step("")); err != nil {
		t.Fatal(err)
	}
	proof, err := s.Final(step(string(s.Challenge(o.Salt(s.Name)))))
	if err != nil {
		t.Fatal(err)
	}
	l, keys, err := o.Match(s.Name, proof)
	if err != nil {
		return l, err
	}
	step(string(proof.Success(keys)))
	return l, nil
}

func TestSCRAM(t *testing.T) {
	o := newOffice(t)
	o.hire(t, anna)
	o.hire(t, "ben@office.example")
	o.hire(t, "ben@branch.example")
	dev, secret := o.addDevice(t, "telephone")
	_, second := o.addDevice(t, "printer")
	if !o.OffersSCRAM() {
		t.Error("it is not offered")
	}
	for round := range 2 {
		for name, tt := range map[string]struct {
			login, password, device string
			want                    error
		}{
			"address":                   {anna, password, "", nil},
			"short name in capitals":    {"ANNA", password, "", nil},
			"a device":                  {anna, secret, "telephone", nil},
			"another":                   {"anna", second, "printer", nil},
			"wrong password":            {anna, "wrong horse", "", directory.ErrCredentials},
			"somebody else's":           {"ben@office.example", secret, "", directory.ErrCredentials},
			"nobody's":                  {"nobody@office.example", password, "", directory.ErrNoAccount},
			"two people's short name":   {"ben", password, "", directory.ErrAmbiguous},
			"an address with the same":  {"ben@branch.example", password, "", nil},
			"a name that cannot be one": {"@@", password, "", directory.ErrNoAccount},
		} {
			l, err := o.prove(t, tt.login, tt.password)
			if !errors.Is(err, tt.want) || tt.want != nil && !errors.Is(err, directory.ErrCredentials) || l.Device != tt.device {
				t.Errorf("%s: %+v, %v", name, l, err)
			}
			if tt.device == "telephone" && l.Credential != dev.ID {
				t.Errorf("%s: credential %s", name, l.Credential)
			}
		}
		if round == 0 {
			o.reopen(t)
		}
	}
	if err := o.SetPassword(t.Context(), anna, "another long one"); err != nil {
		t.Fatal(err)
	}
	if _, err := o.prove(t, anna, password); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("the old password: %v", err)
	}
	for _, p := range []string{"another long one", secret} {
		if _, err := o.prove(t, anna, p); err != nil {
			t.Error(err)
		}
	}
	if _, err := o.RevokeDevice(t.Context(), anna, "telephone"); err != nil {
		t.Fatal(err)
	}
	if _, err := o.prove(t, anna, secret); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("the revoked device: %v", err)
	}
}

// TestSaltsDoNotTellWhichNamesExist: they are the same before there is an
// account, with it, with another password and after it, by whichever name.
func TestSaltsDoNotTellWhichNamesExist(t *testing.T) {
	o := newOffice(t)
	salt := func(login string) string {
		s, n := o.Salt(login)
		return fmt.Sprintf("%x %d", s, n)
	}
	names := []string{anna, "anna", "ANNA", "Anna@branch.example", "anna@[nonsense"}
	want := salt("anna")
	if want == salt("ben") {
		t.Fatal("all names have one salt")
	}
	same := func(when string) {
		t.Helper()
		for _, n := range names {
			if got := salt(n); got != want {
				t.Errorf("%s %s has %s, want %s", when, n, got, want)
			}
		}
	}
	same("before")
	o.hire(t, anna)
	o.addDevice(t, "telephone")
	same("with the account")
	o.reopen(t)
	same("after a restart")
	if err := o.SetPassword(t.Context(), anna, "another long one"); err != nil {
		t.Fatal(err)
	}
	same("with another password")
	if err := o.Remove(t.Context(), anna); err != nil {
		t.Fatal(err)
	}
	same("after the account")
	if s, _ := newOffice(t).Salt("anna"); bytes.HasPrefix([]byte(want), fmt.Appendf(nil, "%x", s)) {
		t.Error("another box has the same salts")
	}
}

// TestPasswordsOfAnOlderVersion have a hash alone: they open, and get their keys
// when they are used. Nobody is offered SCRAM before all have them.
func TestPasswordsOfAnOlderVersion(t *testing.T) {
	o := newOffice(t)
	for _, address := range []string{anna, "ben@office.example"} {
		o.hire(t, address)
	}
	for key := range o.section(t, "directory/credentials") {
		o.put(t, "directory/credentials", key, fmt.Sprintf(`{"kind":"password","hash":%q,"created":"2026-05-04T09:00:01Z"}`, directory.HashWeakly(password)))
	}
	o.reopen(t)
	if want := "accounts=2 first=\"[anna@office.example ben@office.example]\""; !strings.Contains(o.log.String(), want) {
		t.Errorf("the log does not tell %s:\n%s", want, o.log)
	}
	for _, login := range []string{"anna", "ben"} {
		if o.OffersSCRAM() {
			t.Errorf("it is offered before %s has keys", login)
		}
		if _, err := o.prove(t, login, password); !errors.Is(err, directory.ErrCredentials) {
			t.Errorf("%s without keys: %v", login, err)
		}
		if _, err := o.Authenticate(t.Context(), login, password, remote); err != nil {
			t.Fatal(err)
		}
		if _, err := o.prove(t, login, password); err != nil {
			t.Errorf("%s with keys: %v", login, err)
		}
	}
	if !o.OffersSCRAM() {
		t.Error("it is not offered when all have keys")
	}
}

// TestLostSalts: what was derived with others comes again, of devices too.
func TestLostSalts(t *testing.T) {
	o := newOffice(t)
	o.hire(t, anna)
	_, secret := o.addDevice(t, "telephone")
	o.put(t, "directory", "salts", "short")
	o.reopen(t)
	if o.OffersSCRAM() {
		t.Error("it is offered")
	}
	for _, p := range []string{password, strings.ToUpper(secret)} {
		if _, err := o.Authenticate(t.Context(), anna, p, remote); err != nil {
			t.Fatal(err)
		}
	}
	if !o.OffersSCRAM() {
		t.Error("it is not offered again")
	}
	for _, p := range []string{password, secret} {
		if _, err := o.prove(t, anna, p); err != nil {
			t.Error(err)
		}
	}
	o.put(t, "directory/credentials", "x/y", "{}")
	if o.reopen(t); !o.OffersSCRAM() {
		t.Error("a damaged record has it withdrawn")
	}
}

// TestDamagedKeysComeAgain: the password still does.
func TestDamagedKeysComeAgain(t *testing.T) {
	o := newOffice(t)
	o.hire(t, anna)
	for key, value := range o.section(t, "directory/credentials") {
		o.put(t, "directory/credentials", key, strings.Replace(value, `"iterations":`, `"iterations":9`, 1))
	}
	o.reopen(t)
	if _, err := o.Authenticate(t.Context(), anna, password, remote); err != nil {
		t.Fatal(err)
	}
	if _, err := o.prove(t, anna, password); err != nil {
		t.Error(err)
	}
}
