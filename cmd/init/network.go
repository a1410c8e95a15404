package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"time"

	"pillarbox/appliance/firmware"
	"pillarbox/appliance/firmware/provision"
	"pillarbox/appliance/network"
	"pillarbox/netcfg/state"
)

const (
	// networkProgram is the mail server's binary by another name: the supervisor
	// tells services apart by their paths.
	networkProgram = "/gokrazy/network"

	networkSettings = "/run/network-settings.json"
	resolvFile      = "/tmp/resolv.conf" // where /etc/resolv.conf leads

	// Leases outlive a restart of the box where they can, and else one of the
	// program.
	leaseDir         = firmware.Perm + "/network"
	volatileLeaseDir = "/run/network"

	// networkState is where the settings that were confirmed are kept.
	networkState = firmware.Perm + "/network"
)

// networkCommands returns the program that gives the box its addresses and its
// time.
func networkCommands(log *slog.Logger, s *firmware.System) []*exec.Cmd {
	c := exec.Command(networkProgram, "network", "run", "--announce", "--resolv", resolvFile,
		"--built", s.Built.UTC().Format(time.RFC3339), "--identity", firmware.Perm+"/machine-id")
	c.Args = append(c.Args, "--firewall", "--socket", network.SocketFile)
	if s.ReadOnly {
		c.Args = append(c.Args, "--leases", volatileLeaseDir)
	} else {
		c.Args = append(c.Args, "--leases", leaseDir, "--state", networkState)
	}
	if err := writeNetworkSettings(&s.Settings); err != nil {
		log.Error("the network's settings; asking DHCP", "err", err)
	} else {
		c.Args = append(c.Args, "--settings", networkSettings)
		if mark := networkMark(&s.Settings); mark != "" {
			c.Args = append(c.Args, "--marked", mark)
		}
	}

	return []*exec.Cmd{c}
}

// writeNetworkSettings hands on what the provisioning file says.
func writeNetworkSettings(p *provision.Settings) error {
	d, err := desiredNetwork(p)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("write the network's settings: %w", err)
	}

	return os.WriteFile(networkSettings, append(text, '\n'), 0o644)
}

// networkMark tells what the provisioning file says of the network from what it
// said before. It is of the file's own words, so that another release, which may
// make something else of them, does not take them for new. Where the file says
// nothing, or is gone, there is no mark: what was confirmed holds then.
func networkMark(p *provision.Settings) string {
	if p.Network.Address == "" && len(p.Network.DNS) == 0 && len(p.Time) == 0 {
		return ""
	}
	said := fmt.Sprintf("%q %q %q %q", p.Network.Address, p.Network.Gateway, p.Network.DNS, p.Time)
	sum := sha256.Sum256([]byte(said))

	return hex.EncodeToString(sum[:])
}

// desiredNetwork returns the network that the provisioning file asks for.
func desiredNetwork(p *provision.Settings) (state.Desired, error) {
	d := state.Default()
	d.NTP = p.Time
	for _, server := range p.Network.DNS {
		a, err := netip.ParseAddr(server)
		if err != nil {
			return state.Desired{}, fmt.Errorf("read a name server: %w", err)
		}
		d.DNS = append(d.DNS, a)
	}
	if p.Network.Address != "" && p.Network.Address != provision.DHCP {
		address, err := netip.ParsePrefix(p.Network.Address)
		if err != nil {
			return state.Desired{}, fmt.Errorf("read the static address: %w", err)
		}
		static := state.IPv4{Method: state.MethodStatic, Addresses: []netip.Prefix{address}}
		if p.Network.Gateway != "" {
			if static.Gateway, err = netip.ParseAddr(p.Network.Gateway); err != nil {
				return state.Desired{}, fmt.Errorf("read the gateway: %w", err)
			}
		}
		d.Interfaces[0].IPv4 = static
	}

	return d, d.Validate()
}
