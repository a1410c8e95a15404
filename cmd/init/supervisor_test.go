package main

import (
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"pillarbox/appliance/power"
)

// gokrazyAt answers at a socket as gokrazy does: at the end alone.
func gokrazyAt(t *testing.T, answer http.HandlerFunc) *supervisor {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "gokrazy.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: answer}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(ln)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})

	return newSupervisor(socket)
}

func TestAnOrderHasBegunBeforeTheServicesHaveEnded(t *testing.T) {
	for order, want := range map[power.Order]string{power.Restart: "POST /reboot?kexec=off", power.Off: "POST /poweroff"} {
		asked, ends := make(chan string, 1), make(chan struct{})
		s := gokrazyAt(t, func(_ http.ResponseWriter, r *http.Request) {
			asked <- r.Method + " " + r.URL.RequestURI()
			<-ends // the services are being stopped
		})
		if err := s.begin(t.Context(), order); err != nil {
			t.Errorf("%s: %v", order, err)
		}
		select {
		case got := <-asked:
			if got != want {
				t.Errorf("%s asks for %q; want %q", order, got, want)
			}
		case <-time.After(time.Minute):
			t.Errorf("%s: the supervisor was not asked", order)
		}
		close(ends)
	}
}

func TestAnOrderThatTheSupervisorRefusesHasNotBegun(t *testing.T) {
	s := gokrazyAt(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	if err := s.begin(t.Context(), power.Off); err == nil {
		t.Error("an order that was refused is said to be under way")
	}
	gone := newSupervisor(filepath.Join(t.TempDir(), "none"))
	if err := gone.begin(t.Context(), power.Off); err == nil {
		t.Error("an order that nobody heard is said to be under way")
	}
}
