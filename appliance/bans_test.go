package appliance_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/control"
)

// guessFrom logs in from an address of 127.0.0.0/8 until it is not let in any
// more, with a name each time, and returns how often it was answered.
func (r *running) guessFrom(ctx context.Context, from string, most int, name func(i int) string) (answered int, out bool) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	for i := range most {
		conn, err := d.DialContext(ctx, "tcp", r.Addresses("imaps")[0])
		if err != nil {
			return answered, false
		}
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // guessers do not mind
		br := bufio.NewReader(c)
		greeting, _ := br.ReadString('\n')
		if greeting == "" {
			conn.Close()
			return answered, true
		}
		fmt.Fprintf(c, "a LOGIN %s wrong\r\n", name(i))
		if answer, _ := br.ReadString('\n'); strings.HasPrefix(answer, "a NO") {
			answered++
		}
		conn.Close()
	}

	return answered, false
}

// TestGuessersAreKeptOutWhileAnOfficeWorks is a real server that is attacked
// from several addresses; somebody reads mail meanwhile, with a telephone
// beside her that has an old password.
func TestGuessersAreKeptOutWhileAnOfficeWorks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addAnna(t, dir)
	c := config(dir)
	c.BoundLoopback = true
	r := start(t, c)
	anna := r.imap(t, "imaps")

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var attack, office sync.WaitGroup
	var mu sync.Mutex
	tries := map[string]int{}
	for host := 2; host <= 5; host++ {
		from := fmt.Sprintf("127.0.0.%d", host)
		for worker := range 4 {
			attack.Go(func() {
				n, out := r.guessFrom(ctx, from, 20, func(i int) string { return fmt.Sprintf("name%d-%d", worker, i) })
				mu.Lock()
				defer mu.Unlock()
				tries[from] += n
				if !out {
					t.Errorf("%s is let in still after %d tries of one of its workers", from, n)
				}
			})
		}
	}
	office.Go(func() {
		if n, out := r.guessFrom(ctx, "127.0.0.1", 1000, func(int) string { return "anna@office.example" }); out {
			t.Errorf("the office is banned after %d tries of its telephone", n)
		}
	})
	done := make(chan struct{})
	go func() { attack.Wait(); close(done) }()
	var worst time.Duration
	for n := 0; ; n++ {
		began := time.Now()
		anna.say(fmt.Sprintf("n%d NOOP", n), fmt.Sprintf("n%d OK", n))
		if n%25 == 0 {
			r.imap(t, "imaps").say("z LOGOUT", "z OK")
		}
		worst = max(worst, time.Since(began))
		select {
		case <-done:
		case <-time.After(20 * time.Millisecond):
			continue
		}
		break
	}
	stop()
	office.Wait()
	t.Logf("tries until the ban: %v; anna's longest wait, log-ins counted: %v", tries, worst)
	for from, n := range tries {
		if n > 10+4 { // what the other workers had begun is answered
			t.Errorf("%s got %d answers", from, n)
		}
	}
	check := func() {
		t.Helper()
		withClient(t, dir, false, func(c *control.Client) {
			bans, err := c.Bans(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(bans) != 4 {
				t.Errorf("bans: %+v", bans)
			}
			for _, b := range bans {
				if b.Account != "" || !strings.HasPrefix(fmt.Sprint(b.Tried), "[name") || b.Attempts < 10 {
					t.Errorf("%+v", b)
				}
			}
			if s, err := c.Status(t.Context()); err != nil || s.Banned != 4 {
				t.Errorf("status: %d banned, %v", s.Banned, err)
			}
		})
	}
	check()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = start(t, c)
	check()
	if n, out := r.guessFrom(t.Context(), "127.0.0.3", 1, func(int) string { return "x" }); !out {
		t.Errorf("after a restart it is answered %d times", n)
	}
	withClient(t, dir, false, func(c *control.Client) {
		if lifted, err := c.LiftBan(t.Context(), "127.0.0.3", ""); err != nil || len(lifted) != 1 {
			t.Errorf("LiftBan: %+v, %v", lifted, err)
		}
	})
	withClient(t, dir, false, func(c *control.Client) {
		for kind, want := range map[audit.Kind]int{audit.BanMade: 4, audit.BanLifted: 1} {
			records, err := c.AuditRecords(t.Context(), audit.Filter{Kinds: []string{string(kind)}})
			if err != nil || len(records) != want {
				t.Errorf("%s is recorded %d times, want %d: %v", kind, len(records), want, err)
			}
		}
	})
	if n, _ := r.guessFrom(t.Context(), "127.0.0.3", 1, func(int) string { return "x" }); n != 1 {
		t.Error("it is not let in after the ban was lifted")
	}
}
