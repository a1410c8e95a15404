package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"pillarbox/images/machine"
)

type runCommand struct {
	Image       string `required:"" short:"i" help:"Which image; only those for QEMU and PCs run." placeholder:"NAME" enum:"qemu-amd64,qemu-arm64,pc-amd64"`
	From        string `required:"" help:"The image's file." type:"existingfile" placeholder:"FILE"`
	Disk        string `required:"" help:"The machine's disk; if it is missing, it is made from the image." type:"path" placeholder:"FILE"`
	Size        int64  `help:"The size of a new disk, in GiB." default:"4"`
	Memory      int    `help:"The machine's memory, in MiB." default:"512"`
	Imaps       int    `help:"The port of this host that leads to 993." default:"9993" placeholder:"PORT"`
	ImapsLegacy int    `help:"The port of this host that leads to 990." default:"9990" placeholder:"PORT"`
	HTTPS       int    `name:"https" help:"The port of this host that leads to the web page." default:"9443" placeholder:"PORT"`
}

// Run runs the machine before the person who called.
func (c *runCommand) Run(ctx context.Context, e *env) error {
	if err := makeDisk(c.From, c.Disk, c.Size<<30); err != nil {
		return fmt.Errorf("make the machine's disk: %w", err)
	}
	kind := map[string]string{"qemu-amd64": machine.Q35, "qemu-arm64": machine.Virt, "pc-amd64": machine.PC}[c.Image]
	config := &machine.Config{
		Kind: kind, Disk: c.Disk, Dir: filepath.Dir(c.Disk), Memory: c.Memory,
		IMAPS: c.Imaps, IMAPSLegacy: c.ImapsLegacy, HTTPS: c.HTTPS,
	}
	in, ok := e.stdin.(*os.File)
	if !ok {
		return errors.New("a machine needs a terminal")
	}

	return machine.Run(ctx, config, in, e.stdout, func(imaps, legacy, https string) {
		fmt.Fprintf(e.stderr, "IMAP over TLS will answer at %s and %s, and the web page at https://%s/, in half a minute.\n"+
			"The console below shows the code that claims the box, and has a menu. Ctrl-A X ends the machine.\n", imaps, legacy, https)
	})
}

// makeDisk copies the image to a larger disk, leaving out what is zero. A disk
// that is there is kept.
func makeDisk(from, to string, size int64) (err error) {
	if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	part := to + ".part"
	out, err := os.Create(part)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err == nil {
			err = os.Rename(part, to)
		}
	}()
	if err := out.Truncate(max(size, info.Size())); err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	for at := int64(0); ; {
		n, err := io.ReadFull(in, buf)
		if !allZero(buf[:n]) {
			if _, err := out.WriteAt(buf[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func allZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}

	return true
}
