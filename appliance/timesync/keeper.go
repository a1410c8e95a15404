package timesync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Origin says who named the servers that the time comes from.
type Origin string

// Origins, in the order in which they are trusted.
const (
	FromSettings Origin = "settings"
	FromDHCP     Origin = "dhcp"
	FromPool     Origin = "pool"
)

// Pool returns the names of the public servers.
func Pool() []string {
	return []string{"0.pool.ntp.org", "1.pool.ntp.org", "2.pool.ntp.org", "3.pool.ntp.org"}
}

// Config describes a keeper.
type Config struct {
	Logger *slog.Logger // must not be nil
	Clock  Clock        // must not be nil

	// Floor is a moment that has passed for certain.
	Floor time.Time

	Servers []string // that the settings name
	Pool    []string // that are asked when no others answer; none means nobody is

	// Changed is told the state when it changes; nil means nobody is.
	Changed func(Status)
}

// Status is how the clock is kept.
type Status struct {
	Synchronised bool          `json:"synchronised"` // since the program's start, at least once
	Source       string        `json:"source,omitempty"`
	Origin       Origin        `json:"origin,omitempty"`
	Stratum      int           `json:"stratum,omitempty"`
	Offset       time.Duration `json:"offset_ns"` // of the clock when it was last compared
	Agreeing     int           `json:"agreeing,omitempty"`
	Asked        int           `json:"asked,omitempty"`
	At           time.Time     `json:"at,omitzero"` // when it was last compared
	Problem      string        `json:"problem,omitempty"`
}

// What offsets mean, and when to ask again.
const (
	// stepOffset is the largest offset that is slewed, which takes a thousand
	// seconds for half a second. RFC 5905 steps at 128 ms; mail is more patient.
	stepOffset = 500 * time.Millisecond

	// calmOffset is small enough that the clock need not be watched closely.
	calmOffset = 20 * time.Millisecond

	firstPoll, lastPoll   = 64 * time.Second, 36 * time.Minute
	firstRetry, lastRetry = 2 * time.Second, 10 * time.Minute
	anxiousRetry          = 64 * time.Second // as long as no server has ever answered
	doubtPause            = 16 * time.Second // a large offset is looked at again
	refusalPause          = 15 * time.Minute
)

// Keeper keeps the clock.
type Keeper struct {
	Config
	nudges chan struct{}

	mu      sync.Mutex
	learned []string
	status  Status

	// Of Run's goroutine alone.
	poll, retry time.Duration
	doubt       time.Duration // a large offset that was seen once
	doubted     bool
	said        string
	refused     map[string]time.Time
}

// New returns a keeper.
func New(c *Config) *Keeper {
	return &Keeper{Config: *c, nudges: make(chan struct{}, 1), poll: firstPoll, retry: firstRetry, refused: map[string]time.Time{}}
}

// Learn tells which servers DHCP has given. If they are others than before, or
// no server has answered yet, they are asked at once.
func (k *Keeper) Learn(servers []string) {
	k.mu.Lock()
	same := slices.Equal(k.learned, servers)
	k.learned = slices.Clone(servers)
	k.mu.Unlock()
	if !same {
		k.Nudge()
	}
}

// Use replaces the servers that the settings name, from the next round on.
func (k *Keeper) Use(servers []string) {
	k.mu.Lock()
	k.Servers = slices.Clone(servers)
	k.mu.Unlock()
	k.Nudge()
}

// Nudge has the servers asked soon, unless an answer was got: the network has
// changed and they may be within reach now.
func (k *Keeper) Nudge() {
	if k.Status().Synchronised {
		return
	}
	select {
	case k.nudges <- struct{}{}:
	default:
	}
}

// Status returns how the clock is kept.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()

	return k.status
}

// Run keeps the clock until the context ends, whose error it returns.
func (k *Keeper) Run(ctx context.Context) error {
	for {
		pause := k.round(ctx)
		// A tenth more or less: or all boxes of a street ask in the same second.
		timer := time.NewTimer(time.Duration(float64(pause) * (0.9 + 0.2*rand.Float64())))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-k.nudges:
			timer.Stop()
			k.retry = firstRetry
		case <-timer.C:
		}
	}
}

// group is servers that are trusted alike.
type group struct {
	origin  Origin
	servers []string
}

func (k *Keeper) groups() []group {
	k.mu.Lock()
	defer k.mu.Unlock()

	return []group{{FromSettings, k.Servers}, {FromDHCP, k.learned}, {FromPool, k.Pool}}
}

// round asks once and corrects the clock. It returns how long to wait then.
func (k *Keeper) round(ctx context.Context) time.Duration {
	var failed []error
	for _, g := range k.groups() {
		if len(g.servers) == 0 {
			continue
		}
		samples, asked, err := k.ask(ctx, g.servers)
		if ctx.Err() != nil {
			return 0
		}
		best, agreeing, disagreed := Agree(samples)
		if disagreed != nil {
			failed = append(failed, fmt.Errorf("%s: %w", g.origin, errors.Join(disagreed, err)))
			continue
		}
		return k.correct(best, Status{
			Source: best.Server, Origin: g.origin, Stratum: best.Stratum, Offset: best.Offset, Agreeing: agreeing, Asked: asked,
		})
	}
	if len(failed) == 0 {
		failed = append(failed, errors.New("no time server is known"))
	}
	k.complain(errors.Join(failed...))
	pause, longest := k.retry, lastRetry
	if !k.Status().Synchronised {
		longest = anxiousRetry
	}
	k.retry = min(2*k.retry, longest)

	return pause
}

// ask asks all servers at once and returns what is usable of their answers.
func (k *Keeper) ask(ctx context.Context, names []string) (samples []Sample, asked int, err error) {
	finding, stop := context.WithTimeout(ctx, findTime)
	servers, failed := resolve(finding, names)
	stop()
	// Not by the clock that is being set.
	now := time.Now()
	servers = slices.DeleteFunc(servers, func(s string) bool { return now.Before(k.refused[s]) })
	type answer struct {
		sample Sample
		server string
		err    error
	}
	answers := make(chan answer, len(servers))
	for _, server := range servers {
		go func() {
			s, err := query(ctx, server)
			answers <- answer{s, server, err}
		}()
	}
	problems := []error{failed}
	for range servers {
		a := <-answers
		if refused := (*refusal)(nil); errors.As(a.err, &refused) {
			k.refused[a.server] = now.Add(refusalPause)
		}
		if a.err == nil && k.Clock.Now().Add(a.sample.Offset).Before(k.Floor) {
			a.err = fmt.Errorf("it says that it is before %s", k.Floor.UTC().Format(time.DateOnly))
		}
		if a.err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", a.server, a.err))
			continue
		}
		samples = append(samples, a.sample)
	}

	return samples, len(servers), errors.Join(problems...)
}

// correct follows an agreed offset.
func (k *Keeper) correct(best Sample, s Status) time.Duration {
	first := !k.Status().Synchronised
	large := best.Offset.Abs() > stepOffset
	if large && !first && (!k.doubted || (best.Offset-k.doubt).Abs() > stepOffset) {
		k.doubt, k.doubted = best.Offset, true
		k.Logger.Warn("the clock may be wrong; looking again", "server", best.Server, "offset", best.Offset)
		return doubtPause
	}
	k.doubted = false
	// The first time always sets the clock: whoever waits for it is told of a
	// step alone.
	change := k.Clock.Slew
	if first || large {
		change = k.Clock.Step
	}
	if err := change(best.Offset); err != nil {
		k.complain(err)
		return k.retry
	}
	level := slog.LevelDebug
	if old := k.Status(); first || large || old.Source != s.Source || k.said != "" {
		level = slog.LevelInfo
	}
	k.Logger.Log(context.Background(), level, "the time", "server", s.Source, "origin", s.Origin, "offset", s.Offset,
		"set", first || large, "agreeing", s.Agreeing, "asked", s.Asked)
	if best.Offset.Abs() <= calmOffset && !first {
		k.poll = min(2*k.poll, lastPoll)
	} else {
		k.poll = firstPoll
	}
	k.retry, k.said = firstRetry, ""
	s.Synchronised, s.At = true, k.Clock.Now()
	k.publish(s)

	return k.poll
}

// complain notes a problem, and logs it if it is a new one.
func (k *Keeper) complain(err error) {
	text := err.Error()
	if text != k.said {
		k.Logger.Warn("the time is not known", "err", text)
	}
	k.said = text
	s := k.Status()
	s.Problem = text
	k.publish(s)
}

func (k *Keeper) publish(s Status) {
	k.mu.Lock()
	k.status = s
	k.mu.Unlock()
	if k.Changed != nil {
		k.Changed(s)
	}
}
