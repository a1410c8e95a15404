package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/gokrazy/gokrazy"

	"pillarbox/appliance/firmware/console"
)

const (
	// stopTime bounds how long the services may take to end.
	stopTime = 3 * time.Minute

	// logTime is how long the log is read: gokrazy sends what it keeps at once
	// and then goes on with what is new.
	logTime = time.Second
)

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

// actions returns the entries of the menu.
func (s *supervisor) actions() []console.Action {
	return []console.Action{
		{Title: "Show the mail server's log", Run: s.log},
		// Through the firmware: a kernel that starts its successor leaves the
		// boot partition mounted.
		{Title: "Start anew", Run: s.end("/reboot", url.Values{"kexec": {"off"}})},
		{Title: "Switch off", Run: s.end("/poweroff", nil)},
	}
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

// log shows the last lines of the mail server's log.
func (s *supervisor) log(ctx context.Context, t *console.Terminal) error {
	ctx, stop := context.WithTimeout(ctx, logTime)
	defer stop()
	body, err := s.do(ctx, http.MethodGet, "/log", url.Values{"path": {keepProgram}, "stream": {"stderr"}})
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		t.Printf("%s\n", lines.Text())
	}
	if err := lines.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("read the log: %w", err)
	}

	return nil
}
