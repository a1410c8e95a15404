package appliance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/control"
	"pillarbox/appliance/health"
	"pillarbox/storage"
)

// watched runs an appliance at the quick pace.
func watched(t *testing.T, dir string) *Appliance {
	t.Helper()
	a, err := New(t.Context(), &Config{
		Dir: dir, Logger: slog.New(slog.DiscardHandler), Version: "test",
		IMAPS: []string{"127.0.0.1:0"}, IMAPSLegacy: []string{Off}, LMTP: []string{Off},
	})
	if err != nil {
		t.Fatal(err)
	}
	a.pace = quick
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})

	return a
}

// awaitCondition waits until a condition is shown, or no longer is.
func awaitCondition(t *testing.T, a *Appliance, name string, want bool) health.Condition {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var found health.Condition
		for _, c := range a.health.Conditions() {
			if c.Name == name {
				found = c
			}
		}
		if (found.Name != "") == want {
			return found
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is shown: want %v, conditions %+v", name, want, a.health.Conditions())
		}
	}
}

func TestAnAccountThatCannotBeOpenedIsACondition(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	client, stop, err := Connect(t.Context(), &Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)}, true)
	if err != nil {
		t.Fatal(err)
	}
	var folder string
	for _, address := range []string{"ben@office.example", "anna@office.example"} {
		acct, err := client.AddAccount(t.Context(), control.NewAccount{Address: address, Password: "long enough"})
		if err != nil {
			t.Fatal(err)
		}
		folder = filepath.Join(dir, "accounts", string(acct.ID))
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	index := filepath.Join(folder, "index.db")
	whole, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	garbage := bytes.Repeat([]byte("garbage "), len(whole)/8)
	if err := os.WriteFile(index, garbage, 0o600); err != nil {
		t.Fatal(err)
	}
	a := watched(t, dir)
	c := awaitCondition(t, a, "accounts", true)
	if c.Severity != health.High || !strings.Contains(c.Text, "anna@office.example: ") || strings.Contains(c.Text, "ben@") ||
		!strings.Contains(c.Text, "from a backup") {
		t.Errorf("condition %+v", c)
	}
	if now, err := os.ReadFile(index); err != nil || !bytes.Equal(now, garbage) {
		t.Errorf("the damaged file was changed, or %v", err)
	}
	// As a backup is put back: the server looks at the file while it is written.
	if err := errors.Join(os.WriteFile(index+".new", whole, 0o600), os.Rename(index+".new", index)); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, a, "accounts", false)
}

func TestWhatToDoWithAccountsThatCannotBeOpened(t *testing.T) {
	damaged := fmt.Errorf("%w: panic\nstack", storage.ErrCorrupt)
	newer := fmt.Errorf("format 9: %w", storage.ErrNewerFormat)
	text := describeUnreadable([]unreadableAccount{{"anna@office.example", newer}})
	if !strings.Contains(text, "newer version wrote") || strings.Contains(text, "backup") {
		t.Errorf("newer: %s", text)
	}
	var many []unreadableAccount
	for i := range maxNamed + 2 {
		many = append(many, unreadableAccount{fmt.Sprintf("u%d@office.example", i), damaged})
	}
	text = describeUnreadable(append(many, unreadableAccount{"x@office.example", errors.New("odd")}))
	if !strings.Contains(text, "And 3 more.") || !strings.Contains(text, "from a backup") || strings.Contains(text, "stack") ||
		strings.Contains(text, "newer version") {
		t.Errorf("many: %s", text)
	}
}
