package bench_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/integration/rig"
)

// server is a mail server that is compared with others.
type server interface {
	name() string
	addAccount(t *testing.T, address string) // before the first start, with the password that all have
	start(t *testing.T)
	stop(t *testing.T)
	filled(t *testing.T) // from now on what it acknowledges is to be durable
	forget(t *testing.T) // while it is stopped: what it remembers of clients' questions
	addr(t *testing.T) string
	tls(t *testing.T) *tls.Config
	lmtp() (network, addr string)
	pid() int
}

// pillarbox is the box as a server to be compared.
type pillarbox struct{ box *rig.Box }

func (p pillarbox) name() string                            { return "pillarbox" }
func (p pillarbox) addAccount(t *testing.T, address string) { p.box.AddAccount(t, address, password) }
func (p pillarbox) start(t *testing.T)                      { p.box.Start(t) }
func (p pillarbox) stop(t *testing.T)                       { p.box.Stop(t) }
func (p pillarbox) filled(*testing.T)                       {}
func (p pillarbox) forget(*testing.T)                       {}
func (p pillarbox) addr(t *testing.T) string                { return p.box.IMAPS(t, "tcp4") }
func (p pillarbox) tls(t *testing.T) *tls.Config            { return trust(t, p.box) }
func (p pillarbox) lmtp() (network, addr string)            { return "unix", p.box.LMTPSocket() }
func (p pillarbox) pid() int                                { return p.box.PID() }

// memory returns what a process and its children take, in octets; what they
// share is counted once (proportional set size).
func memory(t *testing.T, pid int) int64 {
	t.Helper()
	children := map[int][]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		// The name of the program, in parentheses, may hold anything.
		rest := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		id, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		parent, _ := strconv.Atoi(rest[1])
		children[parent] = append(children[parent], id)
	}
	var sum func(pid int) int64
	sum = func(pid int) int64 {
		n := proportional(pid)
		for _, c := range children[pid] {
			n += sum(c)
		}
		return n
	}
	return sum(pid)
}

func proportional(pid int) int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0 // it has ended
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kb int64
		if n, _ := fmt.Sscanf(lines.Text(), "Pss: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	return 0
}

// cpuTime returns what a process has used of the processors, its children left
// out. Unlike the time that passes it says much also on a busy machine.
func cpuTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// The name of the program, in parentheses, may hold anything.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 everywhere
	return time.Duration(user+system) * tick
}
