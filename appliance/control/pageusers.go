package control

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/directory"
)

// Codes of what concerns the web page, which are stable.
const (
	CodeRole    = "role"
	CodeToken   = "token"
	CodeNoToken = "no-token"
)

// PageBook is what the web page keeps of those who sign in to it. An account is
// named by its id, the box's administrator by "". Whatever is wrong with what was
// asked for comes as an *Error.
type PageBook interface {
	User(account string) PageUser
	SetRole(ctx context.Context, account, address, role string) (before string, err error)
	ResetFactor(ctx context.Context, account string) (had bool, err error)
	EndSessions(ctx context.Context, account, session string) (int, error)
	Tokens() []Token
	AddToken(ctx context.Context, n NewToken, by string) (AddedToken, error)
	RevokeToken(ctx context.Context, id string) (Token, error)
	Rounds() ([]json.RawMessage, error)
}

// PageUser is what the web page keeps of somebody.
type PageUser struct {
	Role          string        `json:"role"`
	Factor        *time.Time    `json:"second_factor,omitempty"` // since when
	RecoveryCodes int           `json:"recovery_codes"`          // that are left
	Passkeys      []PagePasskey `json:"passkeys"`
	Sessions      []PageSession `json:"sessions"` // the one used last first
}

// PagePasskey is a passkey, without its key.
type PagePasskey struct {
	Name    string    `json:"name"`
	Host    string    `json:"host"`
	Created time.Time `json:"created"`
}

// PageSession is a browser that is signed in.
type PageSession struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"`
	Ends    time.Time `json:"ends"` // unless it is used
	Remote  string    `json:"remote"`
	Means   string    `json:"means"`
	Agent   string    `json:"agent,omitempty"`
}

// RoleChange asks for another role of a person on the web page.
type RoleChange struct {
	Role string `json:"role"` // person, auditor, operator or administrator
}

// FactorReset tells whether there was anything to take away.
type FactorReset struct {
	Had bool `json:"had"`
}

// EndedSessions tells how many ended.
type EndedSessions struct {
	Ended int `json:"ended"`
}

// Token opens the API to a program. What it opens with is told once.
type Token struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	Role    string     `json:"role"`
	By      string     `json:"by"`
	Created time.Time  `json:"created"`
	Expires time.Time  `json:"expires"`
	Used    *time.Time `json:"used,omitempty"`
}

// NewToken asks for a token.
type NewToken struct {
	Name string `json:"name"`
	Role string `json:"role"` // auditor, operator or administrator
	Days int    `json:"days"` // that it lasts
}

// AddedToken is a token with its secret.
type AddedToken struct {
	Token

	Secret string `json:"secret"`
}

// pageRoutes are the requests about who signs in to the web page, and how.
func (h *Handler) pageRoutes() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/accounts/{address}/web":         h.ofAccount(h.getPageUser),
		"PUT /v1/accounts/{address}/role":        h.ofAccount(h.setRole),
		"DELETE /v1/accounts/{address}/factor":   h.ofAccount(h.resetFactor),
		"DELETE /v1/accounts/{address}/sessions": h.ofAccount(h.endSessions),
		"GET /v1/admin/web":                      h.ofAdmin(h.getPageUser),
		"DELETE /v1/admin/factor":                h.ofAdmin(h.resetFactor),
		"DELETE /v1/admin/sessions":              h.ofAdmin(h.endSessions),
		"GET /v1/tokens":                         h.listTokens,
		"POST /v1/tokens":                        h.addToken,
		"DELETE /v1/tokens/{id}":                 h.revokeToken,
		"GET /v1/doctor/rounds":                  h.listRounds,
	}
}

// whose is whom a request is about; of the administrator the ID is "" and the
// address "admin".
type whose func(w http.ResponseWriter, r *http.Request, a directory.Account) error

func (h *Handler) ofAccount(f whose) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		a, err := h.directory.Find(r.Context(), r.PathValue("address"))
		if err != nil {
			return err
		}

		return f(w, r, a)
	}
}

func (h *Handler) ofAdmin(f whose) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		return f(w, r, directory.Account{Address: "admin"})
	}
}

func (h *Handler) getPageUser(w http.ResponseWriter, _ *http.Request, a directory.Account) error {
	return writeJSON(w, http.StatusOK, h.pages.User(string(a.ID)))
}

func (h *Handler) setRole(w http.ResponseWriter, r *http.Request, a directory.Account) error {
	var n RoleChange
	if err := readJSON(w, r, &n); err != nil {
		return err
	}
	before, err := h.pages.SetRole(r.Context(), string(a.ID), a.Address, n.Role)
	if err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "role set", "account", a.Address, "role", n.Role)
	if err := h.record(r.Context(), audit.Event{Kind: audit.RoleSet, Account: a.Address, Before: before, After: n.Role}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)

	return nil
}

func (h *Handler) resetFactor(w http.ResponseWriter, r *http.Request, a directory.Account) error {
	had, err := h.pages.ResetFactor(r.Context(), string(a.ID))
	if err != nil {
		return err
	}
	if had {
		h.log.InfoContext(r.Context(), "second factor reset", "account", a.Address)
		if err := h.record(r.Context(), audit.Event{
			Kind: audit.FactorRemoved, Account: a.Address, More: map[string]string{"text": "with recovery codes and passkeys"},
		}); err != nil {
			return err
		}
	}

	return writeJSON(w, http.StatusOK, FactorReset{had})
}

func (h *Handler) endSessions(w http.ResponseWriter, r *http.Request, a directory.Account) error {
	n, err := h.pages.EndSessions(r.Context(), string(a.ID), r.URL.Query().Get("session"))
	if err != nil {
		return err
	}
	if n > 0 {
		h.log.InfoContext(r.Context(), "signed out of the web page", "account", a.Address, "sessions", n)
		if err := h.record(r.Context(), audit.Event{
			Kind: audit.SessionsEnded, Account: a.Address, More: map[string]string{"text": strconv.Itoa(n)},
		}); err != nil {
			return err
		}
	}

	return writeJSON(w, http.StatusOK, EndedSessions{n})
}

func (h *Handler) listTokens(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, h.pages.Tokens())
}

func (h *Handler) addToken(w http.ResponseWriter, r *http.Request) error {
	var n NewToken
	if err := readJSON(w, r, &n); err != nil {
		return err
	}
	by, _, _ := strings.Cut(Actor(r.Context()), ",") // from where is in the record
	made, err := h.pages.AddToken(r.Context(), n, by)
	if err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "token made", "token", made.Name, "role", made.Role)
	if err := h.record(r.Context(), audit.Event{
		Kind: audit.TokenMade, After: made.Role, More: map[string]string{"text": made.Name},
	}); err != nil {
		return err
	}

	return writeJSON(w, http.StatusCreated, made)
}

func (h *Handler) revokeToken(w http.ResponseWriter, r *http.Request) error {
	gone, err := h.pages.RevokeToken(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "token revoked", "token", gone.Name)
	if err := h.record(r.Context(), audit.Event{Kind: audit.TokenRevoked, More: map[string]string{"text": gone.Name}}); err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, gone)
}

func (h *Handler) listRounds(w http.ResponseWriter, _ *http.Request) error {
	all, err := h.pages.Rounds()
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, all)
}

// pagePath is that of a person's requests about the web page, of the
// administrator's for "".
func pagePath(address, what string) string {
	if address == "" {
		return "/v1/admin/" + what
	}

	return "/v1/accounts/" + url.PathEscape(address) + "/" + what
}

// PageUser returns what the web page keeps of a person, or of the administrator for "".
func (c *Client) PageUser(ctx context.Context, address string) (PageUser, error) {
	var u PageUser

	return u, c.call(ctx, http.MethodGet, pagePath(address, "web"), nil, &u)
}

// SetRole gives a person another role on the web page.
func (c *Client) SetRole(ctx context.Context, address, role string) error {
	return c.call(ctx, http.MethodPut, pagePath(address, "role"), RoleChange{role}, nil)
}

// ResetFactor takes somebody's second factor, recovery codes and passkeys away;
// the administrator's for "".
func (c *Client) ResetFactor(ctx context.Context, address string) (FactorReset, error) {
	var f FactorReset

	return f, c.call(ctx, http.MethodDelete, pagePath(address, "factor"), nil, &f)
}

// EndSessions signs somebody out of the web page; the administrator for "".
func (c *Client) EndSessions(ctx context.Context, address string) (EndedSessions, error) {
	var n EndedSessions

	return n, c.call(ctx, http.MethodDelete, pagePath(address, "sessions"), nil, &n)
}

// Tokens lists the tokens.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	var all []Token

	return all, c.call(ctx, http.MethodGet, "/v1/tokens", nil, &all)
}

// AddToken makes a token.
func (c *Client) AddToken(ctx context.Context, n NewToken) (AddedToken, error) {
	var made AddedToken

	return made, c.call(ctx, http.MethodPost, "/v1/tokens", n, &made)
}

// RevokeToken takes a token away.
func (c *Client) RevokeToken(ctx context.Context, id string) (Token, error) {
	var gone Token

	return gone, c.call(ctx, http.MethodDelete, "/v1/tokens/"+url.PathEscape(id), nil, &gone)
}
