package mdns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"
)

// retryTime is how long to wait before what failed is tried anew.
const retryTime = 5 * time.Second

// Responder makes the machine known.
type Responder struct {
	log    *slog.Logger
	open   func(ipv6 bool) (Conn, error)
	heldBy func(string)
	engine *engine // of Run's goroutine alone
	nudges chan struct{}

	mu      sync.Mutex
	config  Config // with the services that are wished
	network Network
	name    string
}

// New returns a responder; nothing is sent before Run and Set.
func New(c *Config) (*Responder, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("make a multicast DNS responder: %w", err)
	}
	r := &Responder{
		log: c.Logger, open: c.Open, heldBy: c.Held, engine: newEngine(c), nudges: make(chan struct{}, 1), config: *c,
	}
	if r.open == nil {
		r.open = Open
	}

	return r, nil
}

// Set replaces where the machine is to be known.
func (r *Responder) Set(n Network) {
	r.mu.Lock()
	r.network = n
	r.mu.Unlock()
	r.nudge()
}

// Announce replaces the services.
func (r *Responder) Announce(services []Service) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	wished := r.config
	wished.Services = slices.Clone(services)
	if err := wished.validate(); err != nil {
		return fmt.Errorf("announce services: %w", err)
	}
	r.config = wished
	r.nudge()

	return nil
}

func (r *Responder) nudge() {
	select {
	case r.nudges <- struct{}{}:
	default:
	}
}

// Name returns the host name that is held now, as "pillarbox.local"; "" while
// there is none.
func (r *Responder) Name() string {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.name
}

// Run answers until the context ends, whose error it returns, and says goodbye.
func (r *Responder) Run(ctx context.Context) error {
	for {
		err := r.serve(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.log.Warn("multicast DNS does not work", "err", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryTime):
		}
	}
}

// serve answers with one set of sockets, until one fails.
func (r *Responder) serve(ctx context.Context) error {
	s := &session{Responder: r, joined: map[Link]bool{}, packets: make(chan Packet), failed: make(chan error, 1), said: map[Link]string{}}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := s.openAll(); err != nil {
		return err
	}
	var reading sync.WaitGroup
	defer reading.Wait()
	defer s.closeAll() // ends the readers
	defer cancel()     // and frees one that has a packet
	for _, c := range s.conns {
		if c != nil {
			reading.Go(func() { s.read(ctx, c) })
		}
	}

	return s.run(ctx)
}

// session is the life of a set of sockets.
type session struct {
	*Responder
	conns   [2]Conn // IPv4 and IPv6; nil where there is none
	joined  map[Link]bool
	lacking bool // a link could not be joined
	packets chan Packet
	failed  chan error
	said    map[Link]string // the complaint that was logged last
}

func (s *session) openAll() error {
	var wrong []error
	for i := range s.conns {
		c, err := s.open(i == 1)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		s.conns[i] = c
	}
	if len(wrong) == len(s.conns) {
		return errors.Join(wrong...)
	}
	for _, err := range wrong {
		s.log.Warn("multicast DNS lacks a family of addresses", "err", err)
	}

	return nil
}

func (s *session) closeAll() {
	for _, c := range s.conns {
		if c == nil {
			continue
		}
		if err := c.Close(); err != nil {
			s.log.Warn("close the sockets of multicast DNS", "err", err)
		}
	}
}

func (s *session) conn(l Link) Conn {
	if l.IPv6 {
		return s.conns[1]
	}

	return s.conns[0]
}

// read hands on what comes.
func (s *session) read(ctx context.Context, c Conn) {
	// While a packet is acted on, the next one is read into the other buffer. A
	// packet that is too long is recognised by the octet too many.
	var bufs [2][maxPacket + 1]byte
	for i := 0; ctx.Err() == nil; i ^= 1 {
		p, err := c.Receive(bufs[i][:])
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				select {
				case s.failed <- err:
				default:
				}
			}
			return
		}
		select {
		case s.packets <- p:
		case <-ctx.Done():
		}
	}
}

// run is the loop of all that happens.
func (s *session) run(ctx context.Context) error {
	defer s.leaveAll()
	s.apply()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s.flush()
		timer.Reset(s.untilNext())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-s.failed:
			return fmt.Errorf("receive: %w", err)
		case <-s.nudges:
			s.apply()
		case p := <-s.packets:
			s.engine.receive(time.Now(), &p)
		case <-timer.C:
			if s.lacking {
				s.apply()
			}
			s.engine.wake(time.Now())
		}
	}
}

// untilNext is how long nothing has to be done by itself.
func (s *session) untilNext() time.Duration {
	next := time.Hour
	if s.lacking {
		next = retryTime
	}
	if at, ok := s.engine.due(); ok {
		next = min(next, max(0, time.Until(at)))
	}

	return next
}

// apply brings sockets and engine to the network that was set.
func (s *session) apply() {
	s.mu.Lock()
	network, services := s.network, s.config.Services
	s.mu.Unlock()
	s.engine.offer(time.Now(), services)
	links := linksOf(&network)
	s.lacking = false
	for l := range links {
		if s.joined[l] {
			continue
		}
		if err := s.join(l); err != nil {
			s.complain(l, fmt.Errorf("join the group: %w", err))
			s.lacking = true
			delete(links, l)
			continue
		}
		s.joined[l] = true
	}
	s.engine.set(time.Now(), links)
	s.flush() // goodbyes go out before a link is left
	for l := range s.joined {
		if _, ok := links[l]; !ok {
			s.leave(l)
		}
	}
}

func (s *session) join(l Link) error {
	c := s.conn(l)
	if c == nil {
		return errors.New("there is no socket of this family")
	}

	return c.Join(l)
}

func (s *session) leave(l Link) {
	delete(s.joined, l)
	delete(s.said, l)
	if err := s.conn(l).Leave(l); err != nil {
		s.log.Debug("leave the multicast DNS group", "link", l.String(), "err", err) // the link may be gone
	}
}

func (s *session) leaveAll() {
	s.engine.stop()
	s.flush()
	for l := range s.joined {
		s.leave(l)
	}
}

// flush sends what the engine has to say, and tells a new name.
func (s *session) flush() {
	for _, p := range s.engine.out {
		if err := s.conn(p.Link).Send(p); err != nil {
			s.complain(p.Link, err)
		}
	}
	s.engine.out = nil
	name := s.engine.name()
	s.mu.Lock()
	changed := s.name != name
	s.name = name
	s.mu.Unlock()
	if !changed {
		return
	}
	if name != "" {
		s.log.Info("this machine is known by multicast DNS", "name", name)
	}
	if s.heldBy != nil {
		s.heldBy(name)
	}
}

// complain logs what is wrong with a link when that changes.
func (s *session) complain(l Link, err error) {
	if text := err.Error(); s.said[l] != text {
		s.said[l] = text
		s.log.Warn("multicast DNS on a link", "link", l.String(), "err", err)
	}
}
