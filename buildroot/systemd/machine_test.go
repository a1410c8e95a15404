package systemd_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pillarbox/appliance/integration/rig"
)

// patience bounds the wait for anything that systemd does.
const patience = 2 * time.Minute

// debian is a running systemd, as the first process of its own namespaces, over
// a throw-away copy of this machine's root with the units installed.
type debian struct {
	t   *testing.T
	pid string // of systemd, as this machine counts
}

// startDebian starts systemd, or skips the test where that is not permitted.
func startDebian(t *testing.T) *debian {
	t.Helper()
	const systemd = "/lib/systemd/systemd"
	if os.Geteuid() != 0 {
		t.Skip("only root may start a systemd of its own")
	}
	for program, pkg := range map[string]string{
		systemd: "systemd", "unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2", "dbus-daemon": "dbus",
	} {
		rig.Tool(t, program, pkg)
	}
	dir := filepath.Join(t.TempDir(), "machine")
	files := dir + ".files"
	for _, d := range []string{dir, files} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	binary, err := rig.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(files, "pillarbox")); err != nil {
		t.Fatal(err)
	}
	units, err := filepath.Glob("pillarbox*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range units {
		unit, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(unit, filepath.Join(files, name)); err != nil {
			t.Fatal(err)
		}
	}
	groups := ownGroups(t)

	// The shell moves itself into the groups before there is anything else.
	var join strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&join, "echo $$ > %s/cgroup.procs && ", g)
	}
	script, err := filepath.Abs("testdata/boot.sh")
	if err != nil {
		t.Fatal(err)
	}
	var out output
	cmd := exec.Command("/bin/sh", "-c", join.String()+
		"exec unshare --pid --fork --kill-child --mount --net --uts --ipc --cgroup /bin/sh "+script+" "+dir)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // with it goes systemd, and with that all else
		<-ended
		removeGroups(t, groups)
	})
	d := &debian{t: t}
	await(t, "systemd runs", func() error {
		select {
		case err := <-ended:
			ended <- err
			if !strings.Contains(out.String(), "mounted\n") {
				t.Skipf("what a systemd needs may not be mounted here: %s", out.String())
			}
			t.Fatalf("systemd ended: %v\n%s", err, out.String())
		default:
		}
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		if err != nil {
			return err
		}
		d.pid = strings.TrimSpace(string(children))
		if d.pid == "" {
			return errors.New("no child yet")
		}
		said, err := d.try("systemctl", "is-system-running", "--wait")
		if state := strings.TrimSpace(said); state != "running" && state != "degraded" {
			return fmt.Errorf("it is %q: %w\n%s", state, err, out.String())
		}
		return nil
	})

	return d
}

// output collects what a program writes while others read it.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()

	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()

	return o.text.String()
}

// try runs a command in the machine and returns what it said.
func (d *debian) try(args ...string) (string, error) {
	ctx, stop := context.WithTimeout(d.t.Context(), patience)
	defer stop()
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--target", d.pid, "--all", "--root", "--wd"}, args...)...)
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "SYSTEMD_PAGER=", "TERM=dumb"}
	out, err := cmd.CombinedOutput()

	return string(out), err
}

// run is try for what must succeed.
func (d *debian) run(args ...string) string {
	d.t.Helper()
	out, err := d.try(args...)
	if err != nil {
		log, _ := d.try("journalctl", "--no-pager", "-n", "50")
		d.t.Fatalf("%s: %v\n%s\njournal:\n%s", strings.Join(args, " "), err, out, log)
	}

	return out
}

// show returns a property of a unit.
func (d *debian) show(unit, property string) string {
	d.t.Helper()

	return strings.TrimSpace(d.run("systemctl", "show", "--value", "-p", property, unit))
}

// await waits until f has no objection.
func await(t *testing.T, what string, f func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// ownGroups makes control groups for the machine, in systemd's own hierarchies.
func ownGroups(t *testing.T) []string {
	t.Helper()
	var hierarchies []string
	for _, h := range []string{"/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(filepath.Join(h, "cgroup.procs")); err == nil {
			hierarchies = append(hierarchies, h)
		}
	}
	if len(hierarchies) == 0 {
		hierarchies = []string{"/sys/fs/cgroup"}
	}
	var groups []string
	for _, h := range hierarchies {
		g := filepath.Join(h, "pillarbox-test-"+strconv.Itoa(os.Getpid()))
		if err := os.Mkdir(g, 0o755); err != nil {
			removeGroups(t, groups)
			t.Skip("there are no control groups for a systemd: ", err)
		}
		groups = append(groups, g)
	}

	return groups
}

// removeGroups removes the groups once the last process in them is gone.
func removeGroups(t *testing.T, groups []string) {
	t.Helper()
	for _, g := range groups {
		await(t, "remove control groups", func() error {
			var inner []string
			err := filepath.WalkDir(g, func(path string, e fs.DirEntry, err error) error {
				if err == nil && e.IsDir() {
					inner = append(inner, path)
				}
				return err
			})
			for i := len(inner) - 1; i >= 0; i-- {
				err = errors.Join(err, os.Remove(inner[i]))
			}
			return err
		})
	}
}

// greets fails where no IMAP server greets behind TLS.
func (d *debian) greets(port string) error {
	out, err := d.try("sh", "-c", "echo 'a logout' | timeout 20 openssl s_client -quiet -crlf -connect 127.0.0.1:"+port)
	if !strings.Contains(out, "* OK ") {
		return fmt.Errorf("port %s: %w\n%s", port, err, out)
	}

	return nil
}
