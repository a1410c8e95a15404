package buildroot

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"pillarbox/buildroot/fat"
	"pillarbox/buildroot/input"
	"pillarbox/buildroot/partition"
)

// The boot sector that a legacy BIOS starts knows no files: it loads the kernel
// and its arguments from the sectors that are written into it, of the disk that
// the BIOS calls the first. So it must be written anew when one of the two files
// moves, and both must lie in one piece.
//
// It is a program of its own under the GNU General Public License, version 3:
// its source and the licence lie beside it on the boot partition.
const (
	// Where the two sector numbers stand, the kernel's first.
	biosNumbers = 432

	// It reads one sector of arguments; a zero ends them.
	biosArguments = partition.SectorSize - 1
)

// legacy tells whether the image starts on machines with a legacy BIOS too.
func (d *Declaration) legacy() bool { return d.Arch == "amd64" && d.Boot == BootUEFI }

// biosFiles fetches the boot sector and returns what belongs to it on the boot
// partition.
func (b *builder) biosFiles(ctx context.Context, commandLine string) ([]content, error) {
	done := b.step("fetch bootsector")
	if len(commandLine) >= biosArguments {
		return nil, fmt.Errorf("a BIOS cannot load %d bytes of kernel arguments", len(commandLine))
	}
	m, err := input.LookupModule("bootsector")
	if err != nil {
		return nil, err
	}
	dir, err := m.Fetch(ctx)
	if err != nil {
		return nil, err
	}
	b.manifest.BootSector = &m
	if b.bios, err = os.ReadFile(filepath.Join(dir, "mbr", "bootloader.img")); err != nil {
		return nil, err
	}
	if len(b.bios) != partition.CodeSize {
		return nil, fmt.Errorf("the boot sector has %d bytes", len(b.bios))
	}
	source, err := hostFile("licenses/bootsector.asm", filepath.Join(dir, "mbr", "bootloader.asm"), 0o644)
	if err != nil {
		return nil, err
	}
	done(0)
	p, err := b.pkg(ctx, "base-files")
	if err != nil {
		return nil, err
	}
	license, err := p.Read(ctx, "usr/share/common-licenses/GPL-3")
	if err != nil {
		return nil, err
	}

	return []content{source, literal("licenses/bootsector-gpl-3.txt", license, 0o644)}, nil
}

// bootCode returns the boot sector for the place of the files, or nothing.
func (b *builder) bootCode(boot *partition.Partition, files *fat.Config) ([]byte, error) {
	if b.bios == nil {
		return nil, nil
	}
	code := append([]byte{}, b.bios...)
	for i, name := range []string{"vmlinuz", "cmdline.txt"} {
		at, err := fat.Offset(files, name)
		if err != nil {
			return nil, fmt.Errorf("find %s for the boot sector: %w", name, err)
		}
		binary.LittleEndian.PutUint32(code[biosNumbers+4*i:], uint32((boot.Offset()+at)/partition.SectorSize))
	}

	return code, nil
}
