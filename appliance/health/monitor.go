package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// tick is how often the Monitor looks whether its checks come back.
const tick = time.Second

// Check is a question that the program puts to itself.
type Check struct {
	Kind  *Kind // the condition while it fails
	Every time.Duration
	// Limit is the time that Run may take; at twice that the check hangs.
	Limit time.Duration
	// Strikes is how many failures in a row that a restart mends make the
	// program sick; 0 means that none do.
	Strikes int
	Run     func(ctx context.Context) error
}

// mendable marks an error that goes away with a restart.
type mendable struct{ error }

func (m mendable) Unwrap() error { return m.error }

// Mendable marks the error of a check as one that a restart mends.
func Mendable(err error) error {
	if err == nil {
		return nil
	}

	return mendable{err}
}

// IsMendable tells whether a restart mends what err is about.
func IsMendable(err error) bool { return errors.As(err, new(mendable)) }

// SickError says why the program has to be started again.
type SickError struct{ Reason string }

// Error implements error.
func (e *SickError) Error() string { return "the program is sick: " + e.Reason }

// Monitor runs the checks.
type Monitor struct {
	Tracker *Tracker     // must not be nil
	Logger  *slog.Logger // must not be nil
	Checks  []Check

	// Beat is called about every BeatEvery while no check hangs, for a
	// watchdog; nil means that nobody watches.
	Beat      func()
	BeatEvery time.Duration
}

// watched is a check and how it is.
type watched struct {
	*Check

	mu      sync.Mutex
	begun   time.Time // zero while it does not run
	strikes int
	last    error
}

// Run checks until ctx is cancelled, or until the program is sick: then it
// returns a *SickError, and does not wait for a check that hangs.
func (m *Monitor) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all := make([]*watched, len(m.Checks))
	for i := range m.Checks {
		all[i] = &watched{Check: &m.Checks[i]}
		go m.repeat(ctx, all[i])
	}
	t := time.NewTicker(tick)
	defer t.Stop()
	beaten := time.Time{}
	for {
		for _, w := range all {
			if reason := w.sick(); reason != "" {
				return &SickError{Reason: reason}
			}
		}
		if m.Beat != nil && time.Since(beaten) >= m.BeatEvery {
			m.Beat()
			beaten = time.Now()
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (m *Monitor) repeat(ctx context.Context, w *watched) {
	t := time.NewTicker(w.Every)
	defer t.Stop()
	for {
		if ctx.Err() != nil { // of a tick and the end, either may be taken
			return
		}
		err := w.run(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			m.Logger.DebugContext(ctx, "check failed", "condition", w.Kind.Name, "err", err)
			m.Tracker.Set(w.Kind, err.Error())
		} else {
			m.Tracker.Clear(w.Kind)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w *watched) run(ctx context.Context) error {
	w.mu.Lock()
	w.begun = time.Now()
	w.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, w.Limit)
	defer cancel()
	err := w.Run(limited)

	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun = time.Time{}
	w.last = err
	if IsMendable(err) {
		w.strikes++
	} else {
		w.strikes = 0
	}

	return err
}

// sick returns why the check makes the program sick, "" if it does not.
func (w *watched) sick() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.begun.IsZero() && time.Since(w.begun) >= 2*w.Limit:
		return fmt.Sprintf("%s: no answer for %v", w.Kind.Title, time.Since(w.begun).Round(time.Second))
	case w.Strikes > 0 && w.strikes >= w.Strikes:
		return fmt.Sprintf("%s: %d times in a row: %v", w.Kind.Title, w.strikes, w.last)
	}

	return ""
}
