package doctor

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Box is what the appliance tells of itself.
type Box struct {
	// Running says that the server runs; without it nothing is connected to.
	Running bool
	// PID is the server's process; 0 if it is not known.
	PID int
	// Listeners are those that are open or, if the server does not run, wanted.
	Listeners []Listener
	// Name is what the certificate must hold; "" means not to check it.
	Name string
	// Roots are the CAs that the office's devices trust.
	Roots *x509.CertPool
	// Dir is the data folder.
	Dir string
	// Conditions are what the box knows to be wrong already.
	Conditions []Condition

	// Firewall tells what happens to a connection; nil means that this box has
	// no firewall of its own.
	Firewall func(ctx context.Context, source netip.Addr, port uint16) (Verdict, error)
	// Stored reads all stored mail and returns how many problems there are; nil
	// means that nobody asked for it.
	Stored func(ctx context.Context) (problems int, err error)
}

// Listener is a port of the box.
type Listener struct {
	Service Service // "" for what is not for mail: who holds it is looked at, not what it says
	Name    string  // by which the settings call it
	Address string  // host and port, or the path of a socket
}

// Condition is something that the box knows to be wrong.
type Condition struct {
	Name, Title, Text string
	Severity          Severity
}

// Verdict is what a firewall does with a connection.
type Verdict struct {
	Accepted  bool
	Rule, Why string
}

// ExamineBox examines the box itself. Host, Port and Service of the request are
// not looked at.
func (d *Doctor) ExamineBox(ctx context.Context, r *Request, b *Box) (*Report, error) {
	own := *r
	own.Host, own.Port, own.Service, own.Name = "localhost", 0, "", b.Name
	if err := own.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	inside := *d
	if b.Roots != nil {
		inside.roots = b.Roots
	}
	x := inside.begin(&own)
	x.report.Host = "this box"
	x.walk(ctx, []step{
		x.boxStep(b), x.conditionStep(b), x.machineStep(b), x.storedStep(b), x.firewallStep(b), x.domainStep(), x.clockStep(),
	})
	x.skip("the queue of outgoing mail", "this version sends no mail")
	x.skip("the age of the backup", "this version makes no backups by itself")

	return x.end(ctx), nil
}

// boxStep is the examination of the box's ports.
func (x *examination) boxStep(b *Box) step {
	var open []*port

	return step{
		name: "the server of this box",
		run: func(context.Context) bool {
			open = x.listeners(b)
			return b.Running
		},
		more: func() []step { return x.portSteps(open) },
	}
}

// listeners compares what should listen with what the kernel says.
func (x *examination) listeners(b *Box) []*port {
	sockets, err := readSockets(x.system)
	if err != nil {
		x.skip("which process listens on a port", err.Error())
	}
	if !b.Running {
		x.find("server-down", "", "no server runs on the data folder "+b.Dir, place{})
	}
	var open []*port
	for _, l := range b.Listeners {
		if strings.HasPrefix(l.Address, "unix:") || strings.HasPrefix(l.Address, "/") {
			continue
		}
		to, err := netip.ParseAddrPort(l.Address)
		if err != nil {
			x.skip("port "+l.Name, "its address cannot be read: "+l.Address)
			continue
		}
		at := &port{number: to.Port(), service: l.Service, addr: netip.AddrPortFrom(reachable(to.Addr()), to.Port())}
		if x.held(b, at, to.Addr(), sockets) && l.Service != "" && !slices.ContainsFunc(open, func(o *port) bool { return o.number == at.number }) {
			open = append(open, at)
		}
	}

	return open
}

// reachable is where this machine connects to for what listens on an address.
func reachable(a netip.Addr) netip.Addr {
	switch {
	case !a.IsUnspecified():
		return a.Unmap()
	case a.Is4():
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}

	return netip.IPv6Loopback()
}

// held finds processes other than the box's that hold one of its ports, and
// tells whether the box itself holds it.
func (x *examination) held(b *Box, p *port, listens netip.Addr, sockets []socket) bool {
	if sockets == nil {
		return b.Running
	}
	ours := false
	for _, s := range sockets {
		if s.port != p.number {
			continue
		}
		if b.Running && (s.pid == b.PID || s.pid == 0) {
			ours = true
			continue
		}
		x.find("port-taken", p.String(), fmt.Sprintf("port %s at %s is held by %s", p, s.addr, s.holder()), place{port: p.number})
	}
	if b.Running && !ours {
		x.find("not-listening", p.String(), fmt.Sprintf("the server says that it listens on port %s at %s, and the kernel knows nothing of it", p, listens), place{port: p.number})
	}

	return ours
}

// conditionStep tells what the box knows already.
func (x *examination) conditionStep(b *Box) step {
	return step{name: "what the box watches by itself", run: func(context.Context) bool {
		if !b.Running {
			x.skip("what the box watches by itself", "the server does not run")
			return true
		}
		for _, c := range b.Conditions {
			id := "box-note"
			switch c.Severity {
			case Broken:
				id = "box-broken"
			case Warning:
				id = "box-warning"
			}
			x.find(id, c.Name, c.Title+": "+c.Text, place{})
		}
		return true
	}}
}

func (x *examination) storedStep(b *Box) step {
	const what = "the stored mail"
	return step{name: what, run: func(ctx context.Context) bool {
		if b.Stored == nil {
			x.skip(what, "it takes minutes and was not asked for (--storage)")
			return true
		}
		problems, err := b.Stored(ctx)
		switch {
		case err != nil:
			x.find("storage-unread", "", "the stored mail cannot be read: "+err.Error(), place{})
		case problems > 0:
			x.find("storage-damaged", "", fmt.Sprintf("%d problems were found in the stored mail", problems), place{})
		}
		return true
	}}
}

// firewallStep asks what happens to a connection from each network that the box
// is in.
func (x *examination) firewallStep(b *Box) step {
	const what = "the firewall"
	return step{name: what, run: func(ctx context.Context) bool {
		if b.Firewall == nil {
			x.skip(what, "this box has none of its own; that of the system is not looked at")
			return true
		}
		sources, err := neighbours()
		if err != nil || len(sources) == 0 {
			x.skip(what, "it is not known in which networks this box is")
			return true
		}
		for _, l := range b.Listeners {
			to, err := netip.ParseAddrPort(l.Address)
			if err != nil || l.Service == LMTP || to.Addr().IsLoopback() {
				continue
			}
			for _, source := range sources {
				v, err := b.Firewall(ctx, source, to.Port())
				switch {
				case err != nil:
					x.skip(fmt.Sprintf("the firewall for %s to port %d", source, to.Port()), err.Error())
				case !v.Accepted:
					x.find("firewall-refuses", strconv.Itoa(int(to.Port())), fmt.Sprintf("the firewall keeps %s, which is in a network of this box, from port %d by the rule %q: %s",
						source, to.Port(), v.Rule, v.Why), place{address: source.String(), port: to.Port()})
				}
			}
		}
		return true
	}}
}

// boxKinds are about the box itself and the machine that it runs on.
func boxKinds() []kind {
	return []kind{
		{"server-down", Broken, "Nobody can read mail.", "Start it: pillarbox serve, or systemctl start pillarbox. If it ends again, its log says why.", "pillarbox status; systemctl status pillarbox"},
		{"port-taken", Broken, "Two programs cannot serve one port: mail programs reach the other one, or the server does not start.", "Stop that program, or let one of the two use another port or address.", seePorts + " 'sport = :{port}'"},
		{"not-listening", Broken, "Nobody can connect there.", "Start the server again and see its log.", seePorts + " 'sport = :{port}'"},
		{"firewall-refuses", Warning, "People in that network cannot connect.", "Change the rules, if they should: pillarbox network settings, plan and apply.", "pillarbox firewall explain {address} {port}"},
		{"box-broken", Broken, "The box watches this itself, and mail does not work as long as it lasts.", "As told above.", "pillarbox status"},
		{"box-warning", Warning, "The box watches this itself.", "As told above.", "pillarbox status"},
		{"box-note", Note, "The box watches this itself.", "As told above.", "pillarbox status"},
		{"storage-damaged", Broken, "Messages may be unreadable, and damage can grow.", "Make a copy of the data folder, then: pillarbox check --repair", "pillarbox check"},
		{"storage-unread", Broken, "It is not known whether the mail is whole.", "See the log and the disk.", "pillarbox check; dmesg | tail"},
		{"disk-full", Broken, "Mail is turned away when there is no room.", "Delete what is not needed, or move to a larger disk.", "df -h {dir}; df -i {dir}"},
		{"disk-low", Warning, "The disk will soon be full, and then mail is turned away.", "Delete what is not needed, or move to a larger disk.", "df -h {dir}; df -i {dir}"},
		{"disk-read-only", Broken, "Nothing can be stored.", "See why the system mounted it so; often the disk is failing.", "findmnt -T {dir}; dmesg | tail"},
		{"flash-worn", Warning, "Flash that is worn out loses data or becomes read-only.", "Make a backup and move to a new card or disk soon.", "cat /sys/block/mmcblk*/device/life_time /sys/block/mmcblk*/device/pre_eol_info"},
		{"memory-low", Warning, "The system will end programs, the server perhaps among them.", "See what takes the memory, or give the machine more.", "free -m; ps aux --sort=-rss | head"},
	}
}
