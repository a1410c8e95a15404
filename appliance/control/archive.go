package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"pillarbox/appliance/exporter"
)

const (
	maxArchives = 4 // at once: each keeps a processor busy
	// archiveTime is how long a piece of an archive may take to be sent; the whole
	// has no bound.
	archiveTime = 2 * time.Minute
)

// sendArchive sends an account's mail as one file while it is read.
func (h *Handler) sendArchive(w http.ResponseWriter, r *http.Request) error {
	form := r.URL.Query().Get("form")
	out := &archiveWriter{w: w, rc: http.NewResponseController(w)}
	target, err := exporter.NewArchive(out, form)
	if err != nil {
		return exportError(err)
	}
	acct, address, err := h.accountOf(r.Context(), r.PathValue("address"))
	if err != nil {
		return err
	}
	select {
	case h.archives <- struct{}{}:
		defer func() { <-h.archives }()
	default:
		return &Error{Code: CodeTooMany, Message: "others are downloading mail already; try again when they are done", status: http.StatusConflict}
	}
	if err := h.recordExport(r.Context(), address, target.String()); err != nil {
		return err
	}
	w.Header().Set("Content-Type", map[string]string{exporter.KindMbox: "application/zip", exporter.KindMaildir: "application/x-tar"}[form])
	report, err := exporter.Run(r.Context(), exporter.Stored(acct), target, &exporter.Options{Account: address})
	h.log.InfoContext(r.Context(), "account downloaded", "account", address, "form", form,
		"messages", report.Total.Put, "failed", report.Total.Refused, "err", err)
	switch {
	case err != nil && !out.begun:
		return exportError(err)
	case err != nil:
		// What was sent must not look whole: the connection is cut.
		panic(http.ErrAbortHandler)
	}

	return nil
}

// archiveWriter gives each piece its time.
type archiveWriter struct {
	w     io.Writer
	rc    *http.ResponseController
	begun bool
}

func (a *archiveWriter) Write(p []byte) (int, error) {
	if err := a.rc.SetWriteDeadline(time.Now().Add(archiveTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, fmt.Errorf("send archive: %w", err)
	}
	a.begun = true

	return a.w.Write(p)
}

// Archive writes an account's mail to w as one file: a zip of mboxes or a tar of
// Maildirs (exporter.KindMbox, exporter.KindMaildir).
func (c *Client) Archive(ctx context.Context, account, form string, w io.Writer) error {
	res, err := c.do(ctx, http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/archive?form="+url.QueryEscape(form), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("read archive: %w", err)
	}

	return nil
}
