package bench_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/integration/rig"
)

// importVariable names the environment variable that says how many messages
// TestImportStaysSmall brings in; make soak sets 200,000, which take some minutes.
const importVariable = "PILLARBOX_IMPORT"

// maxImport is what a process may take at its peak while it brings in an
// account of 200,000 messages: what a small box has to spare.
const maxImport = 256 << 20 // octets

// TestImportStaysSmall brings a big account in from an mbox, with a server and
// without, and looks at the peak of memory (VmHWM: with the pages of files
// that are mapped) of each process that has a part in it.
func TestImportStaysSmall(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv(importVariable))
	if err != nil {
		t.Skipf("set %s to a number of messages", importVariable)
	}
	bin, err := rig.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mbox := filepath.Join(t.TempDir(), "big.mbox")
	octets, err := writeMbox(mbox, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d messages, %d MB", n, octets>>20)
	for _, served := range []bool{false, true} {
		t.Run(map[bool]string{true: "served", false: "alone"}[served], func(t *testing.T) {
			box := rig.NewBox(t, bin)
			box.AddAccount(t, "anna@office.example", password)
			if served {
				box.Start(t)
			}
			begin := time.Now()
			out, peak, own := runMeasured(t, bin, "deliver", "--data", box.Dir, "--to", "anna@office.example", "--mailbox", "Import", mbox)
			if want := fmt.Sprintf("delivered %d messages", n); !strings.Contains(out, want) {
				t.Fatalf("want %q:\n%s", want, out)
			}
			took := time.Since(begin)
			t.Logf("deliver: peak %d MB (%d of its own), %.0f messages a second", peak>>20, own>>20, float64(n)/took.Seconds())
			within(t, "deliver", peak)
			if served {
				peak, own, err := peakOf(box.PID())
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("serve: peak %d MB, afterwards %d of its own", peak>>20, own>>20)
				within(t, "serve", peak)
				box.Stop(t)
			}
			out, peak, own = runMeasured(t, bin, "check", "--data", box.Dir)
			if want := fmt.Sprintf("read %d messages", n); !strings.Contains(out, want) {
				t.Errorf("want %q:\n%s", want, out)
			}
			// It reads the whole index, whose pages count as long as nobody else
			// needs the memory; what is its own must stay small.
			t.Logf("check: peak %d MB (%d of its own)", peak>>20, own>>20)
			within(t, "check", own)
		})
	}
}

func within(t *testing.T, what string, peak int64) {
	t.Helper()
	if peak > maxImport {
		t.Errorf("%s took %d MB at its peak, and may take %d", what, peak>>20, maxImport>>20)
	}
}

// runMeasured runs a program and returns what it says and its peak of memory.
// The peak is looked at until the process ends; what wait4 tells would count
// what this test had when it forked.
func runMeasured(t *testing.T, bin string, args ...string) (said string, peak, own int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bin, args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v\n%s", args[0], err, out.String())
			}
			if peak == 0 {
				t.Fatalf("%s ended before it could be measured", args[0])
			}
			return out.String(), peak, own
		case <-tick.C:
			if highest, now, err := peakOf(cmd.Process.Pid); err == nil {
				peak, own = max(peak, highest), max(own, now)
			}
		}
	}
}

// peakOf returns the largest resident set a process has had, in octets, and
// what it has now that is not of a file.
func peakOf(pid int) (peak, own int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		value, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		switch {
		case err != nil:
		case name == "VmHWM":
			peak = value << 10
		case name == "RssAnon":
			own = value << 10
		}
	}
	if peak == 0 {
		return 0, 0, errors.New("it has ended")
	}
	return peak, own, nil
}

// writeMbox writes n messages, each another one: most of about 1 KB, one of
// 100 of 50 KB, one of 5,000 of 5 MB, and one of 30 MB.
func writeMbox(path string, n int) (octets int64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	for i := range n {
		size := 600 + i%7*100
		switch {
		case i == n/2:
			size = 30 << 20
		case i%5000 == 4999:
			size = 5 << 20
		case i%100 == 99:
			size = 50 << 10
		}
		date := time.Unix(1_500_000_000+int64(i)*600, 0).UTC()
		fmt.Fprintf(w, "From sender%d@elsewhere.example %s\n", i%500, date.Format(time.ANSIC))
		fmt.Fprintf(w, "Status: RO\nFrom: Sender %d <sender%d@elsewhere.example>\nTo: anna@office.example\n", i%500, i%500)
		fmt.Fprintf(w, "Subject: message %d of the old server\nMessage-ID: <%d@elsewhere.example>\nDate: %s\n", i, i, date.Format(time.RFC1123Z))
		io.WriteString(w, "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n")
		for at := 0; at < size; at += 70 {
			fmt.Fprintf(w, "%010d %058d\n", i, at)
		}
		io.WriteString(w, "\n")
	}
	err = errors.Join(w.Flush(), f.Close())
	if fi, statErr := os.Stat(path); statErr == nil {
		octets = fi.Size()
	}
	return octets, err
}
