package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/gokrazy/gokrazy"

	"pillarbox/appliance/firmware/console"
)

// stopTime bounds how long the services may take to end.
const stopTime = 3 * time.Minute

// supervisor talks to gokrazy's own interface, which listens on a socket in
// this machine only.
type supervisor struct{ client *http.Client }

func newSupervisor() *supervisor {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", gokrazy.HTTPUnixSocket)
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

// power returns the actions that end the system.
func power(s *supervisor) (restart, off console.Action) {
	// Through the firmware: a kernel that starts its successor leaves the boot
	// partition mounted.
	restart = console.Action{Title: "Start anew", Run: s.end("/reboot", url.Values{"kexec": {"off"}})}
	off = console.Action{Title: "Switch off", Run: s.end("/poweroff", nil)}

	return restart, off
}

// end stops all services and then the system.
func (s *supervisor) end(path string, query url.Values) func(context.Context, *console.Terminal) error {
	return func(ctx context.Context, t *console.Terminal) error {
		t.Printf("The services are being stopped.\n")
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
}
