package network

import (
	"context"
	"fmt"
	"log/slog"
	"os"
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
	// Reload has the file read again; nil means never.
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

	mu     sync.Mutex
	status Status
	wrong  string // with the settings
}

// Run keeps the network and the clock until the context ends, whose error it
// returns.
func Run(ctx context.Context, c *Config) error {
	s := &service{Config: c, status: Status{PID: os.Getpid(), Since: time.Now()}}
	s.holder = newHolder(c.Logger, c.StateDir, s.provisioned())
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
	all.Go(func() error { return s.serve(ctx) })
	all.Go(func() error { return s.manager.Run(ctx) })
	all.Go(func() error { return s.keeper.Run(ctx) })
	all.Go(func() error { return s.known.run(ctx) })
	all.Go(func() error { return s.reload(ctx) })

	return all.Wait()
}

// provisioned reads what was put onto the boot partition.
func (s *service) provisioned() provisioned {
	p, err := readProvisioned(s.Settings)
	wrong := ""
	if err != nil {
		s.Logger.Error("the network's settings are wrong; asking DHCP on the first wired interface", "err", err)
		wrong, p.desired = fmt.Sprintf("the settings are wrong, and the default holds: %v", err), state.Default()
	}
	s.mu.Lock()
	s.wrong = wrong
	s.mu.Unlock()

	return p
}

func (s *service) reload(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.Reload:
			s.use(s.provisioned().desired)
		}
	}
}

// use makes another network the desired one.
func (s *service) use(d state.Desired) {
	s.keeper.Use(d.NTP)
	s.manager.Set(d)
}

func (s *service) networkChanged(ctx context.Context, n netcfg.Status) {
	s.holder.seen(ctx, &n)
	s.keeper.Learn(n.NTP)
	s.keeper.Nudge()
	s.known.learn(&n)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, problem := range []string{s.wrong, s.holder.trouble()} {
		if problem != "" {
			n.Problems = append(n.Problems, problem)
		}
	}
	s.status.Network = n
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
