package input_test

import (
	"archive/zip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pillarbox/buildroot/input"
)

// proxy serves a module from a folder, as the Go tool's own protocol has it.
func proxy(t *testing.T, path, version, text string) {
	t.Helper()
	dir := t.TempDir()
	at := filepath.Join(dir, path, "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	for ext, content := range map[string]string{
		".info": `{"Version":"` + version + `","Time":"2026-01-02T03:04:05Z"}`,
		".mod":  "module " + path + "\n",
	} {
		if err := os.WriteFile(filepath.Join(at, version+ext), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(filepath.Join(at, version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	for name, content := range map[string]string{"go.mod": "module " + path + "\n", "kernel": text} {
		w, err := z.Create(path + "@" + version + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOPROXY", "file://"+dir)
	t.Setenv("GOSUMDB", "off")
	cache := t.TempDir()
	t.Setenv("GOMODCACHE", cache)
	t.Cleanup(func() { // the Go tool takes the right to write away
		_ = filepath.WalkDir(cache, func(p string, _ os.DirEntry, err error) error {
			return os.Chmod(p, 0o755)
		})
	})
}

func TestModuleWithAnotherSumIsRefused(t *testing.T) {
	proxy(t, "example.test/kernel", "v1.0.0", "the kernel")
	m := input.Module{Path: "example.test/kernel", Version: "v1.0.0", Sum: "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}
	_, err := m.Fetch(t.Context())
	if err == nil || !strings.Contains(err.Error(), m.Sum+" is pinned") {
		t.Fatalf("Fetch = %v; want a refusal that names the pinned sum", err)
	}
	// It tells which one it would have been.
	m.Sum = regexp.MustCompile(`h1:[^,]+`).FindString(err.Error())
	dir, err := m.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "kernel")); err != nil || string(got) != "the kernel" {
		t.Errorf("the module's file holds %q, %v", got, err)
	}
}

func TestMissingModuleIsNamed(t *testing.T) {
	proxy(t, "example.test/kernel", "v1.0.0", "the kernel")
	m := input.Module{Path: "example.test/kernel", Version: "v1.0.1"}
	if dir, err := m.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "example.test/kernel") {
		t.Errorf("Fetch = %q, %v", dir, err)
	}
	if _, err := input.LookupModule("toaster"); err == nil || !strings.Contains(err.Error(), `"toaster"`) {
		t.Errorf("LookupModule = %v", err)
	}
}
