package restart

import "time"

// maxStarts is how many starts are remembered.
const maxStarts = 10

// Why says why a run began: how the one before it ended.
type Why string

// The reasons.
const (
	First     Why = "first"     // there was none before
	Restarted Why = "restart"   // the machine was told to start anew
	Off       Why = "off"       // it was told to switch off, and switched on again
	Stopped   Why = "stopped"   // the program was told to end
	Failed    Why = "error"     // it ended by an error that it tells
	Crashed   Why = "crash"     // it broke down
	Killed    Why = "killed"    // it was, by somebody or for want of memory
	PowerCut  Why = "power-cut" // the machine stopped without a word, as by its kernel's fault
	Unknown   Why = "unknown"
)

// Start is when a run began, and why.
type Start struct {
	Time    time.Time `json:"time"`
	Version string    `json:"version"`
	Why     Why       `json:"why"`
	// Reason is by whom the machine was ordered to, or what went wrong.
	Reason  string `json:"reason,omitempty"`
	Machine bool   `json:"machine,omitempty"` // the machine itself had started anew
	// Stopped is when the run before came to its end, zero if that is not known.
	Stopped time.Time `json:"stopped,omitzero"`
}

// next tells why a run that begins in a boot comes after this one, which may have
// broken down.
func (rec *record) next(crash *Crash, boot string) Start {
	s := Start{Stopped: rec.Stopped, Machine: rec.Boot != boot}
	switch {
	case crash != nil:
		s.Why, s.Reason = Crashed, crash.Reason
	case rec.Order != "" && s.Machine:
		s.Why, s.Reason = Why(rec.Order), rec.OrderBy
	case rec.Ended && rec.Reason == "":
		s.Why = Stopped
	case rec.Ended:
		s.Why, s.Reason = Failed, rec.Reason
	case s.Machine:
		s.Why = PowerCut
	default:
		s.Why = Killed
	}

	return s
}

// Order notes, before it is given, an order that ends this run and its machine;
// an empty one says that it was not taken.
func (r *Run) Order(order, by string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rec.Order, r.rec.OrderBy = order, by[:min(len(by), maxReason)]

	return r.write()
}
