package netlab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Peer is another host, in a namespace of its own. Its end of the cable is lan0.
type Peer struct {
	t     *testing.T
	calls chan func()
	ns    *os.File
}

// Cable is the name of the peer's end.
const Cable = "lan0"

// NewPeer returns a host without a cable.
func NewPeer(t *testing.T) *Peer {
	t.Helper()
	p := &Peer{t: t, calls: make(chan func())}
	made := make(chan error)
	go func() {
		// The thread belongs to the namespace and ends with the goroutine.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			p.ns, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		}
		if err == nil {
			err = setLoopbackUp()
		}
		if err == nil {
			// Its addresses are its own: it need not wait to find out.
			err = os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0)
		}
		made <- err
		for f := range p.calls {
			f()
		}
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(p.calls)
		if err := p.ns.Close(); err != nil {
			t.Error(err)
		}
	})

	return p
}

// Do calls f in the peer's namespace.
func (p *Peer) Do(f func() error) {
	p.t.Helper()
	done := make(chan error)
	p.calls <- func() { done <- f() }
	if err := <-done; err != nil {
		p.t.Fatal(err)
	}
}

// Plug lays a cable from an interface of the box, which is made, to the peer,
// whose end gets addresses and is up.
func (p *Peer) Plug(name string, addresses ...string) {
	p.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	cable := &netlink.Veth{LinkAttrs: attrs, PeerName: Cable, PeerNamespace: netlink.NsFd(p.ns.Fd())}
	if err := netlink.LinkAdd(cable); err != nil {
		p.t.Fatalf("lay a cable: %v", err)
	}
	p.t.Cleanup(func() { Unplug(p.t, name) })
	for _, a := range addresses {
		p.Add(a)
	}
	p.SetCarrier(true)
}

// Add gives the peer's end of the cable an address.
func (p *Peer) Add(address string) { p.address(address, netlink.AddrAdd) }

// Remove takes an address from the peer's end of the cable.
func (p *Peer) Remove(address string) { p.address(address, netlink.AddrDel) }

func (p *Peer) address(address string, do func(netlink.Link, *netlink.Addr) error) {
	p.t.Helper()
	p.Do(func() error {
		l, err := netlink.LinkByName(Cable)
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		a.Flags = unix.IFA_F_NODAD
		return do(l, a)
	})
}

// SetCarrier takes the peer's end of the cable up or down.
func (p *Peer) SetCarrier(up bool) {
	p.t.Helper()
	p.Do(func() error {
		l, err := netlink.LinkByName(Cable)
		if err != nil {
			return err
		}
		if up {
			return netlink.LinkSetUp(l)
		}
		return netlink.LinkSetDown(l)
	})
}

// Program is a program that runs on a peer.
type Program struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *output
	ends chan error
	once sync.Once
}

// output is what a program says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()

	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()

	return o.text.String()
}

// Start starts a program on the peer. It is killed at the end of the test.
func (p *Peer) Start(name string, args ...string) *Program {
	p.t.Helper()
	Require(p.t, name)
	g := &Program{t: p.t, cmd: exec.Command(name, args...), out: &output{}, ends: make(chan error, 1)}
	g.cmd.Stdout, g.cmd.Stderr = g.out, g.out
	// The thread lives as long as the test: its death must not be the program's.
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.Do(g.cmd.Start)
	go func() { g.ends <- g.cmd.Wait() }()
	p.t.Cleanup(func() {
		g.Kill()
		if p.t.Failed() {
			p.t.Logf("%s said:\n%s", name, g.out)
		}
	})

	return g
}

// Kill ends the program at once.
func (g *Program) Kill() {
	g.once.Do(func() {
		_ = g.cmd.Process.Kill()
		<-g.ends
	})
}

// Said returns what the program has said.
func (g *Program) Said() string { return g.out.String() }

// Require skips the test where a program is missing, but not in CI.
func Require(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%v", err)
		}
		t.Skipf("%v", err)
	}
}

// waitTime bounds how long a state is waited for, on a slow machine.
const waitTime = 60 * time.Second

// Until waits for a state.
func Until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(waitTime); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain waited until %s", what)
		}
	}
}
