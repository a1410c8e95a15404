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

	mu     sync.Mutex
	status Status
	wrong  string // with the settings
}

// Run keeps the network and the clock until the context ends, whose error it
// returns.
func Run(ctx context.Context, c *Config) error {
	s := &service{Config: c, status: Status{PID: os.Getpid(), Since: time.Now()}}
	desired := s.settings()
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
		Leases: dhcp.Store{Dir: c.LeaseDir}, MaxLease: c.MaxLease, Release: c.Release, Changed: s.networkChanged,
	})
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return s.manager.Run(ctx) })
	all.Go(func() error { return s.keeper.Run(ctx) })
	all.Go(func() error { return s.known.run(ctx) })
	all.Go(func() error { return s.reload(ctx) })

	return all.Wait()
}

// settings reads what is desired.
func (s *service) settings() state.Desired {
	d, err := ReadSettings(s.Settings)
	wrong := ""
	if err != nil {
		s.Logger.Error("the network's settings are wrong; asking DHCP on the first wired interface", "err", err)
		wrong, d = fmt.Sprintf("the settings are wrong, and the default holds: %v", err), state.Default()
	}
	s.mu.Lock()
	s.wrong = wrong
	s.mu.Unlock()

	return d
}

// ReadSettings reads a settings file; "" is the default.
func ReadSettings(name string) (state.Desired, error) {
	if name == "" {
		return state.Default(), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return state.Desired{}, fmt.Errorf("read the network's settings: %w", err)
	}
	defer f.Close()

	return state.Parse(f)
}

func (s *service) reload(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.Reload:
			d := s.settings()
			s.keeper.Use(d.NTP)
			s.manager.Set(d)
		}
	}
}

func (s *service) networkChanged(n netcfg.Status) {
	s.keeper.Learn(n.NTP)
	s.keeper.Nudge()
	s.known.learn(&n)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wrong != "" {
		n.Problems = append(n.Problems, s.wrong)
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
