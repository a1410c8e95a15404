package control

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/config"
	"pillarbox/appliance/importer"
	"pillarbox/appliance/ports"
	"pillarbox/appliance/power"
	"pillarbox/appliance/restart"
)

// CodePower says that the machine does not do what it was told.
const CodePower = "power"

// Machine carries orders out that end this program together with its machine.
type Machine interface {
	// Order returns when an order is under way; by is who gave it.
	Order(ctx context.Context, o power.Order, by string) error
}

// PowerState is what there is to know before the machine is ended.
type PowerState struct {
	// Orders are those that the machine takes, none where it is not the box's own.
	Orders  []power.Order `json:"orders"`
	Version string        `json:"version"`
	Started time.Time     `json:"started"`         // the server
	Booted  time.Time     `json:"booted,omitzero"` // the machine, if it tells
	// Starts are the newest ones, the oldest first; the last is the present one.
	Starts []restart.Start `json:"starts"`
	// UsualSeconds is how long starting anew took when it was ordered last; 0 if
	// that is not known.
	UsualSeconds int `json:"usual_seconds,omitempty"`

	Ports  []PulsePort `json:"ports"`  // who is connected for mail
	People []string    `json:"people"` // the addresses of those
	Work   []Work      `json:"work"`   // what would be interrupted
}

// Work is something that runs, and what becomes of it when the box ends. Both are
// for people.
type Work struct {
	What string `json:"what"`
	Then string `json:"then"`
}

// powerRoutes are the requests about the machine as a whole.
func (h *Handler) powerRoutes() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/power":          h.getPower,
		"POST /v1/power/{order}": h.orderPower,
	}
}

func (h *Handler) getPower(w http.ResponseWriter, r *http.Request) error {
	if h.pulse == nil || h.describe == nil {
		return errNoServer
	}
	status := h.status
	h.describe(&status)
	s := PowerState{
		Orders: []power.Order{}, Version: status.Version, Started: status.Started, Booted: booted(),
		Starts: append([]restart.Start{}, status.Restarts.Starts...), Ports: h.pulse(r.Context()).Ports,
		People: []string{}, Work: h.work(),
	}
	if h.machine != nil {
		s.Orders = power.Orders()
	}
	for _, start := range s.Starts {
		// A machine without a clock of its own finds that no time has passed.
		took := start.Time.Sub(start.Stopped)
		if start.Why == restart.Restarted && !start.Stopped.IsZero() && took > 3*time.Second && took < time.Hour {
			s.UsualSeconds = int(took / time.Second)
		}
	}
	if h.ports != nil {
		for _, c := range h.ports.Clients(ports.Query{}) {
			if c.Connected > 0 {
				s.People = append(s.People, c.Account)
			}
		}
		slices.Sort(s.People)
		s.People = slices.Compact(s.People)
	}

	return writeJSON(w, http.StatusOK, s)
}

func (h *Handler) orderPower(w http.ResponseWriter, r *http.Request) error {
	o, err := power.ParseOrder(r.PathValue("order"))
	if err != nil {
		return &Error{Code: CodeRequest, Message: "order: " + err.Error(), status: http.StatusNotFound}
	}
	if h.machine == nil {
		return errNoMachine
	}
	// Before it is done: what ends itself may not come to write it down. A disk
	// that takes no record is a reason to start anew, and not one to refuse it.
	e := audit.Event{Kind: audit.PowerOrdered, More: map[string]string{"order": string(o)}}
	unrecorded := h.record(r.Context(), e)
	if err := h.machine.Order(r.Context(), o, Actor(r.Context())); err != nil {
		h.log.ErrorContext(r.Context(), "the machine does not do what it was told", "order", o, "err", err)
		e.More["reason"] = "not done: " + err.Error()
		_ = h.record(r.Context(), e) // the answer says more
		return &Error{Code: CodePower, Message: "the box goes on: " + err.Error(), status: http.StatusBadGateway}
	}
	h.log.InfoContext(r.Context(), "the machine was given an order", "order", o, "by", Actor(r.Context()))
	if unrecorded != nil {
		return unrecorded
	}
	w.WriteHeader(http.StatusAccepted)

	return nil
}

var errNoMachine = &Error{
	Code:    CodePower,
	Message: "this machine is not the box's own: whoever looks after it starts the server anew (for example by systemctl restart pillarbox) or the machine itself",
	status:  http.StatusNotFound,
}

// works are requests that take long.
type works struct {
	mu  sync.Mutex
	all map[string]int // how many of each pattern run
}

// counted answers as next does and counts while it does.
func (w *works) counted(pattern string, next http.Handler) http.Handler {
	add := func(n int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.all == nil {
			w.all = map[string]int{}
		}
		w.all[pattern] += n
	}

	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		add(1)
		defer add(-1)
		next.ServeHTTP(rw, r)
	})
}

func (w *works) count(pattern string) int {
	w.mu.Lock()
	defer w.mu.Unlock()

	return w.all[pattern]
}

// longWork are the requests that people notice when they are broken off.
var longWork = map[string]Work{
	"POST /v1/exports":         {"An export to another server", "It is broken off. Export again: what is there already is not sent twice."},
	"POST /v1/doctor":          {"An examination by the doctor", "It is broken off. Examine again."},
	"POST /v1/check":           {"A check of the stored mail", "It is broken off. Check again."},
	"POST /v1/messages":        {"Messages that are being put into a mailbox", "Those that are reported are kept. Put the others in again."},
	"POST /v1/imports/archive": {"A file with mail that is being uploaded", "It is broken off. Upload it again."},
	"POST /v1/imports/files":   {"A move of files from somebody's computer", "It pauses. Resume it there."},
	"POST /v1/audit/export":    {"An export of the audit record", "It is broken off. Export it again."},
}

// work returns all that runs.
func (h *Handler) work() []Work {
	all := []Work{}
	for _, pattern := range slices.Sorted(maps.Keys(longWork)) {
		if n := h.works.count(pattern); n == 1 {
			all = append(all, longWork[pattern])
		} else if n > 1 {
			all = append(all, Work{fmt.Sprintf("%s (%d)", longWork[pattern].What, n), longWork[pattern].Then})
		}
	}
	if n := h.readings.count(); n > 0 {
		all = append(all, Work{"An export by the command line, if it was not broken off", "It is broken off. Export again: what is there already is not fetched twice."})
	}
	if h.imports != nil {
		for _, job := range h.imports.List() {
			if job.State == importer.Running {
				all = append(all, workOf(&job))
			}
		}
	}
	if h.settings != nil {
		if p := h.settings().Pending(); p != nil {
			all = append(all, workOfChange(p))
		}
	}

	return all
}

// workOf tells what becomes of a move.
func workOf(job *importer.Job) Work {
	from := cmp.Or(job.From.Path, "files")
	if s := job.From.IMAP; s != nil {
		from = s.Host
	}
	w := Work{fmt.Sprintf("A move of mail from %s, for %d people", from, len(job.People)), "It goes on by itself afterwards, from where it was."}
	if len(job.People) == 1 {
		w.What = fmt.Sprintf("A move of mail from %s to %s", from, job.People[0].Account)
	}
	if job.From.IMAP != nil && !job.KeepSecrets {
		w.Then = "It waits afterwards until somebody types its password again, and then goes on from where it was."
	}

	return w
}

func workOfChange(p *config.Pending) Work {
	if p.State == config.Waiting {
		return Work{"A change of the settings that waits for its time", "It is applied at its time, or as soon as the box is back."}
	}

	return Work{"A change of the settings that nobody has kept yet", "It takes itself back."}
}

// booted returns when the machine started, zero where it does not tell.
func booted() time.Time {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return time.Time{}
	}
	up, err := time.ParseDuration(strings.SplitN(string(text), " ", 2)[0] + "s")
	if err != nil {
		return time.Time{}
	}

	return time.Now().Add(-up).UTC().Truncate(time.Second)
}

// Power asks what there is to know before the machine is ended.
func (c *Client) Power(ctx context.Context) (s PowerState, err error) {
	return s, c.call(ctx, http.MethodGet, "/v1/power", nil, &s)
}

// OrderPower gives the machine an order, and returns when it is under way.
func (c *Client) OrderPower(ctx context.Context, o power.Order) error {
	return c.call(ctx, http.MethodPost, "/v1/power/"+string(o), nil, nil)
}
