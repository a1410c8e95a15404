package importer_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"pillarbox/appliance/importer"
)

// TestManyMessagesStaySmall moves a mailbox of so many messages (200,000 by make
// move-test), and looks at the memory that all takes, with the stand-in's.
func TestManyMessagesStaySmall(t *testing.T) {
	n, limit := 3000, uint64(160<<20)
	if testing.Short() {
		n = 500
	}
	if text := os.Getenv("PILLARBOX_MOVE_MANY"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
		limit = 400 << 20
	}
	inbox := &standBox{name: "INBOX", validity: 7}
	for i := range n {
		inbox.msgs = append(inbox.msgs, standMessage{uid: uint32(i) + 1, flags: `\Seen`, body: fmt.Sprintf("Subject: %d\r\n\r\n.\r\n", i)})
	}
	s := (&standIn{caps: "IMAP4rev1 AUTH=PLAIN SASL-IR", boxes: []*standBox{inbox}}).start(t)
	h := newHere(t)
	var most uint64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapInuse)
			}
		}
	})
	begin := time.Now()
	r := h.move(s.source(t), importer.Options{KeepUIDs: true})
	moved := time.Since(begin)
	begin = time.Now()
	h.verify(s.source(t), importer.Options{})
	verified := time.Since(begin)
	close(stop)
	wg.Wait()
	if r.Total.Taken != int64(n) {
		t.Errorf("%+v", r.Total)
	}
	t.Logf("%d messages: moved in %.1f s, compared in %.1f s, at most %d MB in use", n, moved.Seconds(), verified.Seconds(), most>>20)
	if most > limit {
		t.Errorf("it takes %d MB", most>>20)
	}
}
