package integration_test

import (
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"pillarbox/appliance/integration/rig"
)

// atOnce bounds the wait on a machine that does other work; the box needs
// milliseconds.
const atOnce = 30 * time.Second

// watcher is a client that idles and passes on what it is told.
type watcher struct {
	exists   chan uint32
	expunged chan uint32
	flags    chan []imap.Flag
}

func watch(t *testing.T, box *rig.Box) *watcher {
	t.Helper()
	w := &watcher{exists: make(chan uint32, 16), expunged: make(chan uint32, 16), flags: make(chan []imap.Flag, 16)}
	c := asAda(t, box, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				w.exists <- *data.NumMessages
			}
		},
		Expunge: func(seqNum uint32) { w.expunged <- seqNum },
		Fetch: func(msg *imapclient.FetchMessageData) {
			buf, err := msg.Collect()
			if err != nil {
				t.Errorf("read a FETCH while idle: %v", err)
				return
			}
			w.flags <- buf.Flags
		},
	}})
	selectMailbox(t, c, "INBOX")
	idle, err := c.Idle()
	if err != nil {
		t.Fatalf("idle: %v", err)
	}
	t.Cleanup(func() {
		if err := idle.Close(); err != nil {
			t.Errorf("end idle: %v", err)
			return
		}
		if err := idle.Wait(); err != nil {
			t.Errorf("end idle: %v", err)
		}
	})
	return w
}

func expect[T any](t *testing.T, ch <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(atOnce):
		t.Fatalf("not told of %s within %v", what, atOnce)
	}
	return v
}

func TestIdleTellsAtOnce(t *testing.T) {
	box := openOffice(t)
	w := watch(t, box)

	l, err := rig.DialLMTP("unix", box.LMTPSocket())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range uint32(3) {
		if answers, err := l.Deliver("carla@elsewhere.example", []string{bob, ada}, letter("idle")); err != nil || answers[1] != nil {
			t.Fatalf("deliver: %v %v", err, answers)
		}
		if got := expect(t, w.exists, "a delivered message"); got != i+1 {
			t.Fatalf("told that %d messages exist, want %d", got, i+1)
		}
	}

	box.Command(letter("by command"), "deliver", "--to", ada).MustRun(t)
	if got := expect(t, w.exists, "a message by pillarbox deliver"); got != 4 {
		t.Errorf("told that %d messages exist, want 4", got)
	}

	other := asAda(t, box, nil)
	mustAppend(t, other, "INBOX", letter("appended"))
	if got := expect(t, w.exists, "an appended message"); got != 5 {
		t.Errorf("told that %d messages exist, want 5", got)
	}

	selectMailbox(t, other, "INBOX")
	storeFlag(t, other, imap.UIDSetNum(2), imap.StoreFlagsAdd, imap.FlagDeleted)
	flags := expect(t, w.flags, "a flag set by another client")
	if !slices.Contains(flags, imap.FlagDeleted) {
		t.Errorf("told of the flags %v", flags)
	}
	if err := other.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	if got := expect(t, w.expunged, "an expunge"); got != 2 {
		t.Errorf("told that message %d is gone, want 2", got)
	}
}
