package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// maxExposure is what systemd-analyze may find at most, in tenths of its
// points: below 20 it says OK. What remains is mostly that a mail server is on
// the network.
const maxExposure = "15"

// analyze runs systemd-analyze.
func analyze(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "" && args[0] == "verify" {
		t.Errorf("systemd-analyze %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// installed returns the units as they stand in a folder of a machine that has
// the program.
func installed(t *testing.T) (units []string) {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"*.service", "*.socket"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("units %s: %v, %v", pattern, found, err)
		}
		for _, name := range found {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			unit := filepath.Join(dir, name)
			changed := strings.ReplaceAll(string(text), "/usr/local/bin/pillarbox", program)
			if err := os.WriteFile(unit, []byte(changed), 0o644); err != nil {
				t.Fatal(err)
			}
			units = append(units, unit)
		}
	}

	return units
}

func TestSystemdUnderstandsTheUnits(t *testing.T) {
	analyze(t, append([]string{"verify", "--man=no"}, installed(t)...)...)
}

func TestTheServiceIsWellShutIn(t *testing.T) {
	for _, unit := range installed(t) {
		if strings.HasSuffix(unit, ".service") {
			analyze(t, "security", "--offline=yes", "--no-pager", "--threshold="+maxExposure, unit)
		}
	}
}

func TestSystemdUnderstandsTheUser(t *testing.T) {
	path, err := exec.LookPath("systemd-sysusers")
	if err != nil {
		t.Skip("systemd-sysusers is not installed")
	}
	absolute, err := filepath.Abs("pillarbox.sysusers")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, "--dry-run", absolute).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.Contains(string(out), "Creating user 'pillarbox'") {
		t.Errorf("it makes no user:\n%s", out)
	}
}
