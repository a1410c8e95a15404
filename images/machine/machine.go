package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Kinds of machines.
const (
	Q35           = "q35"       // x86-64 with UEFI, virtio
	PC            = "pc"        // x86-64 with UEFI, AHCI and e1000e, as mini-PCs have
	BIOS          = "bios"      // the same with a legacy BIOS
	Virt          = "virt"      // ARM64 with UEFI
	RaspberryVirt = "raspberry" // the Raspberry Pi's kernel on QEMU's own ARM64 board
)

// Config describes a machine.
type Config struct {
	Kind   string
	Disk   string // the file with the disk, which is written to
	Dir    string // for the firmware's variables
	Memory int    // MiB; 0 means 512
	// Steady has a machine with an x86-64 processor count time by what it has
	// done: where the host gives it little time, the kernel else finds its
	// timers broken and may stop at its start. It costs a third more work.
	Steady bool

	// Ports on this host that lead to 993, 990, 80 and 443; 0 takes free ones.
	IMAPS, IMAPSLegacy, HTTP, HTTPS int

	// Wire is a UDP port of this host to which the Ethernet frames of the machine's
	// network are sent; those that are sent back enter it. 0 means that nobody
	// listens.
	Wire int

	// For RaspberryVirt, which has no firmware to load them; a Q35 with a kernel
	// starts it and not what is on the disk.
	Kernel, CommandLine string
}

// Machine is a running emulator.
type Machine struct {
	IMAPS, IMAPSLegacy, HTTP, HTTPS string // addresses on this host
	Started                         time.Time

	cmd     *exec.Cmd
	console *transcript
	stdin   io.WriteCloser
	ended   chan struct{}
	err     error
}

// Start starts a machine. It is killed when the context ends.
func Start(ctx context.Context, c *Config) (*Machine, error) {
	for attempt := 1; ; attempt++ {
		m, err := start(ctx, *c)
		if err != nil {
			return nil, err
		}
		// A port that was free a moment ago may be another program's by now.
		if m.console.awaitWords(ctx); !strings.Contains(m.Console(), portTaken) {
			return m, nil
		}
		m.Cut()
		if attempt == attempts {
			return nil, fmt.Errorf("start QEMU: %s", m.Console())
		}
	}
}

const (
	attempts  = 5
	portTaken = "Could not set up host forwarding rule"
)

func start(ctx context.Context, c Config) (*Machine, error) {
	m := &Machine{console: newTranscript(), ended: make(chan struct{})}
	var err error
	if m.cmd, err = c.prepare(ctx, "stdio"); err != nil {
		return nil, err
	}
	m.IMAPS, m.IMAPSLegacy, m.HTTP, m.HTTPS = onHost(c.IMAPS), onHost(c.IMAPSLegacy), onHost(c.HTTP), onHost(c.HTTPS)
	m.cmd.Stdout, m.cmd.Stderr = m.console, m.console
	if m.stdin, err = m.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	m.Started = time.Now()
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	go func() {
		m.err = m.cmd.Wait()
		m.console.close()
		close(m.ended)
	}()

	return m, nil
}

// Run runs a machine before a person, whose terminal is the console, until it
// switches itself off. ready is told the addresses.
func Run(ctx context.Context, c *Config, terminal *os.File, out io.Writer, ready func(imaps, legacy, https string)) error {
	cmd, err := c.prepare(ctx, "mon:stdio")
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, out, out
	ready(onHost(c.IMAPS), onHost(c.IMAPSLegacy), onHost(c.HTTPS))
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run QEMU: %w", err)
	}

	return nil
}

// onHost returns the address of a port of this host.
func onHost(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// prepare returns the emulator with ports chosen.
func (c *Config) prepare(ctx context.Context, serial string) (*exec.Cmd, error) {
	for _, port := range []*int{&c.IMAPS, &c.IMAPSLegacy, &c.HTTP, &c.HTTPS} {
		if *port != 0 {
			continue
		}
		var err error
		if *port, err = freePort(); err != nil {
			return nil, err
		}
	}
	name, args, err := c.command(serial)
	if err != nil {
		return nil, err
	}

	return exec.CommandContext(ctx, name, args...), nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()

	return l.Addr().(*net.TCPAddr).Port, nil
}

// command returns the emulator's command line.
func (c *Config) command(serial string) (string, []string, error) {
	memory := c.Memory
	if memory == 0 {
		memory = 512
	}
	name := "qemu-system-x86_64"
	args := []string{
		"-nodefaults", "-display", "none", "-serial", serial, "-m", strconv.Itoa(memory),
		"-drive", "file=" + c.Disk + ",format=raw,if=none,id=disk",
	}
	args = append(args, c.network()...)
	switch c.Kind {
	case Q35, PC, BIOS:
		args = append(args, "-M", "q35,accel=tcg", "-cpu", "max", "-smp", "1", "-device", "i6300esb")
		if c.Steady {
			args = append(args, "-icount", "shift=auto")
		}
		switch {
		case c.Kernel != "":
			args = append(args, "-kernel", c.Kernel, "-append", c.CommandLine, "-no-reboot")
		case c.Kind != BIOS:
			flash, err := c.variables()
			if err != nil {
				return "", nil, err
			}
			args = append(args, flash...)
		}
		if c.Kind != Q35 {
			args = append(args, "-device", "ahci,id=ahci", "-device", "ide-hd,drive=disk,bus=ahci.0",
				"-device", "e1000e,netdev=net")
		} else {
			args = append(args, "-device", "virtio-blk-pci,drive=disk", "-device", "virtio-net-pci,netdev=net")
		}
	case Virt, RaspberryVirt:
		name = "qemu-system-aarch64"
		args = append(args, "-M", "virt", "-accel", "tcg,thread=multi", "-cpu", "cortex-a72", "-smp", "2",
			"-device", "virtio-blk-pci,drive=disk", "-device", "virtio-net-pci,netdev=net")
		if c.Kind == Virt {
			args = append(args, "-bios", "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd")
		} else {
			args = append(args, "-kernel", c.Kernel, "-append", c.CommandLine)
		}
	default:
		return "", nil, fmt.Errorf("there is no machine %q", c.Kind)
	}

	return name, args, nil
}

// network returns the arguments for the machine's network, which is called "net".
func (c *Config) network() []string {
	user := "user,id=net"
	if c.Wire != 0 {
		user = "user,id=user"
	}
	for guest, host := range map[int]int{993: c.IMAPS, 990: c.IMAPSLegacy, 80: c.HTTP, 443: c.HTTPS} {
		user += fmt.Sprintf(",hostfwd=tcp:%s-:%d", onHost(host), guest)
	}
	if c.Wire == 0 {
		return []string{"-netdev", user}
	}
	// A hub has three at it: the network, the wire and the machine.
	return []string{
		"-netdev", user, "-netdev", "hubport,id=hub1,hubid=0,netdev=user",
		"-netdev", fmt.Sprintf("socket,id=wire,udp=%s,localaddr=127.0.0.1:0", onHost(c.Wire)), "-netdev", "hubport,id=hub2,hubid=0,netdev=wire",
		"-netdev", "hubport,id=net,hubid=0",
	}
}

// variables returns the arguments for the UEFI firmware and its memory, which
// is kept from one start of the same folder to the next.
func (c *Config) variables() ([]string, error) {
	const firmware = "/usr/share/OVMF/"
	vars := filepath.Join(c.Dir, "vars.fd")
	if _, err := os.Stat(vars); errors.Is(err, os.ErrNotExist) {
		empty, err := os.ReadFile(firmware + "OVMF_VARS_4M.fd")
		if err != nil {
			return nil, fmt.Errorf("find the UEFI firmware: %w", err)
		}
		if err := os.WriteFile(vars, empty, 0o644); err != nil {
			return nil, err
		}
	}

	return []string{
		"-drive", "if=pflash,format=raw,readonly=on,file=" + firmware + "OVMF_CODE_4M.fd",
		"-drive", "if=pflash,format=raw,file=" + vars,
	}, nil
}

// Cut takes the power away.
func (m *Machine) Cut() {
	_ = m.cmd.Process.Kill()
	<-m.ended
}

// WaitEnd waits until the machine has switched itself off.
func (m *Machine) WaitEnd(ctx context.Context) error {
	select {
	case <-m.ended:
		return m.err
	case <-ctx.Done():
		return errors.Join(errors.New("the machine did not switch itself off"), ctx.Err())
	}
}

// Type types a line on the console.
func (m *Machine) Type(line string) error {
	_, err := io.WriteString(m.stdin, line+"\r")

	return err
}

// Expect waits for a text on the console that was not met before, and returns
// what the expression's groups match.
func (m *Machine) Expect(ctx context.Context, re *regexp.Regexp) ([]string, error) {
	return m.console.expect(ctx, re)
}

// Console returns all that the console has shown.
func (m *Machine) Console() string { return m.console.String() }

// transcript collects a console's output.
type transcript struct {
	mu     sync.Mutex
	text   strings.Builder
	met    int // how far Expect has come
	closed bool
	news   chan struct{} // closed when something has changed
}

func newTranscript() *transcript { return &transcript{news: make(chan struct{})} }

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.Write(p)
	close(t.news)
	t.news = make(chan struct{})

	return len(p), nil
}

func (t *transcript) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	close(t.news)
	t.news = make(chan struct{})
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()

	return t.text.String()
}

// awaitWords waits until there is a line, or nothing will come any more.
func (t *transcript) awaitWords(ctx context.Context) {
	for {
		t.mu.Lock()
		done := t.closed || strings.Contains(t.text.String(), "\n")
		news := t.news
		t.mu.Unlock()
		if done {
			return
		}
		select {
		case <-news:
		case <-ctx.Done():
			return
		}
	}
}

func (t *transcript) expect(ctx context.Context, re *regexp.Regexp) ([]string, error) {
	for {
		t.mu.Lock()
		rest := t.text.String()[t.met:]
		at := re.FindStringSubmatchIndex(rest)
		if at != nil {
			t.met += at[1]
		}
		closed, news := t.closed, t.news
		t.mu.Unlock()
		switch {
		case at != nil:
			var groups []string
			for i := 0; i < len(at); i += 2 {
				groups = append(groups, rest[at[i]:at[i+1]])
			}
			return groups, nil
		case closed:
			return nil, fmt.Errorf("the machine ended before it showed %q", re)
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %q on the console: %w", re, ctx.Err())
		}
	}
}
