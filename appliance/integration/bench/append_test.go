package bench_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pillarbox/appliance/integration/rig"
)

// noDate leaves the internal date to the box.
var noDate time.Time

// letters are messages of which none is the same as another: the box stores a
// body that it has already only once, which would flatter it.
type letters struct {
	bodies [][]byte
	n      int
}

func newLetters() *letters { return &letters{bodies: slices.Collect(rig.Archive(500))} }

func (l *letters) next() []byte {
	l.n++
	number := fmt.Sprintf("X-Number: %d-%d\r\n", time.Now().UnixNano(), l.n)
	return slices.Concat([]byte(number), l.bodies[l.n%len(l.bodies)])
}

// fresh creates an empty mailbox and deletes it when the benchmark ends.
func fresh(b *testing.B, w *rig.Wire, name string) {
	b.Helper()
	must(b, w, "CREATE %q", name)
	b.Cleanup(func() { must(b, w, "DELETE %q", name) })
}

// append measures an APPEND, by one client or by several at once.
func (o *office) append(b *testing.B, connections int) {
	messages := newLetters()
	owner := o.wire(b)
	fresh(b, owner, "Append")
	var conns []*rig.Wire
	for range connections {
		conns = append(conns, o.wire(b))
	}
	work := make(chan []byte, connections)
	var workers sync.WaitGroup
	var octets int64
	b.ResetTimer()
	for _, w := range conns {
		workers.Go(func() {
			for message := range work {
				if err := w.Append("Append", noDate, message); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	for range b.N {
		message := messages.next()
		octets += int64(len(message))
		work <- message
	}
	close(work)
	workers.Wait()
	b.StopTimer()
	b.SetBytes(octets / int64(b.N))
	perSecond(b, 1, "msg")
}

// deliver measures a delivery by LMTP on the unix socket.
func (o *office) deliver(b *testing.B) {
	messages := newLetters()
	l, err := rig.DialLMTP("unix", o.box.LMTPSocket())
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	other := "bench" + time.Now().Format("150405.000") + "@office.example"
	o.box.AddAccount(b, other, password)
	b.ResetTimer()
	for range b.N {
		answers, err := l.Deliver("carla@elsewhere.example", []string{other}, messages.next())
		if err != nil || answers[0] != nil {
			b.Fatalf("deliver: %v %v", err, answers)
		}
	}
	b.StopTimer()
	perSecond(b, 1, "msg")
}
