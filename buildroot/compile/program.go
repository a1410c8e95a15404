package compile

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
)

// Program is what to build.
type Program struct {
	Package string            // import path
	Vars    map[string]string // string variables that the linker sets, as importpath.name
}

// Config says how.
type Config struct {
	Source string // the folder of our module
	Dir    string // where programs are put
	Arch   string // amd64 or arm64
}

// Binary is a program that was built.
type Binary struct {
	Path string // in the file system
	Info *debug.BuildInfo
}

// Build builds a program. If the one that is there was made of the same sources,
// it is kept: the Go tool knows it by the build ID in it.
func Build(ctx context.Context, c *Config, p *Program, name string) (*Binary, error) {
	out, err := filepath.Abs(filepath.Join(c.Dir, c.Arch, name))
	if err != nil {
		return nil, err
	}
	flags := "-s -w"
	for _, v := range slices.Sorted(maps.Keys(p.Vars)) {
		flags += fmt.Sprintf(" -X %s=%s", v, p.Vars[v])
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-ldflags", flags, "-o", out, p.Package)
	cmd.Dir = c.Source
	// The oldest processors of each architecture are good enough for mail. Flags
	// that the user has set for himself count only where there are none here.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+c.Arch, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=-trimpath")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		_ = os.Remove(out) // it may be there in part
		return nil, fmt.Errorf("build %s for %s: %w\n%s", p.Package, c.Arch, err, stderr.Bytes())
	}
	info, err := buildinfo.ReadFile(out)
	if err != nil {
		return nil, fmt.Errorf("read the modules of %s: %w", p.Package, err)
	}

	return &Binary{Path: out, Info: info}, nil
}
