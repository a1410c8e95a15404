package buildroot

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

// loaderConf starts the one entry at once; the kernel's arguments cannot be
// edited on the screen.
const loaderConf = "default gokrazy.conf\ntimeout 0\neditor no\n"

// raspberryConfig is the boot ROM's configuration.
const raspberryConfig = `# Read by the Raspberry Pi's own loader.
arm_64bit=1
kernel=vmlinuz
enable_uart=1
disable_splash=1
`

// bootFiles returns the contents of the boot partition.
func (b *builder) bootFiles(ctx context.Context, commandLine string) ([]content, error) {
	kernel := filepath.Join(b.kernelDir, "vmlinuz")
	vmlinuz, err := hostFile("vmlinuz", kernel, 0o644)
	if err != nil {
		return nil, err
	}
	files := []content{
		vmlinuz,
		literal("cmdline.txt", []byte(commandLine+"\n"), 0o644),
		literal("pillarbox.toml", b.Provision, 0o644),
	}
	license, err := hostFile("licenses/linux.txt", filepath.Join(b.kernelDir, "LICENSE.linux"), 0o644)
	if err != nil {
		return nil, err
	}
	files = append(files, license)
	var more []content
	if b.Declaration.legacy() {
		if more, err = b.biosFiles(ctx, commandLine); err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	if b.Declaration.Boot == BootUEFI {
		more, err = b.uefiFiles(ctx, commandLine)
	} else {
		more, err = b.raspberryFiles(ctx)
	}

	return append(files, more...), err
}

func (b *builder) uefiFiles(ctx context.Context, commandLine string) ([]content, error) {
	// The names that firmware looks for on removable disks.
	loader, name := "systemd-bootx64.efi", "BOOTX64.EFI"
	if b.Declaration.Arch == "arm64" {
		loader, name = "systemd-bootaa64.efi", "BOOTAA64.EFI"
	}
	p, err := b.pkg(ctx, "systemd-boot-efi")
	if err != nil {
		return nil, err
	}
	efi, err := p.Read(ctx, "usr/lib/systemd/boot/efi/"+loader)
	if err != nil {
		return nil, err
	}
	license, err := p.Read(ctx, "usr/share/doc/systemd-boot-efi/copyright")
	if err != nil {
		return nil, err
	}
	entry := fmt.Sprintf("title Pillarbox\nlinux /vmlinuz\noptions %s\n", commandLine)

	return []content{
		literal("EFI/BOOT/"+name, efi, 0o644),
		literal("loader/loader.conf", []byte(loaderConf), 0o644),
		// gokrazy's updater knows the entry by this name.
		literal("loader/entries/gokrazy.conf", []byte(entry), 0o644),
		literal("licenses/systemd-boot.txt", license, 0o644),
	}, nil
}

func (b *builder) raspberryFiles(ctx context.Context) ([]content, error) {
	trees, err := hostTree("", b.kernelDir, func(name string) bool {
		return path.Ext(name) == ".dtb" && path.Dir(name) == "." || strings.HasPrefix(name, "overlays/")
	})
	if err != nil {
		return nil, err
	}
	firmwareDir, err := b.fetchFirmware(ctx)
	if err != nil {
		return nil, err
	}
	// The loaders with reduced (cd), debugging (db) and camera (x) functions
	// are left out.
	wanted := map[string]string{
		"bootcode.bin": "", "start.elf": "", "fixup.dat": "", "start4.elf": "", "fixup4.dat": "",
		"LICENSE.broadcom": "licenses/broadcom.txt",
	}
	firmware, err := hostTree("", firmwareDir, func(name string) bool {
		_, ok := wanted[name]
		return ok
	})
	if err != nil {
		return nil, err
	}
	if len(firmware) != len(wanted) {
		return nil, fmt.Errorf("the firmware module lacks some of its files")
	}
	for i := range firmware {
		if other := wanted[firmware[i].path]; other != "" {
			firmware[i].path = other
		}
	}

	return append(append(trees, firmware...), literal("config.txt", []byte(raspberryConfig), 0o644)), nil
}
