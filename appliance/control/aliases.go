package control

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/directory"
)

// maxAlias bounds an alias in octets: as many members as one can have.
const maxAlias = 512 << 10

// AliasChange says what an alias is to be: a group, or another name of somebody.
type AliasChange struct {
	Targets     []string          `json:"targets"`
	Description string            `json:"description,omitempty"`
	Writers     directory.Writers `json:"writers,omitempty"` // "office", or empty for anybody
	New         bool              `json:"new,omitempty"`     // one that is there is refused
}

// aliasRoutes are the requests about addresses that lead to others.
func (h *Handler) aliasRoutes() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/aliases":              h.listAliases,
		"POST /v1/aliases":             h.addAlias,
		"GET /v1/aliases/{address}":    h.getAlias,
		"PUT /v1/aliases/{address}":    h.setAlias,
		"DELETE /v1/aliases/{address}": h.removeAlias,
	}
}

func (h *Handler) listAliases(w http.ResponseWriter, r *http.Request) error {
	aliases, err := h.directory.Aliases(r.Context())
	if err != nil {
		return err
	}
	if aliases == nil {
		aliases = []directory.Alias{}
	}

	return writeJSON(w, http.StatusOK, aliases)
}

func (h *Handler) addAlias(w http.ResponseWriter, r *http.Request) error {
	var a directory.Alias
	if err := readUpTo(w, r, &a, maxAlias); err != nil {
		return err
	}
	before := h.targets(r.Context(), a.Address)
	if a.Description != "" || a.Writers != directory.Anybody {
		return &Error{Code: CodeRequest, Message: "description and writers are set by PUT /v1/aliases/{address}", status: http.StatusBadRequest}
	}
	if err := h.directory.AddAlias(r.Context(), a.Address, a.Targets...); err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "alias added", "alias", a.Address, "targets", a.Targets)
	if err := h.recordAlias(r.Context(), audit.AliasAdded, a.Address, before); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)

	return nil
}

// setAlias makes an alias as it is asked for, or gives one other members, another
// description or other writers.
func (h *Handler) setAlias(w http.ResponseWriter, r *http.Request) error {
	var n AliasChange
	if err := readUpTo(w, r, &n, maxAlias); err != nil {
		return err
	}
	a := directory.Alias{Address: r.PathValue("address"), Targets: n.Targets, Description: n.Description, Writers: n.Writers}
	before, err := h.directory.SetAlias(r.Context(), a, n.New)
	if err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "alias set", "alias", a.Address, "targets", a.Targets, "writers", a.Writers)
	after, err := h.alias(r.Context(), a.Address)
	if err != nil {
		return err
	}
	e := audit.Event{Kind: audit.AliasChanged, After: inJSON(after), More: map[string]string{"alias": after.Address}}
	if before != nil {
		e.Before = inJSON(before)
	}
	if err := h.record(r.Context(), e); err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, after)
}

func (h *Handler) getAlias(w http.ResponseWriter, r *http.Request) error {
	a, err := h.alias(r.Context(), r.PathValue("address"))
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, a)
}

// alias finds one by its address.
func (h *Handler) alias(ctx context.Context, address string) (directory.Alias, error) {
	addr, err := directory.ParseAddress(address)
	if err != nil {
		return directory.Alias{}, err
	}
	all, err := h.directory.Aliases(ctx)
	if err != nil {
		return directory.Alias{}, err
	}
	for _, a := range all {
		if a.Address == addr.String() {
			return a, nil
		}
	}

	return directory.Alias{}, fmt.Errorf("%w: %s", directory.ErrNoAlias, addr)
}

func (h *Handler) removeAlias(w http.ResponseWriter, r *http.Request) error {
	address, targets := r.PathValue("address"), r.URL.Query()["target"]
	before := h.targets(r.Context(), address)
	if err := h.directory.RemoveAlias(r.Context(), address, targets...); err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "alias removed", "alias", address, "targets", targets)
	if err := h.recordAlias(r.Context(), audit.AliasRemoved, address, before); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)

	return nil
}

// targets returns what an alias leads to, for the record.
func (h *Handler) targets(ctx context.Context, address string) string {
	a, err := h.alias(ctx, address)
	if err != nil {
		return ""
	}

	return strings.Join(a.Targets, ", ")
}

// recordAlias records what was done, under the spelling of the address that is
// kept.
func (h *Handler) recordAlias(ctx context.Context, kind audit.Kind, address, before string) error {
	addr, err := directory.ParseAddress(address)
	if err != nil {
		return err
	}

	return h.record(ctx, audit.Event{
		Kind: kind, Before: before, After: h.targets(ctx, address),
		More: map[string]string{"alias": addr.String()},
	})
}

// Aliases lists the aliases.
func (c *Client) Aliases(ctx context.Context) ([]directory.Alias, error) {
	var list []directory.Alias

	return list, c.call(ctx, http.MethodGet, "/v1/aliases", nil, &list)
}

// AddAlias makes an alias, or adds targets to one.
func (c *Client) AddAlias(ctx context.Context, a directory.Alias) error {
	return c.call(ctx, http.MethodPost, "/v1/aliases", a, nil)
}

// RemoveAlias removes targets from an alias, or the alias where none is given.
func (c *Client) RemoveAlias(ctx context.Context, address string, targets ...string) error {
	return c.call(ctx, http.MethodDelete,
		"/v1/aliases/"+url.PathEscape(address)+"?"+url.Values{"target": targets}.Encode(), nil, nil)
}

// SetAlias makes an alias, or replaces what one is.
func (c *Client) SetAlias(ctx context.Context, address string, n AliasChange) (directory.Alias, error) {
	var a directory.Alias

	return a, c.call(ctx, http.MethodPut, "/v1/aliases/"+url.PathEscape(address), n, &a)
}

// Alias returns one alias.
func (c *Client) Alias(ctx context.Context, address string) (directory.Alias, error) {
	var a directory.Alias

	return a, c.call(ctx, http.MethodGet, "/v1/aliases/"+url.PathEscape(address), nil, &a)
}
