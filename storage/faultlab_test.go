package storage_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pillarbox/storage"
	"pillarbox/storage/faultfs"
)

// patientVariable names the mount point in the process that works on the file
// system with faults.
const patientVariable = "PILLARBOX_PATIENT"

// order is what the patient is asked for: "open", "close", "survey", or a step
// of faultProgram.
type order struct {
	Do   string
	Step int
}

type report struct {
	Err   string
	Full  bool // the error says that the disk is full
	Done  []string
	State state
}

// lab runs storage in a process of its own on a file system that fails as told.
type lab struct {
	t     *testing.T
	fs    *faultfs.FS
	cmd   *exec.Cmd
	conn  *net.UnixConn
	in    *json.Decoder
	out   *json.Encoder
	ended <-chan struct{} // closed when the mount is gone
	words bytes.Buffer    // what the patient wrote to stderr
}

// requireFUSE skips the test where no file system can be mounted.
func requireFUSE(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes minutes under the race detector, and its steps go one by one")
	}
	fd, err := unix.Open(faultfs.Device, unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		unix.Close(fd)
	case errors.Is(err, unix.ENOENT):
		t.Skipf("no file system with faults can be mounted here: there is no %s", faultfs.Device)
	case os.Getenv("CI") == "true":
		t.Fatalf("open %s: %v", faultfs.Device, err)
	default:
		t.Skipf("no file system with faults can be mounted here: open %s: %v", faultfs.Device, err)
	}
}

// startLab mounts fs for a new patient; nothing is open in it yet.
func startLab(t *testing.T, fs *faultfs.FS) *lab {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, fs: fs, conn: unixConn(t, pair[0])}
	theirs := os.NewFile(uintptr(pair[1]), "lab")
	l.cmd = exec.Command(os.Args[0], "-test.run=^TestPatient$")
	l.cmd.Env = append(os.Environ(), patientVariable+"="+t.TempDir())
	l.cmd.ExtraFiles = []*os.File{theirs}
	l.cmd.Stdout, l.cmd.Stderr = &l.words, &l.words
	l.cmd.SysProcAttr = faultfs.Attr()
	err = l.cmd.Start()
	theirs.Close()
	if err != nil {
		t.Fatalf("start a process with mounts of its own: %v", err)
	}
	if l.ended, err = fs.Serve(l.conn); err != nil {
		l.stop()
		t.Fatalf("%v\n%s", err, l.words.String())
	}
	l.in, l.out = json.NewDecoder(l.conn), json.NewEncoder(l.conn)
	return l
}

func unixConn(tb testing.TB, fd int) *net.UnixConn {
	tb.Helper()
	f := os.NewFile(uintptr(fd), "lab")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		tb.Fatal(err)
	}
	return c.(*net.UnixConn)
}

// ask has the patient do something. A patient that dies or hangs fails the test.
func (l *lab) ask(do string, number int) report {
	l.t.Helper()
	var r report
	err := l.out.Encode(order{do, number})
	if err == nil {
		err = l.conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
	}
	if err == nil {
		err = l.in.Decode(&r)
	}
	if err != nil {
		l.fs.SetHook(nil)
		_ = l.cmd.Process.Signal(syscall.SIGQUIT) // for the stacks
		l.stop()
		l.t.Fatalf("the process ended or hung (%s %d): %v\n%s", do, number, err, l.words.String())
	}
	return r
}

// must is ask where nothing may fail.
func (l *lab) must(do string, number int) report {
	l.t.Helper()
	r := l.ask(do, number)
	if r.Err != "" {
		l.t.Fatalf("%s %d: %s\n%s", do, number, r.Err, l.words.String())
	}
	return r
}

// stop ends the patient as kill -9 does.
func (l *lab) stop() {
	if l.cmd == nil {
		return
	}
	time.AfterFunc(10*time.Second, func() { _ = l.cmd.Process.Kill() })
	l.conn.Close()
	_ = l.cmd.Process.Kill()
	_ = l.cmd.Wait()
	if l.ended != nil {
		<-l.ended
	}
}

// TestPatient is the process under test; by itself it tests nothing.
func TestPatient(t *testing.T) {
	dir := os.Getenv(patientVariable)
	if dir == "" {
		t.Skip("it is started by other tests")
	}
	conn := unixConn(t, 3)
	if err := faultfs.Mount(dir, conn); err != nil {
		t.Fatal(err)
	}
	h := &hand{dir: filepath.Join(dir, "data"), log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	steps := faultProgram()
	in, out := json.NewDecoder(conn), json.NewEncoder(conn)
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			os.Exit(0) // the lab is closed
		}
		r, err := h.obey(o, steps)
		if err != nil {
			r.Err, r.Full = err.Error(), errors.Is(err, storage.ErrDiskFull)
		}
		if err := out.Encode(r); err != nil {
			t.Fatal(err)
		}
	}
}

func (h *hand) obey(o order, steps []step) (report, error) {
	var r report
	var err error
	h.done = nil
	switch o.Do {
	case "open":
		err = h.open()
	case "close":
		err = h.close()
	case "survey":
		if err = h.open(); err == nil {
			r.State, err = h.survey()
		}
	case "step":
		if err = h.open(); err == nil {
			err = steps[o.Step].run(h)
		}
	default:
		err = fmt.Errorf("do not know %q", o.Do)
	}
	r.Done = h.done
	return r, err
}
