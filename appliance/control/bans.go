package control

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"pillarbox/appliance/access"
	"pillarbox/appliance/audit"
)

// NewBan asks for a ban.
type NewBan struct {
	Network string `json:"network"`           // or an address
	Account string `json:"account,omitempty"` // "" means that nothing of the network may connect
	Reason  string `json:"reason,omitempty"`
	Seconds int64  `json:"seconds,omitempty"` // 0 means access.UsualBan
}

// NewAllowed asks for a network never to be banned.
type NewAllowed struct {
	Network string `json:"network"` // or an address
	Note    string `json:"note,omitempty"`
}

// The codes of what can be wrong with bans, which are stable.
const (
	CodeNetwork    = "network"
	CodeNotBanned  = "not-banned"
	CodeNotAllowed = "not-allowed"
	CodeSpared     = "spared"
)

// banRoutes are the requests about bans.
func (h *Handler) banRoutes() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/bans":       h.listBans,
		"POST /v1/bans":      h.addBan,
		"DELETE /v1/bans":    h.liftBan,
		"GET /v1/allowed":    h.listAllowed,
		"POST /v1/allowed":   h.allow,
		"DELETE /v1/allowed": h.disallow,
	}
}

func (h *Handler) listBans(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, h.bans.List())
}

func (h *Handler) addBan(w http.ResponseWriter, r *http.Request) error {
	var n NewBan
	if err := readJSON(w, r, &n); err != nil {
		return err
	}
	network, err := parseNetwork(n.Network)
	if err != nil {
		return err
	}
	d := access.UsualBan
	if n.Seconds != 0 {
		// What is too long for a Duration is too long for a ban.
		d = time.Duration(max(-1, min(n.Seconds, 1<<32))) * time.Second
	}
	ban, err := h.bans.Add(r.Context(), network, h.banAccount(n.Account), n.Reason, d)
	if err != nil {
		return banError(err)
	}
	h.log.InfoContext(r.Context(), "banned by the administrator", "network", ban.Network, "account", ban.Account,
		"until", ban.Until, "reason", ban.Reason)
	err = h.record(r.Context(), audit.Event{
		Kind: audit.BanAdded, Account: ban.Account, Remote: ban.Network.String(),
		More: map[string]string{"reason": ban.Reason, "until": ban.Until.UTC().Format(time.RFC3339)},
	})
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusCreated, ban)
}

func (h *Handler) liftBan(w http.ResponseWriter, r *http.Request) error {
	network, err := parseNetwork(r.URL.Query().Get("network"))
	if err != nil {
		return err
	}
	account := r.URL.Query().Get("account")
	lifted, err := h.bans.Lift(r.Context(), network, account)
	if errors.Is(err, access.ErrNotBanned) {
		lifted, err = h.bans.Lift(r.Context(), network, h.banAccount(account))
	}
	if err != nil {
		return banError(err)
	}
	for _, ban := range lifted {
		h.log.InfoContext(r.Context(), "ban lifted", "network", ban.Network, "account", ban.Account)
		err := h.record(r.Context(), audit.Event{
			Kind: audit.BanLifted, Account: ban.Account, Remote: ban.Network.String(), More: map[string]string{"reason": ban.Reason},
		})
		if err != nil {
			return err
		}
	}

	return writeJSON(w, http.StatusOK, lifted)
}

// banAccount returns the name under which an account is banned: its address,
// however the administrator calls it. What no account is called stays as it is.
func (h *Handler) banAccount(login string) string {
	if a, ok := h.directory.Whose(login); ok {
		return a.Address
	}

	return strings.ToLower(login)
}

func (h *Handler) listAllowed(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, h.bans.AllowList())
}

func (h *Handler) allow(w http.ResponseWriter, r *http.Request) error {
	var n NewAllowed
	if err := readJSON(w, r, &n); err != nil {
		return err
	}
	network, err := parseNetwork(n.Network)
	if err != nil {
		return err
	}
	allowed, err := h.bans.Allow(r.Context(), network, n.Note)
	if err != nil {
		return banError(err)
	}
	h.log.InfoContext(r.Context(), "network put on the allow-list", "network", network, "note", allowed.Note)
	err = h.record(r.Context(), audit.Event{
		Kind: audit.NetworkAllowed, Remote: allowed.Network.String(), More: map[string]string{"reason": allowed.Note},
	})
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusCreated, allowed)
}

func (h *Handler) disallow(w http.ResponseWriter, r *http.Request) error {
	network, err := parseNetwork(r.URL.Query().Get("network"))
	if err != nil {
		return err
	}
	if err := h.bans.Disallow(r.Context(), network); err != nil {
		return banError(err)
	}
	h.log.InfoContext(r.Context(), "network taken off the allow-list", "network", network)
	if err := h.record(r.Context(), audit.Event{Kind: audit.NetworkDisallowed, Remote: network.String()}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)

	return nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	p, err := access.ParseNetwork(s)
	if err != nil {
		return p, banError(err)
	}

	return p, nil
}

// banError finds the code for what went wrong with a ban.
func banError(err error) error {
	for _, known := range []struct {
		err    error
		code   string
		status int
	}{
		{access.ErrNetwork, CodeNetwork, http.StatusBadRequest},
		{access.ErrBanWide, CodeNetwork, http.StatusBadRequest},
		{access.ErrBanTime, CodeRequest, http.StatusBadRequest},
		{access.ErrSpared, CodeSpared, http.StatusConflict},
		{access.ErrAllowedFull, CodeTooMany, http.StatusConflict},
		{access.ErrNotBanned, CodeNotBanned, http.StatusNotFound},
		{access.ErrNotAllowed, CodeNotAllowed, http.StatusNotFound},
	} {
		if errors.Is(err, known.err) {
			return &Error{Code: known.code, Message: err.Error(), status: known.status}
		}
	}

	return err
}

// Bans lists the bans that hold, the newest first.
func (c *Client) Bans(ctx context.Context) ([]access.Ban, error) {
	var list []access.Ban

	return list, c.call(ctx, http.MethodGet, "/v1/bans", nil, &list)
}

// AddBan bans a network.
func (c *Client) AddBan(ctx context.Context, n NewBan) (access.Ban, error) {
	var ban access.Ban

	return ban, c.call(ctx, http.MethodPost, "/v1/bans", n, &ban)
}

// LiftBan ends the bans of a network, or, with an account, that one. It returns
// what it ended.
func (c *Client) LiftBan(ctx context.Context, network, account string) ([]access.Ban, error) {
	var lifted []access.Ban
	query := url.Values{"network": {network}}
	if account != "" {
		query.Set("account", account)
	}

	return lifted, c.call(ctx, http.MethodDelete, "/v1/bans?"+query.Encode(), nil, &lifted)
}

// Allowed lists the networks that are never banned.
func (c *Client) Allowed(ctx context.Context) ([]access.Allowed, error) {
	var list []access.Allowed

	return list, c.call(ctx, http.MethodGet, "/v1/allowed", nil, &list)
}

// Allow keeps a network from being banned.
func (c *Client) Allow(ctx context.Context, n NewAllowed) (access.Allowed, error) {
	var allowed access.Allowed

	return allowed, c.call(ctx, http.MethodPost, "/v1/allowed", n, &allowed)
}

// Disallow ends that.
func (c *Client) Disallow(ctx context.Context, network string) error {
	return c.call(ctx, http.MethodDelete, "/v1/allowed?"+url.Values{"network": {network}}.Encode(), nil, nil)
}
