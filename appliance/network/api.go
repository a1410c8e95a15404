package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pillarbox/appliance/peer"
	"pillarbox/netcfg"
	"pillarbox/netcfg/firewall"
	"pillarbox/netcfg/policy"
	"pillarbox/netcfg/rehearsal"
	"pillarbox/netcfg/state"
)

// SocketFile is where the firmware's service takes orders. Only root can reach
// it.
const SocketFile = "/run/pillarbox-network.sock"

// State is what the service tells whoever may give it orders.
type State struct {
	Confirmed Settings `json:"confirmed"`
	// Fresh says that the network was provisioned anew, and that this was not
	// confirmed yet.
	Fresh bool `json:"fresh,omitempty"`
	// Provisioned is the mark of what was provisioned, Found what that says. Who
	// confirms settings must know them.
	Provisioned string        `json:"provisioned,omitempty"`
	Found       state.Desired `json:"found"`

	Trial string    `json:"trial,omitempty"` // the one that is on
	Ends  time.Time `json:"ends,omitzero"`

	// Opened are the services that everybody may reach for a moment, and until when.
	Opened map[policy.Service]time.Time `json:"opened,omitempty"`

	Firewall firewall.State `json:"firewall"`
	Words    string         `json:"words"` // the firewall's rules, for a person
	Problem  string         `json:"problem,omitempty"`
}

// Open tells that no rules stand: everybody reaches every open port.
func (s *State) Open() bool {
	return s.Firewall.Stands == firewall.NothingStands || s.Firewall.Stands == ""
}

// CheckResult is what settings would change.
type CheckResult struct {
	Steps     []string `json:"steps,omitempty"`
	Problems  []string `json:"problems,omitempty"`
	Rehearsal []string `json:"rehearsal,omitempty"` // what came of trying them elsewhere
}

type tryRequest struct {
	ID       string   `json:"id"`
	Settings Settings `json:"settings"`
	Seconds  float64  `json:"seconds"`
}

type tryAnswer struct {
	Notes []string `json:"notes,omitempty"`
}

type holdRequest struct {
	Settings    Settings `json:"settings"`
	Provisioned string   `json:"provisioned"`
}

type openRequest struct {
	Service policy.Service `json:"service"`
	Seconds float64        `json:"seconds"` // 0 ends it
}

type banRequest struct {
	Source  netip.Prefix `json:"source"`
	Seconds float64      `json:"seconds"` // 0 ends it
	Exempt  bool         `json:"exempt,omitempty"`
}

// failure is the answer to what could not be done.
type failure struct {
	Message string `json:"message"`
}

const (
	maxRequest = 1 << 20
	maxTrial   = time.Hour
	maxID      = 100 // octets of a trial's name
	longestBan = 366 * 24 * time.Hour
)

// serve answers on the socket until the context ends.
func (s *service) serve(ctx context.Context, ln net.Listener) error {
	if ln == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	srv := &http.Server{
		Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(s.Logger.Handler(), slog.LevelWarn),
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(peer.Only(ln, s.Logger)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the network's socket: %w", err)
	}

	return ctx.Err()
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, f := range map[string]func(ctx context.Context, body io.Reader) (any, error){
		"GET /v1/state":    s.getState,
		"GET /v1/bans":     s.getBans,
		"POST /v1/check":   s.check,
		"POST /v1/try":     s.try,
		"POST /v1/hold":    s.hold,
		"POST /v1/ban":     s.ban,
		"POST /v1/open":    s.open,
		"POST /v1/explain": s.explain,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			answer, err := f(r.Context(), http.MaxBytesReader(w, r.Body, maxRequest))
			status := http.StatusOK
			if err != nil {
				answer, status = failure{err.Error()}, http.StatusConflict
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			if err := json.NewEncoder(w).Encode(answer); err != nil {
				s.Logger.Debug("answer not sent", "err", err)
			}
		})
	}

	return mux
}

func read[T any](body io.Reader) (v T, err error) {
	dec := json.NewDecoder(body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return v, fmt.Errorf("read the request: %w", err)
	}

	return v, nil
}

func (s *service) getState(ctx context.Context, _ io.Reader) (any, error) {
	h := s.holder
	st := State{Problem: strings.Join(h.trouble(), "; ")}
	h.mu.Lock()
	st.Confirmed, st.Fresh, st.Provisioned, st.Found = h.confirmed.Settings, h.fresh, h.found.mark, h.found.desired
	if h.trial != nil {
		st.Trial, st.Ends = h.trial.id, h.trial.ends
	}
	for service, o := range h.openings {
		if st.Opened == nil {
			st.Opened = map[policy.Service]time.Time{}
		}
		st.Opened[service] = o.ends
	}
	wall := h.wall
	h.mu.Unlock()
	if wall == nil {
		st.Firewall.Stands = firewall.NothingStands
		return st, nil
	}
	var err error
	if st.Firewall, err = wall.State(ctx); err != nil {
		st.Problem = strings.TrimPrefix(st.Problem+"; "+err.Error(), "; ")
	}
	if r := wall.Ruleset(); r != nil {
		st.Words = r.Words(&st.Firewall)
	}
	for _, s := range slices.Sorted(maps.Keys(st.Opened)) {
		st.Words += fmt.Sprintf("%s is open to everybody until %s, for a certificate authority to look.\n", s, st.Opened[s].Local().Format(time.TimeOnly))
	}

	return st, nil
}

func (s *service) check(ctx context.Context, body io.Reader) (any, error) {
	settings, err := read[Settings](body)
	if err != nil {
		return nil, err
	}
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	plan, problems, err := netcfg.Plan(&settings.Network)
	if err != nil {
		return nil, fmt.Errorf("look at the network: %w", err)
	}
	r := CheckResult{Steps: words(plan)}
	for _, p := range problems {
		r.Problems = append(r.Problems, p.Error())
	}
	now := s.holder.active().Network
	tried, err := rehearsal.Run(ctx, s.Logger.With("rehearsal", true), &now, &settings.Network, &settings.Firewall)
	if err != nil {
		return nil, fmt.Errorf("tried on a copy of the network: %w", err)
	}
	r.Rehearsal = tried

	return r, nil
}

func words(p state.Plan) []string {
	var all []string
	for _, step := range p {
		if text := step.Words(); text != "" {
			all = append(all, text)
		}
	}

	return all
}

func (s *service) try(ctx context.Context, body io.Reader) (any, error) {
	r, err := read[tryRequest](body)
	if err != nil {
		return nil, err
	}
	if r.ID == "" || len(r.ID) > maxID || r.Seconds <= 0 || r.Seconds > maxTrial.Seconds() {
		return nil, fmt.Errorf("try settings: there must be a name and a time of at most %v", maxTrial)
	}
	d := time.Duration(r.Seconds * float64(time.Second))
	// Who asks may be gone a moment later: that is what the trial is for.
	notes, err := s.holder.try(context.WithoutCancel(ctx), r.ID, &r.Settings, d)

	return tryAnswer{notes}, err
}

func (s *service) hold(ctx context.Context, body io.Reader) (any, error) {
	r, err := read[holdRequest](body)
	if err != nil {
		return nil, err
	}

	err = s.holder.hold(context.WithoutCancel(ctx), &r.Settings, r.Provisioned)
	s.tell()

	return struct{}{}, err
}

var errNoFirewall = errors.New("there is no firewall")

func (s *service) ban(ctx context.Context, body io.Reader) (any, error) {
	r, err := read[banRequest](body)
	if err != nil {
		return nil, err
	}
	wall := s.holder.firewall()
	if wall == nil {
		return nil, errNoFirewall
	}
	d := time.Duration(min(r.Seconds, longestBan.Seconds()) * float64(time.Second))
	switch {
	case r.Exempt:
		err = wall.Exempt(ctx, r.Source.Addr(), d)
	case d <= 0:
		err = wall.Unban(ctx, r.Source)
	default:
		err = wall.Ban(ctx, r.Source, d)
	}

	return struct{}{}, err
}

func (s *service) open(ctx context.Context, body io.Reader) (any, error) {
	r, err := read[openRequest](body)
	if err != nil {
		return nil, err
	}
	if s.holder.firewall() == nil {
		return nil, errNoFirewall
	}
	d := time.Duration(min(max(r.Seconds, -1), 2*maxOpening.Seconds()) * float64(time.Second))

	// Rules that are half written because who asks has gone would be missed.
	return struct{}{}, s.holder.open(context.WithoutCancel(ctx), r.Service, d)
}

func (s *service) getBans(ctx context.Context, _ io.Reader) (any, error) {
	wall := s.holder.firewall()
	if wall == nil {
		return nil, errNoFirewall
	}
	all, err := wall.Bans(ctx)
	if all == nil {
		all = []firewall.Ban{}
	}

	return all, err
}

func (s *service) explain(ctx context.Context, body io.Reader) (any, error) {
	p, err := read[firewall.Packet](body)
	if err != nil {
		return nil, err
	}
	wall := s.holder.firewall()
	if wall == nil {
		return nil, errNoFirewall
	}

	return wall.Explain(ctx, &p)
}
