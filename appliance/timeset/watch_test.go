package timeset_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pillarbox/appliance/timeset"
)

func watch(t *testing.T) *timeset.Watch {
	t.Helper()
	w, err := timeset.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})

	return w
}

func TestAClockThatNobodySetsIsWaitedFor(t *testing.T) {
	w := watch(t)
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := w.Wait(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("wait: %v", err)
		}
	}
}

// TestAClockThatIsSet sets the machine's clock, to what it is. That unsettles
// its time service for a while, so it must be asked for.
func TestAClockThatIsSet(t *testing.T) {
	if os.Getenv("PILLARBOX_TEST_SET_CLOCK") == "" {
		t.Skip("PILLARBOX_TEST_SET_CLOCK does not allow to set the clock")
	}
	w := watch(t)
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		time.AfterFunc(50*time.Millisecond, func() {
			tv := unix.NsecToTimeval(time.Now().UnixNano())
			if err := unix.Settimeofday(&tv); err != nil {
				t.Error(err)
			}
		})
		err := w.Wait(ctx)
		cancel()
		if err != nil {
			t.Errorf("wait: %v", err)
		}
	}
}
