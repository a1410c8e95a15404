package sockets_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/firmware/sockets"
)

const heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

// proc writes what a kernel shows.
func proc(t *testing.T, files, links map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range links {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}

	return dir
}

func TestWhatCanBeReached(t *testing.T) {
	dir := proc(t, map[string]string{
		"net/tcp": heading +
			"   0: 0100007F:0386 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0 100 0 0 10 0\n" + // loopback
			"   1: 0F02000A:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0 100 0 0 10 0\n" +
			"   2: 0F02000A:03E1 0202000A:C001 01 00000000:00000000 00:00000000 00000000     0        0 13 1 0 100 0 0 10 0\n", // connected
		"net/tcp6": heading +
			"   0: 00000000000000000000000000000000:03E1 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 14 1\n" +
			"   1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 15 1\n" + // ::1
			"   2: 0000000000000000FFFF00000100007F:0051 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 16 1\n", // ::ffff:127.0.0.1
		"net/udp": heading +
			"  10: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 17 2\n" +
			"  11: 0F02000A:8000 0302000A:0035 01 00000000:00000000 00:00000000 00000000     0        0 18 2\n", // connected
		"100/comm": "pillarbox\n", "200/comm": "dhcp\n",
	}, map[string]string{
		"100/fd/3": "/dev/null", "100/fd/4": "socket:[14]", "100/fd/5": "socket:[15]", "200/fd/3": "socket:[17]",
	})
	got, err := sockets.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []sockets.Socket{
		{Protocol: "tcp", Port: 25, Program: "?"},
		{Protocol: "udp", Port: 68, Program: "dhcp"},
		{Protocol: "tcp", Port: 993, Program: "pillarbox"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sockets (-want +got):\n%s", diff)
	}
}

func TestStrangeTablesAreAnError(t *testing.T) {
	for name, line := range map[string]string{
		"too few fields":  "0: 00000000:0001\n",
		"no address":      "0: 0000:0001 0 0A 0 0 0 0 0 1\n",
		"no port":         "0: 00000000 0 0A 0 0 0 0 0 1\n",
		"a port too long": "0: 00000000:10000 0 0A 0 0 0 0 0 1\n",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := sockets.List(proc(t, map[string]string{"net/tcp": heading + line}, nil)); err == nil {
				t.Errorf("List = %v; want an error", got)
			}
		})
	}
}

// TestTheKernelOfThisMachine looks for a socket of its own.
func TestTheKernelOfThisMachine(t *testing.T) {
	udp, err := net.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	all, err := sockets.List("/proc")
	if err != nil {
		t.Fatal(err)
	}
	open := uint16(udp.LocalAddr().(*net.UDPAddr).Port)
	hidden := uint16(tcp.Addr().(*net.TCPAddr).Port)
	has := func(protocol string, port uint16) bool {
		return slices.ContainsFunc(all, func(s sockets.Socket) bool {
			return s.Protocol == protocol && s.Port == port && s.Program == "sockets.test"
		})
	}
	if !has("udp", open) || has("tcp", hidden) {
		t.Errorf("%v; want udp %d of this program among them, and not tcp %d", all, open, hidden)
	}
}
