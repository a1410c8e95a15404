package audit_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pillarbox/appliance/audit"
)

// recorderDir tells a process of this test to record acts in a folder.
const recorderDir = "PILLARBOX_TEST_RECORDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(recorderDir); dir != "" {
		keepRecording(dir)
	}
	os.Exit(m.Run())
}

// keepRecording records acts side by side and says of each when it is
// acknowledged, until it is killed.
func keepRecording(dir string) {
	l := audit.New(&audit.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	var out sync.Mutex
	for worker := range 3 {
		go func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("p%d-%d-%d@office.example", os.Getpid(), worker, i)
				if err := l.Record(context.Background(), audit.Event{Kind: audit.AccountAdded, Account: name}); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				out.Lock()
				fmt.Println(name)
				out.Unlock()
			}
		}()
	}
	select {}
}

// TestAcknowledgedActsOutliveAKill kills the process at a moment that nobody
// chose, some times over the same folder.
func TestAcknowledgedActsOutliveAKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]bool{}
	for round := range 5 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), recorderDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 20+7*round && lines.Scan(); n++ {
			acknowledged[lines.Text()] = true
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
			// A line that the kill cut is none.
			if strings.HasSuffix(lines.Text(), ".example") {
				acknowledged[lines.Text()] = true
			}
		}
		_ = cmd.Wait() // it was killed
	}
	l := newLog(t, dir)
	defer closeLog(t, l)
	for _, e := range list(t, l, audit.Filter{Kinds: []string{"account.added"}, Limit: 1_000_000}) {
		delete(acknowledged, e.Values["account"])
	}
	if len(acknowledged) > 0 {
		t.Errorf("acknowledged and not recorded: %v", acknowledged)
	}
	if r := verify(t, l); len(r.Findings) > 0 {
		t.Errorf("found %+v", r.Findings)
	}
}

// TestATornEndIsToldApartFromACut plays a power cut within the last record,
// which nobody was told of, and the same cut after a checkpoint named it.
func TestATornEndIsToldApartFromACut(t *testing.T) {
	for name, signed := range map[string]bool{"before a checkpoint": false, "after a checkpoint": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := newLog(t, dir)
			record(t, l, audit.Event{Kind: audit.AdminPassword}, audit.Event{Kind: audit.AdminPassword})
			if signed {
				if _, err := l.Checkpoint(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			file := filepath.Join(dir, "acts", "00000001.log")
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(file, info.Size()-10); err != nil {
				t.Fatal(err)
			}
			l = newLog(t, dir)
			defer closeLog(t, l)
			record(t, l, audit.Event{Kind: audit.AdminPassword})
			r := verify(t, l)
			if len(r.Notes) != 1 || r.Notes[0].Book != audit.Acts {
				t.Errorf("noted %+v", r.Notes)
			}
			if got := len(r.Findings) > 0; got != signed {
				t.Errorf("found %+v", r.Findings)
			}
		})
	}
}

// TestADiskThatTakesNothing has a folder that cannot be written: acts are
// refused, sign-ins are kept in mind, and both work once it can.
func TestADiskThatTakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := newLog(t, dir)
	if err := l.Record(t.Context(), audit.Event{Kind: audit.AdminPassword}); err == nil {
		t.Error("an act was acknowledged")
	}
	record(t, l, stranger(1))
	if err := l.Flush(); err == nil || l.Health() == nil {
		t.Errorf("flush: %v, health: %v", err, l.Health())
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := l.Record(t.Context(), audit.Event{Kind: audit.AdminPassword}); err != nil {
		t.Error(err)
	}
	if err := errors.Join(l.Flush(), l.Health()); err != nil {
		t.Error(err)
	}
	closeLog(t, l)
	l = newLog(t, dir)
	defer closeLog(t, l)
	if got := list(t, l, audit.Filter{Kinds: []string{"signin", "admin"}}); len(got) != 2 {
		t.Errorf("recorded %+v", got)
	}
}

// TestReadersAndWriters runs under the race detector.
func TestReadersAndWriters(t *testing.T) {
	l := newLog(t, t.TempDir())
	defer closeLog(t, l)
	end := time.Now().Add(300 * time.Millisecond)
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			for time.Now().Before(end) {
				record(t, l, audit.Event{Kind: audit.AdminPassword}, stranger(i))
			}
		})
	}
	for time.Now().Before(end) {
		if err := l.Flush(); err != nil {
			t.Error(err)
		}
		if r := verify(t, l); len(r.Findings) > 0 {
			t.Fatalf("found %+v", r.Findings)
		}
		if _, err := l.Checkpoint(t.Context()); err != nil {
			t.Error(err)
		}
		list(t, l, audit.Filter{})
	}
	wg.Wait()
}
