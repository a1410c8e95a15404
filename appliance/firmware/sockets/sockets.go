package sockets

import (
	"bufio"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The states of sockets in /proc/net, see include/net/tcp_states.h.
const (
	stateUnconnected = "07" // TCP_CLOSE, which UDP uses
	stateListen      = "0A"
)

// Socket is one that can be reached from the network.
type Socket struct {
	Protocol string // "tcp" or "udp"
	Port     uint16
	Program  string // "?" if it is not known
}

// String implements fmt.Stringer.
func (s Socket) String() string { return fmt.Sprintf("%d/%s %s", s.Port, s.Protocol, s.Program) }

// List returns what can be reached, each program and port once, sorted by port.
// Proc is where the kernel's process file system is mounted.
func List(proc string) ([]Socket, error) {
	var all []Socket
	inodes := map[Socket]string{}
	for _, table := range []struct{ name, protocol, state string }{
		{"tcp", "tcp", stateListen},
		{"tcp6", "tcp", stateListen},
		{"udp", "udp", stateUnconnected},
		{"udp6", "udp", stateUnconnected},
	} {
		f, err := os.Open(filepath.Join(proc, "net", table.name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("list sockets: %w", err)
		}
		err = read(f, table.state, func(port uint16, inode string) {
			s := Socket{Protocol: table.protocol, Port: port}
			if _, known := inodes[s]; !known {
				inodes[s] = inode
				all = append(all, s)
			}
		})
		_ = f.Close() // it was read only
		if err != nil {
			return nil, fmt.Errorf("list sockets of %s: %w", table.name, err)
		}
	}
	owners := programs(proc)
	for i, s := range all {
		all[i].Program = cmp.Or(owners[inodes[s]], "?")
	}
	slices.SortFunc(all, func(a, b Socket) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})

	return all, nil
}

// read calls found for the sockets of a table that are in a state and not on
// loopback.
func read(r io.Reader, state string, found func(port uint16, inode string)) error {
	lines := bufio.NewScanner(r)
	lines.Scan() // the heading
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 {
			return fmt.Errorf("the kernel says %q", lines.Text())
		}
		local, err := parseAddress(fields[1])
		if err != nil {
			return err
		}
		if fields[3] == state && !local.Addr().Unmap().IsLoopback() {
			found(local.Port(), fields[9])
		}
	}

	return lines.Err()
}

// parseAddress reads an address as /proc/net writes it: words of 32 bits in the
// order of the machine, which is little-endian on all that we build for.
func parseAddress(s string) (netip.AddrPort, error) {
	host, port, ok := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	if !ok || err != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}, fmt.Errorf("the kernel says the address %q", s)
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("the kernel says the port %q", port)
	}
	addr, _ := netip.AddrFromSlice(raw)

	return netip.AddrPortFrom(addr, uint16(n)), nil
}

// programs returns the names of the programs that hold sockets, by inode. Those
// that end meanwhile are left out.
func programs(proc string) map[string]string {
	owners := map[string]string{}
	// The pattern is ours and right.
	files, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	for _, file := range files {
		target, err := os.Readlink(file)
		if err != nil {
			continue
		}
		inode, ok := strings.CutPrefix(target, "socket:[")
		if !ok {
			continue
		}
		name, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(file)), "comm"))
		if err == nil {
			owners[strings.TrimSuffix(inode, "]")] = strings.TrimSpace(string(name))
		}
	}

	return owners
}
