package appliance

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"pillarbox/appliance/control"
	"pillarbox/appliance/importer"
)

// TestQuarantineGoesWithTheAccount has messages that could not be taken of an
// account that is removed, and of one that was while no server ran.
func TestQuarantineGoesWithTheAccount(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	client, stop, err := Connect(t.Context(), &Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)}, true)
	if err != nil {
		t.Fatal(err)
	}
	ben, err := client.AddAccount(t.Context(), control.NewAccount{Address: "ben@office.example", Password: "long enough"})
	if err := errors.Join(err, stop()); err != nil {
		t.Fatal(err)
	}
	folder := func(id string) string {
		return filepath.Join(importer.QuarantineDir(filepath.Join(dir, "imports")), id)
	}
	for _, id := range []string{string(ben.ID), "removed"} {
		if err := os.MkdirAll(folder(id), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder(id), "x.eml"), []byte("too large\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	watched(t, dir)
	if _, err := os.Stat(folder("removed")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of who was removed before: %v", err)
	}
	if _, err := os.Stat(filepath.Join(folder(string(ben.ID)), "x.eml")); err != nil {
		t.Errorf("of who is here: %v", err)
	}
	client, stop, err = Connect(t.Context(), &Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)}, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(client.RemoveAccount(t.Context(), "ben@office.example"), stop()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(folder(string(ben.ID))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of who was removed: %v", err)
	}
}
