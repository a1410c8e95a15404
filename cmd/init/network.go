package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"

	"pillarbox/appliance/firmware"
	"pillarbox/appliance/firmware/provision"
)

const (
	dhcpProgram = "/gokrazy/dhcp"
	ntpProgram  = "/gokrazy/ntp"

	// gokrazy's ntp program sets the clock from this file, which is as old as
	// the last orderly stop. The time that the firmware notes is never older.
	staleTime = firmware.Perm + "/home/ntp/ntp-time-at-last-shutdown"
)

// networkCommands returns the programs that give the box its addresses and its
// time.
func networkCommands(log *slog.Logger, s *firmware.System) []*exec.Cmd {
	network, err := networkCommand(s.Settings.Network)
	if err != nil {
		log.Error("static address; asking DHCP", "err", err)
		network = exec.Command(dhcpProgram)
	}
	if err := os.Remove(staleTime); err != nil && !errors.Is(err, fs.ErrNotExist) && !s.ReadOnly {
		log.Error("remove the stale time", "err", err)
	}

	return []*exec.Cmd{network, exec.Command(ntpProgram, s.Settings.Time...)}
}

// networkCommand returns gokrazy's program for addresses: it asks DHCP or sets
// what the provisioning file says.
func networkCommand(n provision.Network) (*exec.Cmd, error) {
	if n.Address == "" {
		return exec.Command(dhcpProgram), nil
	}
	ip, prefix, err := net.ParseCIDR(n.Address)
	if err != nil {
		return nil, fmt.Errorf("read the static address: %w", err)
	}
	// The names are those of the program's own type.
	lease := struct {
		IP      net.IP
		Netmask net.IPMask
		Router  net.IP
		DNS     []net.IP
	}{IP: ip, Netmask: prefix.Mask, Router: net.ParseIP(n.Gateway)}
	for _, server := range n.DNS {
		lease.DNS = append(lease.DNS, net.ParseIP(server))
	}
	text, err := json.Marshal(lease)
	if err != nil {
		return nil, fmt.Errorf("write the static address: %w", err)
	}

	return exec.Command(dhcpProgram, "-static_network_config", string(text)), nil
}
