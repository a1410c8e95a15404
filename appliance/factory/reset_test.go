package factory_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/factory"
	"pillarbox/storage"
)

// folder returns a data folder as a server leaves it, and more.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	store := open(t, dir)
	if err := store.CreateAccount(t.Context(), "anna", []storage.NewMailbox{{Name: "INBOX"}}); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"certs/ca.key", "run/run.json", "log/pillarbox.log", "sample.json"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	return dir
}

func open(t *testing.T, dir string) *storage.Store {
	t.Helper()
	store, err := storage.Open(t.Context(), &storage.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}

	return store
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}

	return names
}

func carryOut(dir string) error { return factory.CarryOut(dir, slog.New(slog.DiscardHandler)) }

func TestAResetLeavesWhatItSays(t *testing.T) {
	for _, keep := range []bool{true, false} {
		dir := folder(t)
		before := list(t, dir)
		if err := carryOut(dir); err != nil || !slices.Equal(list(t, dir), before) {
			t.Errorf("nothing was scheduled, and %v, %q", err, list(t, dir))
		}
		want := factory.Reset{KeepMail: keep, Requested: time.Now().UTC()}
		if err := factory.Schedule(dir, want); err != nil {
			t.Fatal(err)
		}
		if got, err := factory.Scheduled(dir); err != nil || !cmp.Equal(*got, want) {
			t.Errorf("scheduled %v, %v", got, err)
		}
		// A power cut may have left some of it done.
		if err := os.RemoveAll(filepath.Join(dir, "log")); err != nil {
			t.Fatal(err)
		}
		if err := carryOut(dir); err != nil {
			t.Fatal(err)
		}
		store := open(t, dir)
		accounts, err := store.Accounts()
		if err := errors.Join(err, store.Close()); err != nil {
			t.Fatal(err)
		}
		if got := len(accounts); (got == 1) != keep {
			t.Errorf("keep %v: %d accounts", keep, got)
		}
		// What storage has, new or old, and nothing else.
		left := []string{"LOCK", "accounts", "pool", "sample.json", "staging", "system.db"}
		if !keep {
			left = slices.DeleteFunc(left, func(name string) bool { return name == "sample.json" })
		}
		has := slices.DeleteFunc(list(t, dir), func(name string) bool { return name == "reserve" }) // where the disk has room for it
		if diff := cmp.Diff(left, has); diff != "" {
			t.Errorf("keep %v: %s", keep, diff)
		}
	}
}

func TestAResetWaitsForWhoeverHasTheFolder(t *testing.T) {
	dir := folder(t)
	before := list(t, dir)
	store := open(t, dir)
	if err := factory.Schedule(dir, factory.Reset{}); err != nil {
		t.Fatal(err)
	}
	if err := carryOut(dir); !errors.Is(err, factory.ErrInUse) {
		t.Errorf("error %v, want ErrInUse", err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, was := range []bool{true, false} {
		if got, err := factory.Cancel(dir); got != was || err != nil {
			t.Errorf("cancelled %v, %v; want %v", got, err, was)
		}
	}
	if err := carryOut(dir); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, list(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestAMarkerThatCannotBeReadDeletesNothing(t *testing.T) {
	dir := folder(t)
	if err := os.WriteFile(filepath.Join(dir, "factory-reset.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := list(t, dir)
	if err := carryOut(dir); err != nil {
		t.Errorf("it keeps the server from starting: %v", err)
	}
	if diff := cmp.Diff(before, list(t, dir)); diff != "" {
		t.Error(diff)
	}
}
