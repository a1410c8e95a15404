package input_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pillarbox/buildroot/input"
)

// cached makes a cache that holds one package, made by Debian's own tool.
func cached(t *testing.T, fileName string) *input.Debian {
	t.Helper()
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("dpkg-deb is missing")
	}
	tree := t.TempDir()
	for name, text := range map[string]string{
		"DEBIAN/control":  "Package: loader\nVersion: 1:2.0-1\nArchitecture: arm64\nMaintainer: t <t@example.test>\nDescription: t\n",
		"usr/lib/one.efi": "the loader",
		"usr/lib/two.efi": strings.Repeat("other", 100_000),
	} {
		p := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d := &input.Debian{Dir: t.TempDir()}
	packages := filepath.Join(d.Dir, "arm64", "packages")
	if err := os.MkdirAll(packages, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("dpkg-deb", "--root-owner-group", "-b", tree, filepath.Join(packages, fileName)).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb: %v\n%s", err, out)
	}

	return d
}

func TestPackageOfTheCacheIsRead(t *testing.T) {
	d := cached(t, "loader_1%3a2.0-1_arm64.deb")
	p, err := d.Fetch(t.Context(), "loader", "arm64")
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "loader" || p.Version != "1:2.0-1" || p.Arch != "arm64" || len(p.SHA256) != 64 {
		t.Errorf("Fetch = %+v", p)
	}
	got, err := p.Read(t.Context(), "usr/lib/one.efi")
	if err != nil || string(got) != "the loader" {
		t.Errorf("Read = %q, %v", got, err)
	}
	if _, err := p.Read(t.Context(), "usr/lib/three.efi"); err == nil || !strings.Contains(err.Error(), "it has no file usr/lib/three.efi") {
		t.Errorf("Read = %v; want that there is no such file", err)
	}
}

func TestDamagedPackageIsRefused(t *testing.T) {
	d := cached(t, "loader_2_arm64.deb")
	name := filepath.Join(d.Dir, "arm64", "packages", "loader_2_arm64.deb")
	if err := os.Truncate(name, 200); err != nil {
		t.Fatal(err)
	}
	p, err := d.Fetch(t.Context(), "loader", "arm64")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Read(t.Context(), "usr/lib/one.efi"); err == nil {
		t.Errorf("Read = %q", got)
	}
}
