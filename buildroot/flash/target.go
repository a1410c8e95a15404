package flash

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Host is where the kernel tells about disks and mounts. The zero value is the
// running system; tests have their own.
type Host struct {
	Sys  string // instead of /sys
	Proc string // instead of /proc
	Dev  string // instead of /dev
}

func (h Host) path(root, fallback string, elements ...string) string {
	if root == "" {
		root = fallback
	}

	return filepath.Join(append([]string{root}, elements...)...)
}

func (h Host) sys(e ...string) string  { return h.path(h.Sys, "/sys", e...) }
func (h Host) proc(e ...string) string { return h.path(h.Proc, "/proc", e...) }
func (h Host) dev(e ...string) string  { return h.path(h.Dev, "/dev", e...) }

// Target is a disk to write to.
type Target struct {
	Path      string
	Name      string // the kernel's, such as sdb
	Model     string // what the maker calls it; may be empty
	Size      int64  // bytes
	Removable bool
	InUse     []string // what of it is mounted or used for swapping, in words
	System    bool     // the running system's root lies on it
}

// Find describes the disk at a path.
func (h Host) Find(path string) (*Target, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", path, err)
	}
	name := filepath.Base(resolved)
	dir := h.sys("block", name)
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("%s is not a whole disk", path)
	}
	t := &Target{Path: resolved, Name: name, Model: strings.TrimSpace(line(dir, "device", "model"))}
	sectors, err := strconv.ParseInt(line(dir, "size"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("find the size of %s: %w", path, err)
	}
	t.Size = sectors * 512
	t.Removable = line(dir, "removable") == "1" || h.external(name)
	if err := h.findUses(t); err != nil {
		return nil, err
	}

	return t, nil
}

// line returns the first line of a file, or nothing.
func line(elements ...string) string {
	text, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(text), "\n")

	return first
}

// external tells whether the disk is connected by USB or is a card: such disks
// can be removed although many of them say that they are fixed.
func (h Host) external(name string) bool {
	where, err := filepath.EvalSymlinks(h.sys("block", name))
	if err != nil {
		return false
	}
	if line(where, "device", "type") == "SD" {
		return true
	}

	return slices.ContainsFunc(strings.Split(where, string(filepath.Separator)), func(part string) bool {
		return strings.HasPrefix(part, "usb") && len(part) > 3 && part[3] >= '0' && part[3] <= '9'
	})
}

// findUses looks for what of the disk is in use: its partitions, and what is
// built upon them, such as encrypted volumes.
func (h Host) findUses(t *Target) error {
	devices := map[string]string{} // major:minor to name
	h.collect(h.sys("block", t.Name), devices)
	mounts, err := h.lines("self", "mountinfo")
	if err != nil {
		return err
	}
	for _, m := range mounts {
		// proc(5): id, parent, major:minor, root, mount point, …
		f := strings.Fields(m)
		if len(f) < 5 {
			continue
		}
		name, ok := devices[f[2]]
		if !ok {
			continue
		}
		t.InUse = append(t.InUse, fmt.Sprintf("%s is mounted at %s", name, f[4]))
		t.System = t.System || f[4] == "/"
	}
	swaps, err := h.lines("swaps")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, s := range swaps {
		f := strings.Fields(s)
		if len(f) == 0 {
			continue
		}
		for _, name := range devices {
			if f[0] == h.dev(name) {
				t.InUse = append(t.InUse, name+" is used for swapping")
			}
		}
	}

	return nil
}

// collect notes the numbers of a block device, its partitions and its holders.
func (h Host) collect(dir string, devices map[string]string) {
	number := line(dir, "dev")
	if _, known := devices[number]; known || number == "" {
		return
	}
	devices[number] = filepath.Base(dir)
	partitions, _ := filepath.Glob(filepath.Join(dir, "*", "partition"))
	for _, p := range partitions {
		h.collect(filepath.Dir(p), devices)
	}
	holders, _ := os.ReadDir(filepath.Join(dir, "holders"))
	for _, holder := range holders {
		h.collect(h.sys("block", holder.Name()), devices)
	}
}

func (h Host) lines(elements ...string) ([]string, error) {
	f, err := os.Open(h.proc(elements...))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []string
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		all = append(all, scanner.Text())
	}

	return all, scanner.Err()
}

// Refusal says why a disk is not written to.
type Refusal struct {
	Target *Target
	Why    []string
	Final  bool // not even if the caller insists
}

// Error names all reasons.
func (r *Refusal) Error() string {
	return fmt.Sprintf("%s will not be written to: %s", r.Target.Path, strings.Join(r.Why, "; "))
}

// Allow checks that a disk may be overwritten with an image of size bytes.
func (t *Target) Allow(size int64, force bool) error {
	r := &Refusal{Target: t}
	if t.System {
		r.Why, r.Final = append(r.Why, "the running system is on it"), true
	}
	if t.Size < size {
		r.Why, r.Final = append(r.Why, fmt.Sprintf("it has %d bytes, the image %d", t.Size, size)), true
	}
	if !r.Final && force {
		return nil
	}
	r.Why = append(r.Why, t.InUse...)
	if !t.Removable {
		r.Why = append(r.Why, "it is not a removable disk")
	}
	if len(r.Why) == 0 {
		return nil
	}

	return r
}

// open opens the disk; without force for this process alone.
func (t *Target) open(force bool) (*os.File, error) {
	flags := os.O_RDWR
	if !force {
		flags |= unix.O_EXCL
	}
	f, err := os.OpenFile(t.Path, flags, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, &Refusal{Target: t, Why: []string{"another program uses it"}}
	}
	if err != nil {
		return nil, fmt.Errorf("open disk: %w", err)
	}

	return f, nil
}
