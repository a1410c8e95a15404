package config

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"pillarbox/netcfg/policy"
)

// Proposal is a change that somebody wants.
type Proposal struct {
	Document Document
	By       string // as whom they were authenticated
	Why      string
	Now      bool // do not wait for the window
}

// maxWhy bounds a reason in octets.
const maxWhy = 1000

// Propose has a document applied, or waits with it for the window in which
// changes are allowed. The change is to be confirmed with the ID that the
// answer has; see Confirm.
func (m *Manager) Propose(ctx context.Context, p *Proposal) (Pending, []Report, error) {
	return m.propose(ctx, p, nil, WasProposed)
}

// Restore proposes the document of an earlier version.
func (m *Manager) Restore(ctx context.Context, number int, by, why string, now bool) (Pending, []Report, error) {
	v, err := m.Version(number)
	if err != nil {
		return Pending{}, nil, err
	}
	if why == "" {
		why = fmt.Sprintf("back to version %d", number)
	}

	return m.propose(ctx, &Proposal{Document: v.Document, By: by, Why: why, Now: now}, nil, WasRestored)
}

var errLongWhy = &CheckError{"why", fmt.Errorf("longer than %d octets", maxWhy)}

// propose proposes a document, or with edit what that makes of the current one.
func (m *Manager) propose(ctx context.Context, p *Proposal, edit func(*Document) error, what What) (Pending, []Report, error) {
	if p.By == "" {
		return Pending{}, nil, ErrNoProof
	}
	if len(p.Why) > maxWhy {
		return Pending{}, nil, errLongWhy
	}
	m.acting.Lock()
	defer m.acting.Unlock()
	if other := m.Pending(); other != nil {
		return Pending{}, nil, &PendingError{*other}
	}
	current := m.Current()
	if edit != nil {
		var err error
		if p.Document, err = current.Document.clone(); err == nil {
			err = edit(&p.Document)
		}
		if err != nil {
			return Pending{}, nil, err
		}
	}
	diff, reports, err := m.plan(ctx, &p.Document)
	if err != nil {
		return Pending{}, reports, err
	}
	change := &Pending{
		ID: rand.Text(), State: Applying, Base: current.Number, Diff: diff, By: p.By, Why: p.Why, Proposed: time.Now(),
	}
	if change.Document, err = p.Document.clone(); err != nil {
		return Pending{}, reports, err
	}
	// The window that holds now counts, not the one that is proposed.
	if w := current.Document.Changes.Window; w != nil && !p.Now {
		if begins := w.next(current.Document.Office.now()); begins.After(time.Now()) {
			change.State, change.Begins = Waiting, begins
		}
	}
	event := Event{What: what, Actor: p.By, Version: current.Number, Diff: inJSON(diff), Reason: p.Why}
	if err := m.conf.Record(ctx, event); err != nil {
		return Pending{}, reports, fmt.Errorf("record the proposal: %w", err)
	}
	if err := m.recordOverride(ctx, &current.Document, p); err != nil {
		return Pending{}, reports, err
	}
	if change.State == Waiting {
		if err := m.savePending(ctx, change); err != nil {
			return Pending{}, reports, err
		}
		m.nudge()
		return *change, reports, nil
	}
	if err := m.apply(ctx, change); err != nil {
		return Pending{}, reports, err
	}

	return *m.Pending(), reports, nil
}

// recordOverride records why port 990 is to be reached from outside the LAN.
func (m *Manager) recordOverride(ctx context.Context, before *Document, p *Proposal) error {
	old, now := before.Firewall.Rule(policy.IMAPSLegacy), p.Document.Firewall.Rule(policy.IMAPSLegacy)
	if !now.Public() || old.Public() && old.Override == now.Override {
		return nil
	}
	if err := m.conf.Record(ctx, Event{What: WasOverridden, Actor: p.By, Reason: now.Override}); err != nil {
		return fmt.Errorf("record why port 990 is opened: %w", err)
	}

	return nil
}

// early tells whether a change waits for longer than its window does: the clock
// was ahead when it was proposed.
func early(p *Pending, current *Document) bool {
	w := current.Changes.Window

	return w != nil && w.next(current.Office.now()).Before(p.Begins)
}

// begin applies a change that has waited. m.acting is held.
func (m *Manager) begin(ctx context.Context, p *Pending) error {
	current := m.Current()
	if w := current.Document.Changes.Window; w != nil {
		// The box may have been off, or its clock wrong, when the time came.
		if begins := w.next(current.Document.Office.now()); begins.After(time.Now()) {
			p.Begins = begins
			return m.savePending(ctx, p)
		}
	}
	diff, _, err := m.plan(ctx, &p.Document)
	if err != nil {
		return m.takeBack(ctx, p, theBox, "when its time came: "+err.Error())
	}
	p.Diff, p.Base = diff, current.Number

	return m.apply(ctx, p)
}

// apply has a change applied for a while. m.acting is held.
func (m *Manager) apply(ctx context.Context, p *Pending) error {
	p.State, p.Begins = Applying, time.Time{}
	if err := m.savePending(ctx, p); err != nil {
		return err
	}
	current := m.Current()
	// The time that holds now counts: a change must not shorten it for itself.
	within := current.Document.Changes.Within()
	trial := &Trial{ID: p.ID, From: &current.Document, To: &p.Document, For: within}
	for _, a := range m.conf.Appliers {
		notes, err := a.Try(ctx, trial)
		p.Notes = append(p.Notes, notes...)
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			// What was done is undone also for a caller that has gone.
			ctx = context.WithoutCancel(ctx)
			err = &CheckError{a.Name(), err}
			return errors.Join(err, m.takeBack(ctx, p, theBox, "it could not be applied: "+err.Error()))
		}
	}
	applied := time.Now()
	p.State, p.Ends = Applied, applied.Add(within).In(current.Document.Office.Place())
	if err := m.savePending(ctx, p); err != nil {
		return errors.Join(err, m.takeBack(context.WithoutCancel(ctx), p, theBox, "it could not be written down"))
	}
	m.mu.Lock()
	m.applied = applied
	m.mu.Unlock()
	m.nudge()
	m.log.InfoContext(ctx, "configuration applied, to be confirmed", "change", p.ID, "by", p.By, "until", p.Ends.Format(time.RFC3339))
	m.record(ctx, Event{What: WasApplied, Actor: p.By, Version: p.Base, Diff: inJSON(p.Diff), Reason: p.Why})

	return nil
}

// Confirm makes the change that is applied a version. The proof must show that
// whoever applied it can still reach the box.
func (m *Manager) Confirm(ctx context.Context, id string, proof Proof) (Version, error) {
	m.acting.Lock()
	defer m.acting.Unlock()
	p := m.Pending()
	m.mu.Lock()
	applied := m.applied
	m.mu.Unlock()
	switch {
	case p == nil:
		return Version{}, m.nothingPending()
	case id != "" && id != p.ID:
		return Version{}, ErrOther
	case p.State != Applied:
		return Version{}, ErrNotApplied
	case proof.By == "":
		return Version{}, ErrNoProof
	case !proof.Began.After(applied):
		return Version{}, ErrOldProof
	case !time.Now().Before(p.Ends):
		return Version{}, ErrOther
	}
	if err := m.testify(ctx, p); err != nil {
		return Version{}, err
	}
	v := Version{
		Number: m.number(), Document: p.Document, By: p.By, Why: p.Why, Confirmed: time.Now(), ConfirmedBy: proof.By,
	}
	if err := m.saveVersion(ctx, &v, nil); err != nil {
		return Version{}, fmt.Errorf("confirm the change: %w", err)
	}
	ctx = context.WithoutCancel(ctx)
	m.hold(ctx, false)
	m.nudge()
	m.log.InfoContext(ctx, "configuration confirmed", "version", v.Number, "by", proof.By)
	m.record(ctx, Event{What: WasConfirmed, Actor: proof.By, Version: v.Number, Diff: inJSON(p.Diff), Reason: p.Why})

	return v, nil
}

// testify finds out whether what is to be confirmed still holds. m.acting is
// held.
func (m *Manager) testify(ctx context.Context, p *Pending) error {
	for _, a := range m.conf.Appliers {
		w, ok := a.(Witness)
		if !ok {
			continue
		}
		tries, err := w.Trying(ctx, p.ID)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrUnsure, a.Name(), err)
		}
		if !tries {
			// What others apply goes the same way.
			return errors.Join(ErrGone, m.takeBack(context.WithoutCancel(ctx), p, theBox, a.Name()+" has taken it back"))
		}
	}

	return nil
}

// Revert takes the change that is on its way back at once.
func (m *Manager) Revert(ctx context.Context, id, by string) error {
	m.acting.Lock()
	defer m.acting.Unlock()
	p := m.Pending()
	switch {
	case p == nil:
		return m.nothingPending()
	case id != "" && id != p.ID:
		return ErrOther
	}

	return m.takeBack(context.WithoutCancel(ctx), p, by, "it was taken back")
}

// takeBack makes the confirmed document hold again and then forgets the change:
// if it comes to nothing, the next start does it. m.acting is held.
func (m *Manager) takeBack(ctx context.Context, p *Pending, by, reason string) error {
	if p.State != Waiting {
		m.hold(ctx, true)
	}
	if err := m.forgetPending(ctx, &ended{time.Now(), reason}); err != nil {
		return fmt.Errorf("take the change back: %w", err)
	}
	m.nudge()
	m.tookBack(ctx, p, by, reason)

	return nil
}

// tookBack tells that a change was taken back.
func (m *Manager) tookBack(ctx context.Context, p *Pending, by, reason string) {
	m.log.WarnContext(ctx, "a change of the configuration is taken back", "change", p.ID, "by", by, "reason", reason)
	m.record(ctx, Event{What: WasReverted, Actor: by, Version: p.Base, Diff: inJSON(p.Diff), Reason: reason})
}

func inJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}

	return string(b)
}
