package config

import (
	"context"
	"time"
)

// Applier is who makes a part of a document hold. Its methods are called one
// at a time.
type Applier interface {
	Name() string
	// Check says what a document would change and what stands in its way,
	// without changing anything that others notice. An error refuses it.
	Check(ctx context.Context, from, to *Document) (Report, error)
	// Try makes a document hold for a while. The applier goes back by itself
	// after that time if it can, in case that the Manager is no more.
	Try(ctx context.Context, t *Trial) (notes []string, err error)
	// Hold makes a confirmed document hold for good, whatever was tried before.
	// It is called often, and does nothing where nothing is to be done.
	Hold(ctx context.Context, d *Document) error
}

// Source is an Applier that may know of a document that somebody has put onto
// the box's disk, to get back in. It is asked before each Hold.
type Source interface {
	// Newer returns such a document, made of the current one, unless it is that
	// with the mark that was taken last; nil means that there is none.
	Newer(ctx context.Context, current *Document, taken string) (*Found, error)
}

// Found is a document that was found on the box's disk.
type Found struct {
	Document Document
	By       string // where it was
	Mark     string // by which it is known again
}

// Witness is an Applier that may go back by itself without the Manager.
type Witness interface {
	// Trying tells whether what was tried under an ID still holds.
	Trying(ctx context.Context, id string) (bool, error)
}

// Follower is an Applier that keeps nothing itself of what was confirmed. Where
// that is not known any more, it is told the newest version that can be read.
type Follower interface {
	Follows()
}

// Trial is a document that is to hold for a while.
type Trial struct {
	ID       string
	From, To *Document
	For      time.Duration
}

// Report is what an Applier says of a document.
type Report struct {
	Applier string   `json:"applier"`
	Steps   []string `json:"steps,omitempty"` // what would be done
	Notes   []string `json:"notes,omitempty"` // what a person should know
}

// Proof is how somebody shows that they can still reach the box.
type Proof struct {
	By    string    // as whom they were authenticated; "" means they were not
	Began time.Time // when their connection began
}

// Event is something that is to be recorded.
type Event struct {
	What    What
	Actor   string
	Version int    // that is changed, or that came of it
	Diff    string // as JSON
	Reason  string
}

// What happened.
type What string

// What can happen.
const (
	WasProposed  What = "proposed"
	WasApplied   What = "applied"
	WasConfirmed What = "confirmed"
	WasReverted  What = "reverted"
	WasRestored  What = "restored"
	// WasOverridden is port 990 being opened to more than the LAN, for a reason.
	WasOverridden What = "overridden"
)

// Store keeps keys and values durably.
type Store interface {
	// Load calls f for each key in order.
	Load(f func(key string, value []byte) error) error
	// Save puts and deletes (a nil value) all or nothing.
	Save(ctx context.Context, changes map[string][]byte) error
}
