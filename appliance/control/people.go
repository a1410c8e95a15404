package control

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/directory"
)

// NewQuota asks for another limit of an account.
type NewQuota struct {
	Quota int64 `json:"quota"` // octets; 0: no limit
}

// Suspension asks for an account to be suspended, or not any more.
type Suspension struct {
	Suspended bool `json:"suspended"`
}

// NewName asks for another name of a person.
type NewName struct {
	Name string `json:"name"`
}

// peopleRoutes are the requests that change an account which is there.
func (h *Handler) peopleRoutes() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"PUT /v1/accounts/{address}/name":      h.ofAccount(h.setName),
		"PUT /v1/accounts/{address}/quota":     h.ofAccount(h.setQuota),
		"PUT /v1/accounts/{address}/suspended": h.ofAccount(h.suspend),
	}
}

func (h *Handler) setName(w http.ResponseWriter, r *http.Request, before directory.Account) error {
	var n NewName
	if err := readJSON(w, r, &n); err != nil {
		return err
	}
	if err := h.directory.SetName(r.Context(), before.Address, n.Name); err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "name changed", "account", before.Address)
	if err := h.record(r.Context(), audit.Event{Kind: audit.AccountName, Account: before.Address, Before: before.Name, After: n.Name}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)

	return nil
}

func (h *Handler) setQuota(w http.ResponseWriter, r *http.Request, before directory.Account) error {
	var q NewQuota
	if err := readJSON(w, r, &q); err != nil {
		return err
	}
	if q.Quota < 0 {
		return &Error{Code: CodeRequest, Message: "the quota is negative", status: http.StatusBadRequest}
	}
	if err := h.directory.SetQuota(r.Context(), before.Address, q.Quota); err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "quota changed", "account", before.Address, "octets", q.Quota)
	if err := h.record(r.Context(), audit.Event{
		Kind: audit.AccountQuota, Account: before.Address, Before: strconv.FormatInt(before.Quota, 10), After: strconv.FormatInt(q.Quota, 10),
	}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)

	return nil
}

func (h *Handler) suspend(w http.ResponseWriter, r *http.Request, a directory.Account) error {
	var s Suspension
	if err := readJSON(w, r, &s); err != nil {
		return err
	}
	if err := h.directory.Suspend(r.Context(), a.Address, s.Suspended); err != nil {
		return err
	}
	after := "can sign in"
	if s.Suspended {
		after = "suspended"
	}
	h.log.InfoContext(r.Context(), "account suspended or let in again", "account", a.Address, "suspended", s.Suspended)
	if err := h.record(r.Context(), audit.Event{Kind: audit.AccountSuspended, Account: a.Address, After: after}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)

	return nil
}

// SetName changes how a person is called.
func (c *Client) SetName(ctx context.Context, address, name string) error {
	return c.call(ctx, http.MethodPut, "/v1/accounts/"+url.PathEscape(address)+"/name", NewName{name}, nil)
}

// SetQuota changes how many octets an account may use; 0 means no limit.
func (c *Client) SetQuota(ctx context.Context, address string, quota int64) error {
	return c.call(ctx, http.MethodPut, "/v1/accounts/"+url.PathEscape(address)+"/quota", NewQuota{quota}, nil)
}

// Suspend keeps everybody from signing in to an account, or lets them again.
func (c *Client) Suspend(ctx context.Context, address string, suspended bool) error {
	return c.call(ctx, http.MethodPut, "/v1/accounts/"+url.PathEscape(address)+"/suspended", Suspension{suspended}, nil)
}
