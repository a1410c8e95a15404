package config

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Version is a document that was confirmed.
type Version struct {
	Number    int       `json:"number"`
	Document  Document  `json:"document"`
	By        string    `json:"by"`  // who proposed it
	Why       string    `json:"why"` // in their words; may be empty
	Confirmed time.Time `json:"confirmed"`
	// ConfirmedBy is who confirmed it: the box itself for what it began with.
	ConfirmedBy string `json:"confirmed_by"`
}

// State is how far a change has come.
type State string

// States of a change.
const (
	Waiting  State = "waiting"  // for the window in which changes are allowed
	Applying State = "applying" // and, after a crash, perhaps applied
	Applied  State = "applied"  // and waiting to be confirmed
)

// Pending is a change on its way.
type Pending struct {
	ID       string    `json:"id"`
	State    State     `json:"state"`
	Document Document  `json:"document"`
	Base     int       `json:"base"` // the version that it changes
	Diff     []Change  `json:"diff"`
	By       string    `json:"by"`
	Why      string    `json:"why"`
	Proposed time.Time `json:"proposed"`
	// Begins is when a waiting change is applied.
	Begins time.Time `json:"begins,omitzero"`
	// Ends is when an applied change takes itself back.
	Ends time.Time `json:"ends,omitzero"`
	// Notes are what those who applied it had to say.
	Notes []string `json:"notes,omitempty"`
}

// Errors of a Manager.
var (
	ErrUnchanged  = errors.New("nothing would change")
	ErrNoPending  = errors.New("no change is pending")
	ErrNoVersion  = errors.New("there is no such version")
	ErrOldProof   = errors.New("the connection is older than the change: open a new one to confirm it")
	ErrNoProof    = errors.New("nobody says who confirms the change")
	ErrOther      = errors.New("that change is no longer pending")
	ErrNotApplied = errors.New("the change is not applied yet")
	ErrUnsure     = errors.New("it cannot be found out whether the change still holds")
	ErrGone       = errors.New("the change has taken itself back already: apply it again")
)

// PendingError refuses a change because another is on its way.
type PendingError struct{ Pending Pending }

func (e *PendingError) Error() string {
	said := e.Pending.String()
	switch e.Pending.State {
	case Waiting:
		return said + ": take it back first"
	case Applying:
		return said + ": wait a moment"
	case Applied:
	}

	return said + ": confirm it or take it back first"
}

// String says what is on its way, and for how long.
func (p *Pending) String() string {
	what := fmt.Sprintf("a change by %s (%s)", p.By, p.summary())
	switch p.State {
	case Waiting:
		return fmt.Sprintf("%s waits for %s", what, p.Begins.Format(time.DateTime))
	case Applying:
		return what + " is being applied or taken back"
	case Applied:
	}

	return fmt.Sprintf("%s is to be confirmed until %s, for another %s",
		what, p.Ends.Format(time.TimeOnly), max(0, time.Until(p.Ends)).Round(time.Second))
}

// summary says shortly what a change is about.
func (p *Pending) summary() string {
	switch len(p.Diff) {
	case 0:
		return "of nothing"
	case 1:
		return cmp.Or(p.Diff[0].Label, p.Diff[0].Path)
	}

	return fmt.Sprintf("%s and %d more", cmp.Or(p.Diff[0].Label, p.Diff[0].Path), len(p.Diff)-1)
}

// CheckError says that a document cannot be applied.
type CheckError struct {
	Applier string
	Err     error
}

func (e *CheckError) Error() string { return e.Applier + ": " + e.Err.Error() }
func (e *CheckError) Unwrap() error { return e.Err }
