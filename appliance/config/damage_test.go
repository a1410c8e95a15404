package config_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pillarbox/appliance/config"
)

// confirmed has a document confirmed.
func (b *box) confirmed(within int) {
	b.t.Helper()
	p := b.propose(within)
	time.Sleep(time.Second)
	if _, err := b.Confirm(b.t.Context(), p.ID, now()); err != nil {
		b.t.Fatal(err)
	}
}

// put writes something into the store of a box that is off.
func (b *box) put(key, value string) {
	b.t.Helper()
	b.disk.mount(b.t)
	err := errors.Join(b.disk.Save(b.t.Context(), map[string][]byte{key: []byte(value)}), b.disk.store.Close())
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestAVersionThatCannotBeReadKeepsNoMailServerFromStarting, and what it said
// goes on where it was applied, until somebody says what is right.
func TestAVersionThatCannotBeReadKeepsNoMailServerFromStarting(t *testing.T) {
	newer, err := json.Marshal(config.Version{Number: 3, Document: config.Document{Format: config.Format + 1}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"damaged": `{"number":3,"docu`, "of a newer release": string(newer)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBox(t)
				defer func() { b.stop() }()
				b.confirmed(120)
				b.confirmed(150)
				b.stop()
				b.put("version/0000000003", text)
				b.start()
				time.Sleep(time.Minute)
				synctest.Wait()
				b.holds(150, 2)
				for _, name := range []string{"world", "other"} {
					if err := b.Problems()[name]; err == nil || !strings.Contains(err.Error(), "version 3 of the settings") {
						t.Errorf("%s: %v", name, err)
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
				if all := b.Problems(); len(all) > 0 {
					t.Error(all)
				}
				b.stop()
				b.start()
				b.holds(120, 4)
			})
		})
	}
}

func TestWhereNoVersionCanBeReadAFileOnTheDiskHelps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		b.confirmed(120)
		b.stop()
		b.put("version/0000000001", "{")
		b.put("version/0000000002", "{")
		b.start()
		b.holds(120, 0)
		b.stop()
		d := document(200)
		b.world.newer, b.world.mark = &d, "first"
		b.start()
		b.holds(200, 3)
		b.stop()
		b.start()
		b.holds(200, 3)
	})
}

// plain is an Applier that does not go back by itself.
type plain struct {
	held, tried int
}

func (p *plain) Name() string { return "plain" }
func (p *plain) Check(context.Context, *config.Document, *config.Document) (config.Report, error) {
	return config.Report{}, nil
}
func (p *plain) Try(_ context.Context, t *config.Trial) ([]string, error) {
	p.tried = t.To.Changes.ConfirmWithin
	return nil, nil
}
func (p *plain) Hold(_ context.Context, d *config.Document) error {
	p.held, p.tried = d.Changes.ConfirmWithin, 0
	return nil
}

func TestWhatIsTriedBesideDamageIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		b.confirmed(120)
		b.confirmed(150)
		b.stop()
		b.put("version/0000000003", "{")
		b.disk.mount(t)
		defer func() { _ = b.disk.store.Close() }()
		p := &plain{}
		m, err := config.Open(t.Context(), &config.Config{Logger: slog.New(slog.DiscardHandler), Store: b.disk, Appliers: []config.Applier{p}})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Start(t.Context()); err != nil || p.held != 0 {
			t.Errorf("at the start: %+v, %v", p, err)
		}
		if _, _, err := m.Propose(t.Context(), &config.Proposal{Document: document(180), By: "anna"}); err != nil || p.tried != 180 {
			t.Fatalf("%+v, %v", p, err)
		}
		if err := m.Revert(t.Context(), "", "anna"); err != nil || p.tried != 0 || p.held != 120 {
			t.Errorf("taken back: %+v, %v", p, err)
		}
	})
}

// follower is an Applier that keeps nothing itself.
type follower struct{ plain }

func (*follower) Follows() {}

// TestWhoKeepsNothingGoesByTheNewestVersionThatCanBeRead, and it is told that it
// may not be the right one.
func TestWhoKeepsNothingGoesByTheNewestVersionThatCanBeRead(t *testing.T) {
	for name, tt := range map[string]struct {
		damaged []string
		holds   int
		said    string
	}{
		"the newest": {[]string{"version/0000000003"}, 120, "version 2 holds in its place: version 3 of the settings"},
		"all":        {[]string{"version/0000000001", "version/0000000002", "version/0000000003"}, 90, "what a fresh box has holds in its place"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBox(t)
				b.confirmed(120)
				b.confirmed(150)
				b.stop()
				for _, key := range tt.damaged {
					b.put(key, "{")
				}
				b.disk.mount(t)
				defer func() { _ = b.disk.store.Close() }()
				f := &follower{}
				m, err := config.Open(t.Context(), &config.Config{Logger: slog.New(slog.DiscardHandler), Store: b.disk, Appliers: []config.Applier{f}})
				if err != nil {
					t.Fatal(err)
				}
				if err := m.Start(t.Context()); err != nil || f.held != tt.holds {
					t.Errorf("%+v, %v", f, err)
				}
				if err := m.Problems()["plain"]; err == nil || !strings.Contains(err.Error(), tt.said) {
					t.Errorf("told: %v", err)
				}
			})
		})
	}
}

func TestAChangeThatCannotBeReadIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		b.confirmed(120)
		b.propose(150)
		b.stop()
		b.put("pending", "{")
		b.start()
		b.holds(120, 2)
		if b.Pending() != nil {
			t.Error("it is still pending")
		}
	})
}

// TestAChangeMayComeBeforeTheStart, as when the socket answers a moment earlier.
func TestAChangeMayComeBeforeTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		b.propose(120)
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, err := b.Confirm(t.Context(), "", now()); err != nil {
			t.Errorf("the change was taken back: %v", err)
		}
	})
}

// TestWhoComesTooLateIsToldWhatBecameOfTheChange, after a restart too.
func TestWhoComesTooLateIsToldWhatBecameOfTheChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		if _, err := b.Confirm(t.Context(), "", now()); !errors.Is(err, config.ErrNoPending) || strings.Contains(err.Error(), "last one") {
			t.Errorf("before there was one: %v", err)
		}
		b.propose(120)
		b.stop()
		b.start()
		b.stop()
		b.start()
		_, err := b.Confirm(t.Context(), "", now())
		if !errors.Is(err, config.ErrNoPending) || !strings.Contains(fmt.Sprint(err), "the box stopped before the change was confirmed") {
			t.Errorf("confirmed too late: %v", err)
		}
		b.confirmed(150)
		if err := b.Revert(t.Context(), "", "anna"); !errors.Is(err, config.ErrNoPending) || strings.Contains(err.Error(), "last one") {
			t.Errorf("after it was confirmed: %v", err)
		}
	})
}

// TestAChangeWaitsNoLongerThanItsWindowDoes where it was proposed by a clock
// that was ahead.
func TestAChangeWaitsNoLongerThanItsWindowDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t) // 2000-01-01 00:00 UTC, a Saturday
		defer func() { b.stop() }()
		b.weekend()
		p := b.Pending()
		b.stop()
		p.Begins = p.Begins.AddDate(36, 0, 0)
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		b.put("pending", string(text))
		b.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		if p := b.Pending(); p == nil || p.State != config.Waiting || p.Begins.Format(time.DateTime) != "2000-01-02 22:00:00" {
			t.Errorf("pending: %+v", p)
		}
		time.Sleep(46 * time.Hour)
		synctest.Wait()
		b.holds(150, 2)
	})
}
