package firmware

import (
	"context"
	"time"

	"pillarbox/appliance/firmware/clock"
	"pillarbox/appliance/timeset"
)

// watchClock waits from now on for the clock to be set.
func (s *System) watchClock() {
	watch, err := timeset.New()
	if err != nil {
		s.note("see whether the clock is set", err)
		return
	}
	s.watch = watch
	s.set(kindClock, "The clock may be wrong. It never runs behind the time that was noted last, nor behind this version's own date. "+
		"Until it is right, mail may get wrong dates, and mail programs may refuse the certificate for its dates. "+
		"The box goes on asking a time server (UDP port 123)")
}

// KeepTime notes the time until the context ends: as soon as somebody has set
// the clock, and every now and then.
func (s *System) KeepTime(ctx context.Context) {
	if s.watch != nil {
		go s.awaitClock(ctx)
	}
	if !s.ReadOnly {
		clock.Keep(ctx, s.path(timeFile), func(err error) { s.log.Error("note the time", "err", err) })
	}
}

func (s *System) awaitClock(ctx context.Context) {
	err := s.watch.Wait(ctx)
	_ = s.watch.Close() // nothing was written
	if err != nil {
		if ctx.Err() == nil {
			s.log.Error("see whether the clock is set", "err", err)
		}
		return
	}
	s.log.Info("the clock was set", "time", time.Now().UTC().Format(time.RFC3339))
	if !s.ReadOnly {
		if err := clock.Save(s.path(timeFile), time.Now()); err != nil {
			s.log.Error("note the time", "err", err)
		}
	}
	s.clear(kindClock) // who sees that may take the power away
}
