package doctor

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	lowRoom    = 1 << 30 // octets; with less than both it is low
	lowShare   = 20      // one part of so many
	leastRoom  = 64 << 20
	leastShare = 50
	leastFiles = 64

	lowMemory = 20 // one part of so many is left

	// wornOut is the estimate from which on flash counts as worn: steps of a
	// tenth of its life (JEDEC eMMC 5.0, EXT_CSD bytes 267 to 269).
	wornOut = 9

	maxProc = 4 << 20 // octets of a file of the kernel's
)

// machineStep looks at the machine that the box runs on.
func (x *examination) machineStep(b *Box) step {
	return step{name: "this machine", run: func(context.Context) bool { return true }, below: []step{
		{name: "the disk", run: func(context.Context) bool { x.disk(b.Dir); return true }},
		{name: "the wear of flash", run: func(context.Context) bool { x.flash(); return true }},
		{name: "the memory", run: func(context.Context) bool { x.memory(); return true }},
	}}
}

func (x *examination) disk(dir string) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		x.skip("the disk", fmt.Sprintf("%s: %v", dir, err))
		return
	}
	block := uint64(fs.Bsize)
	free, size := fs.Bavail*block, fs.Blocks*block
	room := fmt.Sprintf("%d MB of %d MB are free on the disk that holds %s", free/1e6, size/1e6, dir)
	see := place{dir: filepath.Clean(dir)}
	switch {
	case fs.Flags&unix.ST_RDONLY != 0:
		x.find("disk-read-only", "", "the disk that holds "+dir+" can only be read", see)
	case free < min(leastRoom, size/leastShare):
		x.find("disk-full", "", room, see)
	case fs.Files > 0 && fs.Ffree < leastFiles:
		x.find("disk-full", "", fmt.Sprintf("the disk that holds %s can take only %d more files", dir, fs.Ffree), see)
	case free < lowRoom && free < size/lowShare:
		x.find("disk-low", "", room, see)
	}
}

// flash reads the estimates of eMMC; SD cards give none.
func (x *examination) flash() {
	devices, err := filepath.Glob(filepath.Join(x.system, "sys/block/mmcblk*/device/life_time"))
	if err != nil || len(devices) == 0 {
		x.skip("the wear of flash", "no device of this machine tells of it (eMMC does, SD cards do not)")
		return
	}
	for _, file := range devices {
		text, err := readBounded(file)
		name := filepath.Base(filepath.Dir(filepath.Dir(file)))
		if err != nil {
			x.skip("the wear of "+name, err.Error())
			continue
		}
		worst := uint64(0)
		for _, field := range strings.Fields(string(text)) {
			if n, err := strconv.ParseUint(field, 0, 8); err == nil {
				worst = max(worst, n)
			}
		}
		spent := "less than a tenth"
		if worst > 10 {
			spent = "all"
		} else if worst > 1 {
			spent = fmt.Sprintf("%d to %d %%", 10*(worst-1), 10*worst)
		}
		end, _ := readBounded(filepath.Join(filepath.Dir(file), "pre_eol_info"))
		if reserve, _ := strconv.ParseUint(strings.TrimSpace(string(end)), 0, 8); worst >= wornOut || reserve >= 2 {
			x.find("flash-worn", name, fmt.Sprintf("%s of the life of the flash %s is used up, by its own estimate", spent, name), place{})
		}
	}
}

func (x *examination) memory() {
	text, err := readBounded(filepath.Join(x.system, "proc/meminfo"))
	if err != nil {
		x.skip("the memory", err.Error())
		return
	}
	values := map[string]uint64{}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if len(fields) > 0 {
			values[name], _ = strconv.ParseUint(fields[0], 10, 54)
		}
	}
	available, ok := values["MemAvailable"]
	total := values["MemTotal"]
	switch {
	case !ok || total == 0:
		x.skip("the memory", "the kernel does not tell how much is available")
	case available < total/lowMemory:
		x.find("memory-low", "", fmt.Sprintf("%d MB of %d MB of memory are available", available/1000, total/1000), place{})
	}
}

func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()

	return io.ReadAll(io.LimitReader(f, maxProc))
}

// socket is a TCP port that a process listens on.
type socket struct {
	addr    netip.Addr
	port    uint16
	inode   string
	pid     int // 0 if it may not be known
	program string
}

func (s *socket) holder() string {
	if s.pid == 0 {
		return "a process that this user may not see"
	}

	return fmt.Sprintf("the program %s, process %d", clean(s.program), s.pid)
}

// readSockets lists who listens, by what the kernel says.
func readSockets(system string) ([]socket, error) {
	all := []socket{}
	for _, file := range []string{"proc/net/tcp", "proc/net/tcp6"} {
		text, err := readBounded(filepath.Join(system, file))
		if os.IsNotExist(err) && file == "proc/net/tcp6" {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, err
		}
		all = append(all, parseSockets(text)...)
	}
	byInode := map[string]int{}
	for i, s := range all {
		byInode[s.inode] = i
	}
	links, _ := filepath.Glob(filepath.Join(system, "proc/[0-9]*/fd/[0-9]*")) // its pattern is right
	for _, link := range links {
		to, err := os.Readlink(link)
		if err != nil {
			continue
		}
		inode, ok := strings.CutPrefix(to, "socket:[")
		if i, known := byInode[strings.TrimSuffix(inode, "]")]; ok && known && all[i].pid == 0 {
			process := filepath.Dir(filepath.Dir(link))
			all[i].pid, _ = strconv.Atoi(filepath.Base(process))
			name, _ := readBounded(filepath.Join(process, "comm"))
			all[i].program = strings.TrimSpace(string(name))
		}
	}

	return all, nil
}

// parseSockets reads the table of the kernel's connections, of which it keeps
// those that listen.
func parseSockets(text []byte) []socket {
	var all []socket
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[3] != "0A" {
			continue
		}
		host, number, ok := strings.Cut(fields[1], ":")
		port, err := strconv.ParseUint(number, 16, 16)
		addr, known := kernelAddr(host)
		if ok && err == nil && known {
			all = append(all, socket{addr: addr, port: uint16(port), inode: fields[9]})
		}
	}

	return all
}

// kernelAddr reads an address in words of four octets in the machine's order.
func kernelAddr(text string) (netip.Addr, bool) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return netip.Addr{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, ok := netip.AddrFromSlice(b)

	return a.Unmap(), ok
}

// neighbours returns an address in each network that this machine is in, other
// than its own: where clients come from.
func neighbours() ([]netip.Addr, error) {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var all []netip.Addr
	for _, i := range interfaces {
		p, err := netip.ParsePrefix(i.String())
		if err != nil || p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast() || p.IsSingleIP() {
			continue
		}
		other := p.Masked().Addr().Next()
		if other == p.Addr() {
			other = other.Next()
		}
		if p.Contains(other) {
			all = append(all, other)
		}
	}

	return all, nil
}
