package control

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"pillarbox/appliance/importer"
)

// The codes of what can be wrong with imports, which are stable.
const (
	CodeImport      = "import"       // the source cannot be used as it is asked to
	CodeImportTrust = "import-trust" // its certificate is not trusted
	CodeImportLogin = "import-login" // it refuses the log-in
	CodeImportBusy  = "import-busy"  // it cannot be reached, or wants to be left alone
	CodeNoImport    = "no-import"
	CodeNoReport    = "no-report"
	CodeImportState = "import-state" // it is not in a state for that
)

const (
	maxImport     = 16 << 20 // octets of the JSON that asks for one: 10,000 people
	maxImportWait = time.Minute
)

// TryImport asks what would move.
type TryImport struct {
	importer.NewJob

	Person int `json:"person,omitempty"` // of People
}

// VerifyImport compares what came with the source.
type VerifyImport struct {
	ResumeJob

	Person int `json:"person,omitempty"`
}

// importRoutes are the requests about mail that moves in, beside jobRoutes.
func (h *Handler) importRoutes() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"POST /v1/imports/try":           h.tryImport,
		"POST /v1/imports/files":         h.takeFiles,
		"POST /v1/imports/archive":       h.takeArchive,
		"POST /v1/imports/{id}/verify":   h.verifyImport,
		"POST /v1/imports/{id}/bad":      h.sendQuarantined,
		"POST /v1/imports/{id}/cut-over": jobAct(h.imports.CutOver, importError),
	}
}

func (h *Handler) tryImport(w http.ResponseWriter, r *http.Request) error {
	var n TryImport
	if err := readUpTo(w, r, &n, maxImport); err != nil {
		return err
	}
	report, err := h.imports.Try(r.Context(), &n.NewJob, n.Person)
	if err != nil {
		return importError(err)
	}

	return writeJSON(w, http.StatusOK, report)
}

// number reads a number of a request, 0 if it is not there.
func number(r *http.Request, name string) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, &Error{Code: CodeRequest, Message: name + ": a number is wanted", status: http.StatusBadRequest}
	}

	return n, nil
}

func (h *Handler) verifyImport(w http.ResponseWriter, r *http.Request) error {
	var ask VerifyImport
	if err := readUpTo(w, r, &ask, maxImport); err != nil {
		return err
	}
	report, err := h.imports.Verify(r.Context(), r.PathValue("id"), ask.Person, ask.People, ask.Secret)
	if err != nil {
		return importError(err)
	}

	return writeJSON(w, http.StatusOK, report)
}

// importError finds the code for what went wrong with an import.
func importError(err error) error {
	var busy *importer.BusyError
	for _, known := range []struct {
		is     bool
		code   string
		status int
	}{
		{errors.Is(err, importer.ErrNotRunning), CodeNoServer, http.StatusConflict},
		{errors.Is(err, importer.ErrNoJob), CodeNoImport, http.StatusNotFound},
		{errors.Is(err, importer.ErrNoReport), CodeNoReport, http.StatusNotFound},
		{errors.Is(err, importer.ErrJobState), CodeImportState, http.StatusConflict},
		{errors.Is(err, importer.ErrTooMany), CodeTooMany, http.StatusConflict},
		{errors.Is(err, importer.ErrUploads), CodeTooMany, http.StatusConflict},
		{errors.Is(err, importer.ErrNoRoom), CodeDiskFull, http.StatusInsufficientStorage},
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

	return &Error{Code: CodeImportBusy, Message: err.Error(), status: http.StatusBadGateway}
}

// Imports lists the imports, the oldest first.
func (c *Client) Imports(ctx context.Context) (list []importer.Job, err error) {
	return list, c.call(ctx, http.MethodGet, "/v1/imports", nil, &list)
}

// AddImport begins an import.
func (c *Client) AddImport(ctx context.Context, n *importer.NewJob) (job importer.Job, err error) {
	return job, c.call(ctx, http.MethodPost, "/v1/imports", n, &job)
}

// TryImport tells what would move.
func (c *Client) TryImport(ctx context.Context, n *TryImport) (*importer.Report, error) {
	var r importer.Report

	return &r, c.call(ctx, http.MethodPost, "/v1/imports/try", n, &r)
}

// Import returns an import when its version is above after, or after wait.
func (c *Client) Import(ctx context.Context, id string, after int64, wait time.Duration) (job importer.Job, err error) {
	q := url.Values{"after": {strconv.FormatInt(after, 10)}, "wait": {strconv.Itoa(int(wait / time.Second))}}

	return job, c.call(ctx, http.MethodGet, "/v1/imports/"+url.PathEscape(id)+"?"+q.Encode(), nil, &job)
}

// ChangeImport pauses an import, cancels it or asks for its cut-over.
func (c *Client) ChangeImport(ctx context.Context, id, act string) (job importer.Job, err error) {
	return job, c.call(ctx, http.MethodPost, "/v1/imports/"+url.PathEscape(id)+"/"+act, nil, &job)
}

// ResumeImport goes on with an import.
func (c *Client) ResumeImport(ctx context.Context, id string, ask *ResumeJob) (job importer.Job, err error) {
	return job, c.call(ctx, http.MethodPost, "/v1/imports/"+url.PathEscape(id)+"/resume", ask, &job)
}

// RemoveImport takes an import that has ended off the list.
func (c *Client) RemoveImport(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/imports/"+url.PathEscape(id), nil, nil)
}

// ImportReport returns the report of a person's last run.
func (c *Client) ImportReport(ctx context.Context, id string, person int) (*importer.Report, error) {
	var r importer.Report

	return &r, c.call(ctx, http.MethodGet, "/v1/imports/"+url.PathEscape(id)+"/report?person="+strconv.Itoa(person), nil, &r)
}

// VerifyImport compares what came with the source.
func (c *Client) VerifyImport(ctx context.Context, id string, ask *VerifyImport) (*importer.Report, error) {
	var r importer.Report

	return &r, c.call(ctx, http.MethodPost, "/v1/imports/"+url.PathEscape(id)+"/verify", ask, &r)
}
