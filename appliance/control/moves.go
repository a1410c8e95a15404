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
func (c *Client) ResumeExport(ctx context.Context, id string, ask *ResumeJob) (m exporter.Move, err error) {
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
