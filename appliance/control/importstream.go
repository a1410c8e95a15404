package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"pillarbox/appliance/importer"
	"pillarbox/appliance/importer/files"
)

// filesProtocol is what a connection is upgraded to, on which the command
// answers for files (package files) and the server asks.
const filesProtocol = "pillarbox-files"

// ImportLine is what the server tells while it takes files; one field is set.
type ImportLine struct {
	Progress *importer.Snapshot `json:"progress,omitempty"`
	Report   *importer.Report   `json:"report,omitempty"` // also before an error: what was done until then
	Error    *Error             `json:"error,omitempty"`
}

// takeFiles takes the mail that a command reads out of files.
func (h *Handler) takeFiles(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	var o importer.Options
	if err := json.Unmarshal([]byte(q.Get("options")), &o); err != nil {
		return &Error{Code: CodeRequest, Message: "options: " + err.Error(), status: http.StatusBadRequest}
	}
	if r.Header.Get("Upgrade") != filesProtocol {
		return &Error{Code: CodeRequest, Message: "the connection must be upgraded to " + filesProtocol, status: http.StatusUpgradeRequired}
	}
	if err := o.Validate(); err != nil {
		return importError(fmt.Errorf("%w: %w", importer.ErrRefused, err))
	}
	if _, err := h.directory.Find(r.Context(), q.Get("account")); err != nil {
		return err
	}
	// A connection that was taken over has no context that ends with it.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return fmt.Errorf("take the connection over: %w", err)
	}
	if _, err := fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", filesProtocol); err != nil {
		return &sendError{errors.Join(err, conn.Close())}
	}
	src, err := files.Remote(ctx, &watchedConn{conn, cancel})
	if err != nil {
		return &sendError{err}
	}
	defer src.Close()
	h.tellFiles(ctx, src, q.Get("account"), o)

	return nil
}

// watchedConn tells when the other end has gone away.
type watchedConn struct {
	net.Conn

	gone func()
}

// Read implements net.Conn.
func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.gone()
	}

	return n, err
}

// tellFiles moves, and tells the command how it goes.
func (h *Handler) tellFiles(ctx context.Context, src *files.RemoteSource, account string, o importer.Options) {
	progress := importer.NewProgress()
	moving, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-moving.Done():
				return
			case <-tick.C:
			}
			now := progress.Snapshot()
			if err := src.Tell(moving, ImportLine{Progress: &now}); err != nil {
				return // the reading, too, finds that the command has gone away
			}
		}
	}()
	report, err := h.imports.Once(ctx, src, account, o, Actor(ctx), progress)
	stop()
	<-ended
	last := ImportLine{Report: report}
	if err != nil {
		last.Error = asError(importError(err))
	}
	if err := src.Tell(ctx, last); err != nil {
		h.log.DebugContext(ctx, "answer not sent", "err", err)
	}
}

// ImportFiles has the server take the mail of files that this process reads.
// The report, where there is one, tells also what was done before an error.
func (c *Client) ImportFiles(ctx context.Context, account string, o importer.Options, src *files.Source, progress func(importer.Snapshot)) (*importer.Report, error) {
	options, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	q := url.Values{"account": {account}, "options": {string(options)}}
	conn, err := c.upgrade(ctx, "/v1/imports/files?"+q.Encode(), filesProtocol)
	if err != nil {
		return nil, err
	}
	var last ImportLine
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err = files.Serve(ctx, conn, src, func(text []byte) {
		var l ImportLine
		if json.Unmarshal(text, &l) != nil {
			return
		}
		if l.Progress != nil {
			progress(*l.Progress)
			return
		}
		last = l
	})
	switch {
	case last.Error != nil:
		return last.Report, last.Error
	case last.Report != nil:
		return last.Report, nil
	case err != nil:
		return nil, fmt.Errorf("read files for the server: %w", err)
	}

	return nil, errors.New("the server ended the connection; run the same command again, it goes on where it was")
}

// upgrade makes a request whose connection goes on in another protocol.
func (c *Client) upgrade(ctx context.Context, path, protocol string) (net.Conn, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://pillarbox"+path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", protocol)
	res, err := c.send101(req)
	if err != nil {
		return nil, err
	}
	// The library's connection has no deadlines, which a server wants.
	near, far := net.Pipe()
	go func() {
		_, _ = io.Copy(far, res)
		_ = far.Close()
	}()
	go func() {
		_, _ = io.Copy(res, far)
		_ = res.Close()
	}()

	return near, nil
}

func (c *Client) send101(req *http.Request) (io.ReadWriteCloser, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	if rw, ok := res.Body.(io.ReadWriteCloser); ok && res.StatusCode == http.StatusSwitchingProtocols {
		return rw, nil
	}
	defer res.Body.Close()
	e := &Error{status: res.StatusCode}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxRequest)).Decode(e); err != nil {
		return nil, fmt.Errorf("the server answered %s", res.Status)
	}

	return nil, e
}
