package change_test

import (
	"bytes"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/config"
	"pillarbox/appliance/integration/rig"
	"pillarbox/netcfg/netlab"
	"pillarbox/netcfg/state"
)

func TestMain(m *testing.M) { netlab.Main(m) }

// office is a box with its network's process and an administrator.
type office struct {
	*rig.Box

	t       *testing.T
	admin   *netlab.Peer
	dir     string
	settled string // the provisioned settings
	mark    string

	network *exec.Cmd
	log     *bytes.Buffer
}

// ours is the box's address at first; the administrator's is 192.0.2.1.
const ours = "192.0.2.2"

// open makes an office whose processes do not run yet.
func open(t *testing.T) *office {
	o := &office{Box: rig.NewBox(t, build(t)), t: t, admin: netlab.NewPeer(t)}
	o.dir = filepath.Dir(o.Dir)
	o.admin.Plug("eth0", "192.0.2.1/24")
	o.Args = []string{"--imaps", "0.0.0.0:993", "--network-socket", o.socket()}
	o.provision(ours, "first")
	o.run("account", "add", "anna@office.example", "--generate-password")
	return o
}

func build(t *testing.T) string {
	t.Helper()
	bin, err := rig.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

func (o *office) socket() string { return filepath.Join(o.dir, "network.sock") }

// provision puts settings onto the boot partition.
func (o *office) provision(address, mark string) {
	o.t.Helper()
	d := state.Default()
	d.Interfaces[0].IPv4 = state.IPv4{Method: state.MethodStatic, Addresses: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(address), 24)}}
	text, err := json.Marshal(d)
	if err != nil {
		o.t.Fatal(err)
	}
	o.settled, o.mark = filepath.Join(o.dir, "provisioned.json"), mark
	if err := os.WriteFile(o.settled, text, 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// startNetwork starts the network's process, as the firmware's init does.
func (o *office) startNetwork() {
	o.t.Helper()
	in := func(name string) string { return filepath.Join(o.dir, name) }
	cmd := exec.Command(o.Binary, "network", "run", "--anywhere", "--firewall", "--socket", o.socket(), "--state", in("network"),
		"--settings", o.settled, "--marked", o.mark, "--leases", in("leases"), "--status", in("status.json"), "--resolv", in("resolv.conf"))
	log := &bytes.Buffer{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	o.network, o.log = cmd, log
	o.t.Cleanup(func() {
		if o.network == cmd {
			o.killNetwork()
		}
		if o.t.Failed() {
			o.t.Logf("the network's process said:\n%s", log)
		}
	})
	netlab.Until(o.t, "the network's process answers", func() bool {
		c, err := net.Dial("unix", o.socket())
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// killNetwork lets it do nothing more.
func (o *office) killNetwork() {
	_ = o.network.Process.Kill()
	_ = o.network.Wait()
	o.network = nil
}

// command runs a command of the command line.
func (o *office) command(args ...string) (stdout, stderr string, err error) {
	cmd := exec.Command(o.Binary, args...)
	cmd.Env = append(os.Environ(), "PILLARBOX_DATA="+o.Dir)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// run runs one that succeeds.
func (o *office) run(args ...string) string {
	o.t.Helper()
	out, errs, err := o.command(args...)
	if err != nil {
		o.t.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, out, errs)
	}
	return out
}

// fails runs one that does not, and says why.
func (o *office) fails(want string, args ...string) {
	o.t.Helper()
	out, errs, err := o.command(args...)
	if err == nil || !strings.Contains(errs, want) {
		o.t.Errorf("%s: %v, want %q\n%s%s", strings.Join(args, " "), err, want, out, errs)
	}
}

// apply applies settings that f has changed.
func (o *office) apply(f func(*config.Document)) {
	o.t.Helper()
	d := o.newest().Document
	f(&d)
	o.run("net", "apply", "--yes", "--why", "a test", o.write(&d))
}

// write writes settings to a file.
func (o *office) write(d *config.Document) (name string) {
	o.t.Helper()
	text, err := json.Marshal(d)
	if err != nil {
		o.t.Fatal(err)
	}
	name = filepath.Join(o.dir, "wanted.json")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		o.t.Fatal(err)
	}
	return name
}

// newest is the version that is confirmed.
func (o *office) newest() config.Version {
	o.t.Helper()
	var all []config.Version
	if err := json.Unmarshal([]byte(o.run("net", "history", "--json")), &all); err != nil {
		o.t.Fatal(err)
	}
	return all[0]
}

// move gives the box another address.
func move(address string) func(*config.Document) {
	return func(d *config.Document) {
		d.Network.Interfaces[0].IPv4.Addresses = []netip.Prefix{netip.MustParsePrefix(address)}
	}
}

// reaches tells whether the administrator gets a connection to an address.
func (o *office) reaches(address string) bool {
	ok := false
	o.admin.Do(func() error {
		d := net.Dialer{Timeout: 2 * time.Second}
		c, err := d.Dial("tcp4", net.JoinHostPort(address, "993"))
		if err == nil {
			ok = true
			c.Close()
		}
		return nil
	})
	return ok
}

func (o *office) reached(address string) {
	o.t.Helper()
	netlab.Until(o.t, "the administrator reaches "+address, func() bool { return o.reaches(address) })
}

func (o *office) holds(version int, address string) {
	o.t.Helper()
	o.reached(address)
	pending := strings.Contains(o.run("net", "history"), "to be confirmed")
	if v := o.newest(); v.Number != version || pending {
		o.t.Errorf("version %d, pending %v; want version %d and nothing pending", v.Number, pending, version)
	}
}

// lose takes the settings away that the network's process has kept.
func (o *office) lose() {
	o.t.Helper()
	if err := os.Remove(filepath.Join(o.dir, "network", "confirmed.json")); err != nil {
		o.t.Fatal(err)
	}
}
