package imap_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"pillarbox/appliance/imap"
)

func TestIdle(t *testing.T) {
	o := newOffice(t)
	o.dial().do("IDLE", "BAD Log in first")
	c := o.login()
	c.quiet("SELECT INBOX")
	c.write("a IDLE\r\n")
	c.expect("+ idling")
	o.deliver("alice", "INBOX", "Subject: new\r\n\r\n")
	c.expect("* 1 EXISTS", "* 1 RECENT")
	other := o.login()
	other.quiet("SELECT INBOX")
	other.quiet(`STORE 1 +FLAGS (\Deleted)`)
	c.expect(`* 1 FETCH (UID 1 FLAGS (\Deleted \Recent))`)
	other.quiet("EXPUNGE")
	c.expect("* 1 EXPUNGE")
	c.write("done\r\n")
	c.expect("a OK IDLE completed")
	c.do("NOOP", "OK NOOP completed")
}

func TestIdleWithoutMailbox(t *testing.T) {
	c := newOffice(t).login()
	c.write("a IDLE\r\n")
	c.expect("+ idling")
	c.write("DONE\r\n")
	c.expect("a OK IDLE completed")
}

func TestIdleInPipeline(t *testing.T) {
	c := newOffice(t).login()
	c.write("a IDLE\r\nDONE\r\nb NOOP\r\n")
	c.expect("+ idling", "a OK IDLE completed", "b OK NOOP completed")
}

// TestIdleTellsWhatCameBefore: nothing falls between the last command and IDLE.
func TestIdleTellsWhatCameBefore(t *testing.T) {
	o := newOffice(t)
	c := o.login()
	c.quiet("SELECT INBOX")
	o.deliver("alice", "INBOX", "Subject: new\r\n\r\n")
	c.write("a IDLE\r\n")
	c.expect("+ idling", "* 1 EXISTS", "* 1 RECENT")
}

// TestIdleEndedByACommand: it is answered after the BAD, and its literal is
// not carried out.
func TestIdleEndedByACommand(t *testing.T) {
	o := newOffice(t)
	c := o.login()
	c.write("a IDLE\r\n")
	c.expect("+ idling")
	c.write("b CREATE {15+}\r\nx DELETE Junk\r\n\r\n")
	c.expect("a BAD Expected DONE; what came instead is taken for a command", "b NO …")
	c.do("NOOP", "OK NOOP completed")
	if o.account("alice").Mailbox("Junk") == nil {
		t.Error("a command from inside a literal was carried out")
	}
}

func TestIdleEndedByALongLine(t *testing.T) {
	c := newOffice(t).login()
	c.write("a IDLE\r\n")
	c.expect("+ idling")
	c.write(strings.Repeat("x", 100000) + " {15+}\r\nx DELETE Junk\r\n\r\n")
	c.expect("* BYE a line is longer than 8192 octets")
	c.closed()
}

// TestIdleSignsOfLife: NAT boxes forget silent connections.
func TestIdleSignsOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		c := o.loginPipe()
		c.write("a IDLE\r\n")
		c.expect("+ idling")
		start := time.Now()
		for i := 1; i <= 60; i++ {
			c.patience = 3 * time.Minute
			c.expect("* OK Still here")
			if got, want := time.Since(start), time.Duration(i)*2*time.Minute; got != want {
				t.Fatalf("sign %d after %v, want %v", i, got, want)
			}
		}
		c.write("DONE\r\n")
		c.expect("a OK IDLE completed")
	})
}

// TestIdleClientStalls: one that takes nothing any more is given up.
func TestIdleClientStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		c := o.loginPipe()
		c.write("a IDLE\r\n")
		c.expect("+ idling")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := o.server.Stats().Sessions; n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

func TestIdleEndsAtStop(t *testing.T) {
	o := newOffice(t)
	c := o.login()
	c.quiet("SELECT INBOX")
	c.write("a IDLE\r\n")
	c.expect("+ idling")
	o.stop()
	c.expect("* BYE [UNAVAILABLE] The server is shutting down")
	c.closed()
}

func TestIdleByLibrary(t *testing.T) {
	o := newOffice(t)
	exists := make(chan uint32, 1)
	c := o.library(&imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				exists <- *data.NumMessages
			}
		},
	}})
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	idle, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	o.deliver("alice", "INBOX", "Subject: new\r\n\r\n")
	select {
	case n := <-exists:
		if n != 1 {
			t.Errorf("told of %d messages", n)
		}
		t.Logf("told after %v", time.Since(start))
	case <-time.After(patience):
		t.Fatal("nothing was told")
	}
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	if err := idle.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestIdleMemory: product figure: at most 40 KB for an idle connection over TLS.
func TestIdleMemory(t *testing.T) {
	const n = 100
	o := newOffice(t, func(c *imap.Config) { c.Limits.ConnectionsPerAccount = n })
	o.deliver("alice", "INBOX", letter)
	open := func() {
		c := o.login()
		c.quiet("SELECT INBOX")
		c.write("a IDLE\r\n")
		c.expect("+ idling")
	}
	open() // what all connections share is there now
	used := func() uint64 {
		runtime.GC()
		runtime.GC() // the second one empties the pools
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := used()
	for range n - 1 {
		open()
	}
	// The clients of this test lie in the same memory, with TLS and a buffer
	// each; half of what was measured is theirs at least.
	each := (used() - before) / (n - 1)
	t.Logf("%s per pair of client and session", size(each))
	if each > 2*40<<10 {
		t.Errorf("a session and its client take %s", size(each))
	}
}

func size(n uint64) string { return fmt.Sprintf("%.1f KiB", float64(n)/1024) }
