package network_test

import (
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"pillarbox/appliance/network"
)

// TestAClientHoldsNothingBetweenOrders: some are made for one order, and never
// closed.
func TestAClientHoldsNothingBetweenOrders(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "socket")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var open atomic.Int32
	srv := http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }),
		ConnState: func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed:
				open.Add(-1)
			case http.StateActive, http.StateIdle, http.StateHijacked:
			}
		},
	}
	defer srv.Close()
	go func() { _ = srv.Serve(ln) }()
	for range 10 {
		c := network.NewClient(socket)
		if err := c.Open(t.Context(), 80, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := c.State(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(20 * time.Second); open.Load() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections are left", open.Load())
		}
	}
}
