package rig

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startTime = time.Minute // a busy machine of two cores starts it in less than one
	stopTime  = time.Minute
)

// Box is a data folder and, between Start and Stop, the process that serves
// it.
type Box struct {
	Binary string
	Dir    string   // the data folder
	Args   []string // more arguments of serve
	Env    []string // more of its environment

	cmd    *exec.Cmd
	ended  chan struct{} // closed once the process is gone
	status error         // how it ended
	log    *journal
}

// NewBox makes a box in a folder of its own, with no process yet. What runs
// when the test ends is killed.
func NewBox(t testing.TB, binary string) *Box {
	t.Helper()
	// Not t.TempDir: a test's name makes the path longer than the 108 octets
	// that the address of a unix socket may have.
	dir, err := os.MkdirTemp("", "pillarbox")
	if err != nil {
		t.Fatal(err)
	}
	b := &Box{Binary: binary, Dir: filepath.Join(dir, "data")}
	t.Cleanup(func() {
		if b.Running() {
			b.Kill(t)
		}
		if t.Failed() && b.log != nil {
			t.Logf("the box's log ends:\n%s", b.log.tail())
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return b
}

// Start serves the data folder on loopback, IPv4 and IPv6, on ports that are
// free, and waits until it is ready.
func (b *Box) Start(t testing.TB) {
	t.Helper()
	args := []string{
		"serve", "--data", b.Dir,
		"--imaps", "127.0.0.1:0", "--imaps-legacy", "127.0.0.1:0",
		"--lmtp", "127.0.0.1:0", "--lmtp", "unix:" + b.LMTPSocket(),
	}
	if HasIPv6() {
		args = append(args, "--imaps", "[::1]:0", "--imaps-legacy", "[::1]:0")
	}
	cmd := exec.Command(b.Binary, append(args, b.Args...)...)
	cmd.Env = append(os.Environ(), b.Env...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	log := &journal{ready: make(chan struct{}), addrs: map[string][]string{}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	b.cmd, b.ended, b.log = cmd, ended, log
	go func() {
		defer close(ended)
		log.read(stderr)
		b.status = cmd.Wait()
	}()
	select {
	case <-log.ready:
	case <-ended:
		t.Fatalf("serve ended at once: %v\n%s", b.status, log.tail())
	case <-time.After(startTime):
		t.Fatalf("serve is not ready after %v\n%s", startTime, log.tail())
	}
}

// HasIPv6 tells whether this machine has IPv6 on loopback; containers often
// have not.
func HasIPv6() bool {
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	ln.Close()
	return true
}

// Running tells whether the process is there.
func (b *Box) Running() bool {
	if b.cmd == nil {
		return false
	}
	select {
	case <-b.ended:
		return false
	default:
		return true
	}
}

// PID returns the process's number.
func (b *Box) PID() int { return b.cmd.Process.Pid }

// Signal sends the process a signal.
func (b *Box) Signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := b.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// Stop ends the process as systemd does.
func (b *Box) Stop(t testing.TB) {
	t.Helper()
	b.Signal(t, syscall.SIGTERM)
	b.WaitStopped(t)
}

// WaitStopped demands that the process ends soon and well.
func (b *Box) WaitStopped(t testing.TB) {
	t.Helper()
	select {
	case <-b.ended:
	case <-time.After(stopTime):
		t.Fatalf("serve does not end within %v of the signal\n%s", stopTime, b.log.tail())
	}
	if b.status != nil {
		t.Fatalf("serve ended with %v\n%s", b.status, b.log.tail())
	}
}

// Kill ends the process as a power cut does, except that the kernel keeps what
// was written.
func (b *Box) Kill(t testing.TB) {
	t.Helper()
	if err := b.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	<-b.ended
}

// Command returns a command of the same binary; the data folder is added.
func (b *Box) Command(stdin []byte, args ...string) *Command {
	return &Command{Path: b.Binary, Args: append(args, "--data", b.Dir), Stdin: stdin}
}

// AddAccount makes an account with a password.
func (b *Box) AddAccount(t testing.TB, address, password string) {
	t.Helper()
	b.Command([]byte(password+"\n"), "account", "add", address, "--password-stdin").MustRun(t)
}

// IMAPS returns the address of the port that stands for 993.
func (b *Box) IMAPS(t testing.TB, network string) string { return b.addr(t, "imaps", network) }

// Legacy returns the address of the port that stands for 990.
func (b *Box) Legacy(t testing.TB, network string) string { return b.addr(t, "imaps-legacy", network) }

// LMTP returns the address of LMTP over TCP.
func (b *Box) LMTP(t testing.TB) string { return b.addr(t, "lmtp", "tcp4") }

// Web returns the TCP addresses of the pages, by HTTP and by HTTPS, if it was
// started with them.
func (b *Box) Web(t testing.TB) (plain, secure string) {
	return b.addr(t, "http", "tcp4"), b.addr(t, "https", "tcp4")
}

// LMTPSocket returns the path of LMTP's unix socket.
func (b *Box) LMTPSocket() string { return filepath.Join(filepath.Dir(b.Dir), "lmtp.sock") }

// addr returns a listener's address of the network tcp4 or tcp6.
func (b *Box) addr(t testing.TB, listener, network string) string {
	t.Helper()
	for _, addr := range b.log.taken(listener) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			continue
		}
		if is4 := net.ParseIP(host).To4() != nil; is4 == (network == "tcp4") {
			return addr
		}
	}
	t.Fatalf("the log names no address of %s by %s\n%s", listener, network, b.log.tail())
	return ""
}

// CAFile returns the certificate a client is to trust, where the log says it
// lies.
func (b *Box) CAFile() string { return b.log.caFile() }

// TLS returns a client's configuration that trusts the box's CA and nothing
// else.
func (b *Box) TLS(t testing.TB) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(b.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", b.CAFile())
	}
	return &tls.Config{RootCAs: pool}
}

// Wire connects a thin client to the port that stands for 993 and logs in.
func (b *Box) Wire(t testing.TB, user, password string) *Wire {
	t.Helper()
	w, err := DialWire(b.IMAPS(t, "tcp4"), b.TLS(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	if err := w.Login(user, password); err != nil {
		t.Fatal(err)
	}
	return w
}

// Memory returns the process's resident memory in octets.
func (b *Box) Memory(t testing.TB) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	t.Fatal("no VmRSS in the process's status")
	return 0
}

// WaitLog waits until a line of the log holds all of the texts.
func (b *Box) WaitLog(t testing.TB, texts ...string) string {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		if line, ok := b.log.find(texts); ok {
			return line
		}
		if time.Now().After(deadline) {
			t.Fatalf("no line of the log holds %q\n%s", texts, b.log.tail())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// journal keeps what the process logged.
type journal struct {
	mu    sync.Mutex
	lines []string
	addrs map[string][]string // by listener
	ca    string
	ready chan struct{}
}

func (j *journal) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		j.add(lines.Text())
	}
	if err := lines.Err(); err != nil {
		j.add("(the log cannot be read on: " + err.Error() + ")")
	}
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
	if attr(line, "msg") == "listening" {
		j.addrs[attr(line, "listener")] = append(j.addrs[attr(line, "listener")], attr(line, "addr"))
	}
	if attr(line, "msg") == "ready" {
		j.ca = attr(line, "ca")
		close(j.ready)
	}
}

// attr returns the value of key=value in a line of slog's text format.
func attr(line, key string) string {
	_, rest, ok := strings.Cut(" "+line, " "+key+"=")
	if !ok {
		return ""
	}
	if quoted, ok := strings.CutPrefix(rest, `"`); ok {
		value, _, _ := strings.Cut(quoted, `"`)
		return value
	}
	value, _, _ := strings.Cut(rest, " ")
	return value
}

func (j *journal) taken(listener string) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.addrs[listener]
}

func (j *journal) caFile() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ca
}

func (j *journal) find(texts []string) (string, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
next:
	for _, line := range j.lines {
		for _, text := range texts {
			if !strings.Contains(line, text) {
				continue next
			}
		}
		return line, true
	}
	return "", false
}

func (j *journal) tail() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b bytes.Buffer
	for _, line := range j.lines[max(0, len(j.lines)-60):] {
		fmt.Fprintln(&b, line)
	}
	return b.String()
}
