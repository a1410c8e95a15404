package timesync_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pillarbox/appliance/timesync"
)

// clock is the machine's clock, off by some time.
type clock struct {
	mu    sync.Mutex
	off   time.Duration
	steps int
	slews int
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.off)
}

func (c *clock) Step(offset time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off += offset
	c.steps++
	return nil
}

func (c *clock) Slew(time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slews++
	return nil
}

func (c *clock) stepped() (int, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.steps, c.off
}

// liar is a time server of our own that answers as a function says.
func liar(t *testing.T, answer func(request, reply []byte) []byte) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if n < 48 {
				continue
			}
			reply := make([]byte, 48)
			reply[0], reply[1], reply[2], reply[3] = 4<<3|4, 2, 6, 0xec // version 4, server, stratum 2
			copy(reply[24:32], buf[40:48])                              // the origin
			if reply = answer(buf[:n], reply); reply != nil {
				_, _ = c.WriteTo(reply, from)
			}
		}
	}()
	return c.LocalAddr().String()
}

// says returns an answer whose clock is off by some time.
func says(offset time.Duration) func(_, reply []byte) []byte {
	return func(_, reply []byte) []byte {
		now := time.Now().Add(offset)
		for _, at := range []int{16, 32, 40} { // reference, receive, transmit
			stamp(reply[at:], now)
		}
		return reply
	}
}

func stamp(b []byte, t time.Time) {
	seconds := t.Unix() + 2208988800 // from 1900
	binary.BigEndian.PutUint32(b, uint32(seconds))
	binary.BigEndian.PutUint32(b[4:], uint32(int64(t.Nanosecond())<<32/1e9))
}

// keep runs a keeper until its state is as wanted.
func keep(t *testing.T, c *timesync.Config, want func(timesync.Status) bool) timesync.Status {
	t.Helper()
	news := make(chan timesync.Status, 1024)
	c.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	c.Changed = func(s timesync.Status) { news <- s }
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	k := timesync.New(c)
	go func() {
		defer close(done)
		_ = k.Run(ctx)
	}()
	defer func() {
		stop()
		<-done
	}()
	limit := time.After(60 * time.Second)
	for {
		select {
		case s := <-news:
			if want(s) {
				return s
			}
		case <-limit:
			t.Fatalf("in vain waited; the state is %+v", k.Status())
		}
	}
}

func synchronised(s timesync.Status) bool { return s.Synchronised }
func inTrouble(s timesync.Status) bool    { return s.Problem != "" }

// near tells whether a clock is right but for what the machine's load does.
func near(off time.Duration) bool { return off.Abs() < 2*time.Second }

// chrony starts a real time server whose clock is this machine's.
func chrony(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("chronyd"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	probe, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := probe.LocalAddr().(*net.UDPAddr).Port
	if err := probe.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "chrony.conf")
	text := fmt.Sprintf("local stratum 3\nallow all\nport %d\nbindaddress 127.0.0.1\ncmdport 0\nbindcmdaddress /\npidfile %s/pid\n", port, dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// -x leaves the machine's clock alone.
	cmd := exec.Command("chronyd", "-d", "-x", "-U", "-u", "root", "-f", conf)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return fmt.Sprintf("127.0.0.1:%d", port)
}

func TestARealServerSetsTheClock(t *testing.T) {
	c := &clock{off: -20 * 24 * time.Hour}
	server := chrony(t)
	// The keeper compares with the machine's clock, which is the server's.
	s := keep(t, &timesync.Config{Clock: c, Servers: []string{server}}, synchronised)
	if s.Source != server || s.Origin != timesync.FromSettings || s.Stratum != 3 {
		t.Errorf("the source is %+v", s)
	}
	if steps, off := c.stepped(); steps != 1 || !near(off+20*24*time.Hour) {
		t.Errorf("%d steps, by %s", steps, off)
	}
}

func TestALiarIsOutvoted(t *testing.T) {
	c := &clock{}
	s := keep(t, &timesync.Config{Clock: c, Servers: []string{liar(t, says(300*time.Hour)), chrony(t), liar(t, says(0))}}, func(s timesync.Status) bool {
		return s.Synchronised && s.Asked == 3
	})
	if s.Agreeing != 2 || !near(s.Offset) {
		t.Errorf("the state is %+v", s)
	}
}

func TestGroupsAreAskedInTheOrderOfTrust(t *testing.T) {
	silent := liar(t, func(_, _ []byte) []byte { return nil })
	one, two := liar(t, says(time.Hour)), liar(t, says(2*time.Hour))
	for name, c := range map[string]struct {
		config  timesync.Config
		learned []string
		want    timesync.Origin
		offset  time.Duration
	}{
		"settings first":             {timesync.Config{Servers: []string{one}, Pool: []string{two}}, []string{two}, timesync.FromSettings, time.Hour},
		"then DHCP":                  {timesync.Config{Servers: []string{silent}, Pool: []string{two}}, []string{one}, timesync.FromDHCP, time.Hour},
		"then the pool":              {timesync.Config{Pool: []string{two}}, nil, timesync.FromPool, 2 * time.Hour},
		"settings that do not agree": {timesync.Config{Servers: []string{one, two}, Pool: []string{two}}, nil, timesync.FromPool, 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := &clock{}
			c.config.Clock = own
			s := learn(t, &c.config, c.learned)
			if s.Origin != c.want || !near(s.Offset-c.offset) {
				t.Errorf("the state is %+v", s)
			}
			if steps, off := own.stepped(); steps != 1 || !near(off-c.offset) {
				t.Errorf("%d steps, by %s", steps, off)
			}
		})
	}
}

// learn runs a keeper that DHCP has told of servers.
func learn(t *testing.T, c *timesync.Config, servers []string) timesync.Status {
	t.Helper()
	c.Logger = slog.New(slog.DiscardHandler)
	news := make(chan timesync.Status, 64)
	c.Changed = func(s timesync.Status) { news <- s }
	k := timesync.New(c)
	k.Learn(servers)
	ctx, stop := context.WithTimeout(t.Context(), 60*time.Second)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = k.Run(ctx)
	}()
	defer func() {
		stop()
		<-done
	}()
	for {
		select {
		case s := <-news:
			if s.Synchronised {
				return s
			}
		case <-ctx.Done():
			t.Fatalf("in vain waited; the state is %+v", k.Status())
		}
	}
}

func TestWhatNoServerCanDo(t *testing.T) {
	built := time.Now().Add(-time.Hour)
	for name, answer := range map[string]func(request, reply []byte) []byte{
		"go back before the program was built": says(-2 * time.Hour),
		"answer without having a clock": func(_, reply []byte) []byte {
			reply[0] |= 3 << 6 // the leap indicator's alarm
			return says(time.Hour)(nil, reply)
		},
		"answer from stratum 16": func(_, reply []byte) []byte {
			reply[1] = 16
			return says(time.Hour)(nil, reply)
		},
		"answer what was not asked": func(_, reply []byte) []byte {
			copy(reply[24:32], "12345678")
			return says(time.Hour)(nil, reply)
		},
		"answer half":              func(_, reply []byte) []byte { return says(time.Hour)(nil, reply)[:20] },
		"be unsure without bounds": func(_, reply []byte) []byte { reply[8] = 1; return says(time.Hour)(nil, reply) },
		"refuse": func(_, reply []byte) []byte {
			reply[1] = 0
			copy(reply[12:16], "RATE")
			return says(time.Hour)(nil, reply)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &clock{}
			s := keep(t, &timesync.Config{Clock: c, Floor: built, Servers: []string{liar(t, answer)}}, inTrouble)
			if steps, off := c.stepped(); steps > 0 || s.Synchronised {
				t.Errorf("it moved the clock by %s: %+v", off, s)
			}
		})
	}
}
