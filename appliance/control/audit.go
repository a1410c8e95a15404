package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/peer"
)

// Trailers of an export, which tell what its beginning cannot know.
const (
	trailerRecords = "Audit-Records"
	trailerError   = "Audit-Error"
)

// AuditCheckpoint is a checkpoint with the key that signed it.
type AuditCheckpoint struct {
	Checkpoint string `json:"checkpoint"`
	PublicKey  string `json:"public_key"` // PEM
}

// AuditKind is a kind of record, with how long it is kept.
type AuditKind struct {
	audit.Spec

	KeptDays int   `json:"kept_days"`
	MaxBytes int64 `json:"max_bytes"` // of all kinds of its book
}

// AuditKinds returns what is recorded, and how long a book is kept by keep.
func AuditKinds(keep func(audit.Book) audit.Keep) []AuditKind {
	kinds := []AuditKind{}
	for _, s := range audit.Kinds() {
		k := keep(s.Book)
		if s.Book == "" { // either book has it
			acts, access := keep(audit.Acts), keep(audit.Access)
			k = audit.Keep{Age: max(acts.Age, access.Age), Size: max(acts.Size, access.Size)}
		}
		kinds = append(kinds, AuditKind{Spec: s, KeptDays: int(k.Age / (24 * time.Hour)), MaxBytes: k.Size})
	}

	return kinds
}

// verification asks for the record to be verified.
type verification struct {
	Kept []string `json:"kept,omitempty"` // checkpoints that somebody kept
}

type (
	actorKey struct{}
	beganKey struct{}
)

// withActor notes who speaks on a connection, and since when.
func withActor(ctx context.Context, c net.Conn) context.Context {
	uid := os.Geteuid()
	if uc, ok := c.(*net.UnixConn); ok {
		if user, err := peer.User(uc); err == nil {
			uid = user
		}
	}

	ctx = context.WithValue(ctx, beganKey{}, time.Now())

	return context.WithValue(ctx, actorKey{}, fmt.Sprintf("command line, uid %d", uid))
}

// As returns a context in which requests are somebody's whom another room has
// authenticated; their connection began at a time.
func As(ctx context.Context, actor string, began time.Time) context.Context {
	return context.WithValue(context.WithValue(ctx, beganKey{}, began), actorKey{}, actor)
}

// began returns when the connection of a request began; the zero time, before
// everything, where that is not known.
func began(ctx context.Context) time.Time {
	t, _ := ctx.Value(beganKey{}).(time.Time)

	return t
}

// Actor returns who asked, as it is recorded.
func Actor(ctx context.Context) string {
	actor, _ := ctx.Value(actorKey{}).(string)

	return actor
}

// record records what was done. Its error is the answer to who asked for it.
func (h *Handler) record(ctx context.Context, e audit.Event) error {
	e.Actor = Actor(ctx)
	if err := h.audit.Record(ctx, e); err != nil {
		return &Error{
			Code: CodeUnrecorded, Message: "it was done, but could not be recorded: " + err.Error(),
			status: http.StatusInternalServerError,
		}
	}

	return nil
}

// inJSON is what an act says of the state before or after it.
func inJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}

	return string(b)
}

// recordMessages counts the messages that were put into mailboxes.
func (h *Handler) recordMessages(ctx context.Context, to, mailbox string, results []Result) error {
	put := 0
	for _, r := range results {
		if len(r.Places) > 0 {
			put++
		}
	}
	if put == 0 {
		return nil
	}

	return h.record(ctx, audit.Event{
		Kind: audit.MessagesPut, Account: strings.ToLower(to), Count: put, More: map[string]string{"mailbox": mailbox},
	})
}

func (h *Handler) auditRecords(w http.ResponseWriter, r *http.Request) error {
	f, err := h.auditFilter(r.URL.Query())
	if err != nil {
		return err
	}
	entries, err := h.audit.List(r.Context(), f)
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, entries)
}

func (h *Handler) auditExport(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f, err := h.auditFilter(q)
	if err != nil {
		return err
	}
	format := audit.Format(q.Get("format"))
	if format != audit.JSONLines && format != audit.CSV {
		return badRequest(audit.ErrFormat)
	}
	// Before the first octet: an export that is cut off is one, too.
	chosen := url.Values{}
	for _, name := range []string{"since", "until", "kind", "account", "book"} {
		if q.Get(name) != "" {
			chosen[name] = q[name]
		}
	}
	if err := h.record(r.Context(), audit.Event{Kind: audit.AuditExported, More: map[string]string{
		"format": string(format), "filter": chosen.Encode(),
	}}); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Trailer", trailerRecords+", "+trailerError)
	n, err := h.audit.Export(r.Context(), w, format, f)
	w.Header().Set(trailerRecords, strconv.Itoa(n))
	if err != nil {
		w.Header().Set(trailerError, firstLine(err))
	}

	return nil
}

func (h *Handler) auditVerify(w http.ResponseWriter, r *http.Request) error {
	var v verification
	if err := readJSON(w, r, &v); err != nil {
		return err
	}
	kept := make([]*audit.Checkpoint, len(v.Kept))
	for i, line := range v.Kept {
		c, err := audit.ParseCheckpoint(line)
		if err != nil {
			return badRequest(err)
		}
		kept[i] = c
	}
	report, err := h.audit.Verify(r.Context(), kept...)
	if err != nil {
		return err
	}
	records := 0
	for _, b := range report.Books {
		records += b.Records
	}
	if err := h.audit.Record(r.Context(), audit.Event{Kind: audit.AuditVerified, Actor: Actor(r.Context()), More: map[string]string{
		"records": strconv.Itoa(records), "findings": strconv.Itoa(len(report.Findings) + report.More),
	}}); err != nil { // what was read is told all the same
		report.Notes = append(report.Notes, audit.Finding{Text: "that the record was verified could not be recorded: " + err.Error()})
	}

	return writeJSON(w, http.StatusOK, report)
}

func (h *Handler) auditCheckpoint(w http.ResponseWriter, r *http.Request) error {
	c, err := h.audit.Checkpoint(r.Context())
	if err != nil {
		return err
	}
	key, err := h.audit.PublicKey()
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, AuditCheckpoint{Checkpoint: c.String(), PublicKey: string(key)})
}

func (h *Handler) auditKinds(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, AuditKinds(h.audit.Keep))
}

// auditFilter reads a filter from a query. An account may be named as it signs
// in.
func (h *Handler) auditFilter(q url.Values) (audit.Filter, error) {
	f := audit.Filter{Kinds: q["kind"], Book: audit.Book(q.Get("book"))}
	var err error
	if f.Before, err = audit.ParsePlace(q.Get("before")); err != nil {
		return f, badRequest(fmt.Errorf("before: %w", err))
	}
	if name := q.Get("account"); name != "" {
		f.Account = h.directory.Spelling(name)
	}
	for name, t := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if s := q.Get(name); s != "" {
			if *t, err = time.Parse(time.RFC3339Nano, s); err != nil {
				return f, badRequest(fmt.Errorf("%s: a time like 2026-11-27T13:00:00Z is wanted", name))
			}
		}
	}
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxListed {
			return f, badRequest(fmt.Errorf("limit: a number from 1 to %d is wanted", maxListed))
		}
		f.Limit = n
	}
	if err := f.Validate(); err != nil {
		return f, badRequest(err)
	}

	return f, nil
}

// maxListed is how many records a listing has at most; an export has all.
const maxListed = 10_000

func badRequest(err error) error {
	return &Error{Code: CodeRequest, Message: err.Error(), status: http.StatusBadRequest}
}

// auditQuery is the inverse of auditFilter.
func auditQuery(f audit.Filter) url.Values {
	q := url.Values{}
	for name, t := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !t.IsZero() {
			q.Set(name, t.Format(time.RFC3339Nano))
		}
	}
	if len(f.Kinds) > 0 {
		q["kind"] = f.Kinds
	}
	if f.Account != "" {
		q.Set("account", f.Account)
	}
	if f.Book != "" {
		q.Set("book", string(f.Book))
	}
	if before := f.Before.String(); before != "" {
		q.Set("before", before)
	}
	if f.Limit != 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}

	return q
}

// AuditRecords lists the newest records that a filter chooses.
func (c *Client) AuditRecords(ctx context.Context, f audit.Filter) ([]audit.Entry, error) {
	var list []audit.Entry

	return list, c.call(ctx, http.MethodGet, "/v1/audit/records?"+auditQuery(f).Encode(), nil, &list)
}

// AuditVerify verifies the record, also against checkpoints that were kept.
func (c *Client) AuditVerify(ctx context.Context, kept ...string) (*audit.Report, error) {
	var r audit.Report
	if err := c.call(ctx, http.MethodPost, "/v1/audit/verify", verification{Kept: kept}, &r); err != nil {
		return nil, err
	}

	return &r, nil
}

// AuditCheckpoint makes a checkpoint.
func (c *Client) AuditCheckpoint(ctx context.Context) (AuditCheckpoint, error) {
	var cp AuditCheckpoint

	return cp, c.call(ctx, http.MethodPost, "/v1/audit/checkpoint", nil, &cp)
}

// AuditKinds lists what is recorded.
func (c *Client) AuditKinds(ctx context.Context) (all []AuditKind, err error) {
	return all, c.call(ctx, http.MethodGet, "/v1/audit/kinds", nil, &all)
}

// AuditExport writes all records that a filter chooses to w, and returns how many.
func (c *Client) AuditExport(ctx context.Context, w io.Writer, format audit.Format, f audit.Filter) (int, error) {
	q := auditQuery(f)
	q.Set("format", string(format))
	res, err := c.do(ctx, http.MethodPost, "/v1/audit/export?"+q.Encode(), nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(w, res.Body); err != nil {
		return 0, fmt.Errorf("read export: %w", err)
	}
	if text := res.Trailer.Get(trailerError); text != "" {
		return 0, errors.New(text)
	}
	n, err := strconv.Atoi(res.Trailer.Get(trailerRecords))
	if err != nil {
		return 0, errors.New("the server's answer is too short")
	}

	return n, nil
}
