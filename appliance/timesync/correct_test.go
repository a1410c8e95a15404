package timesync

import (
	"errors"
	"log/slog"
	"testing"
	"time"
)

// noted is a clock that notes what is done to it.
type noted struct{ steps, slews []time.Duration }

func (n *noted) Now() time.Time { return time.Now() }

func (n *noted) Step(offset time.Duration) error {
	n.steps = append(n.steps, offset)
	return nil
}

func (n *noted) Slew(offset time.Duration) error {
	n.slews = append(n.slews, offset)
	return nil
}

// TestHowTheClockIsCorrected looks inside, since hours pass between the answers.
func TestHowTheClockIsCorrected(t *testing.T) {
	n := &noted{}
	k := New(&Config{Logger: slog.New(slog.DiscardHandler), Clock: n})
	follow := func(offset time.Duration) time.Duration {
		return k.correct(Sample{Server: "s", Offset: offset}, Status{Source: "s", Offset: offset})
	}
	follow(time.Millisecond)
	if len(n.steps) != 1 {
		t.Error("the first answer does not set the clock, and nobody hears that it is right")
	}
	calm := follow(time.Millisecond)
	if calmer := follow(time.Millisecond); calmer <= calm {
		t.Errorf("a calm clock is looked at after %s and then after %s", calm, calmer)
	}
	if follow(300*time.Millisecond) != firstPoll || len(n.slews) != 3 || len(n.steps) != 1 {
		t.Errorf("a small offset: steps %v, slews %v", n.steps, n.slews)
	}
	if follow(time.Hour) != doubtPause || len(n.steps) != 1 {
		t.Errorf("a large offset was believed at once: steps %v", n.steps)
	}
	if follow(-time.Hour); len(n.steps) != 1 {
		t.Errorf("another large offset was taken for the same: steps %v", n.steps)
	}
	if follow(-time.Hour); len(n.steps) != 2 || n.steps[1] != -time.Hour {
		t.Errorf("a large offset that was seen twice: steps %v", n.steps)
	}
	if follow(time.Hour); len(n.steps) != 2 {
		t.Errorf("an offset that was seen before the last step counts: steps %v", n.steps)
	}
	if s := k.Status(); !s.Synchronised {
		t.Errorf("the state is %+v", s)
	}
}

func TestTheTimeIsAskedForMoreOftenUntilItIsKnown(t *testing.T) {
	k := New(&Config{Logger: slog.New(slog.DiscardHandler), Clock: &noted{}})
	longest := func() time.Duration {
		var pause time.Duration
		for range 20 {
			pause = k.round(t.Context())
		}
		return pause
	}
	if got := longest(); got != anxiousRetry {
		t.Errorf("after %s, want %s", got, anxiousRetry)
	}
	k.correct(Sample{Server: "s"}, Status{Source: "s"})
	if got := longest(); got != lastRetry {
		t.Errorf("once it is known after %s, want %s", got, lastRetry)
	}
}

func TestAServerThatRefusesIsLeftAloneForAWhile(t *testing.T) {
	k := New(&Config{Logger: slog.New(slog.DiscardHandler), Clock: &noted{}})
	k.refused["192.0.2.1:123"] = time.Now().Add(time.Minute)
	_, asked, err := k.ask(t.Context(), []string{"192.0.2.1"})
	if asked != 0 || err != nil {
		t.Errorf("%d were asked, %v", asked, err)
	}
	if _, _, err := Agree(nil); errors.Is(err, errDisagree) {
		t.Errorf("silence is told as %v", err)
	}
}
