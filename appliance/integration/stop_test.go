package integration_test

import (
	"bytes"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"pillarbox/appliance/integration/rig"
)

// load appends and delivers without a pause until the box goes away, and
// remembers what was acknowledged.
type load struct {
	mu    sync.Mutex
	acked map[string]bool
	wg    sync.WaitGroup
}

// text is the body of a message that can be told from all others.
func text(name string) []byte {
	return append(letter(name), bytes.Repeat([]byte("Wood for the stove, paper for the archive.\r\n"), len(name)*40)...)
}

func (l *load) ack(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[name] = true
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

func startLoad(t *testing.T, box *rig.Box) *load {
	t.Helper()
	l := &load{acked: map[string]bool{}}
	for worker := range 3 {
		w := box.Wire(t, ada, adaPassword)
		l.wg.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("append-%d-%d", worker, i)
				if err := w.Append("INBOX", time.Time{}, text(name)); err != nil {
					return
				}
				l.ack(name)
			}
		})
	}
	for worker := range 2 {
		c, err := rig.DialLMTP("unix", box.LMTPSocket())
		if err != nil {
			t.Fatal(err)
		}
		l.wg.Go(func() {
			defer c.Close()
			for i := 0; ; i++ {
				name := fmt.Sprintf("lmtp-%d-%d", worker, i)
				answers, err := c.Deliver("carla@elsewhere.example", []string{ada, bob}, text(name))
				if err != nil {
					return
				}
				if answers[0] == nil {
					l.ack(name)
				}
			}
		})
	}
	return l
}

// check restarts the box and demands every acknowledged message, whole and
// once.
func (l *load) check(t *testing.T, box *rig.Box) {
	t.Helper()
	l.wg.Wait()
	box.Start(t)
	c := asAda(t, box, nil)
	selectMailbox(t, c, "INBOX")
	found := map[string]int{}
	for uid, got := range bodies(t, c) {
		_, rest, _ := bytes.Cut(got, []byte("\r\nSubject: "))
		name, _, _ := bytes.Cut(rest, []byte("\r\n"))
		found[string(name)]++
		if !bytes.HasSuffix(got, text(string(name))) {
			t.Errorf("message %d, %s, is damaged", uid, name)
		}
	}
	for name := range l.acked {
		if found[name] != 1 {
			t.Errorf("%s was acknowledged and is there %d times", name, found[name])
		}
	}
	if len(l.acked) < 20 {
		t.Errorf("only %d messages were acknowledged: that was no load", len(l.acked))
	}
	t.Logf("%d messages acknowledged, %d found", len(l.acked), len(found))
}

func (l *load) waitFor(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); l.count() < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("only %d messages acknowledged after a minute", l.count())
		}
	}
}

func TestStoppingUnderLoadLosesNothing(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			box := openOffice(t)
			l := startLoad(t, box)
			l.waitFor(t, 50)
			box.Signal(t, signal)
			box.WaitStopped(t)
			l.check(t, box)
		})
	}
}

func TestStoppingSaysGoodbye(t *testing.T) {
	box := openOffice(t)
	w := box.Wire(t, ada, adaPassword)
	idle := box.Wire(t, ada, adaPassword)
	if _, err := idle.Do("SELECT INBOX"); err != nil {
		t.Fatal(err)
	}
	if err := idle.Start("IDLE"); err != nil {
		t.Fatal(err)
	}
	if line, err := idle.Line(); err != nil || line[0] != '+' {
		t.Fatalf("IDLE is answered by %q, %v", line, err)
	}
	box.Stop(t)
	for name, conn := range map[string]*rig.Wire{"an authenticated": w, "an idle": idle} {
		line, err := conn.Line()
		if err != nil || !bytes.HasPrefix(line, []byte("* BYE ")) {
			t.Errorf("%s session hears %q, %v when the box stops, want BYE", name, line, err)
		}
	}
}
