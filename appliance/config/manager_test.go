package config_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/config"
	"pillarbox/netcfg/policy"
	"pillarbox/storage"
)

// disk is what outlives the box: a system database as it is on one.
type disk struct {
	dir   string
	store *storage.Store

	power *power

	mu    sync.Mutex
	saves int
	full  bool
}

// power is cut at some moment, if it is: nothing happens from then on.
type power struct {
	mu     sync.Mutex
	lasts  int // for so many moments; 0 means for ever
	passed int
}

var errPower = errors.New("the power is cut")

// moment lets one pass.
func (p *power) moment() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed++
	if p.lasts > 0 && p.passed >= p.lasts {
		return errPower
	}
	return nil
}

// during lets one moment pass before f and one behind it.
func (p *power) during(f func() error) error {
	if err := p.moment(); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return p.moment()
}

// mount opens it, as a start does.
func (d *disk) mount(t *testing.T) {
	t.Helper()
	var err error
	if d.store, err = storage.Open(t.Context(), &storage.Config{Dir: d.dir, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
}

func (d *disk) Load(f func(key string, value []byte) error) error {
	return d.store.System().View(func(tx *storage.SystemTx) error { return tx.All("config", f) })
}

func (d *disk) Save(ctx context.Context, changes map[string][]byte) error {
	d.mu.Lock()
	d.saves++
	full := d.full
	d.mu.Unlock()
	if full {
		return errors.New("the disk is full")
	}
	return d.power.during(func() error {
		return d.store.System().Update(ctx, func(tx *storage.SystemTx) error {
			var errs []error
			for k, v := range changes {
				if v == nil {
					errs = append(errs, tx.Delete("config", k))
				} else {
					errs = append(errs, tx.Put("config", k, v))
				}
			}
			return errors.Join(errs...)
		})
	})
}

// world is what the configuration is applied to; it notes what was done.
type world struct {
	mu      sync.Mutex
	name    string
	holds   config.Document
	trial   string
	said    []string
	refuses error // by Check
	fails   error // by Try
	away    error // by everything
	newer   *config.Document
	mark    string
	leaves  bool // after it has borne witness

	power *power
	kept  config.Document // outlives a power cut
}

func (w *world) Name() string { return w.name }

func (w *world) Check(context.Context, *config.Document, *config.Document) (config.Report, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return config.Report{Steps: []string{"step"}}, w.refuses
}

func (w *world) Try(_ context.Context, t *config.Trial) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, "try")
	if err := errors.Join(w.fails, w.away); err != nil {
		return nil, err
	}
	return []string{"tried"}, w.power.during(func() error {
		w.holds, w.trial = *t.To, t.ID
		return nil
	})
}

func (w *world) Hold(_ context.Context, d *config.Document) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away != nil {
		return w.away
	}
	w.said = append(w.said, "hold")
	return w.power.during(func() error {
		w.holds, w.kept, w.trial = *d, *d, ""
		return nil
	})
}

// restart is what a power cut does to it.
func (w *world) restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holds, w.trial = w.kept, ""
}

func (w *world) Newer(_ context.Context, _ *config.Document, taken string) (*config.Found, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away != nil || w.newer == nil || taken == w.mark {
		return nil, w.away
	}
	return &config.Found{Document: *w.newer, By: "a file", Mark: w.mark}, nil
}

func (w *world) Trying(_ context.Context, id string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.away
	if w.leaves {
		w.away = errors.New("it restarts")
	}
	return w.trial == id, err
}

func (w *world) within() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.holds.Changes.ConfirmWithin
}

// box is a Manager with what it works on.
type box struct {
	*config.Manager
	t      *testing.T
	power  *power
	disk   *disk
	world  *world
	other  *world
	events []string
	stop   func()
}

func newBox(t *testing.T) *box {
	p := &power{}
	b := &box{
		t: t, power: p, disk: &disk{dir: filepath.Join(t.TempDir(), "data"), power: p},
		world: &world{name: "world", power: p}, other: &world{name: "other", power: p},
	}
	b.start()
	return b
}

// start starts the box, after a crash too.
func (b *box) start() {
	b.t.Helper()
	b.disk.mount(b.t)
	m, err := config.Open(b.t.Context(), &config.Config{
		Logger: slog.New(slog.NewTextHandler(b.t.Output(), nil)), Store: b.disk, Appliers: []config.Applier{b.world, b.other},
		Record: func(_ context.Context, e config.Event) error {
			b.events = append(b.events, fmt.Sprintf("%s by %s %s", e.What, e.Actor, e.Reason))
			return nil
		},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.Manager = m
	if err := m.Start(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.Run(ctx)
	}()
	b.stop = func() {
		cancel()
		<-done
		if err := b.disk.store.Close(); err != nil {
			b.t.Error(err)
		}
	}
}

// document is one that is told from others by a number.
func document(within int) config.Document {
	d := config.Default()
	d.Changes.ConfirmWithin = within
	return d
}

func (b *box) propose(within int) config.Pending {
	b.t.Helper()
	p, _, err := b.Propose(b.t.Context(), &config.Proposal{Document: document(within), By: "anna", Why: "test"})
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (b *box) holds(within, version int) {
	b.t.Helper()
	if b.world.within() != within || b.other.within() != within || b.Current().Number != version {
		b.t.Errorf("%d and %d hold at version %d; want %d at version %d",
			b.world.within(), b.other.within(), b.Current().Number, within, version)
	}
}

func now() config.Proof { return config.Proof{By: "anna", Began: time.Now()} }

func TestAChangeIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		b.holds(90, 1)
		p := b.propose(120)
		if got := p.Ends.Sub(p.Proposed); p.State != config.Applied || got != 90*time.Second || !slices.Equal(p.Notes, []string{"tried", "tried"}) {
			t.Errorf("pending: %+v, ends after %v", p, got)
		}
		b.holds(120, 1)
		time.Sleep(30 * time.Second)
		v, err := b.Confirm(t.Context(), p.ID, now())
		if err != nil || v.Number != 2 || v.By != "anna" || v.Why != "test" {
			t.Errorf("confirmed: %+v, %v", v, err)
		}
		time.Sleep(time.Hour)
		b.holds(120, 2)
		b.stop()
		b.start()
		b.holds(120, 2)
		want := []string{"proposed by anna test", "applied by anna test", "confirmed by anna test"}
		if diff := cmp.Diff(want, b.events); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestWhatNobodyConfirmsIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		p := b.propose(120)
		time.Sleep(90*time.Second + time.Millisecond)
		synctest.Wait()
		b.holds(90, 1)
		if _, err := b.Confirm(t.Context(), p.ID, now()); !errors.Is(err, config.ErrNoPending) {
			t.Errorf("confirmed too late: %v", err)
		}
		if last := b.events[len(b.events)-1]; !strings.HasPrefix(last, "reverted by the box") {
			t.Errorf("recorded: %q", b.events)
		}
	})
}

func TestOnlyANewConnectionOfSomebodyKnownConfirms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		old := now()
		time.Sleep(time.Second)
		p := b.propose(120)
		for _, tc := range []struct {
			id    string
			proof config.Proof
			want  error
		}{
			{p.ID, old, config.ErrOldProof},
			{p.ID, config.Proof{By: "anna"}, config.ErrOldProof},
			{p.ID, config.Proof{Began: time.Now().Add(time.Second)}, config.ErrNoProof},
			{"other", now(), config.ErrOther},
		} {
			if _, err := b.Confirm(t.Context(), tc.id, tc.proof); !errors.Is(err, tc.want) {
				t.Errorf("%+v: %v, want %v", tc.proof, err, tc.want)
			}
		}
		b.holds(120, 1)
	})
}

func TestOneChangeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		p := b.propose(120)
		var pending *config.PendingError
		_, _, err := b.Propose(t.Context(), &config.Proposal{Document: document(150), By: "ben"})
		if !errors.As(err, &pending) || pending.Pending.ID != p.ID || !strings.Contains(err.Error(), "anna") {
			t.Errorf("a second change: %v", err)
		}
		if err := b.Revert(t.Context(), p.ID, "ben"); err != nil {
			t.Error(err)
		}
		b.holds(90, 1)
		b.propose(150)
	})
}

func TestWhatIsRefusedChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		open := config.Default()
		open.Firewall.Services[policy.IMAPSLegacy] = policy.Rule{From: policy.Anyone}
		b.world.said = nil
		for name, d := range map[string]config.Document{"nothing new": document(90), "out of bounds": document(5), "port 990 for all": open} {
			if p, _, err := b.Propose(t.Context(), &config.Proposal{Document: d, By: "anna"}); err == nil {
				t.Errorf("%s: %+v", name, p)
			}
		}
		b.other.refuses = errors.New("no")
		if _, _, err := b.Propose(t.Context(), &config.Proposal{Document: document(120), By: "anna"}); err == nil {
			t.Error("what an applier refuses is applied")
		}
		b.other.refuses, b.other.fails = nil, errors.New("it burns")
		_, _, err := b.Propose(t.Context(), &config.Proposal{Document: document(120), By: "anna"})
		if err == nil || !strings.Contains(err.Error(), "it burns") || b.Pending() != nil {
			t.Errorf("%v, pending %v", err, b.Pending())
		}
		b.holds(90, 1)
		if want := []string{"try", "hold"}; !slices.Equal(b.world.said, want) {
			t.Errorf("the world was told %q, want %q", b.world.said, want)
		}
	})
}

func TestAChangeWaitsForItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t) // 2000-01-01 00:00 UTC, a Saturday
		defer func() { b.stop() }()
		d := document(120)
		d.Changes.Window = &config.Window{Days: []string{"sun"}, From: "22:00", To: "02:00"}
		p, _, err := b.Propose(t.Context(), &config.Proposal{Document: d, By: "anna"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, err := b.Confirm(t.Context(), p.ID, now()); err != nil {
			t.Fatal(err)
		}
		d.Changes.ConfirmWithin = 150
		p, _, err = b.Propose(t.Context(), &config.Proposal{Document: d, By: "anna"})
		if err != nil || p.State != config.Waiting || p.Begins.Format(time.DateTime) != "2000-01-02 22:00:00" {
			t.Fatalf("%+v, %v", p, err)
		}
		b.holds(120, 2)
		if _, err := b.Confirm(t.Context(), p.ID, now()); !errors.Is(err, config.ErrNotApplied) {
			t.Errorf("confirmed before it was applied: %v", err)
		}
		b.stop()
		b.start() // a restart does not forget it
		time.Sleep(46*time.Hour + time.Second)
		synctest.Wait()
		b.holds(150, 2)
		if _, err := b.Confirm(t.Context(), p.ID, now()); err != nil {
			t.Error(err)
		}
		d.Changes.ConfirmWithin = 180
		if p, _, err = b.Propose(t.Context(), &config.Proposal{Document: d, By: "anna", Now: true}); err != nil || p.State != config.Applied {
			t.Errorf("in the window: %+v, %v", p, err)
		}
	})
}

func TestAnEarlierVersionIsRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		for _, within := range []int{120, 150} {
			p := b.propose(within)
			time.Sleep(time.Second)
			if _, err := b.Confirm(t.Context(), p.ID, now()); err != nil {
				t.Fatal(err)
			}
		}
		p, _, err := b.Restore(t.Context(), 2, "anna", "", false)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, err := b.Confirm(t.Context(), p.ID, now()); err != nil {
			t.Fatal(err)
		}
		b.holds(120, 4)
		if _, _, err := b.Restore(t.Context(), 99, "anna", "", false); !errors.Is(err, config.ErrNoVersion) {
			t.Errorf("version 99: %v", err)
		}
	})
}

func TestWhyPort990IsOpenedIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		d := config.Default()
		d.Firewall.Services[policy.IMAPSLegacy] = policy.Rule{
			From: policy.Networks, Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, Override: "the branch office's scanner",
		}
		if _, _, err := b.Propose(t.Context(), &config.Proposal{Document: d, By: "anna"}); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(b.events, "overridden by anna the branch office's scanner") {
			t.Errorf("recorded: %q", b.events)
		}
	})
}
