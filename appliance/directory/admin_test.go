package directory_test

import (
	"errors"
	"testing"

	"pillarbox/appliance/directory"
)

func TestAdministratorsPassword(t *testing.T) {
	o := newOffice(t)
	ctx := t.Context()
	check := func(when string, password directory.Secret, want error) {
		t.Helper()
		if err := o.VerifyAdmin(ctx, password); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", when, err, want)
		}
	}
	check("before any was set", "first password", directory.ErrNoAdmin)
	if taken, err := o.InitAdmin(ctx, "$argon2id$v=19$m=4294967295,t=2,p=1$AAAA$AAAA"); taken || !errors.Is(err, directory.ErrHash) {
		t.Errorf("a hash that costs too much: %t, %v; want %v", taken, err, directory.ErrHash)
	}
	check("after a hash was refused", "", directory.ErrNoAdmin)

	first := directory.Secret(directory.HashWeakly("first password"))
	if taken, err := o.InitAdmin(ctx, first); !taken || err != nil {
		t.Errorf("the first hash: %t, %v; want it taken", taken, err)
	}
	check("the first", "first password", nil)
	check("another", "second password", directory.ErrCredentials)
	check("an empty one", "", directory.ErrCredentials)

	o.reopen(t)
	if taken, err := o.InitAdmin(ctx, directory.Secret(directory.HashWeakly("of the file"))); taken || err != nil {
		t.Errorf("a hash where there is a password: %t, %v; want it left", taken, err)
	}
	check("the first, after a restart", "first password", nil)

	if err := o.SetAdmin(ctx, "short"); !errors.Is(err, directory.ErrPassword) {
		t.Errorf("a short password: %v, want %v", err, directory.ErrPassword)
	}
	if err := o.SetAdmin(ctx, "second password"); err != nil {
		t.Fatal(err)
	}
	check("the first, after a change", "first password", directory.ErrCredentials)
	check("the second", "second password", nil)
}
