package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"pillarbox/netcfg"
	"pillarbox/netcfg/firewall"
	"pillarbox/netcfg/policy"
	"pillarbox/netcfg/state"
)

// ErrTrial says that settings are being tried that were not expected.
var ErrTrial = errors.New("other settings are being tried")

// ErrUnseen says that settings would take the place of provisioned ones of which
// whoever holds them knows nothing.
var ErrUnseen = errors.New("other settings were put onto the disk since, and those hold")

// holder makes settings hold: those that were confirmed, or for a while others
// that are being tried.
type holder struct {
	log *slog.Logger
	dir string // "" keeps nothing

	// use makes another network the desired one, and waits until it is there as
	// far as that can be. It returns what stands in the way.
	use func(context.Context, state.Desired) (notes []string, err error)

	acting  sync.Mutex // held by who changes what holds
	walling sync.Mutex // held by who changes the firewall

	mu        sync.Mutex         // held shortly
	wall      *firewall.Firewall // nil while there is none
	confirmed confirmed
	unwritten *unwritten // nil while what was confirmed last is on the disk
	unread    error      // why what was confirmed last is not known; nil once something is confirmed
	trial     *trial
	fresh     bool // the provisioned settings hold and nobody has confirmed them
	found     provisioned
	network   firewall.Network // as it was last seen
	openings  map[policy.Service]*opening
	problem   string // of the firewall
}

// unwritten is what was confirmed last, and why it is not on the disk. What is
// provisioned since takes its place in the network, but not on the disk.
type unwritten struct {
	confirmed confirmed
	why       error
}

// trial is what holds for a while.
type trial struct {
	id       string
	settings Settings
	ends     time.Time
	timer    *time.Timer
}

// newHolder decides what holds at the start.
func newHolder(log *slog.Logger, dir string, p provisioned) *holder {
	h := &holder{log: log, dir: dir, found: p}
	h.use = func(context.Context, state.Desired) ([]string, error) { return nil, nil }
	c, err := readConfirmed(dir)
	if err != nil {
		log.Error("the confirmed settings are not used", "err", err)
		h.unread = err
	}
	switch {
	case c == nil:
		h.confirmed = confirmed{Settings: Settings{Network: p.desired, Firewall: policy.Default()}}
		h.fresh = true
	case p.mark != "" && c.Provisioned != p.mark:
		h.confirmed = *c
		h.confirmed.Settings.Network = p.desired
		h.fresh = true
		log.Info("the provisioned settings were changed: their network holds")
	default:
		h.confirmed = *c
	}

	return h
}

// raise opens the firewall and makes rules stand, before there is a network: or
// for the one that an earlier run has left.
func (h *holder) raise(ctx context.Context) error {
	wall, err := firewall.Open(ctx, &firewall.Config{Logger: h.log})
	h.mu.Lock()
	h.wall = wall
	if err != nil {
		h.problem = err.Error()
	}
	h.mu.Unlock()
	if err != nil {
		return fmt.Errorf("open the firewall: %w", err)
	}
	s := h.active()
	if n, err := netcfg.ObserveFor(&s.Network); err != nil {
		h.log.Warn("look at the network", "err", err)
	} else {
		h.look(&n)
	}

	return h.fortify(ctx)
}

// active returns what holds.
func (h *holder) active() Settings {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.trial != nil {
		return h.trial.settings
	}

	return h.confirmed.Settings
}

// firewall returns the firewall, or nil while there is none.
func (h *holder) firewall() *firewall.Firewall {
	h.mu.Lock()
	defer h.mu.Unlock()

	return h.wall
}

// mendTime is how long rules that could not stand, and settings that could not
// be written, wait for the next try.
const mendTime = 10 * time.Second

// mend tries again what could not be done, until the context ends: memory may
// have been short, or the disk full. It puts rules back that somebody else has
// taken away. changed is called where what is wrong has changed.
func (h *holder) mend(ctx context.Context, guard bool, changed func()) error {
	tick := time.NewTicker(mendTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if h.mendOnce(ctx, guard) {
				changed()
			}
		}
	}
}

// mendOnce tells whether it has changed what is wrong.
func (h *holder) mendOnce(ctx context.Context, guard bool) bool {
	was := h.trouble()
	h.mendWall(ctx, guard)
	h.mendNote()
	is := h.trouble()
	if slices.Equal(was, is) {
		return false
	}
	h.log.Info("the network's service has tried again what was wrong", "was", was, "is", is)

	return true
}

func (h *holder) mendWall(ctx context.Context, guard bool) {
	h.mu.Lock()
	wrong, wall := h.problem != "", h.wall
	h.mu.Unlock()
	if wall != nil && !wrong {
		err := wall.Verify(ctx)
		if wrong = err != nil; wrong {
			h.log.Error("the firewall's rules are put back", "err", err)
		}
	}
	switch {
	case !wrong:
	case wall != nil:
		_ = h.fortify(ctx) // trouble tells of it
	case guard:
		_ = h.raise(ctx)
	}
}

func (h *holder) mendNote() {
	h.acting.Lock()
	defer h.acting.Unlock()
	h.mu.Lock()
	u := h.unwritten
	h.mu.Unlock()
	if u != nil {
		_ = h.note(&u.confirmed) // trouble tells of it
	}
}

// note writes what was confirmed to the disk, and remembers it for the next try
// where that fails. h.acting is held.
func (h *holder) note(c *confirmed) error {
	err := c.write(h.dir)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unwritten = nil
	if err != nil {
		h.unwritten = &unwritten{*c, err}
	}

	return err
}

// fortify makes the firewall's rules fit what holds and the network as it is.
func (h *holder) fortify(ctx context.Context) error {
	wall := h.firewall()
	if wall == nil {
		return nil
	}
	h.walling.Lock()
	defer h.walling.Unlock()
	s := h.active()
	h.mu.Lock()
	n := h.network
	rules := h.opened(&s.Firewall)
	h.mu.Unlock()
	report, err := wall.Apply(ctx, rules, n)
	problem := ""
	if err != nil {
		problem = fmt.Sprintf("%v (what stands: the %s)", err, report.Stands)
	}
	h.mu.Lock()
	h.problem = problem
	h.mu.Unlock()
	if err != nil {
		return fmt.Errorf("make the firewall's rules stand: %w", err)
	}

	return nil
}

// seen is told the network as it is after each pass.
func (h *holder) seen(ctx context.Context, n *netcfg.Status) {
	h.look(n)
	was := h.trouble()
	if err := h.fortify(ctx); err != nil && !slices.Equal(was, h.trouble()) {
		h.log.Error("the firewall does not follow the network", "err", err)
	}
}

func (h *holder) look(n *netcfg.Status) {
	var seen firewall.Network
	for _, i := range n.Managed() {
		var addresses []netip.Prefix
		for _, a := range i.Addresses {
			addresses = append(addresses, a.Prefix)
		}
		seen.Add(i.Name, addresses...)
	}
	h.mu.Lock()
	h.network = seen
	h.mu.Unlock()
}

// try makes settings hold for a while. When it returns they do, as far as that
// can be; the notes say what stands in the way.
func (h *holder) try(ctx context.Context, id string, s *Settings, d time.Duration) (notes []string, err error) {
	h.acting.Lock()
	defer h.acting.Unlock()
	if err := s.Validate(); err != nil {
		return nil, err
	}
	h.mu.Lock()
	if t := h.trial; t != nil {
		if t.id != id {
			h.mu.Unlock()
			return nil, ErrTrial
		}
		t.timer.Stop()
	}
	t := &trial{id: id, settings: *s, ends: time.Now().Add(d)}
	t.timer = time.AfterFunc(d, func() { h.expire(id) })
	h.trial = t
	h.mu.Unlock()
	h.log.Info("settings are tried", "trial", id, "for", d)
	notes, err = h.use(ctx, s.Network)
	if err == nil {
		err = h.fortify(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, h.back(context.WithoutCancel(ctx)))
	}
	// Its time is for whoever is to find out whether it is good.
	h.mu.Lock()
	t.ends = time.Now().Add(d)
	t.timer.Reset(d)
	h.mu.Unlock()

	return notes, nil
}

// expire ends a trial that nobody has ended.
func (h *holder) expire(id string) {
	h.acting.Lock()
	defer h.acting.Unlock()
	h.mu.Lock()
	mine := h.trial != nil && h.trial.id == id && !time.Now().Before(h.trial.ends)
	h.mu.Unlock()
	if !mine {
		return
	}
	h.log.Warn("nobody has confirmed the settings: the ones before hold again", "trial", id)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := h.back(ctx); err != nil {
		h.log.Error("go back to the confirmed settings", "err", err)
	}
}

// back makes the confirmed settings hold. h.acting is held.
func (h *holder) back(ctx context.Context) error {
	h.endTrial()

	return h.enact(ctx)
}

// enact makes the network and the firewall be as the active settings say.
// h.acting is held.
func (h *holder) enact(ctx context.Context) error {
	_, err := h.use(ctx, h.active().Network)
	if err != nil {
		err = fmt.Errorf("set the network up: %w", err)
	}

	return errors.Join(err, h.fortify(ctx))
}

func (h *holder) endTrial() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.trial != nil {
		h.trial.timer.Stop()
		h.trial = nil
	}
}

// hold makes settings the confirmed ones, durably. seen is the mark of the
// provisioned settings that are known to whoever confirms. Where they cannot be
// written, as on a full disk, they hold all the same: who confirms has kept them
// already, and a trial that ran out would bring back what is not confirmed any
// more. The error says so then.
func (h *holder) hold(ctx context.Context, s *Settings, seen string) error {
	h.acting.Lock()
	defer h.acting.Unlock()
	if err := s.Validate(); err != nil {
		return err
	}
	was := h.active()
	h.mu.Lock()
	mark := h.found.mark
	known := !h.fresh && h.unwritten == nil && h.confirmed.Provisioned == mark && h.confirmed.Settings.same(s)
	h.mu.Unlock()
	if seen != mark {
		return ErrUnseen
	}
	var failed error
	if !known {
		c := confirmed{Settings: *s, Provisioned: mark}
		failed = h.note(&c)
		h.mu.Lock()
		h.confirmed, h.fresh, h.unread = c, false, nil
		h.mu.Unlock()
	}
	h.endTrial()
	if was.same(s) {
		return failed
	}

	return errors.Join(failed, h.enact(ctx))
}

// provision makes other provisioned settings hold, as at a start.
func (h *holder) provision(ctx context.Context, p provisioned) error {
	h.acting.Lock()
	defer h.acting.Unlock()
	h.mu.Lock()
	h.found, h.fresh = p, true
	h.confirmed.Settings.Network = p.desired
	h.mu.Unlock()

	return h.back(ctx)
}

// trouble returns what is wrong with the firewall and with what was confirmed.
func (h *holder) trouble() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	if h.problem != "" {
		all = append(all, "firewall: "+h.problem)
	}
	if h.unread != nil {
		all = append(all, fmt.Sprintf("the settings that were confirmed last do not hold, but what is provisioned, until the mail server gives them again: %v", h.unread))
	}
	if h.unwritten != nil {
		all = append(all, fmt.Sprintf("the confirmed settings hold, but not after a restart of the box: %v", h.unwritten.why))
	}

	return all
}
