package restart_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/restart"
)

// crashEnv makes the test binary be a program that runs on a data folder and
// ends as the variable says.
const crashEnv = "PILLARBOX_TEST_CRASH"

func TestMain(m *testing.M) {
	if how := os.Getenv(crashEnv); how != "" {
		crash(how, os.Args[1], os.Args[2:])
		return
	}
	os.Exit(m.Run())
}

func config(dir string) *restart.Config {
	return &restart.Config{Dir: dir, Version: "v1", Logger: slog.New(slog.DiscardHandler)}
}

// crash is a run in a process of its own.
func crash(how, dir string, orders []string) {
	c := config(dir)
	if how == "order" {
		c.BootID = "1"
	}
	r, err := restart.Begin(c)
	if err != nil {
		os.Exit(3)
	}
	if how == "order" {
		how = orders[len(orders)-1]
		for _, o := range orders[:len(orders)-1] {
			if r.Order(o, "admin") != nil {
				os.Exit(3)
			}
		}
	}
	switch how {
	case "panic":
		go func() { panic("the cat walked over the disk") }()
		select {}
	case "hang":
		r.LastWords("Storage does not work: no answer for 10s")
		os.Exit(70)
	case "kill":
		_ = (&os.Process{Pid: os.Getpid()}).Kill()
	case "fail":
		r.Ready()
		_ = r.End(errors.New("open listener:\nport is taken"))
		os.Exit(1)
	case "start":
		_ = r.End(errors.New("open listener: port is taken"))
		os.Exit(1)
	case "kill ready":
		r.Ready()
		_ = (&os.Process{Pid: os.Getpid()}).Kill()
	case "well":
		if r.End(nil) != nil {
			os.Exit(4)
		}
	}
}

// ends runs the program until it ends.
func ends(t *testing.T, how, dir string, orders ...string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, append([]string{dir}, orders...)...)
	cmd.Env = append(os.Environ(), crashEnv+"="+how)
	err = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); (err == nil) != (slices.Contains([]string{how, last(orders)}, "well")) || code == 3 || code == 4 {
		t.Fatalf("%s ended with %v", how, err)
	}
}

func last(all []string) string { return strings.Join(all[max(0, len(all)-1):], "") }

// begin starts a run that the test ends.
func begin(t *testing.T, c *restart.Config) *restart.Run {
	t.Helper()
	r, err := restart.Begin(c)
	if err != nil {
		t.Fatal(err)
	}

	return r
}

func TestHowARunEnded(t *testing.T) {
	for _, tt := range []struct {
		how    string
		reason string // "" means well
		words  string // that are kept
		why    restart.Why
	}{
		{"well", "", "", restart.Stopped},
		{"panic", "panic: the cat walked over the disk", "restart_test.crash.func1", restart.Crashed},
		{"hang", "Storage does not work: no answer for 10s", "LastWords", restart.Crashed},
		{"kill", "killed without a word: by somebody, or for want of memory", "", restart.Killed},
		{"fail", "open listener:; port is taken", "", restart.Failed},
	} {
		t.Run(tt.how, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			ends(t, tt.how, dir)
			r := begin(t, config(dir))
			h := r.History()
			if last := h.Starts[len(h.Starts)-1]; len(h.Starts) != 2 || h.Starts[0].Why != restart.First || last.Why != tt.why || last.Machine {
				t.Errorf("starts %+v", h.Starts)
			}
			h.Starts = nil
			if tt.reason == "" {
				if diff := cmp.Diff(restart.History{}, h); diff != "" {
					t.Error(diff)
				}
				return
			}
			if h.Bad != 1 || h.LastCrash == nil {
				t.Fatalf("history %+v", h)
			}
			if h.LastCrash.Reason != tt.reason || h.LastCrash.Version != "v1" || time.Since(h.LastCrash.Time) > time.Minute {
				t.Errorf("last crash %+v", h.LastCrash)
			}
			if tt.words == "" {
				if h.LastCrash.File != "" {
					t.Errorf("it names last words in %s", h.LastCrash.File)
				}
			} else if words, err := os.ReadFile(h.LastCrash.File); err != nil || !strings.Contains(string(words), tt.words) {
				t.Errorf("last words %q, %v", words, err)
			}
			if err := r.End(nil); err != nil {
				t.Fatal(err)
			}
			// A run that ended well is the end of the row; the crash stays known.
			r = begin(t, config(dir))
			if h := r.History(); h.Bad != 0 || h.LastCrash == nil || h.LastCrash.Reason != tt.reason {
				t.Errorf("history after a good run %+v", h)
			}
			if err := r.End(nil); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestAPowerCutIsNotCounted(t *testing.T) {
	dir := t.TempDir()
	ends(t, "kill", dir)
	c := config(dir)
	c.BootID = "another boot"
	r := begin(t, c)
	if h := r.History(); h.Bad != 0 || h.LastCrash != nil || h.Starts[1].Why != restart.PowerCut || !h.Starts[1].Machine {
		t.Errorf("history %+v", h)
	}
	if err := r.End(nil); err != nil {
		t.Fatal(err)
	}
}

func TestAnOrderToTheMachineIsRemembered(t *testing.T) {
	for _, tt := range []struct {
		how, order string
		boot       string // that comes next
		want       restart.Why
	}{
		{"well", "restart", "2", restart.Restarted},
		{"well", "off", "2", restart.Off},
		{"kill", "restart", "2", restart.Restarted}, // it was not given the time to end
		{"well", "", "2", restart.Stopped},          // an order that was not taken
		{"well", "restart", "1", restart.Stopped},   // the machine is still the same
		{"kill", "", "2", restart.PowerCut},
	} {
		t.Run(tt.how+" after "+tt.order+" with boot "+tt.boot, func(t *testing.T) {
			dir := t.TempDir()
			ends(t, "order", dir, "restart", tt.order, tt.how)
			c := config(dir)
			c.BootID = tt.boot
			r := begin(t, c)
			got := r.History().Starts[1]
			by := ""
			if tt.want == restart.Why(tt.order) {
				by = "admin"
			}
			if got.Why != tt.want || got.Reason != by || got.Machine != (tt.boot == "2") || got.Stopped.IsZero() != (tt.how == "kill") {
				t.Errorf("start %+v; want %s by %q", got, tt.want, by)
			}
			if err := r.End(nil); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestOnlyTheNewestStartsAreRemembered(t *testing.T) {
	dir := t.TempDir()
	for i := range 15 {
		r := begin(t, config(dir))
		if got, want := len(r.History().Starts), min(i+1, 10); got != want {
			t.Errorf("%d starts after %d", got, i+1)
		}
		if err := r.End(nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWaitingGrowsWithEachBadEnd(t *testing.T) {
	dir := t.TempDir()
	want := []time.Duration{0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300}
	for i, seconds := range want {
		r := begin(t, config(dir))
		if got := r.Delay(); got != seconds*time.Second {
			t.Errorf("after %d bad ends: %v, want %v s", i, got, int(seconds))
		}
		if i < 6 { // the others do not come as far as to serve
			r.Ready()
		}
		if err := r.End(errors.New("bad")); err != nil {
			t.Fatal(err)
		}
	}
	// One that stays is trusted again.
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, config(dir))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("wait: %v", err)
		}
		begun := time.Now()
		if err := r.Wait(t.Context()); err != nil || time.Since(begun) != 5*time.Minute {
			t.Errorf("waited %v, %v", time.Since(begun), err)
		}
		if err := r.Stable(t.Context()); err != nil || time.Since(begun) != 15*time.Minute {
			t.Errorf("stable after %v, %v", time.Since(begun), err)
		}
	})
	b, err := os.ReadFile(filepath.Join(dir, "run", "run.json"))
	if err != nil || !strings.Contains(string(b), `"bad": 0`) {
		t.Errorf("record %s, %v", b, err)
	}
}

func TestAMistakeAtTheStartIsNoBadEnd(t *testing.T) {
	dir := t.TempDir()
	ends(t, "kill", dir)
	for want := range 3 {
		r := begin(t, config(dir))
		h := r.History()
		if h.Bad != 1 || h.NotReady != want || !strings.HasPrefix(h.LastCrash.Reason, "killed") {
			t.Errorf("history after %d such runs %+v", want, h)
		}
		if err := r.End(errors.New("open listener: port is taken")); err != nil {
			t.Fatal(err)
		}
	}
	r := begin(t, config(dir))
	r.Ready()
	if err := r.End(nil); err != nil {
		t.Fatal(err)
	}
	ends(t, "start", dir)
	r = begin(t, config(dir))
	if h := r.History(); h.Bad != 0 || h.NotReady != 1 {
		t.Errorf("history after a good run and a mistake %+v", h)
	}
	if err := r.End(errors.New("open listener: port is taken")); err != nil {
		t.Fatal(err)
	}
	ends(t, "kill ready", dir)
	r = begin(t, config(dir))
	if h := r.History(); h.Bad != 1 || h.NotReady != 0 {
		t.Errorf("history after a run that was ready %+v", h)
	}
	if err := r.End(nil); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyOneRunAtATime(t *testing.T) {
	dir := t.TempDir()
	r := begin(t, config(dir))
	if _, err := restart.Begin(config(dir)); !errors.Is(err, restart.ErrRunning) {
		t.Errorf("error %v, want ErrRunning", err)
	}
	if err := r.End(nil); err != nil {
		t.Fatal(err)
	}
}

func TestADamagedRecordStopsNothing(t *testing.T) {
	dir := t.TempDir()
	ends(t, "well", dir)
	if err := os.WriteFile(filepath.Join(dir, "run", "run.json"), []byte("{\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := begin(t, config(dir))
	if h := r.History(); h.Bad != 0 {
		t.Errorf("history %+v", h)
	}
	if err := r.End(nil); err != nil {
		t.Fatal(err)
	}
}

func TestWhoFindsNoServerLearnsHowTheLastOneEnded(t *testing.T) {
	dir := t.TempDir()
	if c, err := restart.LastCrash(dir); c != nil || err != nil {
		t.Errorf("before the first run: %v, %v; want nothing", c, err)
	}
	for _, tt := range []struct{ how, want string }{
		{"fail", "open listener:; port is taken"},
		{"panic", "panic: the cat walked over the disk"},
		{"kill", "panic: the cat walked over the disk"}, // nobody has noticed yet
		{"start", "open listener: port is taken"},
	} {
		ends(t, tt.how, dir)
		c, err := restart.LastCrash(dir)
		if err != nil || c == nil || c.Reason != tt.want || c.Time.IsZero() {
			t.Errorf("after %q: %+v, %v; want the reason %q and a time", tt.how, c, err, tt.want)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "run", "run.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := restart.LastCrash(dir); err == nil {
		t.Errorf("of a damaged record: %+v; want an error", c)
	}
}

func TestPauseEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		restart.Pause(ctx)
		if d := time.Since(began); d != time.Second {
			t.Errorf("paused %v after the context had ended; want 1 s", d)
		}
		restart.Pause(t.Context())
		if d := time.Since(began) - time.Second; d < 5*time.Second {
			t.Errorf("paused %v; a supervisor would not be slowed down", d)
		}
	})
}
