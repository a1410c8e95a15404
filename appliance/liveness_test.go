package appliance

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/control"
	"pillarbox/appliance/health"
	"pillarbox/appliance/restart"
	"pillarbox/storage"
)

func TestAProbeTellsWhoAccepts(t *testing.T) {
	socket := "unix:" + filepath.Join(t.TempDir(), "s")
	for _, addr := range []string{"127.0.0.1:0", "127.0.8.9:0", "0.0.0.0:0", "[::]:0", "[::1]:0", socket} {
		t.Run(addr, func(t *testing.T) {
			network, at := "tcp", addr
			if path, ok := strings.CutPrefix(addr, "unix:"); ok {
				network, at = "unix", path
			}
			ln, err := net.Listen(network, at)
			if err != nil {
				t.Skip(err)
			}
			l := &listener{Listener: ln, name: "imaps"}
			// The kernel takes the connection, but nobody else does. Where the probe's
			// own port is taken it tells nothing.
			for range 5 {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				err = l.check(ctx)
				if cancel(); err != nil {
					break
				}
			}
			if err == nil || !health.IsMendable(err) {
				t.Errorf("deaf: %v", err)
			}

			// Others come through while a probe is on its way.
			served := make(chan string, 16)
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						close(served)
						return
					}
					b, _ := io.ReadAll(c)
					served <- string(b)
				}
			}()
			other, err := net.Dial(network, probeGoals(ln.Addr())[0].String())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(other, "hello"); err != nil {
				t.Fatal(err)
			}
			if err := other.Close(); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				if err := l.check(ctx); err != nil {
					t.Errorf("it accepts: %v", err)
				}
				cancel()
			}
			if err := ln.Close(); err != nil {
				t.Fatal(err)
			}
			var got []string
			for s := range served {
				if s != "" { // the first probe, which nobody waited for
					got = append(got, s)
				}
			}
			if len(got) != 1 || got[0] != "hello" {
				t.Errorf("served %q", got)
			}
			if err := l.check(t.Context()); !health.IsMendable(err) && network == "tcp" {
				t.Errorf("closed: %v", err)
			}
		})
	}
}

// quick is a pace at which a fault shows at once, and at which a slow machine
// is not taken for a faulty one.
var quick = pace{
	read: 30 * time.Millisecond, write: 30 * time.Millisecond, listen: 30 * time.Millisecond,
	accounts:     30 * time.Millisecond,
	storageLimit: time.Minute, listenerLimit: time.Minute, abort: time.Millisecond,
}

func TestAServerThatIsWellStaysSo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	imaps := []string{"127.0.0.1:0"}
	if ln, err := net.Listen("tcp", "[::]:0"); err == nil {
		imaps = append(imaps, "[::]:0")
		ln.Close()
	}
	a, err := New(t.Context(), &Config{
		Dir: dir, Logger: slog.New(slog.DiscardHandler), Version: "test",
		IMAPS: imaps, IMAPSLegacy: []string{"0.0.0.0:0"},
		LMTP: []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "lmtp")},
	})
	if err != nil {
		t.Fatal(err)
	}
	a.pace = quick
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	time.AfterFunc(5*time.Second, func() {
		defer cancel()
		for _, c := range a.health.Conditions() {
			if !strings.HasPrefix(c.Name, "disk-") { // the disk is the machine's
				t.Errorf("condition %+v", c)
			}
		}
		// No probe gets as far as a session.
		if n := a.access.Open(); n != 0 {
			t.Errorf("%d connections are open", n)
		}
	})
	if err := a.Run(ctx); err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestADeafListenerEndsTheProgram(t *testing.T) {
	a, err := New(t.Context(), &Config{
		Dir: filepath.Join(t.TempDir(), "data"), Logger: slog.New(slog.DiscardHandler), Version: "test",
		IMAPS: []string{"127.0.0.1:0"}, IMAPSLegacy: []string{Off}, LMTP: []string{Off},
	})
	if err != nil {
		t.Fatal(err)
	}
	a.pace = quick
	a.pace.listenerLimit = 4 * time.Second // in which a slow machine answers all else
	// It looks like a listener, and nobody accepts there.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	served := a.ports.imaps.open[0].Listener
	a.ports.imaps.open[0].Listener = deaf{served, ln.Addr()}
	var sick *health.SickError
	if err := a.Run(t.Context()); !errors.As(err, &sick) || !deafness.MatchString(sick.Reason) {
		t.Errorf("run: %v", err)
	}
}

// deafness allows for checks that fail between the decision and its words.
var deafness = regexp.MustCompile(`^A port takes no connections: [3-9] times in a row: `)

// deaf is a listener with the address of another.
type deaf struct {
	net.Listener

	addr net.Addr
}

func (d deaf) Addr() net.Addr { return d.addr }

// TestAHungStorageEndsTheProgram hangs the storage of a server that runs.
func TestAHungStorageEndsTheProgram(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	log := slog.New(slog.DiscardHandler)
	run, err := restart.Begin(&restart.Config{Dir: dir, Version: "v1", Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	aborted := make(chan struct{})
	a, err := New(t.Context(), &Config{
		Dir: dir, Logger: log, Version: "test", IMAPS: []string{"127.0.0.1:0"}, IMAPSLegacy: []string{Off}, LMTP: []string{Off},
		Run: run, Abort: func() { close(aborted) },
	})
	if err != nil {
		t.Fatal(err)
	}
	a.pace = quick
	a.pace.storageLimit = 3 * time.Second // that a slow disk is not taken for one that hangs
	store := a.office.store
	ended := make(chan error, 1)
	go func() { ended <- a.Run(context.Background()) }()
	client, err := control.Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := client.Status(t.Context())
	if err != nil || len(s.Listeners) != 1 || len(s.CA.SHA256) != 95 {
		t.Errorf("status %+v, %v", s, err)
	}

	release, hung := make(chan struct{}), make(chan struct{})
	go func() {
		close(hung)
		_ = store.System().Update(context.Background(), func(*storage.SystemTx) error { <-release; return nil })
	}()
	<-hung
	select {
	case <-aborted:
	case <-time.After(time.Minute):
		t.Fatal("nothing ended the program")
	}
	// What hangs is to be seen in the last words, so it must hang until then.
	last := filepath.Join(dir, "run", "crash.txt")
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if words, err := os.ReadFile(last); err == nil && strings.Contains(string(words), "writeStorage") {
			break
		}
	}
	close(release)
	var sick *health.SickError
	if err := <-ended; !errors.As(err, &sick) || !strings.Contains(sick.Reason, "Mail cannot be stored: no answer for") {
		t.Errorf("run: %v", err)
	}
	words, err := os.ReadFile(last)
	if err != nil || !strings.HasPrefix(string(words), sick.Reason) || !strings.Contains(string(words), "writeStorage") {
		t.Errorf("last words %q, %v", words, err)
	}
	if err := run.End(sick); err != nil {
		t.Fatal(err)
	}
}

// stuck is a log that hangs on one message, as on a disk that does not answer.
type stuck struct {
	slog.Handler

	on      string
	release chan struct{}
}

func (s stuck) Enabled(context.Context, slog.Level) bool { return true }
func (s stuck) WithAttrs([]slog.Attr) slog.Handler       { return s }

func (s stuck) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, s.on) {
		<-s.release
	}

	return nil
}

func TestAHungLogDoesNotKeepASickProgramAlive(t *testing.T) {
	log := stuck{slog.DiscardHandler, "the program is sick", make(chan struct{})}
	aborted := make(chan struct{})
	a, err := New(t.Context(), &Config{
		Dir: filepath.Join(t.TempDir(), "data"), Logger: slog.New(log), Version: "test",
		IMAPS: []string{"127.0.0.1:0"}, IMAPSLegacy: []string{Off}, LMTP: []string{Off},
		Abort: func() { close(aborted) },
	})
	if err != nil {
		t.Fatal(err)
	}
	a.pace = quick
	a.pace.storageLimit = 300 * time.Millisecond
	ended := make(chan error, 1)
	release := make(chan struct{})
	store := a.office.store
	go func() {
		_ = store.System().Update(context.Background(), func(*storage.SystemTx) error { <-release; return nil })
	}()
	go func() { ended <- a.Run(context.Background()) }()
	select {
	case <-aborted:
	case <-time.After(time.Minute):
		t.Error("nothing ended the program")
	}
	close(log.release)
	close(release)
	if err := <-ended; !errors.As(err, new(*health.SickError)) {
		t.Errorf("run: %v", err)
	}
}
