package datafs_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"pillarbox/appliance/firmware/datafs"
)

// program returns the path of an independent tool. In continuous integration
// it must be there.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range []string{"", "/sbin/", "/usr/sbin/"} {
		if p, err := exec.LookPath(dir + name); err == nil {
			return p
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is missing", name)
	}
	t.Skipf("%s is missing", name)

	return ""
}

// newDisk returns a sparse file of size bytes.
func newDisk(t *testing.T, size int64) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}

	return f
}

func check(t *testing.T, name string) {
	t.Helper()
	runProgram(t, program(t, "e2fsck"), "-f", "-n", name)
}

func runProgram(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
}

func TestMadeFileSystemIsSoundToE2fsck(t *testing.T) {
	sizes := map[string]int64{
		"smallest":            datafs.MinSize,
		"end inside a group":  1<<30 + 77<<20,
		"many groups":         6 << 30,
		"not in whole blocks": 300<<20 + 512,
	}
	for name, size := range sizes {
		t.Run(name, func(t *testing.T) {
			f := newDisk(t, size)
			if fresh, err := datafs.New(f); err != nil || !fresh {
				t.Fatalf("New = %t, %v; want true", fresh, err)
			}
			if err := datafs.Make(f, size); err != nil {
				t.Fatal(err)
			}
			if fresh, err := datafs.New(f); err != nil || fresh {
				t.Errorf("New = %t, %v after Make; want false", fresh, err)
			}
			if s, err := datafs.ReadState(f); err != nil || s != (datafs.State{}) {
				t.Errorf("ReadState = %+v, %v; want a clean state", s, err)
			}
			check(t, f.Name())
		})
	}
}

var errCut = errors.New("power cut")

// cutDevice loses power after some writes: of the writes since the last Sync
// any may be lost and any may be torn between sectors.
type cutDevice struct {
	*os.File
	left    int
	pending []write
}

type write struct {
	at   int64
	data []byte
}

func (d *cutDevice) WriteAt(p []byte, at int64) (int, error) {
	if d.left == 0 {
		return 0, errCut
	}
	d.left--
	d.pending = append(d.pending, write{at, bytes.Clone(p)})

	return len(p), nil
}

func (d *cutDevice) ReadAt(p []byte, at int64) (int, error) {
	n, err := d.File.ReadAt(p, at)
	for _, w := range d.pending {
		from, to := max(at, w.at), min(at+int64(len(p)), w.at+int64(len(w.data)))
		if from < to {
			copy(p[from-at:to-at], w.data[from-w.at:])
		}
	}

	return n, err
}

func (d *cutDevice) Sync() error {
	if d.left == 0 {
		return errCut
	}
	d.left--
	for _, w := range d.pending {
		if _, err := d.File.WriteAt(w.data, w.at); err != nil {
			return err
		}
	}
	d.pending = nil

	return nil
}

// crash keeps a random part of what was not yet durable.
func (d *cutDevice) crash(t *testing.T, r *rand.Rand) {
	t.Helper()
	for _, w := range d.pending {
		for i := 0; i < len(w.data); i += 512 {
			if r.IntN(2) == 0 {
				if _, err := d.File.WriteAt(w.data[i:min(i+512, len(w.data))], w.at+int64(i)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestPowerCutWhileMakingLeavesThePartitionNewOrSound(t *testing.T) {
	const size = 200 << 20
	counter := &cutDevice{File: newDisk(t, size), left: 1 << 30}
	if err := datafs.Make(counter, size); err != nil {
		t.Fatal(err)
	}
	steps := 1<<30 - counter.left
	if steps < 10 {
		t.Fatalf("only %d steps were counted", steps)
	}
	fresh, made := 0, 0
	for cut := range steps {
		r := rand.New(rand.NewPCG(uint64(cut), 1))
		f := newDisk(t, size)
		d := &cutDevice{File: f, left: cut}
		if err := datafs.Make(d, size); err == nil {
			t.Fatalf("cut %d: Make did not notice", cut)
		}
		d.crash(t, r)
		again, err := datafs.New(f)
		if err != nil {
			t.Fatal(err)
		}
		if !again {
			// The last write came through although it was not acknowledged.
			made++
			check(t, f.Name())
			continue
		}
		fresh++
		if cut%7 == 0 || cut > steps-8 {
			if err := datafs.Make(f, size); err != nil {
				t.Fatalf("cut %d: make again: %v", cut, err)
			}
			check(t, f.Name())
		}
	}
	t.Logf("%d cuts: %d times new, %d times made", steps, fresh, made)
	if fresh == 0 {
		t.Error("no cut left the partition new: the test cuts nothing")
	}
}

func TestPartitionInUseIsNotNew(t *testing.T) {
	f := newDisk(t, 32<<20)
	if _, err := f.WriteAt([]byte{1}, 1<<20-1); err != nil {
		t.Fatal(err)
	}
	if fresh, err := datafs.New(f); err != nil || fresh {
		t.Errorf("New = %t, %v; want false", fresh, err)
	}
}

func TestTooSmallPartitionIsRefused(t *testing.T) {
	f := newDisk(t, 8<<20)
	if err := datafs.Make(f, 8<<20); err == nil {
		t.Error("Make accepted 8 MiB")
	}
}
