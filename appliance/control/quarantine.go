package control

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"pillarbox/appliance/importer"
)

// sendQuarantined sends a message that could not be taken, as it came.
func (h *Handler) sendQuarantined(w http.ResponseWriter, r *http.Request) error {
	person, err := number(r, "person")
	if err != nil {
		return err
	}
	message, err := number(r, "message")
	if err != nil {
		return err
	}
	report, err := h.imports.Report(r.PathValue("id"), int(min(person, importer.MaxPeople)))
	if err != nil {
		return importError(err)
	}
	none := &Error{Code: CodeNoReport, Message: "nothing was kept of that message", status: http.StatusNotFound}
	if message >= int64(len(report.Bad)) {
		return none
	}
	name := report.Bad[message].File
	if name == "" || filepath.Dir(name) != importer.QuarantineDir(filepath.Join(h.dir, "imports")) {
		return none
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &Error{Code: CodeNoReport, Message: "the message is in quarantine no more; it may have been taken since", status: http.StatusNotFound}
	}
	if err != nil {
		return fmt.Errorf("open a quarantined message: %w", err)
	}
	defer f.Close()
	if err := h.recordExport(r.Context(), report.Account, "a quarantined message, downloaded"); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "message/rfc822")
	if _, err := io.Copy(w, f); err != nil {
		return &sendError{err}
	}

	return nil
}
