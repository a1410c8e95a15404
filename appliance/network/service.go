package network

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"pillarbox/appliance/timesync"
	"pillarbox/netcfg"
	"pillarbox/netcfg/dhcp"
	"pillarbox/netcfg/mdns"
	"pillarbox/netcfg/state"
)

// Config describes the service.
type Config struct {
	Logger *slog.Logger // must not be nil

	// Settings is the file with what is desired; "" means state.Default. A bad
	// one is reported, and the default holds: the box must stay reachable.
	Settings string
	// Provisioned marks what Settings says. A mark that was not known when
	// settings were confirmed makes Settings hold in place of their network, so
	// that who is locked out gets back in; "" means that nothing does so.
	Provisioned string
	// Reload has the file read again, and hold; nil means never.
	Reload <-chan os.Signal

	// StateDir is where the settings that were confirmed last are kept; ""
	// keeps none.
	StateDir string
	// Socket is where orders are taken; "" takes none.
	Socket string
	// Firewall has a firewall put up, which nobody takes away again.
	Firewall bool

	LeaseDir   string // "" keeps no lease
	Identity   string // see netcfg.Config
	ResolvFile string
	StatusFile string
	Release    bool
	MaxLease   time.Duration // see netcfg.Config

	// Services are announced by multicast DNS, beside the box's name, while
	// something listens on their ports; nil announces nothing, nor the name.
	Services []mdns.Service

	Clock timesync.Clock // must not be nil
	Built time.Time      // the clock is never set to before
	Pool  []string       // time servers of last resort
}

// service is the running service.
type service struct {
	*Config
	manager *netcfg.Manager
	keeper  *timesync.Keeper
	known   *announcer
	holder  *holder

	mu       sync.Mutex
	status   Status
	problems []string // of the network as it was last seen
	wrong    string   // with the settings
}

// Run keeps the network and the clock until the context ends, whose error it
// returns.
func Run(ctx context.Context, c *Config) error {
	s := &service{Config: c, status: Status{PID: os.Getpid(), Since: time.Now()}}
	var ln net.Listener
	if c.Socket != "" {
		// Before anything is changed: another process may keep the network.
		sock, err := listen(ctx, c.Socket)
		if err != nil {
			return err
		}
		defer sock.Close()
		ln = sock.Listener
	}
	found, _ := s.provisioned() // what is wrong with it was told
	s.holder = newHolder(c.Logger, c.StateDir, found)
	defer s.holder.endTrial()
	defer s.holder.endOpenings()
	if c.Firewall {
		// Rules stand before anything can be reached.
		if err := s.holder.raise(ctx); err != nil {
			c.Logger.Error("the box is open", "err", err)
		}
	}
	desired := s.holder.active().Network
	host, err := os.Hostname()
	if err != nil {
		c.Logger.Warn("find the host name", "err", err)
	}
	s.keeper = timesync.New(&timesync.Config{
		Logger: c.Logger, Clock: c.Clock, Floor: c.Built, Servers: desired.NTP, Pool: c.Pool, Changed: s.timeChanged,
	})
	if c.Services != nil {
		if s.known, err = newAnnouncer(c.Logger, host, c.Services, s.named); err != nil {
			return err
		}
	}
	s.manager = netcfg.New(&netcfg.Config{
		Logger: c.Logger, Desired: desired, Identity: c.Identity, Hostname: host, ResolvFile: c.ResolvFile,
		Leases: dhcp.Store{Dir: c.LeaseDir}, MaxLease: c.MaxLease, Release: c.Release, Changed: func(n netcfg.Status) { s.networkChanged(ctx, n) },
	})
	s.holder.use = s.use
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return s.serve(ctx, ln) })
	all.Go(func() error { return s.holder.mend(ctx, c.Firewall, s.tell) })
	all.Go(func() error { return s.manager.Run(ctx) })
	all.Go(func() error { return s.keeper.Run(ctx) })
	all.Go(func() error { return s.known.run(ctx) })
	all.Go(func() error { return s.reload(ctx) })

	return all.Wait()
}

// provisioned reads what was put onto the boot partition. What is wrong there
// does not take the place of settings that were confirmed.
func (s *service) provisioned() (provisioned, error) {
	d, err := ReadSettings(s.Settings)
	wrong, mark := "", s.Provisioned
	if err != nil {
		s.Logger.Error("the network's settings are wrong", "err", err)
		wrong, mark, d = fmt.Sprintf("the settings are wrong, and not used: %v", err), "", state.Default()
	}
	s.mu.Lock()
	s.wrong = wrong
	s.mu.Unlock()

	return provisioned{desired: d, mark: mark}, err
}

func (s *service) reload(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.Reload:
			p, err := s.provisioned()
			if err != nil {
				s.tell()
				continue
			}
			p.mark = rand.Text()
			if err := s.holder.provision(ctx, p); err != nil {
				s.Logger.Error("use the network's settings", "err", err)
			}
		}
	}
}

// useTime bounds how long the network may take to be as it is desired, without
// what DHCP gives.
const useTime = 30 * time.Second

// use makes another network the desired one.
func (s *service) use(ctx context.Context, d state.Desired) (notes []string, err error) {
	s.keeper.Use(d.NTP)
	s.manager.Set(d)
	ctx, cancel := context.WithTimeout(ctx, useTime)
	defer cancel()
	problems, err := s.manager.Settle(ctx)
	for _, p := range problems {
		notes = append(notes, p.Error())
	}

	return notes, err
}

func (s *service) networkChanged(ctx context.Context, n netcfg.Status) {
	s.holder.seen(ctx, &n)
	s.keeper.Learn(n.NTP)
	s.keeper.Nudge()
	s.known.learn(&n)
	s.mu.Lock()
	s.status.Network, s.problems = n, n.Problems
	s.mu.Unlock()
	s.tell()
}

// tell publishes what is wrong beside the network itself.
func (s *service) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.problems)
	if s.wrong != "" {
		all = append(all, s.wrong)
	}
	s.status.Network.Problems = append(all, s.holder.trouble()...)
	s.publish()
}

func (s *service) named(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Name = name
	s.publish()
}

func (s *service) timeChanged(t timesync.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Synchronised && !s.status.Time.Synchronised {
		// It was noted by a clock that was wrong.
		s.status.Since = time.Now().Add(-time.Since(s.status.Since))
	}
	s.status.Time = t
	s.publish()
}

// publish replaces the status file. s.mu is held.
func (s *service) publish() {
	if s.StatusFile == "" {
		return
	}
	s.status.Updated = time.Now()
	if err := s.status.write(s.StatusFile); err != nil {
		s.Logger.Error("tell the network's state", "err", err)
	}
}
