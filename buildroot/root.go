package buildroot

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"pillarbox/buildroot/compile"
	"pillarbox/buildroot/rootfs"
)

// program is a program of the root file system.
type program struct {
	path string
	pkg  string
	vars map[string]string
}

// programs returns what is built for an image. The names of the two folders
// are gokrazy's.
func programs(version string) []program {
	return []program{
		{path: "gokrazy/init", pkg: "pillarbox/cmd/init"},
		{path: "gokrazy/randomd", pkg: "github.com/gokrazy/gokrazy/cmd/randomd"},
		{path: "user/pillarbox", pkg: "pillarbox/cmd/pillarbox", vars: map[string]string{"main.version": version}},
	}
}

// buildPrograms builds all programs and notes their modules.
func (b *builder) buildPrograms(ctx context.Context) ([]content, error) {
	c := &compile.Config{Source: b.Source, Dir: filepath.Join(b.Cache, "programs"), Arch: b.Declaration.Arch}
	var files []content
	for _, p := range programs(b.Version) {
		done := b.step("build " + p.path)
		binary, err := compile.Build(ctx, c, &compile.Program{Package: p.pkg, Vars: p.vars}, filepath.Base(p.path))
		if err != nil {
			return nil, err
		}
		f, err := hostFile(p.path, binary.Path, 0o755)
		if err != nil {
			return nil, err
		}
		done(f.size)
		files = append(files, f)
		b.manifest.Programs = append(b.manifest.Programs, programModules("/"+p.path, binary))
		b.manifest.Go = binary.Info.GoVersion
	}

	return files, nil
}

// rootFiles returns the contents of the root file system without the manifest.
func (b *builder) rootFiles(ctx context.Context) ([]content, error) {
	files, err := b.buildPrograms(ctx)
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{"boot", "damaged", "dev", "etc", "perm", "proc", "run", "sys", "tmp", "perm/var"} {
		files = append(files, folder(dir))
	}
	files = append(files,
		link("var", "perm/var"),
		// gokrazy tells services apart by their paths.
		link("gokrazy/network", "../user/pillarbox"),
		// The network's program puts the resolver's configuration there; the empty
		// file is what the link points to until /tmp is mounted over it.
		link("etc/resolv.conf", "../tmp/resolv.conf"),
		literal("tmp/resolv.conf", nil, 0o644),
		literal("etc/hostname", []byte(b.Declaration.Host), 0o644),
		literal("etc/hosts", []byte("127.0.0.1 localhost\n::1 localhost\n"), 0o644),
	)

	check, err := b.pkg(ctx, "e2fsck-static")
	if err != nil {
		return nil, err
	}
	for from, to := range map[string]string{
		"sbin/e2fsck.static":                    "sbin/e2fsck",
		"usr/share/doc/e2fsck-static/copyright": "etc/pillarbox/licenses/e2fsck.txt",
	} {
		data, err := check.Read(ctx, from)
		if err != nil {
			return nil, err
		}
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(to, "sbin/") {
			mode = 0o755
		}
		files = append(files, literal(to, data, mode))
	}

	goRoot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("find the Go installation: %w", err)
	}
	zones, err := hostFile("etc/zoneinfo.zip",
		filepath.Join(strings.TrimSpace(string(goRoot)), "lib", "time", "zoneinfo.zip"), 0o644)
	if err != nil {
		return nil, fmt.Errorf("find the time zones: %w", err)
	}
	files = append(files, zones)

	if b.Declaration.Boot == BootRaspberryPi {
		// The fan of a Raspberry Pi 5 is driven by a module. The other kernels
		// need none.
		modules, err := hostTree("lib", filepath.Join(b.kernelDir, "lib"), func(string) bool { return true })
		if err != nil {
			return nil, err
		}
		files = append(files, modules...)
	}

	return files, nil
}

// rootImage returns the name of a file with the root file system: the one in
// the cache, if its contents are these.
func (b *builder) rootImage(files []content) (name string, err error) {
	done := b.step("root file system")
	dir := filepath.Join(b.Cache, "root")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	name = filepath.Join(dir, b.Declaration.Name+"-"+fingerprint(files, rootFormat, b.Date.String())[:32]+".squashfs")
	if info, err := os.Stat(name); err == nil {
		done(info.Size())
		return name, nil
	}
	old, err := filepath.Glob(filepath.Join(dir, b.Declaration.Name+"-*.squashfs*"))
	if err != nil {
		return "", err
	}
	for _, o := range old {
		if err := os.Remove(o); err != nil {
			return "", err
		}
	}
	var entries []rootfs.Entry
	for _, f := range files {
		entries = append(entries, rootfs.Entry{Path: f.path, Mode: f.mode, Open: f.open, Target: f.target})
	}
	if err := rootfs.Write(name+".part", entries, b.Date); err != nil {
		return "", err
	}
	if err := os.Rename(name+".part", name); err != nil {
		return "", err
	}
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	done(info.Size())

	return name, nil
}

// rootFormat changes when the same contents would give another file.
const rootFormat = "squashfs 2"
