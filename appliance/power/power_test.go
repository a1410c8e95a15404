package power_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pillarbox/appliance/power"
)

// serve takes orders until the test ends; carry is told of them.
func serve(t *testing.T, carry func(context.Context, power.Order) error) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "power.sock")
	s, err := power.Listen(t.Context(), &power.Config{Path: socket, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Carry: carry})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })

	return socket
}

func TestAnOrderIsAnsweredOnceItIsUnderWay(t *testing.T) {
	var (
		mu      sync.Mutex
		carried []power.Order
		fails   = errors.New("the supervisor\nis asleep")
	)
	socket := serve(t, func(_ context.Context, o power.Order) error {
		mu.Lock()
		defer mu.Unlock()
		if fails != nil {
			return fails
		}
		carried = append(carried, o)
		return nil
	})
	if err := power.Give(t.Context(), socket, power.Restart); err == nil || err.Error() != "the supervisor; is asleep" {
		t.Errorf("an order that cannot be carried out: %v", err)
	}
	mu.Lock()
	fails = nil
	mu.Unlock()
	if err := power.Give(t.Context(), socket, "explode"); err == nil || !strings.Contains(err.Error(), "none of") {
		t.Errorf("a word that is no order: %v", err)
	}
	if err := power.Give(t.Context(), socket, power.Off); err != nil {
		t.Errorf("after one that failed: %v", err)
	}
	if err := power.Give(t.Context(), socket, power.Restart); err == nil || !strings.Contains(err.Error(), "under way") {
		t.Errorf("a second order: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(carried) != 1 || carried[0] != power.Off {
		t.Errorf("carried out was %v", carried)
	}
}

func TestWhoKnowsNoEndIsNotHeard(t *testing.T) {
	socket := serve(t, func(context.Context, power.Order) error {
		t.Error("something was carried out")
		return nil
	})
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info.Mode(), err)
	}
	for name, said := range map[string]string{
		"a long line": strings.Repeat("x", 1<<20), "half an order": "restar", "nothing": "", "two words": "restart now\n", "other spelling": "Restart\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.DialTimeout("unix", socket, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, said) // it may be closed before all is sent
			_ = conn.(*net.UnixConn).CloseWrite()
			_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
			if got, _ := io.ReadAll(conn); strings.Contains(string(got), "under way") {
				t.Errorf("answered was %q", got)
			}
		})
	}
}

func TestWithoutASupervisorTheOrderFails(t *testing.T) {
	if err := power.Give(t.Context(), filepath.Join(t.TempDir(), "none"), power.Off); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Give = %v", err)
	}
	// One that takes the order and says nothing.
	socket := filepath.Join(t.TempDir(), "mute")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	if err := power.Give(ctx, socket, power.Off); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Give = %v", err)
	}
}
