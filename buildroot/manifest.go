package buildroot

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"pillarbox/buildroot/compile"
	"pillarbox/buildroot/input"
)

// manifestPath is where the manifest lies in the root file system. pillarbox
// version reads it there.
const manifestPath = "etc/pillarbox/manifest.json"

// Manifest lists what an image is made of.
type Manifest struct {
	Image      string           `json:"image"`
	Version    string           `json:"version"`
	Date       time.Time        `json:"date"`
	Arch       string           `json:"arch"`
	Go         string           `json:"go"`
	Kernel     input.Module     `json:"kernel"`
	Firmware   *input.Module    `json:"firmware,omitempty"`
	BootSector *input.Module    `json:"boot-sector,omitempty"`
	Packages   []*input.Package `json:"packages"`
	Programs   []ProgramModules `json:"programs"`
	Files      []FileHash       `json:"files"`
}

// ProgramModules names the modules that a program was built from.
type ProgramModules struct {
	Path    string       `json:"path"`
	Package string       `json:"package"`
	Modules []ModuleLine `json:"modules"`
}

// ModuleLine is a Go module in a program.
type ModuleLine struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Sum     string `json:"sum,omitempty"`
}

// FileHash is a file of the boot or root file system.
type FileHash struct {
	Path   string `json:"path"` // boot:/… or /…
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func programModules(path string, b *compile.Binary) ProgramModules {
	p := ProgramModules{Path: path, Package: b.Info.Path, Modules: []ModuleLine{}}
	for _, m := range b.Info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		p.Modules = append(p.Modules, ModuleLine{Path: m.Path, Version: m.Version, Sum: m.Sum})
	}

	return p
}

// encode returns the manifest's text. It does not depend on the order in which
// things were added.
func (m *Manifest) encode() ([]byte, error) {
	slices.SortFunc(m.Files, func(a, b FileHash) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortFunc(m.Programs, func(a, b ProgramModules) int { return cmp.Compare(a.Path, b.Path) })
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write manifest: %w", err)
	}

	return append(text, '\n'), nil
}
