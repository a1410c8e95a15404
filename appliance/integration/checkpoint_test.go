package integration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/integration/rig"
)

// auditSettings changes what the settings say of the record.
func auditSettings(change func(audit map[string]any)) func(settings map[string]any) {
	return func(settings map[string]any) { change(settings["audit"].(map[string]any)) }
}

// TestAMailedCheckpointFindsARecordThatWasPutBack: whoever holds the box puts an
// older record in its place, with the box's own checkpoint of that time, and the
// box finds nothing by itself.
func TestAMailedCheckpointFindsARecordThatWasPutBack(t *testing.T) {
	box := openOffice(t)
	box.Stop(t) // with a checkpoint
	record, older := filepath.Join(box.Dir, "audit"), filepath.Join(t.TempDir(), "older")
	(&rig.Command{Path: "cp", Args: []string{"-a", record, older}}).MustRun(t)
	box.Start(t)
	file := writeSettings(t, box, auditSettings(func(audit map[string]any) { audit["checkpoints_to"] = "eve@office.example" }))
	if out := box.Command(nil, "network", "apply", "--yes", file).Run(t); out.Err == nil || !strings.Contains(out.All(), "nobody here has the address eve@office.example") {
		t.Errorf("to somebody who is not there: %s", out.All())
	}
	changeSettings(t, box, auditSettings(func(audit map[string]any) { audit["checkpoints_to"] = ada }))

	c := asAda(t, box, nil)
	kept := filepath.Join(t.TempDir(), "message.eml")
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if selectMailbox(t, c, "INBOX").NumMessages > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no message comes")
		}
	}
	for _, message := range bodies(t, c) {
		if err := os.WriteFile(kept, message, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verify := func() *rig.Output { return box.Command(nil, "audit", "verify", "--kept", kept).Run(t) }
	if out := verify(); out.Err != nil || !strings.Contains(out.All(), "compared with 1 checkpoint that you kept") {
		t.Errorf("before: %s", out.All())
	}
	box.Stop(t)
	if err := os.RemoveAll(record); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(older, record); err != nil {
		t.Fatal(err)
	}
	if out := box.Command(nil, "audit", "verify").Run(t); out.Err != nil {
		t.Errorf("by itself the box finds: %s", out.All())
	}
	if out := verify(); out.Err == nil || !strings.Contains(out.All(), "but the kept checkpoint of ") {
		t.Errorf("by the message: %s", out.All())
	}
}

// TestHowLongIsRecordedIsASetting: what data protection is told follows it, once
// it is confirmed.
func TestHowLongIsRecordedIsASetting(t *testing.T) {
	box := openOffice(t)
	change := auditSettings(func(audit map[string]any) { audit["access"] = map[string]any{"days": 30, "megabytes": 8} })
	kinds := func(days, size string) {
		t.Helper()
		out := box.Command(nil, "audit", "kinds").MustRun(t).All()
		if !strings.Contains(out, "yes       "+days+" days") || !strings.Contains(out, "bans at most "+size+" are kept, of all else 16.0 MiB") {
			t.Errorf("kinds:\n%s", out)
		}
	}
	kinds("90", "48.0 MiB")
	file := writeSettings(t, box, change)
	out := box.Command(nil, "network", "plan", file).MustRun(t).All()
	for _, said := range []string{"for 30 days, and at most 8 megabytes", "export it before", "90 becomes 30 (audit.access.days)"} {
		if !strings.Contains(out, said) {
			t.Errorf("%q is not said:\n%s", said, out)
		}
	}
	box.Command(nil, "network", "apply", "--yes", file).MustRun(t)
	kinds("90", "48.0 MiB") // what is removed does not come back: not before it is confirmed
	box.Command(nil, "network", "confirm").MustRun(t)
	kinds("30", "8.0 MiB")
	box.Stop(t)
	kinds("30", "8.0 MiB")
	box.Start(t)
	kinds("30", "8.0 MiB")
}
