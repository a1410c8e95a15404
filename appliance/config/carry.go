package config

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"pillarbox/netcfg/policy"
)

// Approved is a change that was approved before its time came, so that nobody is
// there to confirm it.
type Approved struct {
	By   string // who carries it out; must not be empty
	Why  string // with who approved it
	Edit func(*Document) error
}

// ErrReach refuses to carry out a change that could keep an administrator out.
var ErrReach = errors.New("only ports for mail, how people sign in and how strict TLS is are changed without somebody who confirms it")

// Carry applies a change and makes it a version at once. It is for what cannot
// keep an administrator from reaching the box: anything else is ErrReach. Where
// the document is as wanted already, Carry returns the version that is current.
// The window is the caller's matter.
func (m *Manager) Carry(ctx context.Context, a *Approved) (Version, error) {
	return m.settle(ctx, a, harmless)
}

// settle applies a change and makes it a version, if it may go that way.
func (m *Manager) settle(ctx context.Context, a *Approved, may func(from, to *Document) bool) (Version, error) {
	if a.By == "" {
		return Version{}, ErrNoProof
	}
	m.acting.Lock()
	defer m.acting.Unlock()
	if other := m.Pending(); other != nil {
		return Version{}, &PendingError{*other}
	}
	current := m.Current()
	d, err := current.Document.clone()
	if err != nil {
		return Version{}, err
	}
	if err := a.Edit(&d); err != nil {
		return Version{}, err
	}
	if !may(&current.Document, &d) {
		return Version{}, ErrReach
	}
	diff, _, err := m.plan(ctx, &d)
	if errors.Is(err, ErrUnchanged) {
		return current, nil
	}
	if err != nil {
		return Version{}, err
	}
	change := &Pending{
		ID: rand.Text(), State: Applying, Base: current.Number, Document: d, Diff: diff, By: a.By, Why: a.Why, Proposed: time.Now(),
	}
	if err := m.conf.Record(ctx, Event{What: WasProposed, Actor: a.By, Version: current.Number, Diff: inJSON(diff), Reason: a.Why}); err != nil {
		return Version{}, fmt.Errorf("record the change: %w", err)
	}
	if err := m.apply(ctx, change); err != nil {
		return Version{}, err
	}
	v := Version{Number: m.number(), Document: d, By: a.By, Why: a.Why, Confirmed: time.Now(), ConfirmedBy: a.By}
	if err := m.saveVersion(ctx, &v, nil); err != nil {
		err = fmt.Errorf("keep the change: %w", err)
		return Version{}, errors.Join(err, m.takeBack(context.WithoutCancel(ctx), change, theBox, "it could not be written down"))
	}
	ctx = context.WithoutCancel(ctx)
	m.hold(ctx, false)
	m.nudge()
	m.log.InfoContext(ctx, "configuration changed as was approved before", "version", v.Number, "by", v.By)
	m.record(ctx, Event{What: WasConfirmed, Actor: a.By, Version: v.Number, Diff: inJSON(diff), Reason: a.Why})

	return v, nil
}

// SetPort opens or closes one of the ports for IMAP, named as in SignInPorts. With
// firewall its rule goes along: nobody reaches it, or who did in another document.
func (d *Document) SetPort(name string, open, firewall bool, like *Document) {
	service := policy.IMAPS
	if name == string(policy.IMAPSLegacy) {
		service = policy.IMAPSLegacy
		d.Ports.IMAPSLegacy = open
	} else {
		d.Ports.NoIMAPS = !open
	}
	switch {
	case !firewall:
	case open:
		d.Firewall.Services[service] = like.Firewall.Services[service]
	default:
		d.Firewall.Services[service] = policy.Rule{From: policy.Nobody}
	}
}

// Reachable tells whether one of the ports for IMAP, named as in SignInPorts, is
// open, with firewall also to anybody.
func (d *Document) Reachable(name string, firewall bool) bool {
	service, open := policy.IMAPS, !d.Ports.NoIMAPS
	if name == string(policy.IMAPSLegacy) {
		service, open = policy.IMAPSLegacy, d.Ports.IMAPSLegacy
	}

	return open && (!firewall || d.Firewall.Rule(service).From != policy.Nobody)
}

// harmless tells whether two documents differ in nothing by which an
// administrator reaches the box.
func harmless(from, to *Document) bool {
	a, errA := from.clone()
	b, errB := to.clone()
	if errA != nil || errB != nil {
		return false
	}
	for _, d := range []*Document{&a, &b} {
		d.Ports.NoIMAPS, d.Ports.IMAPSLegacy = false, false
		d.SignIn.Rules, d.Certificate.Policy = nil, ""
		delete(d.Firewall.Services, policy.IMAPS)
		delete(d.Firewall.Services, policy.IMAPSLegacy)
	}

	return len(Diff(&a, &b)) == 0
}
