package exporter_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/exporter"
	"pillarbox/appliance/integration/rig"
)

// TestArchivesAreUnpackedByOthers has tar and python3 unpack what was streamed:
// it is what an export to a disk would be, octet for octet.
func TestArchivesAreUnpackedByOthers(t *testing.T) {
	t.Parallel()
	a := open(t)
	fill(t, a)
	office(t, a, 40)
	want := onBox(t, a)
	for kind, unpack := range map[string][]string{
		exporter.KindMaildir: {rig.Tool(t, "tar", "tar"), "-xf"},
		exporter.KindMbox:    {rig.Tool(t, "python3", "python3"), "-m", "zipfile", "-e"},
	} {
		var stream bytes.Buffer
		to, err := exporter.NewArchive(&stream, kind)
		if err != nil {
			t.Fatal(err)
		}
		r, err := exporter.Run(t.Context(), exporter.Stored(a), to, &exporter.Options{Account: "ada@office.example"})
		if err != nil || !r.OK() || r.Total.Put != r.Total.Listed {
			t.Fatalf("%s: %v %+v", kind, err, r)
		}
		dir := t.TempDir()
		file := filepath.Join(dir, "file")
		if err := os.WriteFile(file, stream.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), unpack[0], append(unpack[1:], file)...)
		if kind == exporter.KindMbox {
			cmd.Args = append(cmd.Args, dir)
		}
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
		if diff := cmp.Diff(want, atTarget(t, filepath.Join(dir, "ada@office.example"))); diff != "" {
			t.Errorf("%s (-box +archive):\n%.3000s", kind, diff)
		}
	}
	if _, err := exporter.NewArchive(nil, "paper"); err == nil {
		t.Error("an unknown form")
	}
}
