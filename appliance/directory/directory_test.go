package directory_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/directory"
	"pillarbox/storage"
)

const password = "correct horse battery"

// office is a directory over real storage.
type office struct {
	*directory.Directory
	store *storage.Store
	log   *bytes.Buffer
	now   time.Time
}

func openStore(t testing.TB, dir string) *storage.Store {
	t.Helper()
	s, err := storage.Open(context.Background(), &storage.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newOffice(t testing.TB) *office {
	t.Helper()
	return newOfficeIn(t, t.TempDir())
}

func newOfficeIn(t testing.TB, dir string) *office {
	t.Helper()
	o := &office{
		store: openStore(t, dir),
		log:   &bytes.Buffer{},
		now:   time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC),
	}
	t.Cleanup(func() {
		if err := o.store.Close(); err != nil {
			t.Error(err)
		}
	})
	o.reopen(t)
	return o
}

// reopen makes a new Directory, as after a restart.
func (o *office) reopen(t testing.TB) {
	t.Helper()
	d, err := directory.New(&directory.Config{
		Store:  o.store,
		Logger: slog.New(slog.NewTextHandler(o.log, nil)),
		Now:    func() time.Time { return o.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Directory = d
}

// hire adds an account a second after the one before.
func (o *office) hire(t testing.TB, address string) directory.Account {
	t.Helper()
	o.now = o.now.Add(time.Second)
	a, err := o.Add(t.Context(), directory.NewAccount{Address: address, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// section returns what is stored in a section.
func (o *office) section(t testing.TB, name string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := o.store.System().View(func(tx *storage.SystemTx) error {
		return tx.All(name, func(key string, value []byte) error {
			all[key] = string(value)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// put writes into a section behind the directory's back.
func (o *office) put(t testing.TB, section, key, value string) {
	t.Helper()
	err := o.store.System().Update(t.Context(), func(tx *storage.SystemTx) error {
		return tx.Put(section, key, []byte(value))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (o *office) folders(t testing.TB) []storage.AccountID {
	t.Helper()
	ids, err := o.store.Accounts()
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestAdd(t *testing.T) {
	o := newOffice(t)
	a, err := o.Add(t.Context(), directory.NewAccount{
		Address: "Anna.Gruber@BÜRO.example", Name: "Anna Gruber", Password: password, Quota: 1 << 30,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := directory.Account{
		ID: a.ID, Address: "anna.gruber@xn--bro-hoa.example", Name: "Anna Gruber", Created: o.now, Quota: 1 << 30,
	}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("account (-want +got):\n%s", diff)
	}
	acct, err := o.store.Account(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	type box struct {
		Name, Use  string
		Subscribed bool
	}
	var got []box
	for _, m := range acct.Mailboxes() {
		got = append(got, box{m.Name, string(m.SpecialUse), m.Subscribed})
	}
	boxes := []box{
		{"INBOX", "", true},
		{"Archive", `\Archive`, true},
		{"Drafts", `\Drafts`, true},
		{"Junk", `\Junk`, true},
		{"Sent", `\Sent`, true},
		{"Trash", `\Trash`, true},
	}
	if diff := cmp.Diff(boxes, got); diff != "" {
		t.Errorf("mailboxes (-want +got):\n%s", diff)
	}
	if q := acct.Quota().LimitBytes; q != 1<<30 {
		t.Errorf("quota is %d", q)
	}
	o.reopen(t)
	again, err := o.Find(t.Context(), "anna.gruber@büro.example")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
}

func TestAddRefuses(t *testing.T) {
	o := newOffice(t)
	o.hire(t, "anna@office.example")
	if err := o.AddAlias(t.Context(), "sales@office.example", "anna@office.example"); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		n    directory.NewAccount
		want error
	}{
		{"an address in use", directory.NewAccount{Address: "ANNA@office.example", Password: password}, directory.ErrAddressTaken},
		{"the address of an alias", directory.NewAccount{Address: "sales@office.example", Password: password}, directory.ErrAddressTaken},
		{"no domain", directory.NewAccount{Address: "anna", Password: password}, directory.ErrAddress},
		{"a short password", directory.NewAccount{Address: "ben@office.example", Password: "seven77"}, directory.ErrPassword},
		{"no password", directory.NewAccount{Address: "ben@office.example"}, directory.ErrPassword},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := o.Add(t.Context(), tt.n); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	if n := len(o.folders(t)); n != 1 {
		t.Errorf("%d folders", n)
	}
}

// fading is a context that ends when it has been asked a number of times.
type fading struct {
	context.Context
	left atomic.Int64
}

func (f *fading) Err() error {
	if f.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

func TestAddGivenUpAtAnyStepLeavesNothing(t *testing.T) {
	o := newOffice(t)
	for steps := range int64(100) {
		ctx := &fading{Context: t.Context()}
		ctx.left.Store(steps)
		_, err := o.Add(ctx, directory.NewAccount{Address: "anna@office.example", Password: password})
		if err == nil {
			if steps == 0 {
				t.Error("a context that had ended stopped nothing")
			}
			return
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("after %d steps: %v", steps, err)
		}
		if n := len(o.folders(t)); n != 0 {
			t.Fatalf("after %d steps: %d folders", steps, n)
		}
		if diff := cmp.Diff(map[string]string{}, o.section(t, "directory/accounts")); diff != "" {
			t.Fatalf("after %d steps: records (-want +got):\n%s", steps, diff)
		}
	}
	t.Error("it never succeeded")
}

func TestAddOfOneAddressAtOnce(t *testing.T) {
	o := newOffice(t)
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = o.Add(t.Context(), directory.NewAccount{Address: "anna@office.example", Password: password})
		})
	}
	wg.Wait()
	added := 0
	for _, err := range errs {
		if err == nil {
			added++
		} else if !errors.Is(err, directory.ErrAddressTaken) {
			t.Error(err)
		}
	}
	if added != 1 || len(o.folders(t)) != 1 {
		t.Errorf("%d were added, %d folders", added, len(o.folders(t)))
	}
}

func TestCrashes(t *testing.T) {
	record := func(state string) string {
		return `{"address":"carl@office.example","created":"2026-05-04T09:00:00Z","state":"` + state + `"}`
	}
	tests := []struct {
		name   string
		folder bool
		record string
		left   []storage.AccountID
		logged string
	}{
		{"adding, before the folder", false, record("adding"), nil, "finishing what was interrupted"},
		{"adding, after the folder", true, record("adding"), nil, "finishing what was interrupted"},
		{"removing, before the mail was deleted", true, record("removing"), nil, "finishing what was interrupted"},
		{"removing, before the record was deleted", false, record("removing"), nil, "finishing what was interrupted"},
		{"a folder without a record", true, "", []storage.AccountID{"carl1"}, "it is left alone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOffice(t)
			if tt.folder {
				if err := o.store.CreateAccount(t.Context(), "carl1", nil); err != nil {
					t.Fatal(err)
				}
			}
			if tt.record != "" {
				o.put(t, "directory/accounts", "carl1", tt.record)
			}
			o.reopen(t)
			if diff := cmp.Diff(tt.left, o.folders(t)); len(tt.left)+len(o.folders(t)) > 0 && diff != "" {
				t.Errorf("folders (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]string{}, o.section(t, "directory/accounts")); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if !bytes.Contains(o.log.Bytes(), []byte(tt.logged)) {
				t.Errorf("the log lacks %q:\n%s", tt.logged, o.log)
			}
			// The address is free again.
			o.hire(t, "carl@office.example")
		})
	}
}

func TestNewRefusesANewerFormat(t *testing.T) {
	o := newOffice(t)
	o.put(t, "directory", "format", "2")
	_, err := directory.New(&directory.Config{Store: o.store, Logger: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, storage.ErrNewerFormat) {
		t.Errorf("New: %v", err)
	}
}

func TestRemove(t *testing.T) {
	o := newOffice(t)
	anna := o.hire(t, "anna@office.example")
	ben := o.hire(t, "ben@office.example")
	for alias, targets := range map[string][]string{
		"sales@office.example": {"anna@office.example", "ben@office.example"},
		"boss@office.example":  {"anna@office.example"},
	} {
		if err := o.AddAlias(t.Context(), alias, targets...); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.AddAlias(t.Context(), "chief@office.example", "boss@office.example"); err != nil {
		t.Fatal(err)
	}
	if err := o.AddAlias(t.Context(), "all@office.example", "chief@office.example", "anna@office.example", "ben@office.example", "boss@office.example"); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Authenticate(t.Context(), "anna", password, nil); err != nil {
		t.Fatal(err)
	}
	var changes []directory.Change
	stop := o.Watch(func(c directory.Change) {
		changes = append(changes, c)
		if len(o.folders(t)) != 2 {
			t.Error("the mail was deleted before sessions were ended")
		}
		if _, err := o.Authenticate(t.Context(), "anna", password, nil); !errors.Is(err, directory.ErrCredentials) {
			t.Errorf("log-in while it is removed: %v", err)
		}
	})
	if err := o.Remove(t.Context(), "Anna@office.example"); err != nil {
		t.Fatal(err)
	}
	stop()
	if diff := cmp.Diff([]directory.Change{{Account: anna.ID, What: directory.AccountRemoved}}, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]storage.AccountID{ben.ID}, o.folders(t)); diff != "" {
		t.Errorf("folders (-want +got):\n%s", diff)
	}
	if n := len(o.section(t, "directory/credentials")); n != 1 {
		t.Errorf("%d credentials are left", n)
	}
	aliases, _ := o.Aliases(t.Context())
	want := []directory.Alias{
		{Address: "all@office.example", Targets: []string{"ben@office.example"}},
		{Address: "sales@office.example", Targets: []string{"ben@office.example"}},
	}
	if diff := cmp.Diff(want, aliases); diff != "" {
		t.Errorf("aliases (-want +got):\n%s", diff)
	}
	if _, err := o.Find(t.Context(), "anna@office.example"); !errors.Is(err, directory.ErrNoAccount) {
		t.Errorf("Find: %v", err)
	}
	if err := o.Remove(t.Context(), "anna@office.example"); !errors.Is(err, directory.ErrNoAccount) {
		t.Errorf("Remove again: %v", err)
	}
	if again := o.hire(t, "anna@office.example"); again.ID == anna.ID {
		t.Error("an account id was used twice")
	}
	if len(changes) != 1 {
		t.Error("a stopped watcher was called")
	}
}

func TestList(t *testing.T) {
	o := newOffice(t)
	for _, a := range []string{"zoe@a.example", "anna@b.example", "anna@a.example"} {
		o.hire(t, a)
	}
	if err := o.AddAlias(t.Context(), "info@c.example", "anna@a.example"); err != nil {
		t.Fatal(err)
	}
	all, err := o.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range all {
		got = append(got, a.Address)
	}
	if diff := cmp.Diff([]string{"anna@a.example", "zoe@a.example", "anna@b.example"}, got); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	domains, err := o.Domains(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a.example", "b.example", "c.example"}, domains); diff != "" {
		t.Errorf("domains (-want +got):\n%s", diff)
	}
}

func TestSetQuota(t *testing.T) {
	o := newOffice(t)
	a := o.hire(t, "anna@office.example")
	if err := o.SetQuota(t.Context(), a.Address, 5000); err != nil {
		t.Fatal(err)
	}
	o.reopen(t)
	if got, _ := o.Find(t.Context(), a.Address); got.Quota != 5000 {
		t.Errorf("the directory says %d", got.Quota)
	}
	acct, err := o.store.Account(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if q := acct.Quota().LimitBytes; q != 5000 {
		t.Errorf("storage says %d", q)
	}
	if err := o.SetQuota(t.Context(), a.Address, -1); err == nil {
		t.Error("a negative quota was accepted")
	}
	if err := o.SetQuota(t.Context(), "nobody@office.example", 1); !errors.Is(err, directory.ErrNoAccount) {
		t.Errorf("of nobody: %v", err)
	}
}

func TestSecretIsNotShown(t *testing.T) {
	var out bytes.Buffer
	s := directory.Secret("hunter22")
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("x", "secret", s, "in", directory.NewAccount{Password: s})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		bprintf(&out, verb, s)
		bprintf(&out, verb, directory.NewAccount{Password: s})
	}
	if bytes.Contains(out.Bytes(), []byte("hunter22")) || bytes.Contains(out.Bytes(), []byte("68756e74")) {
		t.Errorf("it was shown:\n%s", out.String())
	}
	if b, err := json.Marshal(s); err == nil {
		t.Errorf("it was encoded: %s", b)
	}
	var back directory.Secret
	if err := json.Unmarshal([]byte(`"hunter22"`), &back); err != nil || back != s {
		t.Errorf("decoded: %v", err)
	}
}

func addresses(all []directory.Account) []string {
	var got []string
	for _, a := range all {
		got = append(got, a.Address)
	}
	return slices.Clip(got)
}
