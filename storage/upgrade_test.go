package storage

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// newFormat writes the example of the present format, once for each.
var newFormat = flag.Bool("new-format", false, "write testdata/format…, for a format that has none yet")

// listing tells what is in an account, one message a line.
func (w *world) listing() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(w.boxes)) {
		fmt.Fprintf(&b, "%s UIDVALIDITY %d\n", name, w.boxes[name])
	}
	fmt.Fprintf(&b, "subscribed %q\n", w.subs)
	for _, key := range slices.Sorted(maps.Keys(w.msgs)) {
		head, text, _ := strings.Cut(w.msgs[key], "\n")
		fmt.Fprintf(&b, "%s %s %x\n", key, strings.TrimSpace(head), sumOf([]byte(text)))
	}
	return b.String()
}

// TestDataOfEveryFormatOpens opens what each format version wrote, in a
// process that may not use much memory.
func TestDataOfEveryFormatOpens(t *testing.T) {
	const inside = "PILLARBOX_TEST_INSIDE"
	if *newFormat {
		writeFormat(t)
	}
	if os.Getenv(inside) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1", "TZ=UTC")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	try(t, unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: 1 << 30, Max: 1 << 30}))
	for v := 1; v <= formatVersion; v++ {
		t.Run(fmt.Sprint(v), func(t *testing.T) {
			dir := t.TempDir()
			name := fmt.Sprintf("testdata/format%d", v)
			if out, err := exec.CommandContext(t.Context(), "tar", "-xzf", name+".tar.gz", "-C", dir).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			want, err := os.ReadFile(name + ".txt")
			try(t, err)
			s := openTest(t, dir)
			if diff := cmp.Diff(string(want), see(t, s).listing()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			_, err = s.Check(t.Context(), CheckOptions{Bodies: true, Found: func(p Problem) { t.Errorf("found %+v", p) }})
			try(t, err)
			deliver(t, s, "ann")
			try(t, s.Close())
		})
	}
}

func writeFormat(t *testing.T) {
	t.Setenv("TZ", "UTC")
	dir := t.TempDir()
	furnish(t, dir, 20)
	for _, empty := range []string{"pool", "staging", "reserve", "LOCK"} {
		try(t, os.RemoveAll(filepath.Join(dir, empty)))
	}
	name := fmt.Sprintf("testdata/format%d", formatVersion)
	if out, err := exec.CommandContext(t.Context(), "tar", "-czf", name+".tar.gz", "--owner=0", "--group=0", "-C", dir, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	try(t, os.WriteFile(name+".txt", []byte(see(t, openTest(t, dir)).listing()), 0o600))
}
