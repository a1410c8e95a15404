package netcfg_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"pillarbox/netcfg"
	"pillarbox/netcfg/netlab"
)

func TestWhenTheNetworkHasSettledItIsAsDesired(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0", "192.0.2.1/24")
	m := netcfg.New(&netcfg.Config{Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = m.Run(ctx) })
	defer func() { stop(); running.Wait() }()
	for i := range 10 {
		want := fmt.Sprintf("192.0.2.%d/24", 10+i)
		m.Set(*parse(t, `{"version":1,"interfaces":[{"name":"eth0","ipv4":{"method":"static","addresses":["`+want+`"]}},{"name":"eth9"}]}`))
		problems, err := m.Settle(t.Context())
		if got := fmt.Sprint(netlab.Addresses(t, "eth0")); err != nil || len(problems) != 1 || got != "["+want+"]" {
			t.Errorf("%s: settled with %s, problems %v, %v", want, got, problems, err)
		}
	}
}

func TestSettlingIsNotWaitedForForEver(t *testing.T) {
	m := netcfg.New(&netcfg.Config{Logger: slog.New(slog.DiscardHandler)})
	m.Set(*parse(t, `{"version":1}`)) // and nobody runs it
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := m.Settle(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Settle = %v", err)
	}
}
