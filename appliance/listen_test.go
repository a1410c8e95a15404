package appliance

import (
	"errors"
	"log/slog"
	"net"
	"syscall"
	"testing"
)

func TestDefaultPortsGiveWay(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port

	c := &Config{Logger: slog.New(slog.DiscardHandler), Loopback: true}
	all, err := listenDefault(t.Context(), c, nameIMAPS, port, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no listener")
	}
	for _, l := range all {
		addr := l.Addr().(*net.TCPAddr)
		if addr.Port == port || !addr.IP.IsLoopback() {
			t.Errorf("listens on %v", addr)
		}
	}
	if err := closeListeners(all); err != nil {
		t.Error(err)
	}

	// A server for others does not move away without being told.
	c.Loopback = false
	if _, err := listenDefault(t.Context(), c, nameIMAPS, port, 0); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("error %v, want EADDRINUSE", err)
	}
}
