package images_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"pillarbox/images/machine"
)

const (
	senders     = 3
	largestMail = 200 << 10 // octets; some lie in the index, some in files

	// A cut comes after so many answers at most, and then at any moment of the
	// next commands: a slow machine is cut under load as a fast one is.
	mostAnswers = 120
	cutTime     = 300 * time.Millisecond
)

// mailboxes that the load uses. All of them are there from the start.
var mailboxes = []string{"INBOX", "Archive", "Trash"}

// cuts returns how often to take the power away: PILLARBOX_POWER_CUTS, or few
// enough for continuous integration.
func cuts(t *testing.T) int {
	t.Helper()
	text := os.Getenv("PILLARBOX_POWER_CUTS")
	if text == "" {
		return 2
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

// TestAcknowledgedMailSurvivesPowerCuts takes the power away while mail comes
// in and is flagged, copied, moved and expunged, again and again. The box starts
// each time, and all that it had acknowledged is there: each message in its
// mailbox, with its flags, byte for byte. Of what it had not answered yet each
// command has happened as a whole or not at all.
func TestAcknowledgedMailSurvivesPowerCuts(t *testing.T) {
	requireImageTest(t, "qemu-amd64")
	r := random(t)
	l := newLedger()
	b := newBox(t, "qemu-amd64", machine.Q35)
	b.on()
	b.untilGreeting(b.Started)
	b.addAccount()
	count := cuts(t)
	for cut := range count {
		before := l.count()
		var work sync.WaitGroup
		powered, off := context.WithCancel(t.Context())
		for range senders {
			seed := r.Uint64()
			work.Go(func() { b.send(powered, l, seed) })
		}
		seed := r.Uint64()
		work.Go(func() { b.change(powered, l, seed) })
		b.untilAnswers(l, before+1+r.IntN(mostAnswers))
		time.Sleep(time.Duration(r.Int64N(int64(cutTime))))
		b.Cut()
		off()
		work.Wait()
		after := l.count()
		doubts := len(l.doubts)
		if cut == count-1 {
			checkMail(t, b.config.Disk)
		}
		b.on()
		took := b.untilGreeting(b.Started)
		b.checkLedger(l, cut == count-1)
		if t.Failed() {
			return
		}
		t.Logf("cut %d of %d: %d commands acknowledged, %d under way, all %d messages in order, greeting after %.1f s",
			cut+1, count, after-before, doubts, len(l.messages), took.Seconds())
	}
	t.Logf("acknowledged: %v", l.answers)
	b.off()
	checkDisk(t, b.config.Disk)
	checkMail(t, b.config.Disk)
}

// untilAnswers waits until so many commands were acknowledged in all.
func (b *box) untilAnswers(l *ledger, count int) {
	b.t.Helper()
	for from := time.Now(); time.Since(from) < bootTime; time.Sleep(10 * time.Millisecond) {
		if l.count() >= count {
			return
		}
	}
	b.t.Fatalf("%d of %d commands were acknowledged within %s", l.count(), count, bootTime)
}

// worker returns a client that is logged in, or an error once the power is off.
// An emulated box that has just been given an account can be too busy at first.
func (b *box) worker(powered context.Context) (*imapclient.Client, error) {
	for {
		c, err := b.tryWorker()
		if err == nil || powered.Err() != nil {
			return c, err
		}
		b.t.Logf("try again: %v", err)
		select {
		case <-time.After(time.Second):
		case <-powered.Done():
		}
	}
}

func (b *box) tryWorker() (*imapclient.Client, error) {
	c, err := dial(b.IMAPS)
	if err != nil {
		return nil, err
	}
	if err := c.Login(account, b.password).Wait(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		return nil, errors.Join(err, c.Close())
	}

	return c, nil
}

// send appends messages until the connection breaks.
func (b *box) send(powered context.Context, l *ledger, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	c, err := b.worker(powered)
	if err != nil {
		return
	}
	defer c.Close()
	for {
		text := randomMessage(r)
		d := l.begin(&doubt{to: "INBOX", sum: sha256.Sum256(text)})
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
		l.acknowledged("APPEND", d, data.UID)
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

// change flags, copies, moves and expunges messages until the connection breaks.
func (b *box) change(powered context.Context, l *ledger, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 2))
	c, err := b.worker(powered)
	if err != nil {
		return
	}
	defer c.Close()
	for {
		p, m, ok := l.pick("INBOX", r.Uint64())
		if !ok {
			if err := c.Noop().Wait(); err != nil {
				return
			}
			continue
		}
		switch r.IntN(5) {
		case 0, 1:
			flags := []imap.Flag{imap.FlagSeen, imap.FlagFlagged, imap.FlagAnswered, "$Forwarded", "office"}
			r.Shuffle(len(flags), func(i, j int) { flags[i], flags[j] = flags[j], flags[i] })
			err = store(c, l, p, flags[:r.IntN(len(flags)+1)])
		case 2:
			err = transfer(c, l, place{}, "Archive", p.uid, m)
		case 3:
			err = transfer(c, l, p, "Trash", p.uid, m)
		case 4:
			err = expunge(c, l, p)
		}
		if err != nil {
			return
		}
	}
}

// store replaces the flags of a message.
func store(c *imapclient.Client, l *ledger, p place, flags []imap.Flag) error {
	d := l.begin(&doubt{at: p, flags: flagText(flags...)})
	if err := c.Store(imap.UIDSetNum(p.uid), &imap.StoreFlags{Op: imap.StoreFlagsSet, Flags: flags}, nil).Close(); err != nil {
		return err
	}
	l.acknowledged("STORE", d, 0)

	return nil
}

// transfer copies a message, or moves it from a place.
func transfer(c *imapclient.Client, l *ledger, from place, to string, uid imap.UID, m kept) error {
	d := l.begin(&doubt{from: from, to: to, sum: m.sum, flags: m.flags})
	command, came := "COPY", imap.NumSet(nil)
	if from.uid != 0 {
		command = "MOVE"
		data, err := c.Move(imap.UIDSetNum(uid), to).Wait()
		if err != nil {
			return err
		}
		came = data.DestUIDs
	} else {
		data, err := c.Copy(imap.UIDSetNum(uid), to).Wait()
		if err != nil {
			return err
		}
		came = data.DestUIDs
	}
	set, ok := came.(imap.UIDSet)
	if !ok || len(set) != 1 {
		return fmt.Errorf("%s names the new messages %v", command, came)
	}
	l.acknowledged(command, d, set[0].Start)

	return nil
}

// expunge marks a message and removes it.
func expunge(c *imapclient.Client, l *ledger, p place) error {
	if err := store(c, l, p, []imap.Flag{imap.FlagDeleted}); err != nil {
		return err
	}
	d := l.begin(&doubt{from: p})
	if err := c.UIDExpunge(imap.UIDSetNum(p.uid)).Close(); err != nil {
		return err
	}
	l.acknowledged("EXPUNGE", d, 0)

	return nil
}

// checkLedger compares what was acknowledged with what is there: all places and
// flags, and the bytes of what is new since the last time, or of all.
func (b *box) checkLedger(l *ledger, all bool) {
	b.t.Helper()
	c := b.login(b.IMAPS)
	got := map[place]kept{}
	for _, mailbox := range mailboxes {
		if _, err := c.Select(mailbox, nil).Wait(); err != nil {
			b.t.Fatal(err)
		}
		messages, err := c.Fetch(imap.UIDSet{{Start: 1}}, &imap.FetchOptions{UID: true, Flags: true}).Collect()
		if err != nil {
			b.t.Fatal(err)
		}
		var read []imap.UID
		for _, m := range messages {
			p := place{mailbox, m.UID}
			known := l.messages[p]
			got[p] = kept{sum: known.sum, flags: flagText(m.Flags...), proven: true}
			if all || !known.proven {
				read = append(read, m.UID)
			}
		}
		for p, s := range b.sums(c, mailbox, read) {
			m := got[p]
			m.sum = s
			got[p] = m
		}
	}
	for _, problem := range l.settle(got) {
		b.t.Error(problem)
	}
}

// sums reads messages of the selected mailbox, some at a time.
func (b *box) sums(c *imapclient.Client, mailbox string, uids []imap.UID) map[place]sum {
	b.t.Helper()
	sums := map[place]sum{}
	section := &imap.FetchItemBodySection{Peek: true}
	for len(uids) > 0 {
		n := min(len(uids), 50)
		messages, err := c.Fetch(imap.UIDSetNum(uids[:n]...), &imap.FetchOptions{
			UID: true, BodySection: []*imap.FetchItemBodySection{section},
		}).Collect()
		if err != nil {
			b.t.Fatal(err)
		}
		for _, m := range messages {
			sums[place{mailbox, m.UID}] = sha256.Sum256(m.FindBodySection(section))
		}
		uids = uids[n:]
	}

	return sums
}

// checkMail has pillarbox itself read all mail on a copy of the data partition,
// whose journal e2fsck replays as the box does.
func checkMail(t *testing.T, disk string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "pillarbox")
	run(t, "go", "build", "-trimpath", "-buildvcs=false", "-o", program, "pillarbox/cmd/pillarbox")
	data := cutPartition(t, disk, 4)
	if out, err := command(t, "e2fsck", "-p", data).CombinedOutput(); err != nil && !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("e2fsck -p: %v\n%s", err, out)
	}
	run(t, "e2fsck", "-f", "-n", data)
	dir := t.TempDir()
	run(t, "debugfs", "-R", "rdump /pillarbox "+dir, data)
	t.Logf("pillarbox check: %s", strings.TrimSpace(run(t, program, "check", "--data", filepath.Join(dir, "pillarbox"))))
}
