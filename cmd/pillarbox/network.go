package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"pillarbox/appliance/network"
	"pillarbox/appliance/timesync"
	"pillarbox/netcfg"
	"pillarbox/netcfg/mdns"
	"pillarbox/netcfg/state"
)

// networkCommand is the network's part of the command line.
type networkCommand struct {
	Show networkShowCommand `cmd:"" help:"Show the network and the clock."`
	Plan networkPlanCommand `cmd:"" help:"Show what a settings file would change."`
	Run  networkRunCommand  `cmd:"" help:"Keep the network and the clock (in the firmware)."`
}

type networkRunCommand struct {
	Settings string    `help:"What is desired; without it DHCP on the first wired interface." placeholder:"FILE"`
	Leases   string    `help:"Keep the leases of DHCP there." placeholder:"DIR"`
	Identity string    `help:"The machine's identity, as in machine-id(5)." placeholder:"FILE"`
	Resolv   string    `help:"Where name servers are written to." placeholder:"FILE"`
	Status   string    `help:"Where the state is written to." placeholder:"FILE" default:"/run/pillarbox-network.json"`
	Built    time.Time `help:"A time that has passed for certain." placeholder:"TIME"`
	Release  bool      `help:"Give the addresses back at the end."`
	Announce bool      `help:"Make the box known by multicast DNS on the interfaces that are managed."`
	Anywhere bool      `help:"Change this machine's network although it is not the firmware's."`

	Manifest string `hidden:"" default:"/etc/pillarbox/manifest.json"` // the image builder puts it there
}

// errNotFirmware keeps the command from taking over the network of a machine
// that others configure.
var errNotFirmware = errors.New("this is not the firmware: something else configures the network here (--anywhere overrides)")

// Run keeps the network until it is stopped.
func (c *networkRunCommand) Run(ctx context.Context, e *env) error {
	if _, err := os.Stat(c.Manifest); err != nil && !c.Anywhere {
		return errNotFirmware
	}
	log := slog.New(slog.NewTextHandler(e.stderr, nil))
	var identity string
	if c.Identity != "" {
		text, err := os.ReadFile(c.Identity)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			log.Warn("read the machine's identity", "err", err)
		}
		identity = string(text)
	}
	var services []mdns.Service
	if c.Announce {
		services = announced()
	}
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	err := network.Run(ctx, &network.Config{
		Logger: log, Settings: c.Settings, Reload: reload, LeaseDir: c.Leases, Identity: identity, ResolvFile: c.Resolv,
		StatusFile: c.Status, Release: c.Release, Clock: timesync.System{}, Built: c.Built, Pool: timesync.Pool(), Services: services,
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}

	return err
}

type networkPlanCommand struct {
	jsonFlag
	File string `arg:"" help:"The settings (JSON)." placeholder:"FILE"`
}

// Help is printed below the flags.
func (c *networkPlanCommand) Help() string {
	return `Nothing is changed. What DHCP would give is not known, so an address that it
gave before stays as it is.`
}

// planResult is what a script reads.
type planResult struct {
	Steps    state.Plan `json:"steps"`
	Problems []string   `json:"problems,omitempty"`
}

// Run shows the difference between the file and the kernel.
func (c *networkPlanCommand) Run(e *env) error {
	desired, err := network.ReadSettings(c.File)
	if err != nil {
		return err
	}
	plan, problems, err := netcfg.Plan(&desired)
	if err != nil {
		return fmt.Errorf("look at the network: %w", err)
	}
	if c.JSON {
		r := planResult{Steps: plan}
		if r.Steps == nil {
			r.Steps = state.Plan{}
		}
		for _, p := range problems {
			r.Problems = append(r.Problems, p.Error())
		}
		return printJSON(e.stdout, r)
	}
	for _, p := range problems {
		if _, err := fmt.Fprintf(e.stderr, "Attention: %v\n", p); err != nil {
			return err
		}
	}
	_, err = fmt.Fprint(e.stdout, plan)

	return err
}
