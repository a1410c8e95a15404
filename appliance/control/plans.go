package control

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/ports/sunset"
)

// Codes of what concerns plans, which are stable.
const (
	CodePlan      = "plan"       // what is asked for cannot be carried out
	CodeNoPlan    = "no-plan"    // there is none of that kind
	CodePlanTaken = "plan-taken" // there is one already, or one that excludes it
	CodePlanState = "plan-state" // that cannot be done now
	CodePlanCheck = "plan-check" // the step's check finds something
)

// PlanAct is what somebody decides about a plan. Fields that an act does not know
// are empty.
type PlanAct struct {
	Why string `json:"why,omitempty"`

	sunset.Going // of next

	People []string `json:"people,omitempty"` // of accept

	Begins time.Time   `json:"begins,omitzero"` // of brownout; zero is now
	For    sunset.Span `json:"for,omitempty"`
	End    bool        `json:"end,omitempty"` // it is ended or cancelled
}

// planRoutes are the requests about plans.
func (h *Handler) planRoutes() map[string]func(http.ResponseWriter, *http.Request) error {
	routes := map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/plans":         h.listPlans,
		"POST /v1/plans":        h.makePlan,
		"GET /v1/plans/{kind}":  h.showPlan,
		"GET /v1/port-990":      h.getOwnership,
		"PUT /v1/port-990":      h.setOwnership,
		"POST /v1/plans-report": h.reportPlans,
	}
	// Each act is a request of its own: not everybody who may pause a plan may
	// start one.
	for _, act := range []string{"start", "next", "pause", "resume", "rollback", "accept", "brownout", "drop"} {
		routes["POST /v1/plans/{kind}/"+act] = func(w http.ResponseWriter, r *http.Request) error { return h.actOnPlan(w, r, act) }
	}

	return routes
}

func (h *Handler) planner() (*sunset.Planner, error) {
	if p := h.plans(); p != nil {
		return p, nil
	}

	return nil, &Error{Code: CodeNoServer, Message: "plans are carried out by a running server: start it first", status: http.StatusConflict}
}

func (h *Handler) listPlans(w http.ResponseWriter, _ *http.Request) error {
	p, err := h.planner()
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, p.Plans())
}

func (h *Handler) makePlan(w http.ResponseWriter, r *http.Request) error {
	p, err := h.planner()
	if err != nil {
		return err
	}
	var spec sunset.Spec
	if err := readUpTo(w, r, &spec, maxPlan); err != nil {
		return err
	}
	plan, err := p.Make(r.Context(), &spec, Actor(r.Context()))
	if err != nil {
		return planError(err)
	}

	return h.answerPlan(w, http.StatusCreated, p, plan.Kind)
}

// maxPlan bounds a plan in octets: a thousand people and more.
const maxPlan = 512 << 10

func (h *Handler) showPlan(w http.ResponseWriter, r *http.Request) error {
	p, err := h.planner()
	if err != nil {
		return err
	}

	return h.answerPlan(w, http.StatusOK, p, sunset.Kind(r.PathValue("kind")))
}

func (h *Handler) answerPlan(w http.ResponseWriter, status int, p *sunset.Planner, k sunset.Kind) error {
	s, err := p.Status(k)
	if err != nil {
		return planError(err)
	}

	return writeJSON(w, status, s)
}

func (h *Handler) actOnPlan(w http.ResponseWriter, r *http.Request, act string) error {
	p, err := h.planner()
	if err != nil {
		return err
	}
	var a PlanAct
	if err := readUpTo(w, r, &a, maxPlan); err != nil {
		return err
	}
	ctx, k, by := r.Context(), sunset.Kind(r.PathValue("kind")), Actor(r.Context())
	switch act {
	case "start":
		_, err = p.Start(ctx, k, by, a.Why)
	case "next":
		_, err = p.Next(ctx, k, a.Going, by, a.Why)
	case "pause":
		_, err = p.Pause(ctx, k, by, a.Why)
	case "resume":
		_, err = p.Resume(ctx, k, by, a.Why)
	case "rollback":
		_, err = p.Rollback(ctx, k, by, a.Why)
	case "accept":
		_, err = p.Accept(ctx, k, a.People, by, a.Why)
	case "drop":
		_, err = p.Drop(ctx, k, by, a.Why)
	case "brownout":
		if a.End {
			_, err = p.EndBrownout(ctx, k, by, a.Why)
		} else {
			_, err = p.Brownout(ctx, k, a.Begins, a.For, by, a.Why)
		}
	}
	if err != nil {
		return planError(err)
	}

	return h.answerPlan(w, http.StatusOK, p, k)
}

func (h *Handler) getOwnership(w http.ResponseWriter, _ *http.Request) error {
	p, err := h.planner()
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, p.Ownership())
}

func (h *Handler) setOwnership(w http.ResponseWriter, r *http.Request) error {
	p, err := h.planner()
	if err != nil {
		return err
	}
	var o sunset.Ownership
	if err := readJSON(w, r, &o); err != nil {
		return err
	}
	if o, err = p.Own(r.Context(), o, Actor(r.Context())); err != nil {
		return planError(err)
	}

	return writeJSON(w, http.StatusOK, o)
}

// reportPlans is a POST: it signs where the audit record ends, and is recorded.
func (h *Handler) reportPlans(w http.ResponseWriter, r *http.Request) error {
	p, err := h.planner()
	if err != nil {
		return err
	}
	if err := h.record(r.Context(), audit.Event{Kind: audit.PlanReported}); err != nil {
		return err
	}

	report := p.Report(r.Context(), Actor(r.Context()))
	kind, write := "text/html; charset=utf-8", report.WriteHTML
	switch r.URL.Query().Get("form") {
	case "html":
	case "csv":
		kind, write = "text/csv; charset=utf-8", report.WriteCSV
	default:
		return writeJSON(w, http.StatusOK, report)
	}
	w.Header().Set("Content-Type", kind)
	if err := write(w); err != nil {
		return &sendError{err}
	}

	return nil
}

// planError finds the code for what a Planner says.
func planError(err error) error {
	for _, known := range []struct {
		err    error
		code   string
		status int
	}{
		{sunset.ErrNoPlan, CodeNoPlan, http.StatusNotFound},
		{sunset.ErrExists, CodePlanTaken, http.StatusConflict},
		{sunset.ErrOpposite, CodePlanTaken, http.StatusConflict},
		{sunset.ErrGone, CodePlanState, http.StatusConflict},
		{sunset.ErrState, CodePlanState, http.StatusConflict},
		{sunset.ErrSpec, CodePlan, http.StatusBadRequest},
		{sunset.ErrNobody, CodeProof, http.StatusForbidden},
	} {
		if errors.Is(err, known.err) {
			return &Error{Code: known.code, Message: err.Error(), status: known.status}
		}
	}
	var check *sunset.CheckError
	if errors.As(err, &check) {
		return &Error{Code: CodePlanCheck, Message: err.Error(), status: http.StatusConflict}
	}

	return err
}

// Plans lists all plans as they stand.
func (c *Client) Plans(ctx context.Context) (all []sunset.Status, err error) {
	return all, c.call(ctx, http.MethodGet, "/v1/plans", nil, &all)
}

// Plan asks for the plan of a kind.
func (c *Client) Plan(ctx context.Context, k sunset.Kind) (s sunset.Status, err error) {
	return s, c.call(ctx, http.MethodGet, "/v1/plans/"+url.PathEscape(string(k)), nil, &s)
}

// MakePlan makes a plan.
func (c *Client) MakePlan(ctx context.Context, spec *sunset.Spec) (s sunset.Status, err error) {
	return s, c.call(ctx, http.MethodPost, "/v1/plans", spec, &s)
}

// ActOnPlan decides something about a plan: start, next, pause, resume, rollback,
// accept, brownout or drop.
func (c *Client) ActOnPlan(ctx context.Context, k sunset.Kind, act string, a *PlanAct) (s sunset.Status, err error) {
	return s, c.call(ctx, http.MethodPost, "/v1/plans/"+url.PathEscape(string(k))+"/"+url.PathEscape(act), a, &s)
}

// Ownership asks who answers for port 990.
func (c *Client) Ownership(ctx context.Context) (o sunset.Ownership, err error) {
	return o, c.call(ctx, http.MethodGet, "/v1/port-990", nil, &o)
}

// Own says who answers for port 990, why it is open and when that is looked at again.
func (c *Client) Own(ctx context.Context, o sunset.Ownership) (now sunset.Ownership, err error) {
	return now, c.call(ctx, http.MethodPut, "/v1/port-990", o, &now)
}

// PlanReport asks for a report.
func (c *Client) PlanReport(ctx context.Context) (r sunset.Report, err error) {
	return r, c.call(ctx, http.MethodPost, "/v1/plans-report", nil, &r)
}
