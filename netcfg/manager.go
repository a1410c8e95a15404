package netcfg

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"pillarbox/netcfg/dhcp"
	"pillarbox/netcfg/link"
	"pillarbox/netcfg/ra"
	"pillarbox/netcfg/resolv"
	"pillarbox/netcfg/state"
)

// Config describes a manager.
type Config struct {
	Logger  *slog.Logger // must not be nil
	Desired state.Desired

	// Identity is the machine's, 32 hexadecimal digits, by which DHCP servers
	// know it again; "" means the hardware address.
	Identity string

	Hostname   string // told to DHCP servers; "" means not
	ResolvFile string // "" writes none
	Leases     dhcp.Store
	MaxLease   time.Duration // see dhcp.Config
	Release    bool          // give leases back at the end

	// Audit is how often all is looked at although nothing was heard; 0 means
	// once a minute.
	Audit time.Duration

	// Changed is told the state after each pass that found or made a
	// difference; nil means nobody is.
	Changed func(Status)
}

const (
	// settle gathers what the kernel says of one change.
	settle = 20 * time.Millisecond

	auditTime = time.Minute // see Config.Audit

	// passTime is how often looking at all is worth it in the long run, and
	// passBurst how many times it may be more often: anybody on the local
	// network can have the kernel say that something has changed.
	passTime  = 500 * time.Millisecond
	passBurst = 40

	// watchPause follows lost messages of the kernel.
	watchPause = time.Second

	firstRetry, lastRetry = time.Second, 30 * time.Second

	// saveTime is how often a lease that is only renewed is written to the disk,
	// which may be flash.
	saveTime = time.Hour
)

// Manager keeps the network as it is desired.
type Manager struct {
	Config
	nudges chan struct{}

	mu      sync.Mutex
	desired state.Desired
	settled settled
	leases  map[string]*dhcp.Lease // by link; nil says that DHCP gave none
	saved   map[string]savedLease

	listens int      // how often listening to routers has begun
	routers ra.Table // what they have said

	// Of Run's goroutine alone.
	clients  map[string]*client
	solicits map[int]*solicit // by the link's index
	clashes  clashes
	mtus     map[int]int // before DHCP said another, by the link's index
	last     state.Observed
	failed   string // the plan that was not carried out wholly
	said     string // the problems that were logged last
	wrote    bool   // resolv.conf
}

// savedLease is what is on the disk.
type savedLease struct {
	lease *dhcp.Lease
	at    time.Time
}

// New returns a manager; nothing is touched before Run.
func New(c *Config) *Manager {
	m := &Manager{
		Config: *c, desired: c.Desired, nudges: make(chan struct{}, 1),
		leases: map[string]*dhcp.Lease{}, saved: map[string]savedLease{}, clients: map[string]*client{},
		solicits: map[int]*solicit{}, mtus: map[int]int{}, clashes: clashes{known: map[place]finding{}},
	}
	if m.Audit == 0 {
		m.Audit = auditTime
	}

	return m
}

// Set replaces what is desired. The settings must be valid.
func (m *Manager) Set(d state.Desired) {
	m.mu.Lock()
	m.desired = d
	m.settled.asked++
	m.mu.Unlock()
	m.nudge()
}

// nudge causes a pass soon.
func (m *Manager) nudge() {
	select {
	case m.nudges <- struct{}{}:
	default:
	}
}

// Run keeps the network until the context ends. It leaves the network as it
// is, save what it gives back: a restart shall cut no connection.
func (m *Manager) Run(ctx context.Context) error {
	var watching sync.WaitGroup
	watching.Go(func() { m.watch(ctx) })
	watching.Go(func() { m.listen(ctx) })
	defer watching.Wait()
	defer m.end()
	retry := firstRetry
	timer := time.NewTimer(0)
	defer timer.Stop()
	paid := time.Now() // until when the passes so far are paid for
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-m.nudges:
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(max(settle, time.Until(paid)-passBurst*passTime)):
			}
		case <-timer.C:
		}
		if now := time.Now(); paid.Before(now) {
			paid = now
		}
		paid = paid.Add(passTime)
		if m.pass(ctx) {
			retry = firstRetry
			timer.Reset(m.untilNext())
		} else {
			timer.Reset(retry)
			retry = min(2*retry, lastRetry)
		}
	}
}

// end stops all that a pass has started.
func (m *Manager) end() {
	m.stopClients(func(string) bool { return true })
	m.stopSolicits(func(int) bool { return true })
	m.clashes.wait()
	if !m.Release {
		return
	}
	// RFC 2131, section 4.4.6: what was released is not used any more.
	o, err := link.Observe()
	if err != nil {
		m.Logger.Warn("take the released addresses away", "err", err)
		return
	}
	target, _, _ := m.resolve(&o)
	plan := slices.DeleteFunc(state.Diff(&target, &o), func(s state.Step) bool {
		t := target.Find(s.Link)
		return t == nil || !t.DHCP || s.Do != state.Remove
	})
	if err := link.Apply(plan); err != nil {
		m.Logger.Warn("take the released addresses away", "err", err)
	}
}

// watch nudges whenever the kernel says that something has changed.
func (m *Manager) watch(ctx context.Context) {
	for ctx.Err() == nil {
		err := link.Watch(ctx, m.nudge)
		if ctx.Err() != nil {
			return
		}
		m.Logger.Warn("the kernel's messages about the network were lost", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(watchPause):
		}
	}
}

// pass looks at all and does what is missing. It tells whether all is as it
// should be, as far as that can be.
func (m *Manager) pass(ctx context.Context) bool {
	asked := m.asking()
	o, err := link.Observe()
	if err != nil {
		m.complain([]error{err})
		return false
	}
	target, leases, problems := m.resolve(&o)
	m.restoreMTU(&target, &o, leases)
	plan := append(m.clashes.again(&target, &o, m.Audit), state.Diff(&target, &o)...)
	m.announce(ctx, plan)
	failed := false
	refused := link.Apply(plan)
	if refused != nil {
		failed = true
		problems = append(problems, refused)
		m.failed = plan.String()
	} else {
		m.failed = ""
	}
	if len(plan) > 0 {
		if o, err = link.Observe(); err != nil {
			m.complain([]error{err})
			return false
		}
	}
	m.keepClients(ctx, &target, &o)
	m.keepSolicits(ctx, &target, &o)
	problems = append(problems, m.clashes.mark(&target, &o)...)
	m.clashes.check(ctx, m, &target, &o)
	if err := m.writeResolver(&target); err != nil {
		failed = true
		problems = append(problems, err)
	}
	events := state.Changes(&m.last, &o)
	for _, e := range events {
		args := []any{"link", e.Link}
		if e.Address != nil {
			args = append(args, "address", e.Address.Prefix)
		}
		m.Logger.Info(string(e.Kind), args...)
	}
	m.last = o
	m.complain(problems)
	if m.Changed != nil {
		m.Changed(status(&target, &o, leases, problems))
	}
	m.settle(asked, problems, refused)

	return !failed
}

// announce logs what will be done. What has just failed is tried again and
// again, and need not be said again.
func (m *Manager) announce(ctx context.Context, plan state.Plan) {
	again := plan.String() == m.failed
	for _, s := range plan {
		level := slog.LevelInfo
		if again || s.Do == state.Extend {
			level = slog.LevelDebug
		}
		m.Logger.Log(ctx, level, "change the network", "link", s.Link, "step", s.String())
	}
}

// resolve returns what should be, the leases that hold, and what stands in the
// way.
func (m *Manager) resolve(o *state.Observed) (state.Target, map[string]*dhcp.Lease, []error) {
	m.mu.Lock()
	desired, leases, advertised := m.desired, m.holding(o), m.advertised(o)
	m.mu.Unlock()
	target, problems := state.Resolve(&desired, o, acquired(leases), advertised)

	return target, leases, problems
}

// holding returns the leases, without those whose time is over or whose link is
// gone. m.mu is held.
func (m *Manager) holding(o *state.Observed) map[string]*dhcp.Lease {
	for name, l := range m.leases {
		if o.Find(name) == nil {
			delete(m.leases, name)
		} else if l != nil && time.Now().After(l.Expires) {
			m.leases[name] = nil
		}
	}

	return maps.Clone(m.leases)
}

func acquired(leases map[string]*dhcp.Lease) map[string]state.Acquired {
	all := map[string]state.Acquired{}
	for name, l := range leases {
		if l == nil {
			all[name] = state.Acquired{}
			continue
		}
		a := state.Acquired{
			Address: l.Address, Expires: l.Expires, Routes: slices.Clone(l.Routes), MTU: l.MTU, DNS: l.DNS, Search: l.Search,
		}
		for _, server := range l.NTP {
			a.NTP = append(a.NTP, server.String())
		}
		all[name] = a
	}

	return all
}

// untilNext is how long nothing has to be done: until a lease ends that nobody
// renews any more because its cable was pulled, or a name server of a router.
func (m *Manager) untilNext() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.Audit
	for _, l := range m.leases {
		if l != nil {
			next = min(next, max(0, time.Until(l.Expires))+time.Second)
		}
	}
	if ends, ok := m.routers.Next(time.Now()); ok {
		next = min(next, max(0, time.Until(ends))+settle)
	}

	return next
}

func (m *Manager) writeResolver(t *state.Target) error {
	if m.ResolvFile == "" || len(t.DNS) == 0 && !m.wrote {
		return nil // nothing is known yet
	}
	changed, err := resolv.Write(m.ResolvFile, t.DNS, t.Search)
	if err != nil {
		return err
	}
	m.wrote = true
	if changed {
		m.Logger.Info("name servers", "servers", t.DNS, "search", t.Search)
	}

	return nil
}

// complain logs problems when they change.
func (m *Manager) complain(problems []error) {
	err := errors.Join(problems...)
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != m.said && text != "" {
		m.Logger.Warn("the network is not as it should be", "err", text)
	}
	m.said = text
}
