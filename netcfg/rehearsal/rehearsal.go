package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"pillarbox/netcfg/firewall"
	"pillarbox/netcfg/link"
	"pillarbox/netcfg/policy"
	"pillarbox/netcfg/state"
)

// maxLinks bounds how many interfaces get a stand-in.
const maxLinks = 64

// Run tries settings as they would follow those that hold now. The error says
// why they cannot hold. The notes say what was tried, and what could not be:
// where the kernel gives no namespace that is no reason to refuse settings.
func Run(ctx context.Context, log *slog.Logger, now, d *state.Desired, p *policy.Policy) (notes []string, err error) {
	real, err := link.Observe()
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread has left its namespace for good: it ends with the goroutine.
		runtime.LockOSThread()
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			notes, err = []string{fmt.Sprintf("not tried on a copy of the network: the kernel gives no namespace (%v)", err)}, nil
			return
		}
		notes, err = play(ctx, log, &real, now, d, p)
	}()
	<-done

	return notes, err
}

// play works in a namespace that is empty.
func play(ctx context.Context, log *slog.Logger, real *state.Observed, now, d *state.Desired, p *policy.Policy) (notes []string, err error) {
	missing, err := furnish(real)
	if err != nil {
		return []string{fmt.Sprintf("not tried on a copy of the network: %v", err)}, nil
	}
	notes = append(notes, missing...)
	if _, _, err := enact(real, now); err != nil {
		notes = append(notes, fmt.Sprintf("what holds now could not be set up on the copy: %v", err))
	}
	target, steps, err := enact(real, d)
	if err != nil {
		return notes, err
	}
	notes = append(notes, fmt.Sprintf("tried on a copy of the network: %d steps went well", steps))

	wall, err := firewall.Open(ctx, &firewall.Config{Logger: log})
	if errors.Is(err, firewall.ErrUnsupported) {
		return append(notes, "the firewall was not tried: "+err.Error()), nil
	}
	if err != nil {
		return notes, err
	}
	var n firewall.Network
	for _, t := range target.Links {
		var addresses []netip.Prefix
		for _, a := range t.Addresses {
			addresses = append(addresses, a.Prefix)
		}
		n.Add(t.Name, addresses...)
	}
	report, err := wall.Apply(ctx, p, n)
	if err != nil {
		return notes, fmt.Errorf("put the firewall up: %w", err)
	}

	return append(append(notes, "the firewall was put up there and read back"), report.Notes...), nil
}

// enact carries settings out on the copy, and finds out whether it did.
func enact(real *state.Observed, d *state.Desired) (target state.Target, steps int, err error) {
	o, err := link.Observe()
	if err != nil {
		return target, 0, err
	}
	standIns(real, &o)
	target, _ = state.Resolve(d, &o, nil, nil) // what stands in the way was told of the real network
	plan := state.Diff(&target, &o)
	if err := link.Apply(plan); err != nil {
		return target, 0, fmt.Errorf("set the network up: %w", err)
	}
	if o, err = link.Observe(); err != nil {
		return target, 0, err
	}
	standIns(real, &o)
	if rest := state.Diff(&target, &o); len(rest) > 0 {
		return target, 0, fmt.Errorf("after all is done this is still to be done: %s", rest[0].String())
	}

	return target, len(plan), nil
}

// furnish makes a stand-in for each device of the real network, and tells of
// those that got none.
func furnish(real *state.Observed) (missing []string, err error) {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return nil, fmt.Errorf("find the loopback interface: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return nil, fmt.Errorf("set the loopback interface up: %w", err)
	}
	made := 0
	for i := range real.Links {
		l := &real.Links[i]
		if l.Name == "lo" || l.Ours {
			continue
		}
		if made == maxLinks {
			return append(missing, fmt.Sprintf("only the first %d interfaces were tried", maxLinks)), nil
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = l.Name
		if l.MTU >= minMTU && l.MTU <= maxMTU {
			attrs.MTU = l.MTU
		}
		cable := &netlink.Veth{LinkAttrs: attrs, PeerName: fmt.Sprintf("far%d", i)}
		if err := netlink.LinkAdd(cable); err != nil {
			return nil, fmt.Errorf("make a virtual cable: %w", err)
		}
		made++
		if err := match(l); err != nil {
			missing = append(missing, fmt.Sprintf("%s was tried with another hardware address: %v", l.Name, err))
		}
	}

	return missing, nil
}

// The MTUs that a virtual cable has room for.
const (
	minMTU = 68
	maxMTU = 65535
)

// match gives a stand-in the hardware address of what it stands for.
func match(l *state.Link) error {
	if l.MAC == "" {
		return nil
	}
	cable, err := netlink.LinkByName(l.Name)
	if err != nil {
		return err
	}
	mac, err := net.ParseMAC(l.MAC)
	if err != nil {
		return err
	}

	return netlink.LinkSetHardwareAddr(cable, mac)
}

// standIns makes virtual cables pass for the devices that they stand for, and
// leaves their far ends out.
func standIns(real, o *state.Observed) {
	var links []state.Link
	for _, l := range o.Links {
		r := real.Find(l.Name)
		switch {
		case r != nil:
			l.Kind, l.Wired, l.Carrier = r.Kind, r.Wired, r.Carrier
			links = append(links, l)
		case l.Ours || l.Name == "lo":
			links = append(links, l)
		}
	}
	o.Links = links
}
