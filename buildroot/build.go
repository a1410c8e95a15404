package buildroot

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"

	"pillarbox/buildroot/fat"
	"pillarbox/buildroot/input"
	"pillarbox/buildroot/partition"
)

const (
	mebibyte = 1 << 20

	// The boot partition begins where gokrazy has it. Whole MiB suit flash.
	firstSector = 8192

	// The data partition of an image, in MiB: what the device needs to see
	// that it is new. The device grows it to the disk.
	dataSize = 16
)

// Config says what to build.
type Config struct {
	Declaration *Declaration
	Source      string    // the folder of our module
	Cache       string    // a folder for what is used again
	Version     string    // of the product
	Date        time.Time // of everything in the image; the box's clock never runs behind it
	Provision   []byte    // pillarbox.toml
	Report      func(Step)
}

// Step is a piece of work that is done.
type Step struct {
	What string
	Took time.Duration
	Size int64 // of what came out, in bytes; 0 if that says nothing
}

// Result describes an image.
type Result struct {
	Size     int64 // of the image in bytes
	Boot     int64 // used on the boot partition
	Root     int64 // of the root file system
	Manifest *Manifest
}

// builder holds what one image needs while it is built.
type builder struct {
	*Config
	debian    *input.Debian
	manifest  *Manifest
	kernelDir string
	bios      []byte // the boot sector for a legacy BIOS, without the files' places
}

// Build writes an image to the file name. What is there is replaced when the
// image is complete.
func Build(ctx context.Context, c *Config, name string) (*Result, error) {
	if c.Date.Year() < 1980 || c.Date.Year() > 2100 {
		return nil, fmt.Errorf("an image cannot be dated %s", c.Date)
	}
	b := &builder{
		Config: c,
		debian: &input.Debian{Dir: filepath.Join(c.Cache, "debian")},
		manifest: &Manifest{
			Image:    c.Declaration.Name,
			Version:  c.Version,
			Date:     c.Date.UTC(),
			Arch:     c.Declaration.Arch,
			Packages: []*input.Package{},
		},
	}

	return b.build(ctx, name)
}

// step begins a piece of work; the function that it returns ends it.
func (b *builder) step(what string) (done func(size int64)) {
	start := time.Now()

	return func(size int64) {
		if b.Report != nil {
			b.Report(Step{What: what, Took: time.Since(start), Size: size})
		}
	}
}

func (b *builder) build(ctx context.Context, name string) (*Result, error) {
	if err := b.fetchKernel(ctx); err != nil {
		return nil, err
	}
	commandLine := b.Declaration.commandLine(string(partition.ID(b.Declaration.Host, 1)), 2)
	boot, err := b.bootFiles(ctx, commandLine)
	if err != nil {
		return nil, fmt.Errorf("collect the boot files: %w", err)
	}
	root, err := b.rootFiles(ctx)
	if err != nil {
		return nil, fmt.Errorf("collect the root files: %w", err)
	}
	b.list("boot:/", boot)
	b.list("/", root)
	manifest, err := b.manifest.encode()
	if err != nil {
		return nil, err
	}
	rootName, err := b.rootImage(append(root, literal(manifestPath, manifest, 0o644)))
	if err != nil {
		return nil, err
	}
	rootInfo, err := os.Stat(rootName)
	if err != nil {
		return nil, err
	}
	size, err := b.assemble(name, rootName, boot)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}

	return &Result{Size: size, Boot: totalSize(boot), Root: rootInfo.Size(), Manifest: b.manifest}, nil
}

// list notes the files in the manifest. The provisioning file is left out: it
// belongs to one box.
func (b *builder) list(prefix string, files []content) {
	for _, f := range files {
		if f.sha256 != "" && f.path != "pillarbox.toml" {
			b.manifest.Files = append(b.manifest.Files, FileHash{Path: prefix + f.path, Size: f.size, SHA256: f.sha256})
		}
	}
}

func (b *builder) fetchKernel(ctx context.Context) error {
	done := b.step("fetch " + b.Declaration.Kernel)
	m, err := input.LookupModule(b.Declaration.Kernel)
	if err != nil {
		return err
	}
	b.manifest.Kernel = m
	if b.kernelDir, err = m.Fetch(ctx); err != nil {
		return err
	}
	done(0)

	return nil
}

func (b *builder) fetchFirmware(ctx context.Context) (dir string, err error) {
	done := b.step("fetch firmware")
	m, err := input.LookupModule("firmware")
	if err != nil {
		return "", err
	}
	b.manifest.Firmware = &m
	if dir, err = m.Fetch(ctx); err != nil {
		return "", err
	}
	done(0)

	return dir, nil
}

// pkg fetches a Debian package for the image's architecture and notes it.
func (b *builder) pkg(ctx context.Context, name string) (*input.Package, error) {
	done := b.step("fetch " + name)
	p, err := b.debian.Fetch(ctx, name, b.Declaration.Arch)
	if err != nil {
		return nil, err
	}
	done(0)
	b.manifest.Packages = append(b.manifest.Packages, p)

	return p, nil
}

// table returns the partitions of the image.
func (b *builder) table() *partition.Table {
	host := b.Declaration.Host
	// The Raspberry Pi's boot ROM takes the partition by its MBR entry alone;
	// UEFI wants its own type.
	t := &partition.Table{Disk: partition.ID(host, 0)}
	next := uint64(firstSector)
	for i, p := range []struct {
		name string
		kind partition.GUID
		size int64
	}{
		{"boot", partition.TypeESP, b.Declaration.BootSize},
		{"root-a", partition.TypeLinux, b.Declaration.RootSize},
		{"root-b", partition.TypeLinux, b.Declaration.RootSize},
		{"perm", partition.TypeLinux, dataSize},
	} {
		count := uint64(p.size) * mebibyte / partition.SectorSize
		t.Partitions = append(t.Partitions, partition.Partition{
			Type: p.kind, ID: partition.ID(host, i+1), Name: p.name, First: next, Count: count,
		})
		next += count
	}
	// Whole MiB in all.
	const align = mebibyte / partition.SectorSize
	t.Sectors = (next + partition.Reserved + align - 1) / align * align

	return t
}

// assemble writes the image under a temporary name beside its place.
func (b *builder) assemble(name, rootName string, boot []content) (size int64, err error) {
	done := b.step("image")
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return 0, err
	}
	defer func() {
		_ = f.Close()
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	t := b.table()
	size = int64(t.Sectors) * partition.SectorSize
	if err := f.Truncate(size); err != nil {
		return 0, err
	}
	p := &t.Partitions[0]
	c := &fat.Config{
		Size:   p.Size(),
		Label:  "PILLARBOX",
		Serial: crc32.ChecksumIEEE([]byte(p.ID)),
		Time:   b.Date,
		Hidden: uint32(p.First),
	}
	for _, file := range boot {
		c.Files = append(c.Files, fat.File{Path: file.path, Size: file.size, Open: file.open})
	}
	if t.Code, err = b.bootCode(p, c); err != nil {
		return 0, err
	}
	if err := t.Write(f); err != nil {
		return 0, err
	}
	if err := fat.Write(io.NewOffsetWriter(f, p.Offset()), c); err != nil {
		return 0, err
	}
	if err := copyRoot(f, &t.Partitions[1], rootName); err != nil {
		return 0, err
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync()); err != nil {
		return 0, err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return 0, err
	}
	done(size)

	return size, nil
}

func copyRoot(w io.WriterAt, p *partition.Partition, name string) error {
	root, err := os.Open(name)
	if err != nil {
		return err
	}
	defer root.Close()
	n, err := io.Copy(io.NewOffsetWriter(w, p.Offset()), io.LimitReader(root, p.Size()+1))
	if err != nil {
		return fmt.Errorf("copy root file system: %w", err)
	}
	if n > p.Size() {
		return fmt.Errorf("the root file system is larger than its partition of %d bytes", p.Size())
	}

	return nil
}
