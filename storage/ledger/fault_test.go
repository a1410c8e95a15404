package ledger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"pillarbox/storage/faultfs"
	"pillarbox/storage/ledger"
)

// patientVariable names the mount point in the process that works on the file
// system with faults.
const patientVariable = "PILLARBOX_LEDGER_PATIENT"

// steps is how many appends the patient is asked for.
const steps = 12

// stepEntries are what step n appends: one entry, or several over some sectors.
func stepEntries(n int) []string {
	entries := []string{fmt.Sprintf("entry %d", n)}
	if n%3 == 2 {
		for i := range 4 {
			entries = append(entries, fmt.Sprintf("entry %d.%d %s", n, i, strings.Repeat("x", 500)))
		}
	}

	return entries
}

func openSmall(dir string) (*ledger.Ledger, ledger.Tail, error) {
	return ledger.Open(&ledger.Config{Dir: filepath.Join(dir, "ledger"), SegmentSize: 2000})
}

// TestPatient is the process under test; by itself it tests nothing. It is
// asked for a step by its number and answers with an error or "".
func TestPatient(t *testing.T) {
	dir := os.Getenv(patientVariable)
	if dir == "" {
		t.Skip("it is started by other tests")
	}
	conn := lineTo(t, 3)
	if err := faultfs.Mount(dir, conn); err != nil {
		t.Fatal(err)
	}
	in, out := json.NewDecoder(conn), json.NewEncoder(conn)
	var l *ledger.Ledger
	for {
		var n int
		if err := in.Decode(&n); err != nil {
			os.Exit(0) // the test is over
		}
		var err error
		if l == nil {
			l, _, err = openSmall(dir)
		}
		if err == nil {
			var entries [][]byte
			for _, e := range stepEntries(n) {
				entries = append(entries, []byte(e))
			}
			err = l.Append(entries...)
		}
		answer := ""
		if err != nil {
			answer = err.Error()
		}
		if err := out.Encode(answer); err != nil {
			t.Fatal(err)
		}
	}
}

func lineTo(t *testing.T, fd int) *net.UnixConn {
	t.Helper()
	f := os.NewFile(uintptr(fd), "lab")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}

	return c.(*net.UnixConn)
}

// patient is a process that works on fs.
type patient struct {
	t   *testing.T
	in  *json.Decoder
	out *json.Encoder
}

func startPatient(t *testing.T, fs *faultfs.FS) *patient {
	t.Helper()
	if testing.Short() {
		t.Skip("it is slow under the race detector, and its steps go one by one")
	}
	device, err := unix.Open(faultfs.Device, unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		unix.Close(device)
	case os.Getenv("CI") == "true" && !errors.Is(err, unix.ENOENT):
		t.Fatalf("open %s: %v", faultfs.Device, err)
	default:
		t.Skipf("no file system with faults can be mounted here: open %s: %v", faultfs.Device, err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	conn, theirs := lineTo(t, pair[0]), os.NewFile(uintptr(pair[1]), "lab")
	cmd := exec.Command(os.Args[0], "-test.run=^TestPatient$")
	cmd.Env = append(os.Environ(), patientVariable+"="+t.TempDir())
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = faultfs.Attr()
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		t.Fatalf("start a process with mounts of its own: %v", err)
	}
	var ended <-chan struct{}
	t.Cleanup(func() {
		conn.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if ended != nil {
			<-ended
		}
	})
	if ended, err = fs.Serve(conn); err != nil {
		t.Fatal(err)
	}

	return &patient{t: t, in: json.NewDecoder(conn), out: json.NewEncoder(conn)}
}

// step has the patient append, and tells whether it says that it did.
func (p *patient) step(n int) bool {
	p.t.Helper()
	var answer string
	if err := errors.Join(p.out.Encode(n), p.in.Decode(&answer)); err != nil {
		p.t.Fatal(err)
	}

	return answer == ""
}

// TestAPowerCutAnywhere cuts the power before each operation that changes
// something: what was acknowledged is there, what was under way is there or
// not, and neither is taken for damage.
func TestAPowerCutAnywhere(t *testing.T) {
	const seed = 12
	fs := faultfs.New(seed)
	p := startPatient(t, fs)
	r := rand.New(rand.NewPCG(seed, 1))
	cuts := 0
	for n := range steps {
		fs.SetHook(func(op faultfs.Op) faultfs.Fault {
			if op.Changes() && !t.Failed() {
				cuts++
				for what, loss := range map[string]faultfs.Loss{"all": faultfs.Everything, "nothing": faultfs.Nothing, "something": faultfs.Some, "other things": faultfs.Some} {
					if err := lookAfterCut(fs, loss, r.Uint64(), n); err != nil {
						t.Errorf("step %d, power cut before %s, %s is lost: %v", n, op, what, err)
					}
				}
			}
			return faultfs.Fault{}
		})
		if !p.step(n) {
			t.Fatalf("step %d failed", n)
		}
		fs.SetHook(nil)
	}
	t.Logf("%d power cuts", cuts)
}

// lookAfterCut opens what a power cut in step n leaves.
func lookAfterCut(fs *faultfs.FS, loss faultfs.Loss, seed uint64, n int) error {
	dir, err := os.MkdirTemp("", "pillarbox-ledger-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if _, err := fs.Crash(dir, loss, seed); err != nil {
		return err
	}
	l, tail, err := openSmall(dir)
	if err != nil {
		return err
	}
	defer l.Close()
	if tail.Damaged {
		return fmt.Errorf("taken for damage: %+v", tail)
	}
	var before []string
	for i := range n {
		before = append(before, stepEntries(i)...)
	}
	after := slices.Concat(before, stepEntries(n))
	got, err := contents(l)
	if err != nil {
		return err
	}
	if !slices.Equal(got, before) && !slices.Equal(got, after) {
		return fmt.Errorf("there is %.60q", got)
	}
	if err := l.Append([]byte("after")); err != nil {
		return err
	}
	again, err := contents(l)
	if err == nil && !slices.Equal(again, append(got, "after")) {
		err = fmt.Errorf("after an append there is %.60q", again)
	}

	return err
}

// contents returns the entries; a part that cannot be read is an error.
func contents(l *ledger.Ledger) (entries []string, err error) {
	for _, s := range l.Segments() {
		var gaps []ledger.Gap
		err = errors.Join(err, l.Read(s, func(_ int64, data []byte) { entries = append(entries, string(data)) },
			func(g ledger.Gap) { gaps = append(gaps, g) }))
		if len(gaps) > 0 {
			err = errors.Join(err, fmt.Errorf("%s has gaps %v", s.Name(), gaps))
		}
	}

	return entries, err
}

// TestAnyOperationMayFail lets each operation fail once, in a run of its own,
// which goes on with something else. Then the power is cut: what was
// acknowledged is there in its order, and what was not is not.
func TestAnyOperationMayFail(t *testing.T) {
	for kth := 1; ; kth++ {
		fs := faultfs.New(uint64(kth))
		failed, seen := "", 0
		p := startPatient(t, fs)
		fs.SetHook(func(op faultfs.Op) faultfs.Fault {
			if !op.Changes() {
				return faultfs.Fault{}
			}
			if seen++; seen != kth {
				return faultfs.Fault{}
			}
			failed = op.String()
			return faultfs.Fault{Err: []syscall.Errno{syscall.EIO, syscall.ENOSPC}[kth%2], Part: op.Size / 2}
		})
		var want []string
		refused := 0
		for n := range steps {
			if p.step(n) {
				want = append(want, stepEntries(n)...)
				continue
			}
			if refused++; refused > 1 {
				t.Fatalf("%s failed once, and step %d does so, too", failed, n)
			}
		}
		fs.SetHook(nil)
		if failed == "" {
			t.Logf("%d operations", kth-1)
			return
		}
		dir := t.TempDir()
		if _, err := fs.Crash(dir, faultfs.Everything, 1); err != nil {
			t.Fatal(err)
		}
		l, tail, err := openSmall(dir)
		if err != nil {
			t.Fatalf("%s failed: %v", failed, err)
		}
		if got, err := contents(l); err != nil || !slices.Equal(got, want) || tail.Damaged || tail.Torn > 0 {
			t.Errorf("%s failed: there is %.60q and %+v, %v", failed, got, tail, err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
