package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"

	"pillarbox/appliance/firmware/console"
	"pillarbox/appliance/power"
)

const (
	// stopTime bounds how long the services may take to end: the supervisor gives
	// them 100 s, and as much again once it kills them.
	stopTime = 4 * time.Minute

	// refusalTime is how long the supervisor may take to refuse an order.
	refusalTime = time.Second

	// powerSocket is where the mail server gives its orders.
	powerSocket = "/run/pillarbox-power.sock"
)

// supervisor talks to gokrazy's own interface, which listens on a socket in
// this machine only.
type supervisor struct{ client *http.Client }

func newSupervisor(socket string) *supervisor {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}

	return &supervisor{client: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

func (s *supervisor) do(ctx context.Context, method, path string, query url.Values) (io.ReadCloser, error) {
	u := url.URL{Scheme: "http", Host: "gokrazy", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	answer, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the supervisor: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		_ = answer.Body.Close()
		return nil, fmt.Errorf("ask the supervisor: it answered %s", answer.Status)
	}

	return answer.Body, nil
}

// endings returns the actions that end the system.
func endings(s *supervisor) (restart, off console.Action) {
	restart = console.Action{Title: "Start anew", Run: s.menu(power.Restart)}
	off = console.Action{Title: "Switch off", Run: s.menu(power.Off)}

	return restart, off
}

func (s *supervisor) menu(o power.Order) func(context.Context, *console.Terminal) error {
	return func(ctx context.Context, t *console.Terminal) error {
		t.Printf("The services are being stopped.\n")

		return s.end(ctx, o)
	}
}

// end stops all services and then the system. It returns when the services have
// ended.
func (s *supervisor) end(ctx context.Context, o power.Order) error {
	path, query := "/poweroff", url.Values(nil)
	if o == power.Restart {
		// Through the firmware: a kernel that starts its successor leaves the boot
		// partition mounted.
		path, query = "/reboot", url.Values{"kexec": {"off"}}
	}
	ctx, stop := context.WithTimeout(ctx, stopTime)
	defer stop()
	body, err := s.do(ctx, http.MethodPost, path, query)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(io.Discard, body)

	return err
}

// begin gives the supervisor an order, and returns when it has it and does not
// refuse it: it answers at the end alone, when who asked has long been stopped.
func (s *supervisor) begin(ctx context.Context, o power.Order) error {
	sent, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		trace := &httptrace.ClientTrace{WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err == nil {
				sent <- struct{}{}
			}
		}}
		ended <- s.end(httptrace.WithClientTrace(context.WithoutCancel(ctx), trace), o)
	}()
	select {
	case <-sent:
	case err := <-ended:
		return err
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(refusalTime):
		return nil
	}
}

// serveOrders takes the mail server's orders until ctx ends.
func (s *supervisor) serveOrders(ctx context.Context, log *slog.Logger) {
	server, err := power.Listen(ctx, &power.Config{Path: powerSocket, Logger: log, Carry: s.begin})
	if err == nil {
		err = server.Run(ctx)
	}
	if err != nil {
		log.Error("the box cannot be started anew from its page", "err", err)
	}
}
