package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"pillarbox/appliance/access"
	"pillarbox/appliance/audit"
	"pillarbox/appliance/certs"
	"pillarbox/appliance/config"
	"pillarbox/appliance/delivery"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/exporter"
	"pillarbox/appliance/health"
	"pillarbox/appliance/importer"
	"pillarbox/appliance/ports"
	"pillarbox/appliance/ports/sunset"
	"pillarbox/appliance/restart"
	"pillarbox/appliance/setup"
	"pillarbox/storage"
)

// maxRequest bounds the JSON of a request in octets.
const maxRequest = 64 << 10

// Config says what a Handler works with. Nothing but the last three may be nil or zero.
type Config struct {
	Directory *directory.Directory
	Delivery  *delivery.Pipeline
	Store     *storage.Store
	Audit     *audit.Log
	Logger    *slog.Logger
	Version   string

	// Bans knows who may not connect; without it there are no such requests.
	Bans *access.Bans

	// Ports knows who uses which port; without it there are no such requests.
	Ports *ports.Inventory

	// Imports moves mail in; without it there are no such requests.
	Imports *importer.Jobs
	// Exports moves mail out in the background; without it there are no such
	// requests.
	Exports *exporter.Moves

	// Settings returns the configuration of a server that runs; nil means that
	// none does.
	Settings func() *config.Manager
	// Plans returns the plans of a server that runs, nil if none does; without it
	// there are no such requests.
	Plans func() *sunset.Planner
	// Firewall tells of the box's firewall; nil means that it has none.
	Firewall Firewall
	// Machine ends the machine that this runs on; nil means that it is not ours.
	Machine Machine
	// Network tells which network is found, as JSON; nil means that nobody looks.
	Network func() (json.RawMessage, error)
	// Certs opens the certificates, or returns those that are open; without it
	// there are no such requests.
	Certs func(context.Context) (*certs.Manager, error)
	// Setup knows how mail programs connect; without it there are no such requests.
	Setup *setup.Service
	// Pages is what the web page keeps of its users; without it there are no such
	// requests.
	Pages PageBook
	// Describe adds what the process that answers knows of itself.
	Describe func(*Status)
	// Metrics writes what was counted; nil means that nothing is.
	Metrics func(io.Writer) error
	Tokens  MetricsTokens // must not be nil with Metrics
	// Pulse tells what the box did lately; nil means that no server runs.
	Pulse func(context.Context) Pulse
	// Log returns the newest lines of its log, at most n.
	Log func(n int) []string
	// LogAll writes all of its log that is kept; nil means what Log returns.
	LogAll func(io.Writer) error
	// Dir is the data folder, for what the doctor says of it.
	Dir string
}

// Status tells who answers, and how it is.
type Status struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`

	// Claim is the code by which whoever has it becomes the administrator of a
	// box without one; "" once it has one.
	Claim string `json:"claim,omitempty"`

	Hostname    string             `json:"hostname,omitempty"`
	Listeners   []Listener         `json:"listeners"`
	Connections int                `json:"connections"`
	Banned      int                `json:"banned"`                // bans that hold
	CA          CA                 `json:"ca"`                    // empty where Certificate is there
	Certificate *Certificate       `json:"certificate,omitempty"` // an administrator's own that is in use
	Change      string             `json:"change,omitempty"`      // of the settings, that is on its way
	Health      []health.Condition `json:"health"`                // empty when all is well
	Restarts    restart.History    `json:"restarts"`
}

// Listener is a port that is open.
type Listener struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

// CA is the certificate that clients are to trust.
type CA struct {
	File   string `json:"file,omitempty"`
	SHA256 string `json:"sha256,omitempty"` // of its DER form, as clients show it
}

// Certificate is what the server presents.
type Certificate struct {
	Issuer  string    `json:"issuer"`
	Expires time.Time `json:"expires"`
	SHA256  string    `json:"sha256"`
}

// Account is one account in a listing, with what it uses.
type Account struct {
	directory.Account

	UsedBytes    int64 `json:"used_bytes"`
	UsedMessages int64 `json:"used_messages"`
	// Role is what the person may do on the web page; see PageUser.
	Role string `json:"role,omitempty"`
	// Error says why its mail cannot be read, and what it uses is not known.
	Error string `json:"error,omitempty"`
}

// NewAccount asks for an account.
type NewAccount struct {
	Address  string `json:"address"`
	Name     string `json:"name,omitempty"`
	Password string `json:"password"`
	Quota    int64  `json:"quota,omitempty"`
}

// Handler answers requests. It is an http.Handler.
type Handler struct {
	directory *directory.Directory
	delivery  *delivery.Pipeline
	store     *storage.Store
	audit     *audit.Log
	certs     func(context.Context) (*certs.Manager, error)
	setup     *setup.Service
	pages     PageBook
	bans      *access.Bans
	ports     *ports.Inventory
	imports   *importer.Jobs
	exports   *exporter.Moves
	settings  func() *config.Manager
	plans     func() *sunset.Planner
	firewall  Firewall
	machine   Machine
	network   func() (json.RawMessage, error)
	log       *slog.Logger
	status    Status
	describe  func(*Status)
	lines     func(n int) []string
	logAll    func(io.Writer) error
	pulse     func(context.Context) Pulse
	metrics   func(io.Writer) error
	tokens    MetricsTokens
	dir       string
	readings  readings
	archives  chan struct{} // places for those that are being made
	works     works
	bundling  sync.Mutex // held while a support bundle is made
	mux       *http.ServeMux
	patterns  []string // of all requests
}

// NewHandler returns a Handler.
func NewHandler(c *Config) *Handler {
	h := &Handler{
		directory: c.Directory,
		delivery:  c.Delivery,
		store:     c.Store,
		audit:     c.Audit,
		certs:     c.Certs,
		setup:     c.Setup,
		pages:     c.Pages,
		bans:      c.Bans,
		ports:     c.Ports,
		imports:   c.Imports,
		exports:   c.Exports,
		settings:  c.Settings,
		plans:     c.Plans,
		firewall:  c.Firewall,
		machine:   c.Machine,
		network:   c.Network,
		log:       c.Logger,
		status:    Status{Version: c.Version, PID: os.Getpid(), Started: time.Now()},
		describe:  c.Describe,
		lines:     c.Log,
		logAll:    c.LogAll,
		pulse:     c.Pulse,
		metrics:   c.Metrics,
		tokens:    c.Tokens,
		dir:       c.Dir,
		archives:  make(chan struct{}, maxArchives),
		mux:       http.NewServeMux(),
	}
	h.serve(map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/status":                      h.getStatus,
		"GET /v1/pulse":                       h.getPulse,
		"GET /v1/log":                         h.getLog,
		"GET /v1/accounts":                    h.listAccounts,
		"POST /v1/accounts":                   h.addAccount,
		"DELETE /v1/accounts/{address}":       h.removeAccount,
		"PUT /v1/accounts/{address}/password": h.ofAccount(h.setPassword),
		"PUT /v1/admin/password":              h.setAdmin,
		"POST /v1/messages":                   h.takeMessages,
		"POST /v1/check":                      h.check,
		"POST /v1/doctor":                     h.examine,
		"GET /v1/audit/records":               h.auditRecords,
		"POST /v1/audit/export":               h.auditExport,
		"POST /v1/audit/verify":               h.auditVerify,
		"POST /v1/audit/checkpoint":           h.auditCheckpoint,
		"GET /v1/audit/kinds":                 h.auditKinds,
	})
	h.serve(h.deviceRoutes())
	h.serve(h.peopleRoutes())
	h.serve(h.aliasRoutes())
	h.serve(h.exportRoutes())
	h.serve(h.settingsRoutes())
	h.serve(h.networkRoutes())
	h.serve(h.powerRoutes())
	h.serve(h.supportRoutes())
	if h.metrics != nil {
		h.serve(h.metricsRoutes())
	}
	if h.certs != nil {
		h.serve(h.certificateRoutes())
	}
	if h.plans != nil {
		h.serve(h.planRoutes())
	}
	if h.ports != nil {
		h.serve(h.portRoutes())
	}
	if h.setup != nil {
		h.serve(h.setupRoutes())
	}
	if h.imports != nil {
		h.serve(jobRoutes("/v1/imports", h.imports, importError))
		h.serve(h.importRoutes())
	}
	if h.exports != nil {
		h.serve(jobRoutes("/v1/exports", h.exports, moveError))
	}
	if h.bans != nil {
		h.serve(h.banRoutes())
	}
	if h.pages != nil {
		h.serve(h.pageRoutes())
	}

	return h
}

// serve takes requests on.
func (h *Handler) serve(routes map[string]func(http.ResponseWriter, *http.Request) error) {
	for pattern, f := range routes {
		answer := h.handle(f)
		if _, long := longWork[pattern]; long {
			answer = h.works.counted(pattern, answer)
		}
		h.mux.Handle(pattern, answer)
		h.patterns = append(h.patterns, pattern)
	}
	slices.Sort(h.patterns)
}

// Patterns returns those of all requests that are answered, "METHOD /v1/…".
func (h *Handler) Patterns() []string { return slices.Clone(h.patterns) }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// handle answers with the error that f returns.
func (h *Handler) handle(f func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := f(w, r)
		var unsent *sendError
		switch {
		case err == nil:
			return
		case errors.As(err, &unsent):
			h.log.DebugContext(r.Context(), "answer not sent", "err", err)
			return
		}
		e := asError(err)
		if e.status == http.StatusInternalServerError {
			h.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "err", err)
		}
		if err := writeJSON(w, e.status, e); err != nil {
			h.log.DebugContext(r.Context(), "answer not sent", "err", err)
		}
	})
}

func (h *Handler) getStatus(w http.ResponseWriter, _ *http.Request) error {
	s := h.status
	s.Listeners, s.Health = []Listener{}, []health.Condition{}
	if h.bans != nil {
		s.Banned = h.bans.Count()
	}
	if h.describe != nil {
		h.describe(&s)
	}

	return writeJSON(w, http.StatusOK, s)
}

func (h *Handler) listAccounts(w http.ResponseWriter, r *http.Request) error {
	accounts, err := h.directory.List(r.Context())
	if err != nil {
		return err
	}
	list := make([]Account, len(accounts))
	for i, a := range accounts {
		// One account that is damaged does not hide the others.
		if list[i], err = h.withUsage(r.Context(), a); err != nil {
			if errors.Is(err, storage.ErrClosed) || r.Context().Err() != nil {
				return err
			}
			h.log.ErrorContext(r.Context(), "account not readable", "account", a.Address, "err", err)
			list[i] = Account{Account: a, Error: firstLine(err)}
		}
		if h.pages != nil {
			list[i].Role = h.pages.User(string(a.ID)).Role
		}
	}

	return writeJSON(w, http.StatusOK, list)
}

func (h *Handler) withUsage(ctx context.Context, a directory.Account) (Account, error) {
	acct, err := h.store.Account(ctx, a.ID)
	if err != nil {
		return Account{}, fmt.Errorf("open account %s: %w", a.Address, err)
	}
	q := acct.Quota()

	return Account{Account: a, UsedBytes: q.UsedBytes, UsedMessages: q.UsedMessages}, nil
}

// firstLine leaves out the stack that comes with damage.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")

	return line
}

func (h *Handler) addAccount(w http.ResponseWriter, r *http.Request) error {
	var n NewAccount
	if err := readJSON(w, r, &n); err != nil {
		return err
	}
	a, err := h.directory.Add(r.Context(), directory.NewAccount{
		Address:  n.Address,
		Name:     n.Name,
		Password: directory.Secret(n.Password),
		Quota:    n.Quota,
	})
	if err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "account added", "account", a.Address)
	if err := h.record(r.Context(), audit.Event{Kind: audit.AccountAdded, Account: a.Address, After: inJSON(a)}); err != nil {
		return err
	}

	return writeJSON(w, http.StatusCreated, Account{Account: a})
}

func (h *Handler) removeAccount(w http.ResponseWriter, r *http.Request) error {
	address := r.PathValue("address")
	before, err := h.directory.Find(r.Context(), address)
	if err != nil {
		return err
	}
	if err := h.directory.Remove(r.Context(), address); err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "account removed", "account", address)
	if err := h.record(r.Context(), audit.Event{Kind: audit.AccountRemoved, Account: before.Address, Before: inJSON(before)}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)

	return nil
}

// passwordChange asks for another password.
type passwordChange struct {
	Password string `json:"password"`
}

func (h *Handler) setPassword(w http.ResponseWriter, r *http.Request, a directory.Account) error {
	var p passwordChange
	if err := readJSON(w, r, &p); err != nil {
		return err
	}
	if err := h.directory.SetPassword(r.Context(), a.Address, directory.Secret(p.Password)); err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "password changed", "account", a.Address)
	if err := h.record(r.Context(), audit.Event{Kind: audit.AccountPassword, Account: a.Address}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)

	return nil
}

func (h *Handler) setAdmin(w http.ResponseWriter, r *http.Request) error {
	var p passwordChange
	if err := readJSON(w, r, &p); err != nil {
		return err
	}
	if err := h.directory.SetAdmin(r.Context(), directory.Secret(p.Password)); err != nil {
		return err
	}
	if h.pages != nil {
		if _, err := h.pages.EndSessions(r.Context(), "", ""); err != nil {
			return err
		}
	}
	h.log.InfoContext(r.Context(), "the administrator's password changed")
	if err := h.record(r.Context(), audit.Event{Kind: audit.AdminPassword}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)

	return nil
}

func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	return readUpTo(w, r, into, maxRequest)
}

// readUpTo reads a request of at most so many octets.
func readUpTo(w http.ResponseWriter, r *http.Request, into any, limit int64) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return &Error{Code: CodeRequest, Message: "the request is not valid: " + err.Error(), status: http.StatusBadRequest}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return &Error{Code: CodeRequest, Message: "the request goes on after its end", status: http.StatusBadRequest}
	}

	return nil
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)

	if err := json.NewEncoder(w).Encode(v); err != nil {
		return &sendError{err}
	}

	return nil
}

// sendError says that the client has gone away before its answer.
type sendError struct{ err error }

func (e *sendError) Error() string { return "send answer: " + e.err.Error() }
func (e *sendError) Unwrap() error { return e.err }
