package control

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"pillarbox/appliance/exporter"
	"pillarbox/appliance/importer"
)

// The codes of what can be wrong with exports in the background, beside those of
// imports for what a server answers.
const (
	CodeNoExport    = "no-export"
	CodeExportState = "export-state" // it is not in a state for that
)

// ResumeExport goes on with an export.
type ResumeExport struct {
	People []importer.Login `json:"people,omitempty"` // with new passwords
	Secret importer.Secret  `json:"secret,omitempty"` // the administrator's
}

// moveRoutes are the requests about mail that moves out in the background.
func (h *Handler) moveRoutes() map[string]func(http.ResponseWriter, *http.Request) error {
	act := func(f func(ctx context.Context, id, by string) (exporter.Move, error)) func(http.ResponseWriter, *http.Request) error {
		return func(w http.ResponseWriter, r *http.Request) error {
			m, err := f(r.Context(), r.PathValue("id"), Actor(r.Context()))
			if err != nil {
				return moveError(err)
			}

			return writeJSON(w, http.StatusOK, m)
		}
	}

	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/exports":              h.listMoves,
		"POST /v1/exports":             h.addMove,
		"GET /v1/exports/{id}":         h.showMove,
		"DELETE /v1/exports/{id}":      h.removeMove,
		"GET /v1/exports/{id}/report":  h.reportMove,
		"POST /v1/exports/{id}/resume": h.resumeMove,
		"POST /v1/exports/{id}/pause":  act(h.exports.Pause),
		"POST /v1/exports/{id}/cancel": act(h.exports.Cancel),
	}
}

func (h *Handler) listMoves(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, h.exports.List())
}

func (h *Handler) addMove(w http.ResponseWriter, r *http.Request) error {
	var n exporter.NewMove
	if err := readUpTo(w, r, &n, maxImport); err != nil {
		return err
	}
	m, err := h.exports.Add(r.Context(), &n, Actor(r.Context()))
	if err != nil {
		return moveError(err)
	}

	return writeJSON(w, http.StatusCreated, m)
}

// showMove answers as showImport does.
func (h *Handler) showMove(w http.ResponseWriter, r *http.Request) error {
	after, err := number(r, "after")
	if err != nil {
		return err
	}
	seconds, err := number(r, "wait")
	if err != nil {
		return err
	}
	wait := min(time.Duration(min(seconds, 1<<20))*time.Second, maxImportWait)
	m, err := h.exports.Await(r.Context(), r.PathValue("id"), after, wait)
	if err != nil {
		return moveError(err)
	}

	return writeJSON(w, http.StatusOK, m)
}

func (h *Handler) removeMove(w http.ResponseWriter, r *http.Request) error {
	if err := h.exports.Remove(r.Context(), r.PathValue("id"), Actor(r.Context())); err != nil {
		return moveError(err)
	}
	w.WriteHeader(http.StatusNoContent)

	return nil
}

func (h *Handler) reportMove(w http.ResponseWriter, r *http.Request) error {
	person, err := number(r, "person")
	if err != nil {
		return err
	}
	report, err := h.exports.Report(r.PathValue("id"), int(min(person, importer.MaxPeople)))
	if err != nil {
		return moveError(err)
	}

	return writeJSON(w, http.StatusOK, report)
}

func (h *Handler) resumeMove(w http.ResponseWriter, r *http.Request) error {
	var ask ResumeExport
	if err := readUpTo(w, r, &ask, maxImport); err != nil {
		return err
	}
	m, err := h.exports.Resume(r.Context(), r.PathValue("id"), ask.People, ask.Secret, Actor(r.Context()))
	if err != nil {
		return moveError(err)
	}

	return writeJSON(w, http.StatusOK, m)
}

// moveError finds the code for what went wrong with an export.
func moveError(err error) error {
	var busy *importer.BusyError
	var usage *exporter.UsageError
	for _, known := range []struct {
		is     bool
		code   string
		status int
	}{
		{errors.Is(err, exporter.ErrNotRunning), CodeNoServer, http.StatusConflict},
		{errors.Is(err, exporter.ErrNoMove), CodeNoExport, http.StatusNotFound},
		{errors.Is(err, exporter.ErrNoReport), CodeNoReport, http.StatusNotFound},
		{errors.Is(err, exporter.ErrState), CodeExportState, http.StatusConflict},
		{errors.Is(err, exporter.ErrTooMany), CodeTooMany, http.StatusConflict},
		{errors.As(err, &usage), CodeRequest, http.StatusBadRequest},
		{errors.Is(err, importer.ErrTrust), CodeImportTrust, http.StatusBadGateway},
		{errors.Is(err, importer.ErrSignIn), CodeImportLogin, http.StatusBadGateway},
		{errors.Is(err, importer.ErrRefused), CodeImport, http.StatusBadRequest},
		{errors.As(err, &busy), CodeImportBusy, http.StatusBadGateway},
	} {
		if known.is {
			return &Error{Code: known.code, Message: err.Error(), status: known.status}
		}
	}
	if e := asError(err); e.Code != CodeInternal {
		return e
	}

	return &Error{Code: CodeExport, Message: err.Error(), status: http.StatusBadGateway}
}

// Exports lists the exports in the background, the oldest first.
func (c *Client) Exports(ctx context.Context) (list []exporter.Move, err error) {
	return list, c.call(ctx, http.MethodGet, "/v1/exports", nil, &list)
}

// AddExport begins an export, which goes on in the server.
func (c *Client) AddExport(ctx context.Context, n *exporter.NewMove) (m exporter.Move, err error) {
	return m, c.call(ctx, http.MethodPost, "/v1/exports", n, &m)
}

// ShowExport returns an export when its version is above after, or after wait.
func (c *Client) ShowExport(ctx context.Context, id string, after int64, wait time.Duration) (m exporter.Move, err error) {
	q := url.Values{"after": {strconv.FormatInt(after, 10)}, "wait": {strconv.Itoa(int(wait / time.Second))}}

	return m, c.call(ctx, http.MethodGet, "/v1/exports/"+url.PathEscape(id)+"?"+q.Encode(), nil, &m)
}

// ChangeExport pauses an export or cancels it.
func (c *Client) ChangeExport(ctx context.Context, id, act string) (m exporter.Move, err error) {
	return m, c.call(ctx, http.MethodPost, "/v1/exports/"+url.PathEscape(id)+"/"+act, nil, &m)
}

// ResumeExport goes on with an export.
func (c *Client) ResumeExport(ctx context.Context, id string, ask *ResumeExport) (m exporter.Move, err error) {
	return m, c.call(ctx, http.MethodPost, "/v1/exports/"+url.PathEscape(id)+"/resume", ask, &m)
}

// RemoveExport takes an export that has ended off the list.
func (c *Client) RemoveExport(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/exports/"+url.PathEscape(id), nil, nil)
}

// ExportReport returns the report of a person's last run.
func (c *Client) ExportReport(ctx context.Context, id string, person int) (*exporter.Report, error) {
	var r exporter.Report

	return &r, c.call(ctx, http.MethodGet, "/v1/exports/"+url.PathEscape(id)+"/report?person="+strconv.Itoa(person), nil, &r)
}
