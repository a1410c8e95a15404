package sunset

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what a Planner works with. What may be nil says so.
type Config struct {
	Logger    *slog.Logger
	Store     Store
	Inventory Inventory
	Settings  Settings
	People    People
	Mailer    Mailer // nil means that no mail can be sent
	// Server returns the name by which clients know the box.
	Server func() string

	// Zone returns the time zone in which times are told; nil means time.Local.
	Zone func() *time.Location

	// Disconnect ends sessions that are open, with a reason in ASCII; nil means
	// that they go on.
	Disconnect func(match func(*Contact) bool, reason string) int
	// Record is told what is decided before it is done; an error refuses it. Nil
	// means that nobody keeps a record.
	Record func(ctx context.Context, e Event) error
	// Trouble is told what somebody should look at; no text means that it is
	// over. Nil means nobody.
	Trouble func(c Condition, text string)
	// Evidence returns what shows that the record was not changed; nil means that
	// nothing does.
	Evidence func(ctx context.Context) []Evidence

	Now  func() time.Time // nil means time.Now
	Tick time.Duration    // from one look at the clock to the next; 0 means 5 s
}

// Store keeps keys and values durably.
type Store interface {
	// Load calls f for each key in order.
	Load(f func(key string, value []byte) error) error
	// Save puts and deletes (a nil value) all or nothing.
	Save(ctx context.Context, changes map[string][]byte) error
}

// Settings is the configuration, as far as plans change it. None of its methods
// but Set does more than look into memory.
type Settings interface {
	// Way tells whether the old way of a kind is open.
	Way(k Kind) Way
	// Works tells whether somebody can come by the new way of a kind who now comes
	// as c tells, as far as it does; nil stands for anybody.
	Works(k Kind, c *Contact) bool
	// Set opens or closes the old way of a kind, and returns how it is then.
	Set(ctx context.Context, k Kind, open bool, by, why string) (Way, error)
	// Window returns when changes are allowed next: now, if they are.
	Window(now time.Time) time.Time
	// Changes are those of the settings that concern plans, the newest first.
	Changes() []Change
}

// Change is one version of the settings.
type Change struct {
	Version int       `json:"version"`
	At      time.Time `json:"at"`
	By      string    `json:"by"`
	Why     string    `json:"why,omitempty"`
	What    []string  `json:"what"` // in words
}

// Inventory knows who comes by which way. Its methods look into memory alone.
type Inventory interface {
	// Uses returns how people came since some time.
	Uses(since time.Time) []Use
	// Traffic counts sign-ins by a port, "" for all, in some minutes.
	Traffic(port string, from, to time.Time) Traffic
	// Since is when it began to look.
	Since() time.Time
}

// Use is one way by which a device of somebody's came.
type Use struct {
	Contact

	Device   string // what people call it; may be empty
	Program  string
	First    time.Time
	Last     time.Time
	Sessions int
	Risks    []string // in words
}

// Traffic counts sign-ins.
type Traffic struct {
	SignIns int // that succeeded
	Failed  int // but for those that a plan refused
}

// People knows who there is.
type People interface {
	// Members returns the accounts that an address leads to, ErrNoPerson if it
	// leads nowhere.
	Members(ctx context.Context, address string) ([]string, error)
}

// Mailer puts a message into the INBOX of an account.
type Mailer interface {
	Deliver(ctx context.Context, account string, message []byte) error
}

// Event is what the audit record is told.
type Event struct {
	Decision

	Kind    Kind
	Account string // whom it is about; "" if nobody
}

// Condition is something to look at.
type Condition string

// The conditions, for each of which there is one text at a time.
const (
	PlanPaused  Condition = "plan-paused"
	PlanWaits   Condition = "plan-waits"
	PlanUnheld  Condition = "plan-not-held" // the settings do not follow
	ReviewDue   Condition = "port-990-review"
	PlanDamaged Condition = "plan-damaged"
)

// Evidence is a line for auditors.
type Evidence struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Errors of a Planner.
var (
	ErrNobody   = errors.New("nobody says who decides that")
	ErrNoPerson = errors.New("there is nobody of that address")
	ErrNoPlan   = errors.New("there is no such plan")
	ErrExists   = errors.New("there is such a plan already")
	ErrOpposite = errors.New("the other port is being left: one of the two plans has to be dropped first")
	ErrGone     = errors.New("the old way is closed already")
	ErrState    = errors.New("that cannot be done now")
	ErrSpec     = errors.New("the plan cannot be carried out")
)

// CheckError says why a step does not begin.
type CheckError struct{ Check Check }

func (e *CheckError) Error() string {
	return "the step does not begin: " + strings.Join(e.Check.Waits, "; ")
}

// Planner carries plans out. Its methods may be called at once.
type Planner struct {
	conf Config
	log  *slog.Logger
	wake chan struct{}
	gate atomic.Pointer[gate]

	acting sync.Mutex // held by who decides anything

	mu       sync.Mutex // held shortly
	plans    map[Kind]*Plan
	people   map[Kind]map[string]*Person
	dirty    map[Kind]map[string]bool // people whose record has changed
	urgent   bool                     // and is not to wait
	flushed  time.Time
	owner    Ownership
	tallies  map[Kind]*tally       // of brown-outs that are on
	callers  map[netip.Addr]caller // at a closed port
	waits    map[Kind]Check        // why the next step does not begin
	unheld   map[Kind]error        // why the settings do not follow
	damaged  []string              // keys that cannot be read
	server   string                // as people are told now
	seen     time.Time             // when the clock was looked at
	kept     time.Time             // when that was written down
	troubles map[Condition]string
}

// caller is somebody who knocks at a closed port.
type caller struct {
	last  time.Time
	count int
}

// New returns a Planner with what is kept. What cannot be read refuses nobody.
func New(c *Config) (*Planner, error) {
	p := &Planner{
		conf: *c, log: c.Logger, wake: make(chan struct{}, 1),
		plans: map[Kind]*Plan{}, people: map[Kind]map[string]*Person{}, dirty: map[Kind]map[string]bool{},
		tallies: map[Kind]*tally{}, callers: map[netip.Addr]caller{}, waits: map[Kind]Check{}, unheld: map[Kind]error{}, troubles: map[Condition]string{},
	}
	if p.conf.Now == nil {
		p.conf.Now = time.Now
	}
	p.conf.Tick = cmp.Or(p.conf.Tick, 5*time.Second)
	if p.conf.Record == nil {
		p.conf.Record = func(context.Context, Event) error { return nil }
	}
	if err := p.load(); err != nil {
		return nil, fmt.Errorf("read the plans: %w", err)
	}
	p.flushed = p.now()

	return p, p.publish(context.Background())
}

func (p *Planner) now() time.Time { return p.conf.Now() }

// zone is that in which times are told.
func (p *Planner) zone() *time.Location {
	if p.conf.Zone == nil {
		return time.Local
	}

	return p.conf.Zone()
}

// Keys of the Store.
const (
	planKey   = "plan/"
	personKey = "person/"
	ownerKey  = "owner"
	seenKey   = "seen"
)

func (p *Planner) load() error {
	return p.conf.Store.Load(func(key string, value []byte) error {
		switch name, isPlan := strings.CutPrefix(key, planKey); {
		case isPlan:
			plan := &Plan{}
			if err := json.Unmarshal(value, plan); err != nil || !plan.valid() || name != string(plan.Kind) {
				p.log.Error("a plan cannot be read, and is not carried out", "key", key, "err", err)
				p.damaged = append(p.damaged, key)
				return nil
			}
			p.plans[plan.Kind] = plan
		case strings.HasPrefix(key, personKey):
			kind, account, _ := strings.Cut(strings.TrimPrefix(key, personKey), "/")
			person := &Person{}
			if json.Unmarshal(value, person) == nil && person.Account == account {
				p.of(Kind(kind))[account] = person
			}
		case key == ownerKey:
			if json.Unmarshal(value, &p.owner) != nil {
				p.damaged = append(p.damaged, key)
			}
		case key == seenKey:
			_ = p.seen.UnmarshalText(value)
		}
		return nil
	})
}

// of returns the people of a plan. p.mu is held, or nobody else is there yet.
func (p *Planner) of(k Kind) map[string]*Person {
	if p.people[k] == nil {
		p.people[k] = map[string]*Person{}
		p.dirty[k] = map[string]bool{}
	}

	return p.people[k]
}

// view returns the plan of a kind, which is not changed any more: a change makes
// another.
func (p *Planner) view(k Kind) (*Plan, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	plan := p.plans[k]
	if plan == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoPlan, k)
	}

	return plan, nil
}

// plan returns a copy of it, to be changed.
func (p *Planner) plan(k Kind) (*Plan, error) {
	plan, err := p.view(k)
	if err != nil {
		return nil, err
	}

	return plan.clone(), nil
}

// kinds returns those of which there is a plan, in their order.
func (p *Planner) kinds() []Kind {
	p.mu.Lock()
	defer p.mu.Unlock()

	return slices.DeleteFunc(Kinds(), func(k Kind) bool { return p.plans[k] == nil })
}

// commit records what was decided about a plan, makes it durable, and then has it
// take effect. p.acting is held.
func (p *Planner) commit(ctx context.Context, plan *Plan, d Decision) error {
	d.At = p.now()
	plan.decide(d)
	if err := p.conf.Record(ctx, Event{Decision: d, Kind: plan.Kind}); err != nil {
		return fmt.Errorf("record the decision: %w", err)
	}
	if err := p.save(ctx, plan); err != nil {
		return err
	}
	p.log.InfoContext(ctx, "plan: "+string(d.What), "plan", plan.Kind, "by", d.By, "from", d.From, "to", d.To, "reason", d.Why)

	return p.publish(ctx)
}

// save makes a plan durable.
func (p *Planner) save(ctx context.Context, plan *Plan) error {
	text, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	if err := p.conf.Store.Save(ctx, map[string][]byte{planKey + string(plan.Kind): text}); err != nil {
		return fmt.Errorf("write the plan down: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plans[plan.Kind] = plan.clone()

	return nil
}

// flush writes what is known of people, if it is time.
func (p *Planner) flush(ctx context.Context, all bool) error {
	const each = 15 * time.Minute
	now := p.now()
	p.mu.Lock()
	since := now.Sub(p.flushed)
	if !all && !p.urgent && since < each && since >= 0 {
		p.mu.Unlock()
		return nil
	}
	changes := map[string][]byte{}
	for kind, names := range p.dirty {
		for name := range names {
			text, err := json.Marshal(p.people[kind][name])
			if err != nil {
				p.mu.Unlock()
				return err
			}
			changes[personKey+string(kind)+"/"+name] = text
		}
	}
	taken := p.dirty
	p.dirty = map[Kind]map[string]bool{}
	for kind := range p.people {
		p.dirty[kind] = map[string]bool{}
	}
	p.urgent, p.flushed = false, now
	p.mu.Unlock()
	if len(changes) == 0 {
		return nil
	}
	if err := p.conf.Store.Save(ctx, changes); err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		for kind, names := range taken {
			if p.dirty[kind] != nil {
				maps.Copy(p.dirty[kind], names)
			}
		}
		p.urgent = true
		return fmt.Errorf("write down what is known of people: %w", err)
	}

	return nil
}

// Forget forgets all plans, as a factory reset does. The settings are not its
// matter.
func (p *Planner) Forget(ctx context.Context) error {
	p.acting.Lock()
	defer p.acting.Unlock()
	gone := map[string][]byte{}
	if err := p.conf.Store.Load(func(key string, _ []byte) error { gone[key] = nil; return nil }); err != nil {
		return err
	}
	if err := p.conf.Store.Save(ctx, gone); err != nil {
		return fmt.Errorf("forget the plans: %w", err)
	}
	p.mu.Lock()
	p.plans, p.people, p.dirty = map[Kind]*Plan{}, map[Kind]map[string]*Person{}, map[Kind]map[string]bool{}
	p.owner, p.damaged = Ownership{}, nil
	p.mu.Unlock()

	return p.publish(ctx)
}

func (p *Planner) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
