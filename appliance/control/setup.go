package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"pillarbox/appliance/profile"
	"pillarbox/appliance/setup"
)

// maxDocument bounds a page or profile that a client reads, in octets.
const maxDocument = 1 << 20

// setupRoutes are the requests about how mail programs connect.
func (h *Handler) setupRoutes() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/setup":                             h.setupFacts,
		"GET /v1/setup/people/{address}/sheet":      h.setupSheet,
		"GET /v1/setup/people/{address}/profile":    h.setupProfile,
		"GET /v1/setup/domains/{domain}/records":    h.setupRecords,
		"GET /v1/setup/domains/{domain}/autoconfig": h.setupAutoconfig,
	}
}

func (h *Handler) setupFacts(w http.ResponseWriter, r *http.Request) error {
	f, err := h.setup.Facts(r.Context())
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, f)
}

func (h *Handler) setupSheet(w http.ResponseWriter, r *http.Request) error {
	text, err := h.setup.Sheet(r.Context(), r.PathValue("address"))

	return writeDocument(w, "text/html; charset=utf-8", text, err)
}

func (h *Handler) setupProfile(w http.ResponseWriter, r *http.Request) error {
	text, err := h.setup.Profile(r.Context(), r.PathValue("address"))

	return writeDocument(w, profile.ContentType, text, err)
}

func (h *Handler) setupAutoconfig(w http.ResponseWriter, r *http.Request) error {
	text, err := h.setup.Autoconfig(r.Context(), r.PathValue("domain"))

	return writeDocument(w, "text/xml; charset=utf-8", text, err)
}

func (h *Handler) setupRecords(w http.ResponseWriter, r *http.Request) error {
	all, err := h.setup.Records(r.Context(), r.PathValue("domain"))
	if err != nil {
		return setupError(err)
	}
	if r.URL.Query().Get("form") == "zone" {
		return writeDocument(w, "text/dns; charset=utf-8", []byte(setup.Zone(all)), nil)
	}

	return writeJSON(w, http.StatusOK, all)
}

func writeDocument(w http.ResponseWriter, kind string, text []byte, err error) error {
	if err != nil {
		return setupError(err)
	}
	w.Header().Set("Content-Type", kind)
	if _, err := w.Write(text); err != nil {
		return &sendError{err}
	}

	return nil
}

func setupError(err error) error {
	var unknown *setup.UnknownDomainError
	if errors.As(err, &unknown) {
		return &Error{Code: CodeNoDomain, Message: unknown.Error(), status: http.StatusNotFound}
	}

	return err
}

// SetupFacts returns how mail programs connect.
func (c *Client) SetupFacts(ctx context.Context) (*setup.Facts, error) {
	var f setup.Facts

	return &f, c.call(ctx, http.MethodGet, "/v1/setup", nil, &f)
}

// SetupSheet returns a page for a person, to be printed.
func (c *Client) SetupSheet(ctx context.Context, address string) ([]byte, error) {
	return c.document(ctx, "/v1/setup/people/"+url.PathEscape(address)+"/sheet")
}

// SetupProfile returns a signed profile for a person's devices of Apple's.
func (c *Client) SetupProfile(ctx context.Context, address string) ([]byte, error) {
	return c.document(ctx, "/v1/setup/people/"+url.PathEscape(address)+"/profile")
}

// SetupAutoconfig returns Thunderbird's file for a domain.
func (c *Client) SetupAutoconfig(ctx context.Context, domain string) ([]byte, error) {
	return c.document(ctx, "/v1/setup/domains/"+url.PathEscape(domain)+"/autoconfig")
}

// SetupRecords returns what a domain is to have in the DNS.
func (c *Client) SetupRecords(ctx context.Context, domain string) ([]setup.Record, error) {
	var all []setup.Record

	return all, c.call(ctx, http.MethodGet, "/v1/setup/domains/"+url.PathEscape(domain)+"/records", nil, &all)
}

func (c *Client) document(ctx context.Context, path string) ([]byte, error) {
	res, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxDocument+1))
	if err == nil && len(text) > maxDocument {
		err = fmt.Errorf("the answer is longer than %d octets", maxDocument)
	}

	return text, err
}
