package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
)

type versionCommand struct {
	jsonFlag

	Manifest string `hidden:"" default:"/etc/pillarbox/manifest.json"` // the image builder puts it there
}

// versionInfo is what the command tells.
type versionInfo struct {
	Version  string          `json:"version"`
	Go       string          `json:"go"`
	Platform string          `json:"platform"`
	Modules  []moduleVersion `json:"modules"`         // that the program is made of
	Image    json.RawMessage `json:"image,omitempty"` // the manifest of the firmware
}

type moduleVersion struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Sum     string `json:"sum,omitempty"`
}

// Run prints the version.
func (c *versionCommand) Run(e *env) error {
	v := versionInfo{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if !c.JSON {
		_, err := fmt.Fprintf(e.stdout, "pillarbox %s (%s, %s)\n", v.Version, v.Go, v.Platform)
		return err
	}
	v.Modules = modules()
	var err error
	if v.Image, err = readManifest(c.Manifest); err != nil {
		return err
	}

	return printJSON(e.stdout, v)
}

func modules() []moduleVersion {
	all := []moduleVersion{}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return all
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		all = append(all, moduleVersion{Path: m.Path, Version: m.Version, Sum: m.Sum})
	}

	return all
}

// readManifest returns nil where the program is not part of an image.
func readManifest(name string) (json.RawMessage, error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the image's manifest: %w", err)
	}
	if !json.Valid(b) {
		return nil, fmt.Errorf("read the image's manifest: %s is not JSON", name)
	}

	return b, nil
}
