package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"pillarbox/appliance/network"
	"pillarbox/appliance/timesync"
	"pillarbox/netcfg/mdns"
)

// networkCommand is the network's part of the command line.
type networkCommand struct {
	Show     networkShowCommand     `cmd:"" help:"Show the network and the clock."`
	Settings networkSettingsCommand `cmd:"" help:"Print the settings: network, firewall and ports."`
	Plan     networkPlanCommand     `cmd:"" help:"Show what other settings would change."`
	Apply    networkApplyCommand    `cmd:"" help:"Apply other settings, to be confirmed."`
	Confirm  networkConfirmCommand  `cmd:"" help:"Keep the settings that were applied."`
	Revert   networkRevertCommand   `cmd:"" help:"Take a change back that is not confirmed."`
	History  networkHistoryCommand  `cmd:"" help:"List the versions of the settings."`
	Restore  networkRestoreCommand  `cmd:"" help:"Apply an earlier version, to be confirmed."`
	Run      networkRunCommand      `cmd:"" help:"Keep the network, the firewall and the clock (in the firmware)."`
}

type networkRunCommand struct {
	Settings string    `help:"What is desired; without it DHCP on the first wired interface." placeholder:"FILE"`
	Marked   string    `help:"A mark of what --settings says: when it changes, that holds in place of the network that was confirmed." placeholder:"TEXT"`
	State    string    `help:"Keep the settings that were confirmed there." placeholder:"DIR"`
	Socket   string    `help:"Where orders are taken." placeholder:"FILE"`
	Firewall bool      `help:"Put the firewall up; it stays when this ends." negatable:""`
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
		Logger: log, Settings: c.Settings, Provisioned: c.Marked, Reload: reload, LeaseDir: c.Leases, Identity: identity, ResolvFile: c.Resolv,
		StateDir: c.State, Socket: c.Socket, Firewall: c.Firewall, StatusFile: c.Status, Release: c.Release, Clock: timesync.System{}, Built: c.Built, Pool: timesync.Pool(), Services: services,
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}

	return err
}
