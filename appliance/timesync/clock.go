package timesync

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Clock is a clock that can be corrected.
type Clock interface {
	Now() time.Time
	// Step sets it forward, or back, at once.
	Step(offset time.Duration) error
	// Slew corrects it over some time.
	Slew(offset time.Duration) error
}

// System is the machine's clock.
type System struct{}

// Now returns the time.
func (System) Now() time.Time { return time.Now() }

// Step sets the clock. The kernel then takes it for right, and writes it to the
// battery clock, where there is one, every eleven minutes.
func (System) Step(offset time.Duration) error {
	// ADJ_SETOFFSET adds to the clock as it is at that moment.
	change := &unix.Timex{Modes: unix.ADJ_SETOFFSET | unix.ADJ_NANO}
	whole := offset.Truncate(time.Second)
	if offset < whole {
		whole -= time.Second // the part of a second must not be negative
	}
	setTime(change, whole, offset-whole)
	if _, err := unix.Adjtimex(change); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}

	return synchronised()
}

// Slew has the kernel correct the clock by half a millisecond each second.
func (System) Slew(offset time.Duration) error {
	change := &unix.Timex{Modes: unix.ADJ_OFFSET_SINGLESHOT}
	setOffset(change, offset)
	if _, err := unix.Adjtimex(change); err != nil {
		return fmt.Errorf("slew the clock: %w", err)
	}

	return synchronised()
}

// maxError is what is claimed of the clock's accuracy; the kernel adds to it
// until it is told anew.
const maxError = 100 * time.Millisecond

// synchronised tells the kernel that the clock is right.
func synchronised() error {
	change := &unix.Timex{Modes: unix.ADJ_STATUS | unix.ADJ_MAXERROR | unix.ADJ_ESTERROR}
	setErrors(change, maxError)
	if _, err := unix.Adjtimex(change); err != nil {
		return fmt.Errorf("tell the kernel that the clock is right: %w", err)
	}

	return nil
}

// The fields have the machine's word size; only 64-bit machines are built for.

func setTime(t *unix.Timex, whole, rest time.Duration) {
	t.Time.Sec, t.Time.Usec = int64(whole/time.Second), int64(rest) // nanoseconds, by ADJ_NANO
}

func setOffset(t *unix.Timex, offset time.Duration) { t.Offset = offset.Microseconds() }

func setErrors(t *unix.Timex, e time.Duration) {
	t.Maxerror, t.Esterror = e.Microseconds(), e.Microseconds()
}
