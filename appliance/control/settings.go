package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"

	"pillarbox/appliance/config"
)

// Codes of what concerns the configuration.
const (
	CodeNoServer  = "no-server"  // only a running server changes it
	CodeSettings  = "settings"   // the document cannot be applied
	CodeUnchanged = "unchanged"  // nothing would change
	CodePending   = "pending"    // another change is on its way
	CodeNoPending = "no-pending" // none is, or another one
	CodeNoVersion = "no-version"
	CodeProof     = "proof" // who confirms has not shown that they can reach the box
)

// Settings is the configuration as it is.
type Settings struct {
	Current config.Version    `json:"current"`
	Pending *config.Pending   `json:"pending,omitempty"`
	Unheld  map[string]string `json:"unheld,omitempty"` // where it may not hold, and why
}

// Plan is what a document would change.
type Plan struct {
	Diff    []config.Change `json:"diff"`
	Reports []config.Report `json:"reports"`
}

// ProposeSettings asks for a change: of the whole document, or back to a version.
type ProposeSettings struct {
	Document *config.Document `json:"document,omitempty"`
	Version  int              `json:"version,omitempty"`
	Why      string           `json:"why,omitempty"`
	Now      bool             `json:"now,omitempty"` // do not wait for the window
}

// AmendSettings asks for a change of some settings.
type AmendSettings struct {
	// Set is what is set, in the form of the settings (RFC 7396): what it does not
	// name stays, null is what is usual.
	Set json.RawMessage `json:"set"`
	Why string          `json:"why,omitempty"`
	Now bool            `json:"now,omitempty"` // do not wait for the window
}

// Amended is what came of that: where nothing is pending, Current has it.
type Amended struct {
	Current config.Version  `json:"current"`
	Pending *config.Pending `json:"pending,omitempty"` // to be confirmed, as after a proposal
	Reports []config.Report `json:"reports,omitempty"`
}

// Proposed is what came of it.
type Proposed struct {
	Pending config.Pending  `json:"pending"`
	Reports []config.Report `json:"reports"`
}

// endSettings ends the change that is pending, "" whichever it is.
type endSettings struct {
	ID string `json:"id"`
}

// FirewallRules is what stands, and whether it is ours to tell.
type FirewallRules struct {
	Words   string          `json:"words"`
	State   json.RawMessage `json:"state"`
	Problem string          `json:"problem,omitempty"`
}

// FirewallDecision is what happens to a connection.
type FirewallDecision struct {
	Accepted bool     `json:"accepted"`
	Rule     string   `json:"rule"`
	Why      string   `json:"why"`
	Path     []string `json:"path,omitempty"`
}

// Firewall tells of the box's firewall.
type Firewall interface {
	Rules(ctx context.Context) (FirewallRules, error)
	Explain(ctx context.Context, source netip.Addr, port uint16) (FirewallDecision, error)
}

func (h *Handler) settingsRoutes() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/settings":                   h.getSettings,
		"GET /v1/settings/versions":          h.listVersions,
		"GET /v1/settings/versions/{number}": h.getVersion,
		"PATCH /v1/settings":                 h.amendSettings,
		"POST /v1/settings/plan":             h.planSettings,
		"POST /v1/settings/proposals":        h.proposeSettings,
		"POST /v1/settings/confirm":          h.confirmSettings,
		"POST /v1/settings/revert":           h.revertSettings,
		"GET /v1/firewall":                   h.getFirewall,
		"GET /v1/firewall/explain":           h.explainFirewall,
	}
}

var errNoServer = &Error{
	Code: CodeNoServer, Message: "settings are changed through a running server: start it first", status: http.StatusConflict,
}

func (h *Handler) manager() (*config.Manager, error) {
	if h.settings == nil {
		return nil, errNoServer
	}

	return h.settings(), nil
}

func (h *Handler) getSettings(w http.ResponseWriter, _ *http.Request) error {
	m, err := h.manager()
	if err != nil {
		return err
	}
	s := Settings{Current: m.Current(), Pending: m.Pending()}
	for applier, err := range m.Problems() {
		if s.Unheld == nil {
			s.Unheld = map[string]string{}
		}
		s.Unheld[applier] = err.Error()
	}

	return writeJSON(w, http.StatusOK, s)
}

func (h *Handler) listVersions(w http.ResponseWriter, _ *http.Request) error {
	m, err := h.manager()
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, m.Versions())
}

func (h *Handler) getVersion(w http.ResponseWriter, r *http.Request) error {
	m, err := h.manager()
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(r.PathValue("number"))
	if err != nil {
		return &Error{Code: CodeRequest, Message: "a version is a number", status: http.StatusBadRequest}
	}
	v, err := m.Version(number)
	if err != nil {
		return settingsError(err)
	}

	return writeJSON(w, http.StatusOK, v)
}

func (h *Handler) planSettings(w http.ResponseWriter, r *http.Request) error {
	m, err := h.manager()
	if err != nil {
		return err
	}
	var d config.Document
	if err := readUpTo(w, r, &d, config.MaxSize); err != nil {
		return err
	}
	diff, reports, err := m.Plan(r.Context(), &d)
	if err != nil {
		return settingsError(err)
	}

	return writeJSON(w, http.StatusOK, Plan{Diff: diff, Reports: reports})
}

func (h *Handler) proposeSettings(w http.ResponseWriter, r *http.Request) error {
	m, err := h.manager()
	if err != nil {
		return err
	}
	var p ProposeSettings
	if err := readUpTo(w, r, &p, 2*config.MaxSize); err != nil {
		return err
	}
	var answer Proposed
	switch by := Actor(r.Context()); {
	case p.Document != nil && p.Version == 0:
		answer.Pending, answer.Reports, err = m.Propose(r.Context(), &config.Proposal{Document: *p.Document, By: by, Why: p.Why, Now: p.Now})
	case p.Document == nil && p.Version > 0:
		answer.Pending, answer.Reports, err = m.Restore(r.Context(), p.Version, by, p.Why, p.Now)
	default:
		return &Error{Code: CodeRequest, Message: "a document or a version is wanted", status: http.StatusBadRequest}
	}
	if err != nil {
		return settingsError(err)
	}

	return writeJSON(w, http.StatusOK, answer)
}

func (h *Handler) amendSettings(w http.ResponseWriter, r *http.Request) error {
	m, err := h.manager()
	if err != nil {
		return err
	}
	var a AmendSettings
	if err := readUpTo(w, r, &a, 2*config.MaxSize); err != nil {
		return err
	}
	if len(a.Set) == 0 {
		return &Error{Code: CodeRequest, Message: "set: settings are wanted", status: http.StatusBadRequest}
	}
	var answer Amended
	answer.Current, answer.Pending, answer.Reports, err = m.Amend(r.Context(), &config.Amendment{Patch: a.Set, By: Actor(r.Context()), Why: a.Why, Now: a.Now})
	if err != nil {
		return settingsError(err)
	}

	return writeJSON(w, http.StatusOK, answer)
}

func (h *Handler) confirmSettings(w http.ResponseWriter, r *http.Request) error {
	m, err := h.manager()
	if err != nil {
		return err
	}
	var e endSettings
	if err := readJSON(w, r, &e); err != nil {
		return err
	}
	v, err := m.Confirm(r.Context(), e.ID, config.Proof{By: Actor(r.Context()), Began: began(r.Context())})
	if err != nil {
		return settingsError(err)
	}

	return writeJSON(w, http.StatusOK, v)
}

func (h *Handler) revertSettings(w http.ResponseWriter, r *http.Request) error {
	m, err := h.manager()
	if err != nil {
		return err
	}
	var e endSettings
	if err := readJSON(w, r, &e); err != nil {
		return err
	}
	if err := m.Revert(r.Context(), e.ID, Actor(r.Context())); err != nil {
		return settingsError(err)
	}
	w.WriteHeader(http.StatusNoContent)

	return nil
}

// settingsError finds the code for what a Manager says.
func settingsError(err error) error {
	var pending *config.PendingError
	var check *config.CheckError
	code, status := "", http.StatusConflict
	switch {
	case errors.As(err, &pending):
		code = CodePending
	case errors.As(err, &check):
		code, status = CodeSettings, http.StatusBadRequest
	case errors.Is(err, config.ErrUnchanged):
		code = CodeUnchanged
	case errors.Is(err, config.ErrNoPending), errors.Is(err, config.ErrOther), errors.Is(err, config.ErrNotApplied), errors.Is(err, config.ErrGone):
		code = CodeNoPending
	case errors.Is(err, config.ErrUnsure):
		code = CodeBusy
	case errors.Is(err, config.ErrNoVersion):
		code, status = CodeNoVersion, http.StatusNotFound
	case errors.Is(err, config.ErrOldProof), errors.Is(err, config.ErrNoProof):
		code = CodeProof
	default:
		return err
	}

	return &Error{Code: code, Message: err.Error(), status: status}
}

func (h *Handler) getFirewall(w http.ResponseWriter, r *http.Request) error {
	if h.firewall == nil {
		return errNoFirewall
	}
	rules, err := h.firewall.Rules(r.Context())
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, rules)
}

var errNoFirewall = &Error{
	Code: CodeNoServer, Message: "this machine's firewall is its own; the box keeps one only on its firmware", status: http.StatusNotFound,
}

func (h *Handler) explainFirewall(w http.ResponseWriter, r *http.Request) error {
	if h.firewall == nil {
		return errNoFirewall
	}
	q := r.URL.Query()
	source, err := netip.ParseAddr(q.Get("source"))
	if err != nil {
		return &Error{Code: CodeRequest, Message: "source: an address is wanted", status: http.StatusBadRequest}
	}
	port, err := strconv.ParseUint(q.Get("port"), 10, 16)
	if err != nil || port == 0 {
		return &Error{Code: CodeRequest, Message: "port: a number from 1 to 65535 is wanted", status: http.StatusBadRequest}
	}
	d, err := h.firewall.Explain(r.Context(), source, uint16(port))
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, d)
}

// Settings asks for the configuration.
func (c *Client) Settings(ctx context.Context) (s Settings, err error) {
	return s, c.call(ctx, http.MethodGet, "/v1/settings", nil, &s)
}

// SettingsVersions lists the versions of the configuration, the newest first.
func (c *Client) SettingsVersions(ctx context.Context) (all []config.Version, err error) {
	return all, c.call(ctx, http.MethodGet, "/v1/settings/versions", nil, &all)
}

// SettingsVersion asks for one version.
func (c *Client) SettingsVersion(ctx context.Context, number int) (v config.Version, err error) {
	return v, c.call(ctx, http.MethodGet, "/v1/settings/versions/"+strconv.Itoa(number), nil, &v)
}

// PlanSettings asks what a document would change.
func (c *Client) PlanSettings(ctx context.Context, d *config.Document) (p Plan, err error) {
	return p, c.call(ctx, http.MethodPost, "/v1/settings/plan", d, &p)
}

// ProposeSettings has a change applied, to be confirmed.
func (c *Client) ProposeSettings(ctx context.Context, p *ProposeSettings) (r Proposed, err error) {
	return r, c.call(ctx, http.MethodPost, "/v1/settings/proposals", p, &r)
}

// AmendSettings changes some settings, whatever the others are.
func (c *Client) AmendSettings(ctx context.Context, a *AmendSettings) (r Amended, err error) {
	return r, c.call(ctx, http.MethodPatch, "/v1/settings", a, &r)
}

// ConfirmSettings keeps the change that is applied; id "" means whichever it is.
func (c *Client) ConfirmSettings(ctx context.Context, id string) (v config.Version, err error) {
	return v, c.call(ctx, http.MethodPost, "/v1/settings/confirm", endSettings{id}, &v)
}

// RevertSettings takes the change that is pending back.
func (c *Client) RevertSettings(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/v1/settings/revert", endSettings{id}, nil)
}

// FirewallRules asks for the firewall's rules.
func (c *Client) FirewallRules(ctx context.Context) (r FirewallRules, err error) {
	return r, c.call(ctx, http.MethodGet, "/v1/firewall", nil, &r)
}

// ExplainFirewall asks what happens to a connection.
func (c *Client) ExplainFirewall(ctx context.Context, source netip.Addr, port uint16) (d FirewallDecision, err error) {
	q := url.Values{"source": {source.String()}, "port": {strconv.Itoa(int(port))}}

	return d, c.call(ctx, http.MethodGet, "/v1/firewall/explain?"+q.Encode(), nil, &d)
}
