package exporter_test

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/importer"
	"pillarbox/appliance/importer/files"
	"pillarbox/storage"
)

// TestRoundTrip takes an account out and into another one: everything is equal,
// UIDs too, and nothing moves when it is done again.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for name, target := range targets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := open(t), open(t)
			fill(t, a)
			dir := filepath.Join(t.TempDir(), "out")
			run(t, a, target(dir))
			src, err := files.Open(dir, "")
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			store, _ := stores.Load(b)
			engine := importer.New(&importer.Config{
				Stager: store.(*storage.Store), Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Quarantine: t.TempDir(),
			})
			task := &importer.Task{Source: src, Account: b, Address: "bob@office.example", Options: importer.Options{KeepUIDs: true}}
			for n := range 2 {
				r, err := engine.Run(t.Context(), task)
				if err != nil || r.Total.Quarantined != 0 || n > 0 && r.Total.Taken != 0 {
					t.Fatalf("%v %+v %v", err, r.Total, r.Bad)
				}
				if diff := cmp.Diff(onBox(t, a), onBox(t, b)); diff != "" {
					t.Fatalf("(-out +in):\n%.3000s", diff)
				}
			}
			for _, mb := range a.Mailboxes() {
				other := b.Mailbox(mb.Name)
				if mb.NumMessages > 0 && (other.UIDValidity != mb.UIDValidity || other.UIDNext != mb.UIDNext) || mb.SpecialUse != other.SpecialUse {
					t.Errorf("%s is %+v, want %+v", mb.Name, other, mb)
				}
			}
		})
	}
}
