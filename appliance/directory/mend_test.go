package directory_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pillarbox/appliance/directory"
	"pillarbox/storage"
)

// mend mends without a Directory and returns what was said; then nothing but
// accounts without a password may be found, in a directory that is open as well.
func (o *office) mend(t *testing.T) (said string) {
	t.Helper()
	var words []string
	keep := func(p storage.Problem) { words = append(words, string(p.Account)+": "+p.Text) }
	if _, err := directory.Mend(t.Context(), o.store, keep, keep); err != nil {
		t.Fatal(err)
	}
	again := func(p storage.Problem) {
		if !strings.Contains(p.Text, "has no password") {
			t.Errorf("after the repair: %+v", p)
		}
	}
	if _, err := directory.Mend(t.Context(), o.store, again, nil); err != nil {
		t.Fatal(err)
	}
	o.reopen(t)
	if _, err := o.Check(t.Context(), again, again); err != nil {
		t.Fatal(err)
	}
	return strings.Join(words, "\n")
}

func TestMend(t *testing.T) {
	const credentials, accounts, aliases = "directory/credentials", "directory/accounts", "directory/aliases"
	type planting struct {
		*office
		anna, ben directory.Account
		dir       string
	}
	remove := func(o *planting, t *testing.T, section, key string) {
		err := o.store.System().Update(t.Context(), func(tx *storage.SystemTx) error { return tx.Delete(section, key) })
		if err != nil {
			t.Fatal(err)
		}
	}
	passwordOf := func(o *planting, t *testing.T, a directory.Account) string {
		for key := range o.section(t, credentials) {
			if strings.HasPrefix(key, string(a.ID)) {
				return key
			}
		}
		t.Fatal("there is no password")
		return ""
	}
	for name, tt := range map[string]struct {
		plant   func(t *testing.T, o *planting)
		said    string // "" if there is nothing to be found
		refused bool   // before the repair
		locked  string // an account that needs a new password, and is named
		gone    string // an address that is not there after the repair
	}{
		"nothing":    {plant: func(*testing.T, *planting) {}},
		"the format": {plant: func(t *testing.T, o *planting) { o.put(t, "directory", "format", "one") }, said: "format", refused: true},
		"an account's record": {plant: func(t *testing.T, o *planting) { o.put(t, accounts, string(o.anna.ID), "{") },
			said: "by its folder it is anna@office.example", refused: true},
		"an account's state": {plant: func(t *testing.T, o *planting) {
			o.put(t, accounts, string(o.anna.ID), `{"address":"anna@office.example","state":"x"}`)
		}, said: "by its folder it is anna@office.example", refused: true},
		"a lost account": {plant: func(t *testing.T, o *planting) {
			remove(o, t, credentials, passwordOf(o, t, o.anna))
			remove(o, t, accounts, string(o.anna.ID))
		}, said: "by its folder it is anna@office.example", locked: "anna@office.example"},
		"a lost account and its owner": {plant: func(t *testing.T, o *planting) {
			remove(o, t, accounts, string(o.anna.ID))
			if err := os.Remove(filepath.Join(o.dir, "accounts", string(o.anna.ID), "owner")); err != nil {
				t.Fatal(err)
			}
		}, said: "nobody knows whose it is", gone: "anna@office.example"},
		"a damaged owner": {plant: func(t *testing.T, o *planting) {
			remove(o, t, accounts, string(o.anna.ID))
			path := filepath.Join(o.dir, "accounts", string(o.anna.ID), "owner")
			b, err := os.ReadFile(path)
			b[len(b)/2] ^= 1
			if err := errors.Join(err, os.WriteFile(path, b, 0o600)); err != nil {
				t.Fatal(err)
			}
		}, said: "nobody knows whose it is", gone: "anna@office.example"},
		"a lost folder": {plant: func(t *testing.T, o *planting) {
			if err := o.store.DeleteAccount(t.Context(), o.anna.ID); err != nil {
				t.Fatal(err)
			}
		}, said: "of anna@office.example is missing"},
		"two of one address": {plant: func(t *testing.T, o *planting) {
			o.put(t, accounts, string(o.ben.ID), strings.ReplaceAll(o.section(t, accounts)[string(o.ben.ID)], "ben@", "anna@"))
		}, said: "two accounts have the address anna@office.example", gone: "ben@office.example"},
		"an account of no name": {plant: func(t *testing.T, o *planting) { o.put(t, accounts, "A B", "{}") }, said: `an account is called "A B"`, refused: true},
		"a lost password": {plant: func(t *testing.T, o *planting) { remove(o, t, credentials, passwordOf(o, t, o.anna)) },
			said: "anna@office.example has no password", locked: "anna@office.example"},
		"a password's record": {plant: func(t *testing.T, o *planting) { o.put(t, credentials, passwordOf(o, t, o.anna), "{}") },
			said: "cannot be used", locked: "anna@office.example"},
		"a password's hash": {plant: func(t *testing.T, o *planting) {
			o.put(t, credentials, passwordOf(o, t, o.anna), `{"kind":"password","hash":"$argon2id$v=19$m=1"}`)
		}, said: "cannot be used", locked: "anna@office.example"},
		"a password of nobody": {plant: func(t *testing.T, o *planting) { o.put(t, credentials, "nobody/x", `{"kind":"password"}`) }, said: "no account has it"},
		"the administrator's":  {plant: func(t *testing.T, o *planting) { o.put(t, "directory/admin", "password", "{") }, said: "pillarbox admin passwd"},
		"an alias's record":    {plant: func(t *testing.T, o *planting) { o.put(t, aliases, "all@office.example", "{") }, said: `the alias "all@office.example" cannot be read`, refused: true, gone: "all@office.example"},
		"an alias's address": {plant: func(t *testing.T, o *planting) {
			o.put(t, aliases, "All@office.example", `{"targets":["anna@office.example"]}`)
		},
			said: "is not written as all@office.example"},
		"an alias of no address": {plant: func(t *testing.T, o *planting) { o.put(t, aliases, "all", `{"targets":["anna@office.example"]}`) },
			said: `the alias "all" cannot be read`, refused: true},
		"an alias that hides an account": {plant: func(t *testing.T, o *planting) {
			o.put(t, aliases, "ben@office.example", `{"targets":["anna@office.example"]}`)
		},
			said: "is an account's address"},
		"an alias to nobody": {plant: func(t *testing.T, o *planting) {
			o.put(t, aliases, "all@office.example", `{"targets":["cleo@office.example","anna@office.example"]}`)
		}, said: "leads to cleo@office.example, which does not exist"},
		"an alias to nobody alone": {plant: func(t *testing.T, o *planting) {
			o.put(t, aliases, "new@office.example", `{"targets":["cleo@office.example"]}`)
			o.put(t, aliases, "newer@office.example", `{"targets":["new@office.example"]}`)
		}, said: "newer@office.example led nowhere any more", gone: "newer@office.example"},
		"an alias in a circle": {plant: func(t *testing.T, o *planting) {
			o.put(t, aliases, "one@office.example", `{"targets":["two@office.example","anna@office.example"]}`)
			o.put(t, aliases, "two@office.example", `{"targets":["one@office.example"]}`)
		}, said: "leads back to itself"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := &planting{office: newOfficeIn(t, dir), dir: dir}
			o.anna, o.ben = o.hire(t, "anna@office.example"), o.hire(t, "ben@office.example")
			if err := errors.Join(o.AddAlias(t.Context(), "all@office.example", "anna@office.example", "ben@office.example"),
				o.SetAdmin(t.Context(), "a password of the admin")); err != nil {
				t.Fatal(err)
			}
			tt.plant(t, o)
			_, err := directory.New(&directory.Config{Store: o.store, Logger: slog.New(slog.DiscardHandler)})
			if tt.refused != errors.Is(err, storage.ErrCorrupt) {
				t.Errorf("opened before the repair: %v", err)
			}
			said := o.mend(t)
			t.Logf("%s", said)
			if !strings.Contains(said, tt.said) || tt.said == "" && said != "" {
				t.Errorf("the repair does not say %q", tt.said)
			}
			for _, address := range []string{"anna@office.example", "ben@office.example"} {
				_, err := o.Authenticate(t.Context(), address, password, remote)
				switch {
				case address == tt.gone:
				case address == tt.locked:
					if err == nil || !strings.Contains(said, address+" has no password") {
						t.Errorf("%s: %v", address, err)
					}
					if err := o.SetPassword(t.Context(), address, password); err != nil {
						t.Error(err)
					}
				case err != nil:
					t.Errorf("%s: %v", address, err)
				}
			}
			if all := o.folders(t); len(all) != 2 {
				t.Errorf("folders %v", all)
			}
			if tt.gone != "" {
				if _, err := o.Resolve(t.Context(), tt.gone); err == nil {
					t.Errorf("%s is there", tt.gone)
				}
			}
			kept, _ := filepath.Glob(filepath.Join(dir, "damaged-*"))
			if only := tt.said == "" || strings.HasPrefix(tt.said, "anna@office.example has no password"); only != (len(kept) == 0) {
				t.Errorf("kept %v", kept)
			}
		})
	}
}

// TestAnOldRecordOfAHalfMadeAccountDeletesNoMail: an older state of the
// database may say "adding" of what is long in use.
func TestAnOldRecordOfAHalfMadeAccountDeletesNoMail(t *testing.T) {
	dir := t.TempDir()
	o := newOfficeIn(t, dir)
	a := o.hire(t, "anna@office.example")
	o.put(t, "directory/accounts", string(a.ID), `{"address":"anna@office.example","created":"2026-01-01T00:00:00Z","state":"adding"}`)
	o.reopen(t)
	if _, err := o.Authenticate(t.Context(), "anna@office.example", password, remote); err != nil {
		t.Error(err)
	}
	// Mail alone is enough.
	o.put(t, "directory/accounts", string(a.ID), `{"address":"anna@office.example","created":"2026-01-01T00:00:00Z","state":"adding"}`)
	if err := os.Remove(filepath.Join(dir, "accounts", string(a.ID), "owner")); err != nil {
		t.Fatal(err)
	}
	acct, err := o.store.Account(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	body, err := o.store.Stage(t.Context(), strings.NewReader("Subject: hello\r\n\r\nhello\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = acct.Append(t.Context(), acct.Mailbox("INBOX").ID, []storage.AppendMessage{{Body: body}})
	if err := errors.Join(err, body.Close()); err != nil {
		t.Fatal(err)
	}
	o.reopen(t)
	if _, err := o.Authenticate(t.Context(), "anna@office.example", password, remote); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "accounts", string(a.ID), "owner")); err != nil {
		t.Errorf("the folder does not say whose it is: %v", err)
	}
}

func TestADamagedOwnerIsFoundAndMended(t *testing.T) {
	dir := t.TempDir()
	o := newOfficeIn(t, dir)
	a := o.hire(t, "anna@office.example")
	path := filepath.Join(dir, "accounts", string(a.ID), "owner")
	for name, damage := range map[string]func() error{
		"changed": func() error { return os.WriteFile(path, []byte("pillarbox owner 1\n{}...."), 0o600) },
		"missing": func() error { return os.Remove(path) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		found, mended := 0, 0
		left, err := o.Check(t.Context(), func(storage.Problem) { found++ }, func(storage.Problem) { mended++ })
		if err != nil || found != 1 || mended != 1 || left != 0 {
			t.Errorf("%s: found %d, mended %d, left %d, %v", name, found, mended, left, err)
		}
	}
	if _, err := o.Check(t.Context(), func(p storage.Problem) { t.Errorf("found %+v", p) }, nil); err != nil {
		t.Error(err)
	}
}
