package network

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"pillarbox/netcfg/firewall"
	"pillarbox/netcfg/policy"
)

// maxAnswer bounds what the service may answer: many bans.
const maxAnswer = 32 << 20

// Client gives the service orders. Its methods may be called at once. Between
// two orders it holds nothing, so that it needs no closing.
type Client struct{ http *http.Client }

// NewClient returns a client of the service behind a socket; nothing is said
// before its first order.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}

	return &Client{&http.Client{
		Timeout:   2 * time.Minute,
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
	}}
}

// State asks how the service is.
func (c *Client) State(ctx context.Context) (s State, err error) {
	return s, c.do(ctx, http.MethodGet, "/v1/state", nil, &s)
}

// Check asks what settings would change, and whether they can hold.
func (c *Client) Check(ctx context.Context, s *Settings) (r CheckResult, err error) {
	return r, c.do(ctx, http.MethodPost, "/v1/check", s, &r)
}

// Try makes settings hold for a while; then the confirmed ones hold again,
// whatever has become of the caller.
func (c *Client) Try(ctx context.Context, id string, s *Settings, d time.Duration) (notes []string, err error) {
	var answer tryAnswer
	err = c.do(ctx, http.MethodPost, "/v1/try", tryRequest{id, *s, d.Seconds()}, &answer)

	return answer.Notes, err
}

// Hold makes settings the confirmed ones; they outlive a power cut. provisioned
// is what State says there, or else they are refused.
func (c *Client) Hold(ctx context.Context, s *Settings, provisioned string) error {
	return c.do(ctx, http.MethodPost, "/v1/hold", holdRequest{*s, provisioned}, nil)
}

// Ban lets nothing of a source through for a time.
func (c *Client) Ban(ctx context.Context, source netip.Prefix, d time.Duration) error {
	return c.do(ctx, http.MethodPost, "/v1/ban", banRequest{Source: source, Seconds: d.Seconds()}, nil)
}

// Unban ends a ban.
func (c *Client) Unban(ctx context.Context, source netip.Prefix) error {
	return c.do(ctx, http.MethodPost, "/v1/ban", banRequest{Source: source}, nil)
}

// Exempt lets an address pass bans and bounds for a time.
func (c *Client) Exempt(ctx context.Context, a netip.Addr, d time.Duration) error {
	source := netip.PrefixFrom(a, a.BitLen())
	return c.do(ctx, http.MethodPost, "/v1/ban", banRequest{Source: source, Seconds: d.Seconds(), Exempt: true}, nil)
}

// Open lets everybody reach port 80 or 443 for a time; 0 ends that. It ends by
// itself whatever has become of the caller.
func (c *Client) Open(ctx context.Context, port uint16, d time.Duration) error {
	for s, p := range policy.Ports() {
		if p == port {
			return c.do(ctx, http.MethodPost, "/v1/open", openRequest{s, d.Seconds()}, nil)
		}
	}

	return fmt.Errorf("open port %d: %w", port, errNotToOpen)
}

// Bans lists who is banned.
func (c *Client) Bans(ctx context.Context) (all []firewall.Ban, err error) {
	return all, c.do(ctx, http.MethodGet, "/v1/bans", nil, &all)
}

// Explain asks what would happen to a new connection, and why.
func (c *Client) Explain(ctx context.Context, source netip.Addr, port uint16) (d firewall.Decision, err error) {
	p := firewall.Packet{Source: source, Protocol: firewall.TCP, Port: port}

	return d, c.do(ctx, http.MethodPost, "/v1/explain", p, &d)
}

func (c *Client) do(ctx context.Context, method, path string, ask, answer any) error {
	var body io.Reader
	if ask != nil {
		text, err := json.Marshal(ask)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://network"+path, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the network's service: %w", err)
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode != http.StatusOK {
		var f failure
		if err := dec.Decode(&f); err != nil || f.Message == "" {
			return fmt.Errorf("ask the network's service: it answered %s", resp.Status)
		}
		return errors.New(f.Message)
	}
	if answer == nil {
		return nil
	}
	if err := dec.Decode(answer); err != nil {
		return fmt.Errorf("read the answer of the network's service: %w", err)
	}

	return nil
}
