package buildroot

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"pillarbox/buildroot/input"
)

// declarationFile is the name of a declaration in its image's folder.
const declarationFile = "image.toml"

// The ways in which a machine starts its kernel.
const (
	BootUEFI        = "uefi"        // systemd-boot
	BootRaspberryPi = "raspberrypi" // the boot ROM's own loader
)

// Declaration says what an image is made of. Sizes are in MiB.
type Declaration struct {
	Name      string   `toml:"-"`
	Summary   string   `toml:"summary"`
	Arch      string   `toml:"arch"`      // amd64 or arm64
	Kernel    string   `toml:"kernel"`    // a module of package input
	Boot      string   `toml:"boot"`      // uefi or raspberrypi
	Console   []string `toml:"console"`   // as the kernel names them; the last is the main one
	Arguments []string `toml:"arguments"` // more for the kernel
	Host      string   `toml:"host"`      // the host name until the box is given another
	BootSize  int64    `toml:"boot-size"`
	RootSize  int64    `toml:"root-size"` // of each of the two
}

// Defaults, in MiB. The sizes of a box's partitions stay for its life, so they
// leave room for programs and kernels twice as large as today's.
const (
	defaultBootSize = 96
	defaultRootSize = 128
	defaultHost     = "pillarbox"
)

var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// ReadDeclarations reads the declaration of each folder of fsys, by name.
func ReadDeclarations(fsys fs.FS) ([]*Declaration, error) {
	files, err := fs.Glob(fsys, "*/"+declarationFile)
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var all []*Declaration
	for _, file := range files {
		text, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, err
		}
		d, err := parseDeclaration(path.Dir(file), string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, d)
	}

	return all, nil
}

func parseDeclaration(name, text string) (*Declaration, error) {
	d := &Declaration{
		Name:     name,
		Host:     defaultHost,
		BootSize: defaultBootSize,
		RootSize: defaultRootSize,
	}
	meta, err := toml.Decode(text, d)
	if err != nil {
		return nil, err
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("%s is unknown", unknown[0])
	}

	return d, d.validate()
}

func (d *Declaration) validate() error {
	var problems []error
	complain := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if d.Arch != "amd64" && d.Arch != "arm64" {
		complain("arch: %q is neither amd64 nor arm64", d.Arch)
	}
	if _, err := input.LookupModule(d.Kernel); err != nil {
		complain("kernel: %w", err)
	}
	if d.Boot != BootUEFI && d.Boot != BootRaspberryPi {
		complain("boot: %q is neither %s nor %s", d.Boot, BootUEFI, BootRaspberryPi)
	}
	if len(d.Console) == 0 {
		complain("console: there must be one")
	}
	if !hostName.MatchString(d.Host) {
		complain("host: %q is no host name", d.Host)
	}
	if d.BootSize < 16 || d.BootSize > 1024 {
		complain("boot-size: %d MiB is not between 16 and 1024", d.BootSize)
	}
	if d.RootSize < 16 || d.RootSize > 4096 {
		complain("root-size: %d MiB is not between 16 and 4096", d.RootSize)
	}

	return errors.Join(problems...)
}

// commandLine returns the kernel's arguments for the root file system in
// partition root.
func (d *Declaration) commandLine(bootID string, root int) string {
	var args []string
	for _, c := range d.Console {
		args = append(args, "console="+c)
	}
	args = append(args,
		// The root is found by its place after the boot partition.
		fmt.Sprintf("root=PARTUUID=%s/PARTNROFF=%d", bootID, root-1),
		"ro", "rootwait", "init=/gokrazy/init",
		// Take the backup of the partition table if the first copy is damaged.
		"gpt",
		"panic=10", "oops=panic",
		// Warnings and worse: the console belongs to the person before it.
		"loglevel=5",
	)

	return strings.Join(append(args, d.Arguments...), " ")
}
