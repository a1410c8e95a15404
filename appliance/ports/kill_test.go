package ports_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/ports"
	"pillarbox/storage"
)

// systemStore is the store of the box.
type systemStore struct{ system *storage.System }

func (s systemStore) Load(section string, f func(key string, value []byte) error) error {
	return s.system.View(func(tx *storage.SystemTx) error { return tx.All(section, f) })
}

func (s systemStore) Save(ctx context.Context, changes []ports.Change) error {
	return s.system.Update(ctx, func(tx *storage.SystemTx) error {
		for _, c := range changes {
			err := tx.Delete(c.Section, c.Key)
			if c.Value != nil {
				err = tx.PutPassing(c.Section, c.Key, c.Value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func openStore(t testing.TB, dir string) *storage.Store {
	t.Helper()
	s, err := storage.Open(t.Context(), &storage.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// killed is the environment in which the test is the process that is killed.
const killed = "PILLARBOX_PORTS_KILLED"

// TestAKillKeepsWhatWasWritten kills a process that sees sign-ins and writes,
// again and again: what it has said that it wrote is there.
func TestAKillKeepsWhatWasWritten(t *testing.T) {
	if dir := os.Getenv(killed); dir != "" {
		o := newOffice(t, func(c *ports.Config) { c.Store = systemStore{openStore(t, dir).System()} })
		first := 0
		for _, c := range o.inv.Clients(ports.Query{}) {
			first += c.Sessions
		}
		for i := first; ; i++ {
			o.comes(visit{account: "a", from: fmt.Sprintf("192.168.7.%d", i%20)})
			o.connect(visit{from: fmt.Sprintf("10.0.%d.%d", i/250%256, i%250)}).End()
			o.flush()
			fmt.Printf("wrote %d\n", i+1)
		}
	}
	dir := t.TempDir()
	for round := range 3 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestAKillKeepsWhatWasWritten$")
		cmd.Env = append(os.Environ(), killed+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		wrote := 0
		time.AfterFunc(time.Duration(300+200*round)*time.Millisecond, func() { _ = cmd.Process.Kill() })
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			_, _ = fmt.Sscanf(lines.Text(), "wrote %d", &wrote)
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		store := openStore(t, dir)
		o := newOffice(t, func(c *ports.Config) { c.Store = systemStore{store.System()} })
		sessions := 0
		for _, c := range o.inv.Clients(ports.Query{}) {
			sessions += c.Sessions
		}
		silent := len(o.inv.Strangers(ports.Query{}))
		t.Logf("round %d: it said that it wrote %d; %d sessions and %d strangers are there", round, wrote, sessions, silent)
		if sessions < wrote || sessions > wrote+1 || wrote > 0 && silent < min(wrote, 1024) {
			t.Error("something is lost, or counted twice")
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkWrite is what a quarter of an hour costs a real disk, and how large
// what is kept makes the system database.
func BenchmarkWrite(b *testing.B) {
	for _, accounts := range []int{20, 200} {
		b.Run(fmt.Sprintf("%d accounts of 3 clients", accounts), func(b *testing.B) {
			dir := b.TempDir()
			store := openStore(b, dir)
			o := newOffice(b, func(c *ports.Config) { c.Store = systemStore{store.System()} })
			for range 90 {
				fill(o, accounts)
				o.pass(day)
			}
			o.flush()
			written := diskWrites(b)
			n := 0
			for b.Loop() {
				n++
				fill(o, accounts)
				o.pass(15 * time.Minute)
				o.flush()
			}
			b.ReportMetric(float64(diskWrites(b)-written)/float64(n), "octets/flush")
			if info, err := os.Stat(dir + "/system.db"); err == nil {
				b.ReportMetric(float64(info.Size()), "octets")
			}
		})
	}
}

// diskWrites returns what this process has had written.
func diskWrites(b *testing.B) (n int) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		b.Skip(err)
	}
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "write_bytes: %d", &n)
	}
	return n
}
