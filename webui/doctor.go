package webui

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	sectionDoctor = "web/doctor"

	// roundsKept is how many results stay.
	roundsKept = 20
	// roundLasts ends an examination that hangs; all stored mail may be read in it.
	roundLasts = 30 * time.Minute
	// roundWaits is how long a form waits for the end, so that quick results are
	// there at once.
	roundWaits = 2 * time.Second
	// maxRound bounds a result that is kept, in octets.
	maxRound = 512 << 10
)

// round is an examination. It holds no password.
type round struct {
	ID    string        `json:"id"`
	Host  string        `json:"host,omitempty"` // "" is this box
	Port  int           `json:"port,omitempty"`
	User  string        `json:"user,omitempty"`
	By    string        `json:"by"`
	Began time.Time     `json:"began"`
	Ended time.Time     `json:"ended,omitzero"`
	Wrong string        `json:"wrong,omitempty"` // why there is no report
	Told  *doctorReport `json:"told,omitempty"`
}

// Where returns what was examined, in words.
func (r *round) Where() string {
	switch {
	case r.Host == "":
		return "This box"
	case r.Port != 0:
		return r.Host + ", port " + strconv.Itoa(r.Port)
	}

	return r.Host
}

// Count returns how many findings have a severity.
func (r *round) Count(severity string) (n int) {
	if r.Told == nil {
		return 0
	}
	for _, f := range r.Told.Findings {
		if f.Severity == severity {
			n++
		}
	}

	return n
}

// doctorReport is what an examination found.
type doctorReport struct {
	Well     bool `json:"well"`
	Findings []struct {
		ID       string   `json:"id"`
		Severity string   `json:"severity"` // "broken", "warning", "note"
		What     string   `json:"what"`
		Where    []string `json:"where"`
		Why      string   `json:"why"`
		Do       string   `json:"do"`
		See      string   `json:"see"`
	} `json:"findings"`
	NotChecked []struct {
		What string `json:"what"`
		Why  string `json:"why"`
	} `json:"not_checked"`
	Checked []string `json:"checked"`
	Timings []struct {
		What string  `json:"what"`
		MS   float64 `json:"ms"`
	} `json:"timings"`
}

// rounds are the examinations, of which one runs at a time. Its methods may be
// called at once.
type rounds struct {
	store Store

	mu   sync.Mutex
	now  *round // the one that runs
	past []round
	wg   sync.WaitGroup
}

func loadRounds(store Store, log *slog.Logger) (*rounds, error) {
	r := &rounds{store: store}
	err := store.All(sectionDoctor, func(key string, value []byte) error {
		var one round
		if err := json.Unmarshal(value, &one); err != nil {
			// The other pages matter more than an old result.
			log.Warn("the result of an examination cannot be read", "examination", key, "err", err)
			return nil
		}
		r.past = append(r.past, one)
		return nil
	})
	r.sort()

	return r, err
}

// sort puts the newest first.
func (r *rounds) sort() {
	slices.SortFunc(r.past, func(a, b round) int { return cmp.Compare(b.ID, a.ID) })
}

// look returns the one that runs, nil if none does, and the results.
func (r *rounds) look() (*round, []round) {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.now, slices.Clone(r.past)
}

func (r *rounds) find(id string) (round, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.past, func(one round) bool { return one.ID == id })
	if i < 0 {
		return round{}, false
	}

	return r.past[i], true
}

// errRound says that an examination is under way.
var errRound = errors.New("an examination is under way; wait for its end")

// begin runs an examination beside whoever asked for it; ended tells what came
// of it.
func (r *rounds) begin(ctx context.Context, one round, examine func(context.Context, *round) error) (ended chan error, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now != nil {
		return nil, errRound
	}
	running := one
	r.now = &running
	ended = make(chan error, 1)
	r.wg.Go(func() {
		err := examine(ctx, &one)
		r.mu.Lock()
		r.now = nil
		r.mu.Unlock()
		ended <- err
	})

	return ended, nil
}

// keep saves a result and forgets the oldest.
func (r *rounds) keep(ctx context.Context, one round) error {
	value, err := json.Marshal(one)
	if err == nil && len(value) > maxRound {
		one.Told, one.Wrong = nil, "The result was too long to be kept. Examine one port alone."
		value, err = json.Marshal(one)
	}
	if err != nil {
		return fmt.Errorf("write examination: %w", err)
	}
	r.mu.Lock()
	r.past = append(r.past, one)
	r.sort()
	save := []Record{{sectionDoctor, one.ID, value}}
	for len(r.past) > roundsKept {
		save = append(save, Record{Section: sectionDoctor, Key: r.past[len(r.past)-1].ID})
		r.past = r.past[:len(r.past)-1]
	}
	r.mu.Unlock()
	if err := r.store.Save(context.WithoutCancel(ctx), true, save...); err != nil {
		return fmt.Errorf("keep examination: %w", err)
	}

	return nil
}

// doctorPage is the form, what runs and what came of earlier ones.
type doctorPage struct {
	Now  *round
	Past []round
	// What was typed.
	Other            bool
	Host, Port, User string
}

func (s *Server) doctorRoutes() []Route {
	return []Route{
		{Pattern: "GET /doctor", Role: Auditor, Nav: "Doctor", Section: "Mail", Handle: (*visit).doctor},
		{Pattern: "GET /live/doctor", Role: Auditor, Stream: true, Handle: (*visit).doctorLive},
		{Pattern: "GET /doctor/{id}", Role: Auditor, Handle: (*visit).doctorRound},
		{Pattern: "POST /doctor", Role: Operator, Handle: (*visit).examine},
	}
}

func (v *visit) doctor() error {
	var d doctorPage
	d.Now, d.Past = v.s.rounds.look()

	return v.show("doctor", "Doctor", d)
}

func (v *visit) doctorLive() error {
	return v.stream(time.Second, func() (string, error) {
		var d doctorPage
		d.Now, d.Past = v.s.rounds.look()
		return v.piece("doctor", "rounds", d)
	})
}

func (v *visit) doctorRound() error {
	one, ok := v.s.rounds.find(v.r.PathValue("id"))
	if !ok {
		return errNotFound
	}

	return v.show("doctorround", "Examination of "+one.Where(), &one)
}

// examine begins an examination, which goes on when the browser has gone.
func (v *visit) examine() error {
	d := doctorPage{Other: v.value("what") == "other", Host: v.value("host"), Port: v.value("port"), User: v.value("user")}
	bad := problems{}
	one := round{ID: fmt.Sprintf("%019d", v.s.now().UnixNano()), By: v.who.Name, Began: v.s.now()}
	ask := map[string]any{"storage": v.value("storage") == "yes"}
	if d.Other {
		ask = d.ask(v.r.PostFormValue("password"), bad)
		one.Host, one.User = d.Host, d.User
		one.Port, _ = strconv.Atoi(d.Port) // looked at by ask
	}
	if len(bad) > 0 {
		return v.doctorAgain(d, bad)
	}
	by := v.caller()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.ctx()), roundLasts)
	ended, err := v.s.rounds.begin(ctx, one, func(ctx context.Context, one *round) error {
		defer cancel()
		go func() {
			select {
			case <-v.s.stopping:
				cancel()
			case <-ctx.Done():
			}
		}()
		if err := v.s.examine(ctx, by, ask, one); err != nil {
			return err
		}
		// Who asked may have gone: the log is told of what fails.
		if err := v.s.rounds.keep(ctx, *one); err != nil {
			v.s.log.ErrorContext(ctx, "the result of an examination is lost at the next start", "host", one.Host, "err", err)
		}
		return nil
	})
	if err != nil {
		cancel()
		bad.add("", sentence(err.Error()))
		return v.doctorAgain(d, bad)
	}
	wait := time.NewTimer(roundWaits)
	defer wait.Stop()
	select {
	case err := <-ended:
		if err != nil {
			if err := v.explain(err, bad, map[string]string{"request": "host"}); err != nil {
				return err
			}
			return v.doctorAgain(d, bad)
		}
		v.seeOther("/doctor/" + one.ID)
	case <-wait.C:
		v.seeOther("/doctor")
	}

	return nil
}

// ask makes a request of what was typed about another server.
func (d *doctorPage) ask(password string, bad problems) map[string]any {
	ask := map[string]any{"host": d.Host}
	if d.Host == "" {
		bad.add("host", "Say which server: its name or its address.")
	}
	if d.Port != "" {
		n, err := strconv.ParseUint(d.Port, 10, 16)
		if err != nil || n == 0 {
			bad.add("port", "A port is a number from 1 to 65535. Leave it empty to examine those that mail servers have.")
		}
		ask["port"] = n
	}
	switch {
	case d.User != "" && password == "":
		bad.add("password", "Type the password, too, or leave the name empty.")
	case d.User == "" && password != "":
		bad.add("user", "Type the name that the password belongs to.")
	case d.User != "":
		ask["user"], ask["password"] = d.User, password
	}

	return ask
}

func (v *visit) doctorAgain(d doctorPage, bad problems) error {
	d.Now, d.Past = v.s.rounds.look()

	return v.again("doctor", "Doctor", d, bad)
}

// examine asks the doctor. What came of it stands in one; an error is for who
// asked for something that cannot be examined.
func (s *Server) examine(ctx context.Context, by Caller, ask map[string]any, one *round) error {
	var told doctorReport
	err := s.call(ctx, by, http.MethodPost, "/v1/doctor", ask, &told)
	one.Ended = s.now()
	var api *APIError
	switch {
	case err == nil:
		one.Told = &told
	case errors.As(err, &api) && api.Status < http.StatusInternalServerError:
		return err
	case errors.Is(err, context.DeadlineExceeded):
		one.Wrong = "It took too long and was broken off."
	case errors.Is(err, context.Canceled):
		one.Wrong = "The box was stopped meanwhile. Examine it again."
	default:
		s.log.WarnContext(ctx, "examination failed", "host", one.Host, "err", err)
		one.Wrong = "It could not be done; the log says why."
	}

	return nil
}
