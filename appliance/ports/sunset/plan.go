package sunset

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Plan is a Spec that is carried out.
type Plan struct {
	Spec

	By      string    `json:"by"` // who made it
	Made    time.Time `json:"made"`
	Started time.Time `json:"started,omitzero"`
	At      int       `json:"at"`    // the step that holds
	Since   time.Time `json:"since"` // when it began
	Hold    *Hold     `json:"hold,omitempty"`

	Accepted  []string   `json:"accepted,omitempty"` // who may be cut off without having been told
	Brownouts []Brownout `json:"brownouts,omitempty"`

	Way    Way  `json:"way"`              // as the settings had it last
	ByHand bool `json:"by_hand,omitzero"` // somebody changed it since the plan did

	// Base is the rate of failed sign-ins before the step, in percent.
	Base int `json:"base"`

	Outcome Outcome   `json:"outcome,omitempty"`
	Ended   time.Time `json:"ended,omitzero"`

	Decisions []Decision `json:"decisions"`
}

// Outcome is how a plan ends.
type Outcome string

// The outcomes; "" is that of a plan that goes on.
const (
	Done    Outcome = "done"
	Dropped Outcome = "dropped"
)

// Hold is a pause.
type Hold struct {
	Why  string    `json:"why"`
	By   string    `json:"by"`
	At   time.Time `json:"at"`
	Auto bool      `json:"auto,omitempty"` // by itself, because failures rose
}

// Way is whether the settings have the old way open, and which version of them,
// by whom, made it so last.
type Way struct {
	Open    bool   `json:"open"`
	Version int    `json:"version"`
	By      string `json:"by,omitempty"`
}

// Decision is something that was decided about a plan.
type Decision struct {
	At   time.Time `json:"at"`
	What What      `json:"what"`
	By   string    `json:"by"` // who approved it: a person, or the plan by itself
	Why  string    `json:"why,omitempty"`
	From string    `json:"from,omitempty"`
	To   string    `json:"to,omitempty"`
}

// What is decided.
type What string

// What can be decided.
const (
	WasMade     What = "made"
	WasStarted  What = "started"
	WasMoved    What = "moved" // to the next step
	WasPaused   What = "paused"
	WasResumed  What = "resumed"
	WasTaken    What = "rolled-back"
	WasAccepted What = "accepted"
	WasBrownout What = "brownout" // planned, begun, over, missed or cancelled
	WasOwned    What = "owned"
	WasReviewed What = "review-due"
	WasDone     What = "done"
	WasDropped  What = "dropped"
)

// maxDecisions bounds what is kept beside the audit record.
const maxDecisions = 300

// BrownoutState is how far a brown-out is.
type BrownoutState string

// The states of a brown-out.
const (
	Planned   BrownoutState = "planned"
	On        BrownoutState = "on"
	Over      BrownoutState = "over"
	Missed    BrownoutState = "missed"
	Cancelled BrownoutState = "cancelled"
)

// Brownout is a short time in which the old way is refused to everybody.
type Brownout struct {
	State  BrownoutState `json:"state"`
	Begins time.Time     `json:"begins"`
	For    Span          `json:"for"`
	By     string        `json:"by"`
	Began  time.Time     `json:"began,omitzero"`
	Ended  time.Time     `json:"ended,omitzero"`
	Tried  []string      `json:"tried,omitempty"` // who was refused
	Came   []string      `json:"came,omitempty"`  // of them, who came by the new way meanwhile
	Why    string        `json:"why,omitempty"`   // it did not take place as planned
}

// Until is when it ends at the latest.
func (b *Brownout) Until() time.Time { return b.Began.Add(time.Duration(b.For)) }

// Broke returns who tried and did not come by the new way.
func (b *Brownout) Broke() []string {
	return slices.DeleteFunc(slices.Clone(b.Tried), func(who string) bool { return slices.Contains(b.Came, who) })
}

// Person is what a plan knows of somebody.
type Person struct {
	Account     string    `json:"account"`
	Old         time.Time `json:"old,omitzero"` // when they came by the old way last
	New         time.Time `json:"new,omitzero"`
	Told        time.Time `json:"told,omitzero"` // by an ALERT, first
	Mailed      time.Time `json:"mailed,omitzero"`
	Mailing     time.Time `json:"mailing,omitzero"` // when a mail was last tried
	Refused     time.Time `json:"refused,omitzero"` // first, of the step that holds
	RefusedLast time.Time `json:"refused_last,omitzero"`
	Refusals    int       `json:"refusals,omitempty"`
}

// broken tells whether they were refused and did not come by the new way since.
func (p *Person) broken() bool { return !p.Refused.IsZero() && p.New.Before(p.Refused) }

// told tells whether they know.
func (p *Person) told() bool { return !p.Told.IsZero() || !p.Mailed.IsZero() }

func (p *Plan) step() *Step { return &p.Steps[p.At] }

// next returns the step that follows, nil if none does.
func (p *Plan) next() *Step {
	if p.At+1 < len(p.Steps) {
		return &p.Steps[p.At+1]
	}

	return nil
}

func (p *Plan) active() bool { return p.Ended.IsZero() }

// wantsOpen tells whether the settings are to have the old way open.
func (p *Plan) wantsOpen() bool { return p.Outcome == Dropped || p.next() != nil }

// announced tells whether people are told.
func (p *Plan) announced() bool { return p.active() && p.Outcome == "" && p.step().Stage != Dual }

// farewell tells whether nobody is served on the old port.
func (p *Plan) farewell() bool {
	stage := p.step().Stage

	return p.active() && p.Outcome != Dropped && p.Kind.words().port != "" && (stage == Closed || stage == Silent)
}

// brownout returns the one that is on, nil if none is.
func (p *Plan) brownout() *Brownout {
	for i := range p.Brownouts {
		if p.Brownouts[i].State == On {
			return &p.Brownouts[i]
		}
	}

	return nil
}

// scope returns who is refused at a step.
func (p *Plan) scope(at int) []Who {
	var all []Who
	for _, s := range p.Steps[:min(at+1, len(p.Steps))] {
		switch s.Stage {
		case Pilot, Phase:
			all = append(all, s.Who)
		case Closed, Silent:
			all = append(all, Who{Everybody: true})
		}
	}

	return all
}

// place names a step for decisions: "phase 2", "closed".
func (p *Plan) place(at int) string {
	if at < 0 || at >= len(p.Steps) {
		return ""
	}
	stage := p.Steps[at].Stage
	if stage != Phase {
		return string(stage)
	}
	n := 0
	for _, s := range p.Steps[:at+1] {
		if s.Stage == Phase {
			n++
		}
	}

	return fmt.Sprintf("%s %d", stage, n)
}

// decide notes a decision.
func (p *Plan) decide(d Decision) {
	p.Decisions = append(p.Decisions, d)
	if extra := len(p.Decisions) - maxDecisions; extra > 0 {
		p.Decisions = slices.Delete(p.Decisions, 1, 1+extra) // how it began is kept
	}
}

// clone returns a copy that shares nothing.
func (p *Plan) clone() *Plan {
	text, err := json.Marshal(p)
	c := &Plan{}
	if err != nil || json.Unmarshal(text, c) != nil {
		return nil // a plan is always JSON
	}

	return c
}

// valid tells whether a plan that was read can be carried out.
func (p *Plan) valid() bool {
	return slices.Contains(Kinds(), p.Kind) && len(p.Steps) > 2 && len(p.Steps) <= maxSteps+3 && p.At >= 0 && p.At < len(p.Steps) &&
		p.Steps[0].Stage == Dual && p.Steps[1].Stage == Announce
}

// chosen is a Who with its aliases resolved.
type chosen struct {
	people    map[string]bool
	networks  []netip.Prefix
	everybody bool
}

func (c *chosen) has(account string, remote netip.Addr) bool {
	remote = remote.Unmap().WithZone("")

	return c.everybody || c.people[strings.ToLower(account)] ||
		slices.ContainsFunc(c.networks, func(n netip.Prefix) bool { return n.Contains(remote) })
}
