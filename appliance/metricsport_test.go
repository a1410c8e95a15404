package appliance

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"testing"

	"pillarbox/appliance/metrics"
)

// TestTheMetricsPortIsAsItWasTold as soon as that was told, also many times in a
// row on the same port.
func TestTheMetricsPortIsAsItWasTold(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	p := &metricsPort{conf: &Config{Logger: log, Metrics: []string{address}}}
	p.server = &metrics.Server{
		Metrics: metrics.New(&metrics.Config{}), Logger: log, TLS: &tls.Config{},
		Token: func() (h metrics.TokenHash, ok bool) { return h, false },
	}
	ctx, cancel := context.WithCancel(t.Context())
	p.ctx = ctx
	var running sync.WaitGroup
	running.Go(func() { _ = p.run(ctx) })
	defer running.Wait()
	defer cancel()
	for range 100 {
		for _, open := range []bool{true, false} {
			if err := p.set(t.Context(), open); err != nil {
				t.Fatal(err)
			}
			c, err := net.Dial("tcp", address)
			if err == nil {
				c.Close()
			}
			if (err == nil) != open {
				t.Fatalf("to be open: %v; connecting: %v", open, err)
			}
		}
	}
}
