package network

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pillarbox/netcfg/policy"
)

// maxOpening bounds how long a service can be open to everybody for a moment.
const maxOpening = 15 * time.Minute

// opening is a service that everybody may reach for a moment, whatever the
// settings say: a certificate authority has to see a proof. It ends by itself,
// and with this process.
type opening struct {
	ends  time.Time
	timer *time.Timer
}

// errNotToOpen is a service that only the settings open.
var errNotToOpen = errors.New("only http and https are opened for a moment")

// opened returns a policy with what is open for a moment. h.mu is held.
func (h *holder) opened(p *policy.Policy) *policy.Policy {
	all := p.Clone()
	for s := range h.openings {
		r := all.Services[s]
		r.From, r.Networks = policy.Anyone, nil
		all.Services[s] = r
	}

	return &all
}

// open lets everybody reach a service for a time; 0 ends that.
func (h *holder) open(ctx context.Context, s policy.Service, d time.Duration) error {
	if s != policy.HTTP && s != policy.HTTPS {
		return errNotToOpen
	}
	if d < 0 || d > maxOpening {
		return fmt.Errorf("open %s: for %v, at most", s, maxOpening)
	}
	h.mu.Lock()
	if o := h.openings[s]; o != nil {
		o.timer.Stop()
		delete(h.openings, s)
	}
	if d > 0 {
		if h.openings == nil {
			h.openings = map[policy.Service]*opening{}
		}
		o := &opening{ends: time.Now().Add(d)}
		o.timer = time.AfterFunc(d, func() { h.shut(s, o) })
		h.openings[s] = o
	}
	h.mu.Unlock()
	h.log.Info("a service is open to everybody", "service", s, "for", d)

	return h.fortify(ctx)
}

// shut ends an opening that nobody has ended.
func (h *holder) shut(s policy.Service, o *opening) {
	h.mu.Lock()
	mine := h.openings[s] == o
	if mine {
		delete(h.openings, s)
	}
	h.mu.Unlock()
	if !mine {
		return
	}
	h.log.Warn("a service was left open: it is closed again", "service", s)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := h.fortify(ctx); err != nil {
		h.log.Error("close a service again", "service", s, "err", err)
	}
}

// endOpenings forgets all; the rules stay until the next process has made its
// own, which is at once.
func (h *holder) endOpenings() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s, o := range h.openings {
		o.timer.Stop()
		delete(h.openings, s)
	}
}
