package control

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"strings"

	"pillarbox/appliance/audit"
)

// MetricsTokens keeps the token that opens the metrics.
type MetricsTokens interface {
	// Set makes a token the one that opens them; "" takes it away.
	Set(ctx context.Context, token string) error
}

// MetricsToken is a new token, which is told this once.
type MetricsToken struct {
	Token string `json:"token"`
}

// maxMetrics bounds the page in octets.
const maxMetrics = 8 << 20

func (h *Handler) metricsRoutes() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/metrics":          h.showMetrics,
		"POST /v1/metrics/token":   h.newMetricsToken,
		"DELETE /v1/metrics/token": h.dropMetricsToken,
	}
}

func (h *Handler) showMetrics(w http.ResponseWriter, _ *http.Request) error {
	var page bytes.Buffer
	if err := h.metrics(&page); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	if _, err := page.WriteTo(w); err != nil {
		return &sendError{err}
	}

	return nil
}

func (h *Handler) newMetricsToken(w http.ResponseWriter, r *http.Request) error {
	t := MetricsToken{strings.ToLower(rand.Text())} // 130 bits
	if err := h.setMetricsToken(r.Context(), t.Token, "made"); err != nil {
		return err
	}

	return writeJSON(w, http.StatusCreated, t)
}

func (h *Handler) dropMetricsToken(w http.ResponseWriter, r *http.Request) error {
	if err := h.setMetricsToken(r.Context(), "", "taken away"); err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, struct{}{})
}

func (h *Handler) setMetricsToken(ctx context.Context, token, what string) error {
	if err := h.tokens.Set(ctx, token); err != nil {
		return err
	}

	return h.record(ctx, audit.Event{Kind: audit.MetricsToken, After: what})
}

// Metrics returns what there is to be seen, in the form of Prometheus.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	res, err := c.do(ctx, http.MethodGet, "/v1/metrics", nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()

	return io.ReadAll(io.LimitReader(res.Body, maxMetrics))
}

// NewMetricsToken makes the token that opens the metrics; the one before opens
// them no longer.
func (c *Client) NewMetricsToken(ctx context.Context) (t MetricsToken, err error) {
	return t, c.call(ctx, http.MethodPost, "/v1/metrics/token", nil, &t)
}

// DropMetricsToken closes the metrics.
func (c *Client) DropMetricsToken(ctx context.Context) error {
	return c.call(ctx, http.MethodDelete, "/v1/metrics/token", nil, nil)
}
