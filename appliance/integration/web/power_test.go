package web_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pillarbox/appliance/power"
)

// machine stands in for the process above the box, which starts the machine anew:
// it keeps the orders for the test.
type machine struct {
	socket string
	orders chan power.Order
}

func newMachine(t testing.TB, dir string) *machine {
	t.Helper()
	m := &machine{filepath.Join(filepath.Dir(dir), "power.sock"), make(chan power.Order, 1)}
	s, err := power.Listen(t.Context(), &power.Config{
		Path: m.socket, Logger: slog.New(slog.DiscardHandler),
		Carry: func(_ context.Context, o power.Order) error { m.orders <- o; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("take orders: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })

	return m
}

// TestThePageWaitsForTheBoxToComeBack starts the box anew by its page, which leads
// on by itself once the box answers.
func TestThePageWaitsForTheBoxToComeBack(t *testing.T) {
	long(t)
	o, b := busyOffice(t)
	b.open("/power")
	b.shoot("power")
	b.do("ask", click("Start it anew"), sees("Start the box anew?"))
	b.shoot("power-restart")
	b.do("order it", press("Start it anew", "The box starts anew"))
	b.shoot("power-wait")
	select {
	case order := <-o.machine.orders:
		if order != power.Restart {
			t.Errorf("the machine was told %q", order)
		}
	case <-time.After(patience):
		t.Fatal("the machine was told nothing")
	}
	// At the same ports, as it is on a machine of its own.
	o.Args[1], o.Args[3] = o.Web(t)
	o.Stop(t)
	o.Start(t)
	b.do("wait for it", sees("Power"))
	if said := b.text("main"); !strings.Contains(said, "The server had been stopped in order.") {
		t.Errorf("the page says:\n%s", said)
	}
}
