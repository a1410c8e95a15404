package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// socketNames returns the names that our socket units give their sockets.
func socketNames(t *testing.T) []string {
	t.Helper()
	units, err := filepath.Glob("../../buildroot/systemd/*.socket")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		name := regexp.MustCompile(`(?m)^FileDescriptorName=(.+)$`).FindSubmatch(text)
		if name == nil {
			t.Fatalf("%s names no socket", unit)
		}
		names = append(names, string(name[1]))
	}
	slices.Sort(names)

	return names
}

// freeAddress returns an address that nobody else is given before the test
// ends: its port is bound here, by a socket that does not listen, so that
// another may which also allows the address to be used again.
func freeAddress(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}

	return fmt.Sprintf("127.0.0.1:%d", bound.(*unix.SockaddrInet4).Port)
}

// output collects what a process writes.
type output struct {
	mu sync.Mutex
	b  strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()

	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()

	return o.b.String()
}

// activate starts pillarbox by systemd-socket-activate, at the first connection.
func activate(t *testing.T, data string, names []string, addrs []string, env ...string) (*exec.Cmd, *output) {
	t.Helper()
	tool, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Skip("systemd-socket-activate is not installed")
	}
	program, err := exec.LookPath("pillarbox")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--fdname=" + strings.Join(names, ":")}
	for _, a := range addrs {
		args = append(args, "--listen="+a)
	}
	for _, e := range env {
		args = append(args, "--setenv="+e)
	}
	cmd := exec.Command(tool, append(args, program, "serve", "--data", data)...)
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s", out)
		}
		_ = cmd.Process.Kill()
		_, _ = cmd.Process.Wait()
	})

	return cmd, out
}

// until waits for a condition.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// wake connects as the first client does, whom systemd starts the server for.
func wake(t *testing.T, network, addr string) net.Conn {
	t.Helper()
	var conn net.Conn
	until(t, "a socket to connect to", func() (ok bool) {
		var err error
		conn, err = net.Dial(network, addr)
		return err == nil
	})
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}

	return conn
}

// TestSystemdPassesTheSockets is the real way of socket activation, with the
// names that our units give; and the server tells systemd how it is.
func TestSystemdPassesTheSockets(t *testing.T) {
	names := socketNames(t)
	if want := []string{"http", "https", "imaps", "imaps-legacy", "lmtp"}; !slices.Equal(names, want) {
		t.Fatalf("units name %q, want %q", names, want)
	}
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	notices, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notices.Close()
	lmtp := filepath.Join(dir, "lmtp.sock")
	plain, secure, imaps, legacy := freeAddress(t), freeAddress(t), freeAddress(t), freeAddress(t)
	cmd, log := activate(t, data, names, []string{plain, secure, imaps, legacy, lmtp},
		"NOTIFY_SOCKET="+filepath.Join(dir, "notify"), "WATCHDOG_USEC=6000000")

	// The client that woke the server is served.
	conn := wake(t, "unix", lmtp)
	buf := make([]byte, 512)
	if n, err := conn.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "220 ") {
		t.Fatalf("LMTP greets with %q, %v", buf[:n], err)
	}
	expectNotice(t, notices, "READY=1")
	for range 2 { // at once and after a third of the time
		expectNotice(t, notices, "WATCHDOG=1")
	}

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, c := range []struct{ args, stdin string }{
		{"account add anna@office.example --password-stdin", "long enough\n"},
		{"deliver --to anna@office.example", "Subject: a\r\n\r\nb\r\n"},
	} {
		command := exec.Command("pillarbox", append(strings.Fields(c.args), "--data", data)...)
		command.Stdin = strings.NewReader(c.stdin)
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", c.args, err, out)
		}
	}
	for _, addr := range []string{imaps, legacy} {
		got, err := fetchIMAP(ctx, addr, data, "anna@office.example", "long enough", "INBOX", "1")
		if err != nil || string(got) != "Subject: a\r\n\r\nb\r\n" {
			t.Errorf("IMAP on %s: %q, %v", addr, got, err)
		}
	}

	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	expectNotice(t, notices, "RELOADING=1")
	expectNotice(t, notices, "READY=1")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	expectNotice(t, notices, "STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Fatalf("serve: %v", err)
	}
	// systemd's socket stays for the next start.
	if _, err := os.Stat(lmtp); err != nil {
		t.Errorf("the LMTP socket: %v", err)
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Error("the log has errors")
	}
}

// expectNotice reads what systemd is told until it is this.
func expectNotice(t *testing.T, notices *net.UnixConn, want string) {
	t.Helper()
	if err := notices.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		n, err := notices.Read(buf)
		if err != nil {
			t.Fatalf("systemd was not told %q: %v", want, err)
		}
		if slices.Contains(strings.Split(string(buf[:n]), "\n"), want) {
			return
		}
	}
}

func TestOnlyWhatSystemdOpenedIsServed(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	addr := freeAddress(t)
	_, log := activate(t, data, []string{"imaps"}, []string{addr})
	wake(t, "tcp", addr).Close()
	until(t, "the server's start", func() bool { return strings.Contains(log.String(), "msg=ready") })
	if got := strings.Count(log.String(), "msg=listening"); got != 1 {
		t.Errorf("%d listeners, want 1", got)
	}
}

func TestSocketsThatDoNotFitAreRefused(t *testing.T) {
	for _, tt := range []struct{ name, fdname, listen, want string }{
		{"an unknown name", "smtp", "127.0.0.1", "FileDescriptorName must be one of imaps, imaps-legacy, lmtp"},
		{"IMAP on a unix socket", "imaps", "unix", "imaps is served over TCP, not on a unix socket"},
		{"LMTP for the network", "lmtp", "0.0.0.0", "LMTP asks for no password"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			network, addr := "tcp", freeAddress(t)
			listen := addr
			switch tt.listen {
			case "unix":
				network, addr = "unix", filepath.Join(dir, "s")
				listen = addr
			case "0.0.0.0":
				_, port, err := net.SplitHostPort(addr)
				if err != nil {
					t.Fatal(err)
				}
				listen = fmt.Sprintf("0.0.0.0:%s", port)
			}
			cmd, log := activate(t, filepath.Join(dir, "data"), []string{tt.fdname}, []string{listen})
			conn := wake(t, network, addr)
			_, _ = io.ReadAll(conn) // until the server ends
			if err := cmd.Wait(); err == nil {
				t.Error("serve ended well")
			}
			if !strings.Contains(log.String(), tt.want) {
				t.Errorf("it does not say %q", tt.want)
			}
		})
	}
}
