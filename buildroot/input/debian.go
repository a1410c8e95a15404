package input

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// maxPackageFile bounds a file taken out of a package, in bytes.
const maxPackageFile = 64 << 20

// Package is a Debian package that was fetched.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
	SHA256  string `json:"sha256"`

	file string
}

// Debian fetches packages of any architecture. It keeps apt's state in a
// folder of its own and changes nothing on the build host.
type Debian struct {
	Dir string // a cache; made if missing

	updated map[string]bool // architectures whose lists are of today
}

// Fetch downloads a package, unless the cache has it already.
func (d *Debian) Fetch(ctx context.Context, name, arch string) (*Package, error) {
	dir, err := filepath.Abs(filepath.Join(d.Dir, arch))
	if err != nil {
		return nil, err
	}
	debs := filepath.Join(dir, "packages")
	if p, err := find(debs, name, arch); err != nil || p != nil {
		return p, err
	}
	for _, sub := range []string{"state/lists/partial", "cache/archives/partial", "packages"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(sub)), 0o755); err != nil {
			return nil, err
		}
	}
	options := []string{
		"-q",
		"-o", "APT::Architecture=" + arch,
		"-o", "APT::Architectures::=" + arch,
		"-o", "Dir::State=" + filepath.Join(dir, "state"),
		"-o", "Dir::State::status=/dev/null",
		"-o", "Dir::Cache=" + filepath.Join(dir, "cache"),
		"-o", "APT::Sandbox::User=", // the folder need not be readable to another user
	}
	commands := [][]string{{"update"}, {"download", name + ":" + arch}}
	if d.updated[arch] {
		commands = commands[1:]
	}
	for _, command := range commands {
		cmd := exec.CommandContext(ctx, "apt-get", append(options, command...)...)
		cmd.Dir = debs
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("apt-get %s: %w: %s", strings.Join(command, " "), err, lastLine(out))
		}
	}
	if d.updated == nil {
		d.updated = map[string]bool{}
	}
	d.updated[arch] = true
	p, err := find(debs, name, arch)
	if err == nil && p == nil {
		err = fmt.Errorf("apt-get brought no package %s for %s", name, arch)
	}

	return p, err
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")

	return lines[len(lines)-1]
}

// find looks for a package file in a folder. It returns nil if there is none.
func find(dir, name, arch string) (*Package, error) {
	files, err := filepath.Glob(filepath.Join(dir, name+"_*_"+arch+".deb"))
	if err != nil || len(files) == 0 {
		return nil, err
	}
	file := files[len(files)-1]
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	version := strings.Split(filepath.Base(file), "_")[1]

	return &Package{
		Name:    name,
		Version: strings.ReplaceAll(version, "%3a", ":"),
		Arch:    arch,
		SHA256:  hex.EncodeToString(h.Sum(nil)),
		file:    file,
	}, nil
}

// Read returns a file of the package by its path without a leading slash.
func (p *Package) Read(ctx context.Context, name string) (data []byte, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", p.file)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("unpack %s: %w", p.Name, err)
	}
	defer func() {
		stop() // the rest of the package is not read
		_ = cmd.Wait()
	}()
	for archive := tar.NewReader(out); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("unpack %s: it has no file %s", p.Name, name)
		}
		if err != nil {
			return nil, fmt.Errorf("unpack %s: %w", p.Name, err)
		}
		if strings.TrimPrefix(h.Name, "./") != name {
			continue
		}
		if h.Size > maxPackageFile {
			return nil, fmt.Errorf("unpack %s: %s has %d bytes", p.Name, name, h.Size)
		}

		return io.ReadAll(archive)
	}
}
