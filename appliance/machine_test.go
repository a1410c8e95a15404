package appliance_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/control"
	"pillarbox/appliance/power"
	"pillarbox/appliance/restart"
)

// TestTheMachineIsEndedByOrder gives the process above a server orders, through the
// server, with somebody connected.
func TestTheMachineIsEndedByOrder(t *testing.T) {
	t.Parallel()
	var (
		mu      sync.Mutex
		carried []power.Order
		fails   = errors.New("the supervisor is asleep")
	)
	socket := filepath.Join(t.TempDir(), "power.sock")
	above, err := power.Listen(t.Context(), &power.Config{Path: socket, Logger: slog.New(slog.DiscardHandler), Carry: func(_ context.Context, o power.Order) error {
		mu.Lock()
		defer mu.Unlock()
		carried = append(carried, o)
		return fails
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := above.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })

	dir := t.TempDir()
	addAnna(t, dir)
	begin := func(boot string) *restart.Run {
		run, err := restart.Begin(&restart.Config{Dir: dir, Version: "test", BootID: boot, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	c := config(dir)
	c.PowerSocket, c.Run = socket, begin("1")
	r := start(t, c)
	r.imap(t, "imaps")
	withClient(t, dir, false, func(c *control.Client) {
		s, err := c.Power(t.Context())
		for end := time.Now().Add(20 * time.Second); err == nil && len(s.People) == 0 && time.Now().Before(end); s, err = c.Power(t.Context()) {
			time.Sleep(50 * time.Millisecond) // the inventory learns of sign-ins a bit later
		}
		if err != nil || len(s.Orders) != 2 || len(s.People) != 1 || s.People[0] != "anna@office.example" || len(s.Starts) != 1 {
			t.Errorf("before: %+v, %v", s, err)
		}
		var told *control.Error
		if err := c.OrderPower(t.Context(), power.Off); !errors.As(err, &told) || told.Code != control.CodePower {
			t.Errorf("an order that is not taken: %v", err)
		}
		if err := c.OrderPower(t.Context(), "explode"); !errors.As(err, &told) || told.Code != control.CodeRequest {
			t.Errorf("another word: %v", err)
		}
		mu.Lock()
		fails = nil
		mu.Unlock()
		if err := c.OrderPower(t.Context(), power.Restart); err != nil {
			t.Error(err)
		}
	})
	mu.Lock()
	if len(carried) != 2 || carried[0] != power.Off || carried[1] != power.Restart {
		t.Errorf("carried out was %v", carried)
	}
	mu.Unlock()
	if err := errors.Join(r.stop(), c.Run.End(nil)); err != nil {
		t.Fatal(err)
	}

	c.Run = begin("2")
	again := start(t, c)
	withClient(t, dir, false, func(c *control.Client) {
		s, err := c.Power(t.Context())
		if err != nil || len(s.Starts) != 2 || s.Starts[1].Why != restart.Restarted || s.Starts[1].Reason == "" {
			t.Errorf("afterwards: %+v, %v", s, err)
		}
		records, err := c.AuditRecords(t.Context(), audit.Filter{Kinds: []string{string(audit.PowerOrdered)}})
		if err != nil || len(records) != 3 || records[0].Values["order"] != "restart" || records[1].Values["reason"] != "not done: the supervisor is asleep" {
			t.Errorf("recorded is %+v, %v", records, err)
		}
	})
	if err := errors.Join(again.stop(), c.Run.End(nil)); err != nil {
		t.Fatal(err)
	}
}
