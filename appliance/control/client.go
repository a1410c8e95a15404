package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"

	"pillarbox/appliance/directory"
)

// maxAnswer bounds the JSON of an answer in octets: 10,000 accounts and more.
const maxAnswer = 64 << 20

// ErrNoServer says that nobody answers on a folder's socket.
var ErrNoServer = errors.New("no server is running on the data folder")

// Client speaks with a Handler.
type Client struct {
	http *http.Client
}

// Dial finds the server that holds a data folder. ErrNoServer if there is none.
func Dial(ctx context.Context, dir string) (*Client, error) {
	dial := func(ctx context.Context) (net.Conn, error) {
		path, release, err := socketPath(dir)
		if err != nil {
			return nil, err
		}
		defer release()
		var d net.Dialer

		return d.DialContext(ctx, "unix", path)
	}
	conn, err := dial(ctx)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, ErrNoServer
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the server: %w", err)
	}
	// Only the knowledge that somebody listens was wanted.
	if err := conn.Close(); err != nil {
		return nil, fmt.Errorf("connect to the server: %w", err)
	}

	return newClient(dial), nil
}

func newClient(dial func(context.Context) (net.Conn, error)) *Client {
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		DisableCompression: true,
		WriteBufferSize:    64 << 10,
	}}}
}

// Close lets idle connections go.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks who answers.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status

	return s, c.call(ctx, http.MethodGet, "/v1/status", nil, &s)
}

// Log returns the newest lines of the server's log, at most n.
func (c *Client) Log(ctx context.Context, n int) ([]string, error) {
	return c.LogLines(ctx, &LogFilter{Lines: n})
}

// Accounts lists the accounts.
func (c *Client) Accounts(ctx context.Context) ([]Account, error) {
	var list []Account

	return list, c.call(ctx, http.MethodGet, "/v1/accounts", nil, &list)
}

// AddAccount makes an account.
func (c *Client) AddAccount(ctx context.Context, n NewAccount) (Account, error) {
	var a Account

	return a, c.call(ctx, http.MethodPost, "/v1/accounts", n, &a)
}

// RemoveAccount deletes an account with its mail.
func (c *Client) RemoveAccount(ctx context.Context, address string) error {
	return c.call(ctx, http.MethodDelete, "/v1/accounts/"+url.PathEscape(address), nil, nil)
}

// SetPassword changes an account's password.
func (c *Client) SetPassword(ctx context.Context, address string, password directory.Secret) error {
	return c.call(ctx, http.MethodPut, "/v1/accounts/"+url.PathEscape(address)+"/password",
		passwordChange{Password: string(password)}, nil)
}

// SetAdmin changes the administrator's password.
func (c *Client) SetAdmin(ctx context.Context, password directory.Secret) error {
	return c.call(ctx, http.MethodPut, "/v1/admin/password", passwordChange{Password: string(password)}, nil)
}

// call sends a request and decodes the answer into out, unless that is nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	res, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}

	return nil
}

// do sends a request; an answer that is an error becomes an *Error.
func (c *Client) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://pillarbox"+path, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	if res.StatusCode < http.StatusBadRequest {
		return res, nil
	}
	defer res.Body.Close()
	e := &Error{status: res.StatusCode}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxRequest)).Decode(e); err != nil {
		return nil, fmt.Errorf("the server answered %s", res.Status)
	}

	return nil, e
}
