package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// Config describes a Manager. Only Record may be nil.
type Config struct {
	Logger   *slog.Logger
	Store    Store
	Appliers []Applier

	// Record is told what happened before the act is answered; an error refuses
	// what was not done yet.
	Record func(ctx context.Context, e Event) error
}

const (
	// holdRetry is how often what could not be done is tried again, such as
	// telling an Applier that could not be reached what holds.
	holdRetry = 5 * time.Second

	// clockTime is how often it is looked whether the time of a change that
	// waits has come: the clock of a box without a battery jumps at its start.
	clockTime = time.Minute

	// theBox is who does what nobody asked for.
	theBox = "the box"
)

// Manager keeps the configuration. Its methods may be called at once.
type Manager struct {
	conf Config
	log  *slog.Logger
	wake chan struct{}

	acting sync.Mutex // held by who changes anything

	mu       sync.Mutex        // held shortly
	versions []Version         // the newest last; the last one is confirmed
	sizes    []int             // of each of them on the disk
	taken    map[string]string // by Applier, the mark of what was found on the disk
	damaged  error             // why what was confirmed last is not known; nil if it is
	newest   int               // the highest number that a version has had
	pending  *Pending
	applied  time.Time        // when the pending change was
	ended    *ended           // the last change, if it was taken back
	unheld   map[string]error // by Applier, why the confirmed document may not hold there
	again    time.Time        // not before then what failed is tried again
}

// Open reads what is kept. A change that was applied and not confirmed before
// the last end is forgotten; Start makes the confirmed one hold.
func Open(ctx context.Context, c *Config) (*Manager, error) {
	m := &Manager{conf: *c, log: c.Logger, wake: make(chan struct{}, 1), taken: map[string]string{}, unheld: map[string]error{}}
	if m.conf.Record == nil {
		m.conf.Record = func(context.Context, Event) error { return nil }
	}
	if err := m.load(); err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if len(m.versions) > 0 {
		return m, nil
	}
	first := Version{Number: 1, Document: Default(), By: theBox, Why: "a fresh box", Confirmed: time.Now(), ConfirmedBy: theBox}
	if m.damaged != nil {
		first.Number, first.Why = 0, "nothing can be read of the settings"
		m.versions, m.sizes = []Version{first}, []int{0}
		return m, nil
	}
	if err := m.saveVersion(ctx, &first, nil); err != nil {
		return nil, fmt.Errorf("begin the configuration: %w", err)
	}

	return m, nil
}

// Stored returns the document that a Manager of a store would begin with, and
// changes nothing.
func Stored(s Store) (Document, error) {
	m := &Manager{conf: Config{Store: s}, log: slog.New(slog.DiscardHandler), taken: map[string]string{}}
	if err := m.load(); err != nil {
		return Document{}, fmt.Errorf("read the configuration: %w", err)
	}
	if len(m.versions) == 0 {
		return Default(), nil
	}

	return m.Current().Document, nil
}

// Start takes back what was not confirmed and makes the confirmed document
// hold everywhere. An Applier that cannot be reached yet is told later.
func (m *Manager) Start(ctx context.Context) error {
	m.acting.Lock()
	defer m.acting.Unlock()
	defer m.nudge()
	m.mu.Lock()
	since := !m.applied.IsZero()
	m.mu.Unlock()
	if p := m.Pending(); p != nil && p.State != Waiting {
		if since { // it is of this life: somebody was quicker than Start
			return nil
		}

		return m.takeBack(ctx, p, theBox, "the box stopped before the change was confirmed")
	}
	m.hold(ctx, false)

	return nil
}

// Renew makes what a fresh box has the configuration, as a factory reset does. It
// comes before Start.
func (m *Manager) Renew(ctx context.Context, why string) error {
	m.acting.Lock()
	defer m.acting.Unlock()
	current := m.Current()
	v := Version{Number: m.number(), Document: Default(), By: theBox, Why: why, Confirmed: time.Now(), ConfirmedBy: theBox}
	m.mu.Lock()
	// What was provisioned is new to it, too.
	forgotten := maps.Clone(m.taken)
	m.mu.Unlock()
	for applier := range forgotten {
		forgotten[applier] = ""
	}
	if err := m.saveVersion(ctx, &v, forgotten); err != nil {
		return fmt.Errorf("begin the configuration anew: %w", err)
	}
	m.record(ctx, Event{What: WasConfirmed, Actor: theBox, Version: v.Number, Diff: inJSON(Diff(&current.Document, &v.Document)), Reason: why})

	return nil
}

// adopt makes a version of a document that was put onto the box's disk.
func (m *Manager) adopt(ctx context.Context, name string, s Source) error {
	current, pending := m.Current(), m.Pending()
	m.mu.Lock()
	taken := m.taken[name]
	m.mu.Unlock()
	found, err := s.Newer(ctx, &current.Document, taken)
	if err != nil || found == nil {
		return err
	}
	diff := Diff(&current.Document, &found.Document)
	if len(diff) == 0 && m.unknown() == nil {
		return m.saveTaken(ctx, name, found.Mark)
	}
	if err := found.Document.Validate(); err != nil {
		return err
	}
	v := Version{
		Number: m.number(), Document: found.Document, By: found.By, Why: "found on the disk", Confirmed: time.Now(), ConfirmedBy: found.By,
	}
	if err := m.saveVersion(ctx, &v, map[string]string{name: found.Mark}); err != nil {
		return err
	}
	m.log.InfoContext(ctx, "configuration taken", "version", v.Number, "by", v.By)
	m.record(ctx, Event{What: WasConfirmed, Actor: v.By, Version: v.Number, Diff: inJSON(diff)})
	if pending != nil && pending.State == Waiting {
		m.tookBack(ctx, pending, theBox, "another configuration was found on the disk")
	}

	return nil
}

// hold tells all Appliers what is confirmed, after something else was tried or
// not.
func (m *Manager) hold(ctx context.Context, tried bool) {
	missed := map[string]error{}
	for _, a := range m.conf.Appliers {
		if s, ok := a.(Source); ok {
			missed[a.Name()] = m.adopt(ctx, a.Name(), s)
		}
	}
	current := m.Current()
	for _, a := range m.conf.Appliers {
		// What somebody has put onto the disk to get back in must not be lost.
		err := missed[a.Name()]
		if err == nil {
			err = m.holdOne(ctx, a, &current, tried)
		}
		m.mu.Lock()
		_, was := m.unheld[a.Name()]
		if err != nil {
			m.unheld[a.Name()] = err
		} else {
			delete(m.unheld, a.Name())
		}
		m.mu.Unlock()
		switch {
		case err != nil && !was:
			m.log.WarnContext(ctx, "the confirmed configuration may not hold; it is tried again", "applier", a.Name(), "err", err)
		case err == nil && was:
			m.log.InfoContext(ctx, "the confirmed configuration holds", "applier", a.Name())
		}
	}
}

// holdOne tells one. Where it is not known what is confirmed, what an Applier
// has kept of that stays, unless something was tried that it cannot end itself.
// One that has kept nothing goes by the newest version that can be read.
func (m *Manager) holdOne(ctx context.Context, a Applier, d *Version, tried bool) error {
	unknown := m.unknown()
	_, follows := a.(Follower)
	_, goesBack := a.(Witness)
	switch {
	case unknown != nil && !follows && (goesBack || !tried):
		return unknown
	case unknown != nil && follows && d.Number == 0:
		unknown = fmt.Errorf("what a fresh box has holds in its place, for no version can be read: %w", unknown)
	case unknown != nil && follows:
		unknown = fmt.Errorf("version %d holds in its place: %w", d.Number, unknown)
	}

	return errors.Join(a.Hold(ctx, &d.Document), unknown)
}

// Problems returns, by Applier, why the confirmed document may not hold.
func (m *Manager) Problems() map[string]error {
	m.mu.Lock()
	defer m.mu.Unlock()

	return maps.Clone(m.unheld)
}

// Current returns the version that is confirmed.
func (m *Manager) Current() Version {
	m.mu.Lock()
	defer m.mu.Unlock()

	return m.versions[len(m.versions)-1]
}

// number returns the one of the next version.
func (m *Manager) number() int {
	m.mu.Lock()
	defer m.mu.Unlock()

	return m.newest + 1
}

// unknown tells why it is not known what was confirmed last.
func (m *Manager) unknown() error {
	m.mu.Lock()
	defer m.mu.Unlock()

	return m.damaged
}

// nothingPending is ErrNoPending with what became of the last change.
func (m *Manager) nothingPending() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended == nil {
		return ErrNoPending
	}
	place := m.versions[len(m.versions)-1].Document.Office.Place()

	return fmt.Errorf("%w: the last one was taken back at %s (%s)", ErrNoPending, m.ended.At.In(place).Format(time.DateTime), m.ended.Reason)
}

// Pending returns the change that is on its way, or nil.
func (m *Manager) Pending() *Pending {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pending == nil {
		return nil
	}
	p := *m.pending

	return &p
}

// Versions returns all versions that are kept, the newest first.
func (m *Manager) Versions() []Version {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.Clone(m.versions)
	slices.Reverse(all)

	return all
}

// Version returns a version by its number.
func (m *Manager) Version(number int) (Version, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.versions {
		if m.versions[i].Number == number {
			return m.versions[i], nil
		}
	}

	return Version{}, fmt.Errorf("version %d: %w", number, ErrNoVersion)
}

// Plan says what a document would change, and changes nothing.
func (m *Manager) Plan(ctx context.Context, d *Document) (diff []Change, reports []Report, err error) {
	m.acting.Lock()
	defer m.acting.Unlock()

	return m.plan(ctx, d)
}

func (m *Manager) plan(ctx context.Context, d *Document) (diff []Change, reports []Report, err error) {
	d.fill()
	if err := d.Validate(); err != nil {
		return nil, nil, &CheckError{"configuration", err}
	}
	current := m.Current()
	diff = Diff(&current.Document, d)
	if len(diff) == 0 && m.unknown() == nil {
		return nil, nil, ErrUnchanged
	}
	for _, a := range m.conf.Appliers {
		r, err := a.Check(ctx, &current.Document, d)
		if err != nil {
			return diff, reports, &CheckError{a.Name(), err}
		}
		r.Applier = a.Name()
		reports = append(reports, r)
	}

	return diff, reports, nil
}

// Run takes changes back that nobody confirms, applies those whose time has
// come, and tells Appliers that could not be reached. It ends with the context;
// a change that is applied then is taken back at the next start.
func (m *Manager) Run(ctx context.Context) error {
	for {
		timer := time.NewTimer(m.untilNext())
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-m.wake:
			timer.Stop()
		case <-timer.C:
			m.due(ctx)
		}
	}
}

// untilNext is how long there is nothing to do.
func (m *Manager) untilNext() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := time.Hour
	if p := m.pending; p != nil {
		switch p.State {
		case Waiting:
			next = min(time.Until(p.Begins), clockTime)
			if early(p, &m.versions[len(m.versions)-1].Document) {
				next = 0
			}
		case Applied:
			next = time.Until(p.Ends)
		case Applying:
			next = 0 // it is to be taken back, once nobody works on it
		}
	}
	if len(m.unheld) > 0 {
		next = min(next, holdRetry)
	}

	return max(next, time.Until(m.again), 0)
}

// due does what the time has come for.
func (m *Manager) due(ctx context.Context) {
	m.acting.Lock()
	defer m.acting.Unlock()
	p, current := m.Pending(), m.Current()
	var err error
	switch {
	case p != nil && p.State == Waiting && (early(p, &current.Document) || !time.Now().Before(p.Begins)):
		err = m.begin(ctx, p)
	case p != nil && p.State == Applying:
		err = m.takeBack(ctx, p, theBox, "it was left unfinished")
	case p != nil && p.State == Applied && !time.Now().Before(p.Ends):
		err = m.takeBack(ctx, p, theBox, "nobody confirmed it in time")
	case len(m.Problems()) > 0 && (p == nil || p.State == Waiting):
		m.hold(ctx, false)
	}
	if err != nil {
		m.log.ErrorContext(ctx, "carry on with a change of the configuration", "err", err)
		m.mu.Lock()
		m.again = time.Now().Add(holdRetry)
		m.mu.Unlock()
	}
}

func (m *Manager) nudge() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// record is for what was done already.
func (m *Manager) record(ctx context.Context, e Event) {
	if err := m.conf.Record(ctx, e); err != nil {
		m.log.ErrorContext(ctx, "record a change of the configuration", "what", e.What, "err", err)
	}
}
