package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"pillarbox/appliance/network"
	"pillarbox/appliance/timesync"
	"pillarbox/netcfg"
)

type networkShowCommand struct {
	jsonFlag
	Status string `help:"Where the firmware's service writes its state." placeholder:"FILE" default:"/run/pillarbox-network.json"`
}

// Help is printed below the flags.
func (c *networkShowCommand) Help() string {
	return `In the firmware this tells what its network service has done. On another machine
it tells what the kernel says.`
}

// Run shows the network.
func (c *networkShowCommand) Run(e *env) error {
	s, err := network.ReadStatus(c.Status)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(e.stdout, s)
	}
	_, err = io.WriteString(e.stdout, describeNetwork(s, time.Now()))

	return err
}

// describeNetwork is the state for a person.
func describeNetwork(s *network.Status, now time.Time) string {
	var b strings.Builder
	for _, i := range s.Network.Interfaces {
		describeInterface(&b, &i, now)
	}
	for _, r := range s.Network.Routes {
		if r.Gateway.IsValid() {
			fmt.Fprintf(&b, "route  %s on %s\n", r, r.Link)
		}
	}
	if len(s.Network.DNS) > 0 {
		fmt.Fprintf(&b, "names  %s\n", strings.Trim(fmt.Sprint(s.Network.DNS), "[]"))
	}
	if len(s.Network.Search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(s.Network.Search, " "))
	}
	if s.PID == 0 {
		fmt.Fprintf(&b, "\nPillarbox does not manage the network of this machine.\n")
		return b.String()
	}
	if s.Name != "" {
		fmt.Fprintf(&b, "known  as %s by multicast DNS\n", s.Name)
	}
	fmt.Fprintf(&b, "time   %s\n", describeTime(&s.Time, now))
	for _, p := range s.Network.Problems {
		fmt.Fprintf(&b, "\nAttention: %s\n", p)
	}

	return b.String()
}

func describeInterface(b *strings.Builder, i *netcfg.Interface, now time.Time) {
	link := "down"
	switch {
	case i.Up && i.Carrier:
		link = "up"
	case i.Up:
		link = "no cable"
	}
	fmt.Fprintf(b, "%s  %s, MTU %d", i.Name, link, i.MTU)
	if i.MAC != "" {
		fmt.Fprintf(b, ", %s", i.MAC)
	}
	b.WriteByte('\n')
	for _, a := range i.Addresses {
		fmt.Fprintf(b, "  %-40s %s", a.Prefix, origins[a.Origin])
		switch {
		case a.Clashes:
			b.WriteString(", but another host has it")
		case a.Deprecated:
			b.WriteString(", its network is being given up")
		case !a.Expires.IsZero():
			fmt.Fprintf(b, ", for %s", a.Expires.Sub(now).Round(time.Second))
		}
		b.WriteByte('\n')
	}
	if l := i.Lease; l != nil {
		fmt.Fprintf(b, "  lease of %s, renewed at %s, ends %s\n", l.Server,
			l.Renew.Local().Format(time.DateTime), l.Expires.Local().Format(time.DateTime))
	}
}

var origins = map[netcfg.Origin]string{
	netcfg.FromDHCP:     "by DHCP",
	netcfg.FromSettings: "by the settings",
	netcfg.FromRouter:   "by the router",
	netcfg.FromKernel:   "by the kernel",
	netcfg.FromOthers:   "by others",
}

func describeTime(t *timesync.Status, now time.Time) string {
	if !t.Synchronised {
		text := "not known yet"
		if t.Problem != "" {
			text += ": " + t.Problem
		}
		return text
	}
	by := map[timesync.Origin]string{
		timesync.FromSettings: "by the settings", timesync.FromDHCP: "by DHCP", timesync.FromPool: "of the public pool",
	}
	text := fmt.Sprintf("from %s (%s), %d of %d agree, %s ago: the clock was off by %s",
		t.Source, by[t.Origin], t.Agreeing, t.Asked, now.Sub(t.At).Round(time.Second), t.Offset.Round(10*time.Microsecond))
	if t.Problem != "" {
		text += "; now: " + t.Problem
	}

	return text
}
