package input

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// Module is a Go module that is used as a folder of files.
type Module struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Sum     string `json:"sum"`
}

// The modules that images are made of. To move one on, take its version and
// the Sum that go mod download -json prints.
var modules = map[string]Module{
	"kernel.amd64": {
		Path:    "github.com/gokrazy/kernel.amd64",
		Version: "v0.0.0-20260705070735-de680abf072b",
		Sum:     "h1:H9m4mwDqTyQG0AKVviBQp09T3OrY1X3tHNyrJCbqJfY=",
	},
	"kernel.arm64": {
		Path:    "github.com/gokrazy/kernel.arm64",
		Version: "v0.0.0-20260705071517-37841c4d6ff1",
		Sum:     "h1:MYq3OcTlEz46i/DZxG3c6ePjE6Te/024cPW2VHTBVAs=",
	},
	"kernel.rpi": {
		Path:    "github.com/gokrazy/kernel.rpi",
		Version: "v0.0.0-20251127164438-9778ec0261de",
		Sum:     "h1:RSLWj1Ska9s4cl+n/bC5LY4s8vLr+tZoO2vMm/wGP64=",
	},
	// The boot sector for a legacy BIOS, and its source. An older one cannot load
	// kernels of more than 15 MiB.
	"bootsector": {
		Path:    "github.com/gokrazy/internal",
		Version: "v0.0.0-20251208203110-3c1aa9087c82",
		Sum:     "h1:4ghNfD9NaZLpFrqQiBF6mPVFeMYXJSky38ubVA4ic2E=",
	},
	"firmware": {
		Path:    "github.com/gokrazy/firmware",
		Version: "v0.0.0-20260522070551-527ce0ed43cf",
		Sum:     "h1:WRmvIwhtcWJfHnrfpfXWPh3Xq6Lztn0y5l3li+NjaYw=",
	},
}

// LookupModule returns a pinned module by its short name.
func LookupModule(name string) (Module, error) {
	m, ok := modules[name]
	if !ok {
		return Module{}, fmt.Errorf("no module %q is pinned", name)
	}

	return m, nil
}

// Fetch returns the folder with the module's files, downloading it if needed.
func (m Module) Fetch(ctx context.Context) (dir string, err error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", m.Path+"@"+m.Version)
	cmd.Dir = os.TempDir() // outside of our module: what is pinned here is not in its go.mod
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GO111MODULE=on")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, runErr := cmd.Output()
	var answer struct{ Dir, Sum, Error string }
	if err := json.Unmarshal(out, &answer); err != nil {
		return "", fmt.Errorf("download %s: %w: %s", m.Path, errors.Join(runErr, err), stderr.String())
	}
	if answer.Error != "" {
		return "", fmt.Errorf("download %s: %s", m.Path, answer.Error)
	}
	if runErr != nil {
		return "", fmt.Errorf("download %s: %w", m.Path, runErr)
	}
	if answer.Sum != m.Sum {
		return "", fmt.Errorf("download %s: its sum is %s, but %s is pinned", m.Path, answer.Sum, m.Sum)
	}

	return answer.Dir, nil
}
