package images_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/images/machine"
)

const (
	senders     = 3
	largestMail = 200 << 10 // octets; some lie in the index, some in files
)

// cuts returns how often to take the power away: PILLARBOX_POWER_CUTS, or few
// enough for continuous integration.
func cuts(t *testing.T) int {
	t.Helper()
	text := os.Getenv("PILLARBOX_POWER_CUTS")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("PILLARBOX_POWER_CUTS is %q", text)
	}

	return n
}

// random returns numbers that a failed run can be repeated with.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("PILLARBOX_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("PILLARBOX_SEED=%d", seed)

	return rand.New(rand.NewPCG(seed, 0))
}

// ledger holds what the box has acknowledged.
type ledger struct {
	mu   sync.Mutex
	mail map[imap.UID][sha256.Size]byte
}

// TestAcknowledgedMailSurvivesPowerCuts takes the power away while mail comes
// in, again and again. The box starts each time, and each message whose APPEND
// it had answered is there, byte for byte.
func TestAcknowledgedMailSurvivesPowerCuts(t *testing.T) {
	requireImageTest(t, "qemu-amd64")
	r := random(t)
	l := &ledger{mail: map[imap.UID][sha256.Size]byte{}}
	b := newBox(t, "qemu-amd64", machine.Q35)
	b.on()
	b.untilGreeting(b.Started)
	b.addAccount()
	for cut := range cuts(t) {
		before := len(l.mail)
		var work sync.WaitGroup
		for range senders {
			seed := r.Uint64()
			work.Go(func() { b.send(l, seed) })
		}
		time.Sleep(time.Second + time.Duration(r.Int64N(int64(6*time.Second))))
		b.Cut()
		work.Wait()
		b.on()
		took := b.untilGreeting(b.Started)
		b.checkLedger(l)
		t.Logf("cut %d: %d messages acknowledged, all %d there, greeting after %.1f s",
			cut, len(l.mail)-before, len(l.mail), took.Seconds())
		if t.Failed() {
			return
		}
	}
	if len(l.mail) == 0 {
		t.Error("no message was ever acknowledged: the test cuts nothing")
	}
	b.off()
	checkDisk(t, b.config.Disk)
}

// send appends messages until the connection breaks.
func (b *box) send(l *ledger, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	c, err := dial(b.IMAPS)
	if err != nil {
		return
	}
	defer c.Close()
	if err := c.Login(account, b.password).Wait(); err != nil {
		return
	}
	for {
		text := randomMessage(r)
		w := c.Append("INBOX", int64(len(text)), nil)
		if _, err := w.Write(text); err != nil {
			return
		}
		if err := w.Close(); err != nil {
			return
		}
		data, err := w.Wait()
		if err != nil {
			return
		}
		l.mu.Lock()
		l.mail[data.UID] = sha256.Sum256(text)
		l.mu.Unlock()
	}
}

// randomMessage returns a message of random size and text.
func randomMessage(r *rand.Rand) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "From: bea@office.example\r\nTo: %s\r\nSubject: %d\r\n\r\n", account, r.Uint64())
	for size := r.IntN(1 + r.IntN(largestMail)); b.Len() < size; {
		fmt.Fprintf(&b, "%x %x %x %x\r\n", r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64())
	}

	return []byte(b.String())
}

// checkLedger compares all that was acknowledged with what is there. More may
// be there: an answer can be lost on its way.
func (b *box) checkLedger(l *ledger) {
	b.t.Helper()
	c := b.login(b.IMAPS)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		b.t.Fatal(err)
	}
	got := map[imap.UID][sha256.Size]byte{}
	section := &imap.FetchItemBodySection{Peek: true}
	for first := imap.UID(1); len(l.mail) > 0 && len(got) < len(l.mail); first += 100 {
		set := imap.UIDSet{{Start: first, Stop: first + 99}}
		messages, err := c.Fetch(set, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{section}, UID: true}).Collect()
		if err != nil {
			b.t.Fatal(err)
		}
		if len(messages) == 0 {
			break
		}
		for _, m := range messages {
			if _, ok := l.mail[m.UID]; ok {
				got[m.UID] = sha256.Sum256(m.FindBodySection(section))
			}
		}
	}
	for uid, want := range l.mail {
		switch sum, ok := got[uid]; {
		case !ok:
			b.t.Errorf("message %d was acknowledged and is gone", uid)
		case sum != want:
			b.t.Errorf("message %d has changed", uid)
		}
	}
}
