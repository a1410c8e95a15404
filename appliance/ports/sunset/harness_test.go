package sunset_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pillarbox/appliance/ports/sunset"
)

var errPower = errors.New("the power is cut")

// power is cut at some moment, if it is: nothing happens from then on.
type power struct {
	mu            sync.Mutex
	lasts, passed int
}

// cut lets only some more moments pass; back has them pass for ever.
func (p *power) cut(after int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lasts = max(1, p.passed+after)
}

func (p *power) back() (whole bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	whole = p.passed < p.lasts
	p.lasts = 0
	return whole
}

// during lets a moment pass before f and one behind it.
func (p *power) during(f func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range 2 {
		if p.passed++; p.lasts > 0 && p.passed >= p.lasts {
			return errPower
		}
		if i == 0 {
			f()
		}
	}
	return nil
}

// disk outlives a power cut.
type disk struct {
	power *power
	mu    sync.Mutex
	kept  map[string][]byte
	saves int
}

func (d *disk) Load(f func(key string, value []byte) error) error {
	d.mu.Lock()
	kept := maps.Clone(d.kept)
	d.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(kept)) {
		if err := f(key, kept[key]); err != nil {
			return err
		}
	}
	return nil
}

func (d *disk) Save(_ context.Context, changes map[string][]byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.saves++
	return d.power.during(func() {
		for key, value := range changes {
			if value == nil {
				delete(d.kept, key)
			} else {
				d.kept[key] = value
			}
		}
	})
}

// settings are those of the box, as config keeps them: one change at a time, both
// ports never closed.
type settings struct {
	power   *power
	mu      sync.Mutex
	open    map[sunset.Kind]bool
	ways    map[sunset.Kind]sunset.Way
	version int
	pending bool        // somebody else's change is on its way
	without sunset.Kind // whose new way is not there
	window  func(time.Time) time.Time
	changes []sunset.Change
}

var errPending = errors.New("another change is pending")

func (s *settings) Way(k sunset.Kind) sunset.Way {
	s.mu.Lock()
	defer s.mu.Unlock()
	way := s.ways[k]
	way.Open = s.open[k]
	return way
}

// Works implements sunset.Settings.
func (s *settings) Works(k sunset.Kind, _ *sunset.Contact) bool {
	switch k {
	case sunset.Leave990:
		return s.serves(sunset.IMAPS)
	case sunset.Leave993:
		return s.serves(sunset.Legacy)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.without != k
}

func (s *settings) serves(port string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[map[string]sunset.Kind{sunset.IMAPS: sunset.Leave993, sunset.Legacy: sunset.Leave990}[port]]
}

func (s *settings) Set(_ context.Context, k sunset.Kind, open bool, by, why string) (way sunset.Way, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending {
		return way, errPending
	}
	return s.set(k, open, by, why)
}

func (s *settings) set(k sunset.Kind, open bool, by, why string) (sunset.Way, error) {
	opposite := map[sunset.Kind]sunset.Kind{sunset.Leave990: sunset.Leave993, sunset.Leave993: sunset.Leave990}[k]
	if !open && opposite != "" && !s.open[opposite] {
		return sunset.Way{}, errors.New("both ports would be closed")
	}
	err := s.power.during(func() {
		s.version++
		s.open[k] = open
		s.ways[k] = sunset.Way{Version: s.version, By: by}
		s.changes = append(s.changes, sunset.Change{Version: s.version, By: by, Why: why, What: []string{fmt.Sprintf("%s open: %v", k, open)}})
	})
	way := s.ways[k]
	way.Open = open
	return way, err
}

func (s *settings) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending
}

// byHand is a change by a person.
func (s *settings) byHand(k sunset.Kind, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[k] != open {
		_, _ = s.set(k, open, "berta", "")
	}
}

func (s *settings) Window(now time.Time) time.Time { return s.window(now) }

func (s *settings) Changes() []sunset.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.changes)
}

// inventory is what was seen: a list.
type inventory struct {
	mu      sync.Mutex
	since   time.Time
	uses    []sunset.Use
	traffic []moment
}

type moment struct {
	at     time.Time
	port   string
	failed bool
}

func (i *inventory) Uses(since time.Time) []sunset.Use {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(i.uses), func(u sunset.Use) bool { return u.Last.Before(since) })
}

func (i *inventory) Traffic(port string, from, to time.Time) (t sunset.Traffic) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, m := range i.traffic {
		switch {
		case port != "" && m.port != port || m.at.Before(from) || m.at.After(to):
		case m.failed:
			t.Failed++
		default:
			t.SignIns++
		}
	}
	return t
}

func (i *inventory) Since() time.Time { return i.since }

// office has three people, and a planner that can be stopped and started.
type office struct {
	*sunset.Planner
	t         *testing.T
	tick      time.Duration
	power     *power
	disk      *disk
	settings  *settings
	inventory *inventory
	stop      func()

	mu       sync.Mutex
	shift    time.Duration // of the wall clock
	mails    map[string][]string
	unmailed error
	gone     string // whose account was removed
	name     string // of the server
	events   []sunset.Event
	trouble  map[sunset.Condition]string
	sessions []sunset.Contact // that are open
	byes     []string
}

const (
	ada, bob, eve = "ada@office.example", "bob@office.example", "eve@office.example"
	staff         = "staff@office.example"
)

// newOffice opens one, at a time at which the inventory knows everything.
func newOffice(t *testing.T) *office { return ticking(t, time.Minute) }

// ticking is newOffice with another pace: one that sees months pass.
func ticking(t *testing.T, tick time.Duration) *office {
	t.Helper()
	p := &power{}
	o := &office{
		t: t, tick: tick, power: p, disk: &disk{power: p, kept: map[string][]byte{}},
		settings: &settings{
			power: p, open: map[sunset.Kind]bool{}, ways: map[sunset.Kind]sunset.Way{}, version: 1,
			window: func(now time.Time) time.Time { return now },
		},
		inventory: &inventory{since: time.Now().Add(-90 * 24 * time.Hour)},
		mails:     map[string][]string{}, trouble: map[sunset.Condition]string{},
	}
	for _, k := range sunset.Kinds() {
		o.settings.open[k] = true
	}
	o.start()
	return o
}

func (o *office) now() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Now().Add(o.shift)
}

// jump makes the wall clock jump.
func (o *office) jump(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shift += d
}

// open makes the planner of what is kept, which does nothing by itself yet.
func (o *office) open() {
	o.t.Helper()
	var err error
	o.Planner, err = sunset.New(&sunset.Config{
		Logger: slog.New(slog.DiscardHandler), Store: o.disk, Inventory: o.inventory, Settings: o.settings, People: o, Mailer: o,
		Server: o.server, Disconnect: o.disconnect, Now: o.now, Tick: o.tick,
		Record: func(_ context.Context, e sunset.Event) error {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.events = append(o.events, e)
			return nil
		},
		Trouble: func(c sunset.Condition, text string) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.trouble[c] = text
		},
		Evidence: func(context.Context) []sunset.Evidence { return []sunset.Evidence{{Name: "checkpoint", Value: "abc"}} },
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

// start starts the box, after a crash too.
func (o *office) start() {
	o.t.Helper()
	o.open()
	ctx, cancel := context.WithCancel(o.t.Context())
	done := make(chan struct{})
	p := o.Planner
	go func() {
		defer close(done)
		_ = p.Run(ctx)
	}()
	o.stop = func() { cancel(); <-done }
}

// crash is a power cut: what was not written is lost.
func (o *office) crash() {
	o.power.cut(0)
	o.stop()
	o.power.back()
	o.start()
}

func (o *office) Members(_ context.Context, address string) ([]string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch address = strings.ToLower(address); address {
	case o.gone:
	case ada, bob, eve:
		return []string{address}, nil
	case staff:
		return []string{ada, bob}, nil
	}
	return nil, fmt.Errorf("%w: %s", sunset.ErrNoPerson, address)
}

func (o *office) server() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return cmp.Or(o.name, "mail.office.example")
}

func (o *office) Deliver(_ context.Context, account string, message []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unmailed != nil {
		return o.unmailed
	}
	o.mails[account] = append(o.mails[account], string(message))
	return nil
}

func (o *office) mailsOf(account string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.mails[account])
}

func (o *office) disconnect(match func(*sunset.Contact) bool, reason string) (ended int) {
	o.mu.Lock()
	sessions := o.sessions
	o.sessions = nil
	o.mu.Unlock()
	for _, c := range sessions {
		gone := match(&c)
		o.mu.Lock()
		if gone {
			o.byes = append(o.byes, c.Account+": "+reason)
			ended++
		} else {
			o.sessions = append(o.sessions, c)
		}
		o.mu.Unlock()
	}
	return ended
}

func (o *office) troubleOf(c sunset.Condition) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.trouble[c]
}

// told lists what was recorded, shortly.
func (o *office) told() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []string
	for _, e := range o.events {
		all = append(all, strings.Join(strings.Fields(fmt.Sprintf("%s %s by %s", e.What, e.To, e.By)), " "))
	}
	return all
}

// comes has somebody come by a port, as a modern program does.
func (o *office) comes(account, port string) (alert string, refused bool) {
	return o.arrives(sunset.Contact{Account: account, Port: port, TLS: "TLS 1.3", Mechanism: "SCRAM-SHA-256"})
}

// arrives has somebody come, unless the port turns everybody away, and has the
// inventory see it.
func (o *office) arrives(c sunset.Contact) (alert string, turned bool) {
	c.Remote = netip.MustParseAddr("192.168.7.20")
	if !o.settings.serves(c.Port) {
		return "closed", true
	}
	if bye := o.Turned(c.Port, c.Remote); bye != "" {
		return bye, true
	}
	alerts, refused := o.Arrived(&c)
	o.inventory.mu.Lock()
	defer o.inventory.mu.Unlock()
	if !refused {
		o.inventory.traffic = append(o.inventory.traffic, moment{o.now(), c.Port, false})
		o.inventory.uses = append(o.inventory.uses, sunset.Use{Contact: c, Device: "scanner", Program: "Scan 1.0", First: o.now(), Last: o.now(), Sessions: 1})
	}
	return strings.Join(alerts, "\n"), refused
}

// uses has the inventory know of something that the planner did not see.
func (o *office) uses(u ...sunset.Use) {
	o.inventory.mu.Lock()
	defer o.inventory.mu.Unlock()
	o.inventory.uses = append(o.inventory.uses, u...)
}

// leaves removes an account.
func (o *office) leaves(account string) {
	o.mu.Lock()
	o.gone = account
	o.mu.Unlock()
	o.inventory.mu.Lock()
	defer o.inventory.mu.Unlock()
	o.inventory.uses = slices.DeleteFunc(o.inventory.uses, func(u sunset.Use) bool { return u.Account == account })
}

// fails has sign-ins fail.
func (o *office) fails(port string, n int) {
	o.inventory.mu.Lock()
	defer o.inventory.mu.Unlock()
	for range n {
		o.inventory.traffic = append(o.inventory.traffic, moment{o.now(), port, true})
	}
}

// stands fails the test unless a plan is where it is expected.
func (o *office) stands(k sunset.Kind, place string) sunset.Status {
	o.t.Helper()
	s, err := o.Status(k)
	if err != nil {
		o.t.Fatal(err)
	}
	if s.Place != place {
		o.t.Errorf("%s is at %s, want %s (hold %+v, check %+v)", k, s.Place, place, s.Hold, s.Check)
	}
	return s
}

// must makes a test fail for an error.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

const hour, day = time.Hour, 24 * time.Hour

// usual is a plan with a pilot and two phases, in a week each.
func usual(k sunset.Kind) *sunset.Spec {
	begin := time.Now()
	return &sunset.Spec{Kind: k, Why: "the port is registered for something else", Steps: []sunset.Step{
		{Stage: sunset.Announce, Begins: begin.Add(day)},
		{Stage: sunset.Pilot, Begins: begin.Add(8 * day), Who: sunset.Who{People: []string{ada}}},
		{Stage: sunset.Phase, Begins: begin.Add(15 * day), Who: sunset.Who{People: []string{staff}}},
		{Stage: sunset.Phase, Begins: begin.Add(22 * day), Who: sunset.Who{Networks: []netip.Prefix{netip.MustParsePrefix("192.168.7.0/24")}}},
		{Stage: sunset.Closed, Begins: begin.Add(29 * day)},
	}}
}
