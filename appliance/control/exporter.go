package control

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/exporter"
	"pillarbox/appliance/importer"
	"pillarbox/storage"
)

// Bounds of exports that read through the socket.
const (
	maxReadings   = 64 // accounts at once
	readingLasts  = 48 * time.Hour
	maxReadBodies = 1024 // messages of one request
)

// CodeExport says that a target cannot be used as it was asked for.
const CodeExport = "export"

// ExportLine is a line of an export's answer; one field is set.
type ExportLine struct {
	Progress *exporter.Progress `json:"progress,omitempty"` // now and then
	Report   *exporter.Report   `json:"report,omitempty"`   // also before an error: what was done until then
	Error    *Error             `json:"error,omitempty"`    // the export could not go on
}

// Reading lets a command read the mail of an account, to export it.
type Reading struct {
	ID      string `json:"id"`
	Account string `json:"account"` // its address
}

// readings are the accounts that commands read.
type readings struct {
	mu  sync.Mutex
	all map[string]reading
}

type reading struct {
	account storage.AccountID
	until   time.Time
}

func (h *Handler) exportRoutes() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"POST /v1/exports/now":                              h.export,
		"POST /v1/accounts/{address}/archive":               h.sendArchive,
		"POST /v1/exports/readings":                         h.openReading,
		"DELETE /v1/exports/readings/{id}":                  h.closeReading,
		"GET /v1/exports/readings/{id}/mailboxes":           h.readMailboxes,
		"GET /v1/exports/readings/{id}/mailboxes/{mailbox}": h.readMessages,
		"POST /v1/exports/readings/{id}/bodies":             h.readBodies,
	}
}

// export exports an account from this process.
func (h *Handler) export(w http.ResponseWriter, r *http.Request) error {
	var ask exporter.Request
	if err := readUpTo(w, r, &ask, maxAnswer); err != nil {
		return err
	}
	target, err := ask.Target(h.way(r.Context()))
	if err == nil && ask.Kind != exporter.KindIMAP {
		err = exporter.Reachable(ask.Dir, h.dir)
	}
	if err != nil {
		return exportError(err)
	}
	acct, address, err := h.accountOf(r.Context(), ask.Account)
	if err != nil {
		return err
	}
	ask.Account = address
	if err := h.recordExport(r.Context(), address, ask.Where()); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	rc := http.NewResponseController(w)
	send := func(l ExportLine) {
		// A client that has gone away ends the export by its context.
		if err := errors.Join(enc.Encode(l), rc.Flush()); err != nil {
			h.log.DebugContext(r.Context(), "line not sent", "err", err)
		}
	}
	o := ask.Options()
	o.Progress = func(p exporter.Progress) { send(ExportLine{Progress: &p}) }
	report, err := exporter.Run(r.Context(), exporter.Stored(acct), target, o)
	h.log.InfoContext(r.Context(), "account exported", "account", address, "target", ask.Where(),
		"messages", report.Total.Put, "known", report.Total.Known, "failed", report.Total.Refused, "err", err)
	send(ExportLine{Report: report})
	if err != nil {
		send(ExportLine{Error: exportError(err)})
	}

	return nil
}

// exportError is an error that is the target's.
func exportError(err error) *Error {
	var usage *exporter.UsageError
	if errors.As(err, &usage) {
		return &Error{Code: CodeRequest, Message: err.Error(), status: http.StatusBadRequest}
	}

	return &Error{Code: CodeExport, Message: err.Error(), status: http.StatusBadGateway}
}

// way reaches other servers, whose certificates may be of the box's own CA.
func (h *Handler) way(ctx context.Context) *importer.Way {
	return &importer.Way{Roots: h.roots(ctx)}
}

// accountOf opens the mail of an address.
func (h *Handler) accountOf(ctx context.Context, address string) (*storage.Account, string, error) {
	a, err := h.directory.Find(ctx, address)
	if err != nil {
		return nil, "", err
	}
	acct, err := h.store.Account(ctx, a.ID)
	if err != nil {
		return nil, "", fmt.Errorf("open account %s: %w", a.Address, err)
	}

	return acct, a.Address, nil
}

// recordExport says that mail leaves the box, before it does.
func (h *Handler) recordExport(ctx context.Context, address, target string) error {
	return h.record(ctx, audit.Event{Kind: audit.MailExported, Account: address, More: map[string]string{"target": target}})
}

// readingRequest asks to read an account; Target is told to the audit record.
type readingRequest struct {
	Account string `json:"account"`
	Target  string `json:"target"`
}

func (h *Handler) openReading(w http.ResponseWriter, r *http.Request) error {
	var ask readingRequest
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	acct, address, err := h.accountOf(r.Context(), ask.Account)
	if err != nil {
		return err
	}
	id := rand.Text()
	if err := h.readings.add(id, acct.ID()); err != nil {
		return err
	}
	if err := h.recordExport(r.Context(), address, ask.Target); err != nil {
		h.readings.remove(id)
		return err
	}

	return writeJSON(w, http.StatusCreated, Reading{ID: id, Account: address})
}

func (rs *readings) add(id string, account storage.AccountID) error {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	now := time.Now()
	for id, r := range rs.all {
		if now.After(r.until) {
			delete(rs.all, id)
		}
	}
	if len(rs.all) >= maxReadings {
		return &Error{Code: CodeTooMany, Message: "too many exports run at the same time", status: http.StatusConflict}
	}
	if rs.all == nil {
		rs.all = map[string]reading{}
	}
	rs.all[id] = reading{account: account, until: now.Add(readingLasts)}

	return nil
}

func (rs *readings) remove(id string) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	delete(rs.all, id)
}

func (rs *readings) count() int {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	maps.DeleteFunc(rs.all, func(_ string, r reading) bool { return time.Now().After(r.until) })

	return len(rs.all)
}

func (h *Handler) closeReading(w http.ResponseWriter, r *http.Request) error {
	h.readings.remove(r.PathValue("id"))
	w.WriteHeader(http.StatusNoContent)

	return nil
}

// reading returns the mail that a request may read.
func (h *Handler) reading(r *http.Request) (exporter.Mail, error) {
	h.readings.mu.Lock()
	rd, ok := h.readings.all[r.PathValue("id")]
	h.readings.mu.Unlock()
	if !ok {
		return nil, &Error{Code: CodeRequest, Message: "the export has ended; run it again, it goes on where it was", status: http.StatusNotFound}
	}
	acct, err := h.store.Account(r.Context(), rd.account)
	if err != nil {
		return nil, fmt.Errorf("open account: %w", err)
	}

	return exporter.Stored(acct), nil
}

func (h *Handler) readMailboxes(w http.ResponseWriter, r *http.Request) error {
	mail, err := h.reading(r)
	if err != nil {
		return err
	}
	boxes, err := mail.Mailboxes(r.Context())
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, boxes)
}

func (h *Handler) readMessages(w http.ResponseWriter, r *http.Request) error {
	mail, err := h.reading(r)
	if err != nil {
		return err
	}
	id, err := strconv.ParseUint(r.PathValue("mailbox"), 10, 32)
	if err != nil {
		return &Error{Code: CodeRequest, Message: "mailbox: a number is wanted", status: http.StatusBadRequest}
	}
	msgs, err := mail.Messages(r.Context(), storage.MailboxID(id))
	if errors.Is(err, storage.ErrNoMailbox) {
		return &Error{Code: CodeNoMailbox, Message: err.Error(), status: http.StatusNotFound}
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(out)
	for i := range msgs {
		if err := enc.Encode(&msgs[i]); err != nil {
			return &sendError{err}
		}
	}
	if err := errors.Join(enc.Encode(endOfMessages{End: true}), out.Flush()); err != nil {
		return &sendError{err}
	}

	return nil
}

// CodeNoMailbox says that a mailbox was deleted meanwhile.
const CodeNoMailbox = "no-mailbox"

// endOfMessages tells that a list is whole.
type endOfMessages struct {
	exporter.Message

	End bool `json:"end,omitempty"`
}

// bodyHead stands before the octets of a message.
type bodyHead struct {
	Index int    `json:"index"`
	Size  int64  `json:"size"`
	Gone  bool   `json:"gone,omitempty"`
	Error string `json:"error,omitempty"`
	End   bool   `json:"end,omitempty"`
}

func (h *Handler) readBodies(w http.ResponseWriter, r *http.Request) error {
	mail, err := h.reading(r)
	if err != nil {
		return err
	}
	var data []storage.DataID
	if err := readJSON(w, r, &data); err != nil {
		return err
	}
	if len(data) > maxReadBodies {
		return &Error{Code: CodeRequest, Message: "too many messages at once", status: http.StatusBadRequest}
	}
	out := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(out)
	err = mail.Read(r.Context(), data, func(i int, body io.ReaderAt, size int64, err error) error {
		if err != nil {
			return enc.Encode(bodyHead{Index: i, Gone: errors.Is(err, storage.ErrNoMessage), Error: err.Error()})
		}
		if err := enc.Encode(bodyHead{Index: i, Size: size}); err != nil {
			return err
		}
		// Cut short, the answer has no end, and the message is not taken.
		_, err = io.CopyBuffer(struct{ io.Writer }{out}, io.NewSectionReader(body, 0, size), make([]byte, 64<<10))
		return err
	})
	if err == nil {
		err = enc.Encode(bodyHead{End: true})
	}
	if err := errors.Join(err, out.Flush()); err != nil {
		return &sendError{err}
	}

	return nil
}
