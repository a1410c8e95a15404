package compile_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pillarbox/buildroot/compile"
)

// sources writes a module with a program that prints its version.
func sources(t *testing.T, more map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	files := map[string]string{
		"go.mod":      "module example.test/m\n\ngo 1.26\n",
		"cmd/main.go": "package main\n\nvar version, mood = \"none\", \"calm\"\n\nfunc main() { println(version, mood) }\n",
		// Only a build that a stranger's settings reach has it.
		"cmd/other.go": "//go:build foreign\n\npackage main\n\nfunc init() { mood = \"foreign\" }\n",
	}
	for name, text := range more {
		files[name] = text
	}
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	return dir
}

var program = &compile.Program{Package: "example.test/m/cmd", Vars: map[string]string{"main.version": "1.2"}}

func build(t *testing.T, source, arch string) *compile.Binary {
	t.Helper()
	b, err := compile.Build(t.Context(), &compile.Config{Source: source, Dir: t.TempDir(), Arch: arch}, program, "program")
	if err != nil {
		t.Fatal(err)
	}

	return b
}

func TestProgramIsStaticAndForItsProcessor(t *testing.T) {
	for arch, want := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		t.Run(arch, func(t *testing.T) {
			b := build(t, sources(t, nil), arch)
			f, err := elf.Open(b.Path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if f.Machine != want {
				t.Errorf("it is for %v", f.Machine)
			}
			for _, p := range f.Progs {
				if p.Type == elf.PT_INTERP {
					t.Error("it wants a dynamic linker")
				}
			}
			if b.Info.Path != program.Package {
				t.Errorf("its package is %q", b.Info.Path)
			}
			if arch != runtime.GOARCH {
				return
			}
			out, err := exec.Command(b.Path).CombinedOutput()
			if got := strings.TrimSpace(string(out)); err != nil || got != "1.2 calm" {
				t.Errorf("it prints %q, %v", got, err)
			}
		})
	}
}

// TestBuildHostDoesNotShow builds the same sources as somebody else does: in
// another folder, with settings of his own and nothing in the cache.
func TestBuildHostDoesNotShow(t *testing.T) {
	one, err := os.ReadFile(build(t, sources(t, nil), "amd64").Path)
	if err != nil {
		t.Fatal(err)
	}

	settings := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(settings, []byte("GOFLAGS=-tags=foreign\nGOAMD64=v3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"GOENV": settings, "GOAMD64": "v2", "CGO_ENABLED": "1", "GOOS": "windows",
		"TZ": "Asia/Kolkata", "LC_ALL": "tr_TR.UTF-8", "GOCACHE": t.TempDir(), "HOME": t.TempDir(),
	} {
		t.Setenv(name, value)
	}
	source := sources(t, nil)
	b := build(t, source, "amd64")
	other, err := os.ReadFile(b.Path)
	if err != nil {
		t.Fatal(err)
	}
	if string(one) != string(other) {
		t.Error("the two differ")
	}
	if strings.Contains(string(other), source) {
		t.Error("it names the folder of the sources")
	}
}

func TestBrokenSourcesAreNamed(t *testing.T) {
	cases := map[string]struct {
		arch, want string
		more       map[string]string
	}{
		"a mistake":         {"amd64", "undefined: missing", map[string]string{"cmd/bad.go": "package main\n\nvar _ = missing\n"}},
		"no such package":   {"amd64", "example.test/m/cmd", map[string]string{"cmd/main.go": "package other\n"}},
		"another processor": {"pdp11", "pdp11", nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := compile.Build(t.Context(), &compile.Config{Source: sources(t, c.more), Dir: t.TempDir(), Arch: c.arch}, program, "program")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Build = %v, want %q", err, c.want)
			}
		})
	}
}
