package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"pillarbox/appliance/control"
	"pillarbox/appliance/ports"
)

// portCommand is about who uses which port.
type portCommand struct {
	List      portListCommand      `cmd:"" help:"List the devices and programs that sign in, and what is risky about them."`
	Show      portShowCommand      `cmd:"" help:"Tell all that is known of one of them."`
	Strangers portStrangersCommand `cmd:"" help:"List who connects without signing in."`
	Totals    portTotalsCommand    `cmd:"" help:"Count what happened at each port, by day."`
	Simulate  portSimulateCommand  `cmd:"" help:"Tell what a change would break: a port closed, TLS 1.3 alone, no passwords sent."`
}

// portName is a port on the command line: its number or its listener's name.
type portName string

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *portName) UnmarshalText(text []byte) error {
	name, ok := map[string]string{"993": ports.IMAPS, "990": ports.Legacy, ports.IMAPS: ports.IMAPS, ports.Legacy: ports.Legacy}[string(text)]
	if !ok {
		return fmt.Errorf("%q is none of 993 (imaps) and 990 (imaps-legacy)", text)
	}
	*p = portName(name)

	return nil
}

// portFilterFlags choose clients or strangers.
type portFilterFlags struct {
	Port    portName   `help:"Only who came by this port." placeholder:"993|990"`
	Account string     `help:"Only of this account." placeholder:"ADDRESS"`
	Address netip.Addr `name:"from" help:"Only who came from this IP address." placeholder:"ADDRESS"`
	Since   moment     `help:"Only who was seen since: 2026-11-27, or how long ago, such as 36h or 7d." placeholder:"TIME"`
}

func (f *portFilterFlags) query() ports.Query {
	return ports.Query{Port: string(f.Port), Account: f.Account, Address: f.Address, Since: time.Time(f.Since)}
}

type portListCommand struct {
	dataFlag
	jsonFlag
	portFilterFlags
}

// Help is printed below the flags.
func (c *portListCommand) Help() string {
	return `A line is a device or program, as far as the box can tell them apart: by account, password
or certificate and what the program says that it is, and in the office by its address. It
appears some seconds after the first sign-in, and is kept for 90 days after the last (or as
many as inventory.days of the settings says). PORTS, TLS and BY are of the last 30 days.`
}

// Run lists clients.
func (c *portListCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		all, err := client.PortClients(ctx, c.query())
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, all)
		}
		if len(all) == 0 {
			_, err := fmt.Fprintln(e.stdout, "Nobody of that kind has signed in as far as is known.")
			return err
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "LAST SEEN\tACCOUNT\tWHAT\tFROM\tPORTS\tTLS\tBY\tSESSIONS\tRISKS\tID")
		for i := range all {
			c := &all[i]
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", c.Last.Local().Format(time.DateTime), c.Account, what(c), whereabouts(c),
				lately(c, func(u *ports.Use) string { return strconv.Itoa(u.Number) }),
				lately(c, func(u *ports.Use) string { return strings.TrimPrefix(u.TLS, "TLS ") }),
				lately(c, func(u *ports.Use) string { return u.Mechanism }), c.Sessions, riskNames(c), c.ID)
		}

		return w.Flush()
	})
}

// what tells what a client is, "-" where nothing but its address is known.
func what(c *ports.Client) string {
	name := c.Name()
	if len(c.Addresses) > 0 && name == c.Addresses[0].Addr.String() {
		return "-"
	}

	return name
}

// whereabouts tells where a client was last.
func whereabouts(c *ports.Client) string {
	if len(c.Addresses) == 0 {
		return "-"
	}

	return addressWords(&c.Addresses[0])
}

func addressWords(a *ports.Address) string {
	text := a.Addr.String()
	if a.Name != "" {
		text += " (" + a.Name + ")"
	}

	return text
}

// lately joins what differs of how a client came in the last 30 days, the newest
// first; of one that was not seen since, of the last time.
func lately(c *ports.Client, tell func(*ports.Use) string) string {
	var all []string
	for i := range c.Uses {
		u := &c.Uses[i]
		if s := tell(u); !slices.Contains(all, s) && (i == 0 || time.Since(u.Last) < 30*24*time.Hour) {
			all = append(all, s)
		}
	}

	return strings.Join(all, ", ")
}

func riskNames(c *ports.Client) string {
	var all []string
	for _, r := range c.Risks {
		all = append(all, r.Name)
	}

	return orDash(strings.Join(all, ", "))
}

type portShowCommand struct {
	dataFlag
	jsonFlag

	ID string `arg:"" help:"Its ID, as the list has it."`
}

// Run shows a client.
func (c *portShowCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		found, err := client.PortClient(ctx, c.ID)
		if codeOf(err) == control.CodeNoClient {
			return &hintError{"See which there are: pillarbox port list", err}
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, found)
		}

		return showClient(e.stdout, &found)
	})
}

func showClient(w io.Writer, c *ports.Client) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s\n", c.Name(), c.Account)
	fmt.Fprintf(&b, "  signs in by  %s\n", credentialWords(&c.Credential))
	fmt.Fprintf(&b, "  program      %s\n", orDash(c.Program))
	fmt.Fprintf(&b, "  seen         %s to %s, %s", c.First.Local().Format(time.DateTime), c.Last.Local().Format(time.DateTime), plural(c.Sessions, "session"))
	if c.Connected > 0 {
		fmt.Fprintf(&b, ", %d open now", c.Connected)
	}
	if c.Failures > 0 {
		fmt.Fprintf(&b, "; sign-ins of the account that failed from there: %d", c.Failures)
	}
	b.WriteString("\n")
	for _, a := range c.Addresses {
		place := "outside the office's networks"
		if a.Local {
			place = "in the office's networks"
		}
		if a.Name != "" {
			place = a.Name + " (by " + a.NameBy + "), " + place
		}
		fmt.Fprintf(&b, "  from         %s, %s, last at %s\n", a.Addr, place, a.Last.Local().Format(time.DateTime))
	}
	for _, u := range c.Uses {
		fmt.Fprintf(&b, "  by port %d  %s, %s, %s, %s of which %d resumed, %s to %s, last from %s", u.Number, u.TLS, u.Cipher, u.Mechanism,
			plural(u.Sessions, "session"), u.Resumed, u.First.Local().Format(time.DateOnly), u.Last.Local().Format(time.DateOnly), u.From)
		if u.ServerName != "" {
			fmt.Fprintf(&b, ", as %s", u.ServerName)
		}
		b.WriteString("\n")
	}
	for _, r := range c.Risks {
		fmt.Fprintf(&b, "\n%s\n  %s\n  %s\n", r.Name, r.Text, r.Do)
	}
	_, err := io.WriteString(w, b.String())

	return err
}

func credentialWords(c *ports.Credential) string {
	switch c.Kind {
	case ports.AppPassword:
		return fmt.Sprintf("the password of the device %s", c.Device)
	case ports.Certificate:
		return fmt.Sprintf("the certificate of the device %s", c.Device)
	case ports.Token:
		return "tokens of the office's provider"
	case ports.Password:
	}

	return "the person's own password"
}

type portStrangersCommand struct {
	dataFlag
	jsonFlag
	portFilterFlags
}

// Help is printed below the flags.
func (c *portStrangersCommand) Help() string {
	return `SILENT are connections on which nobody tried to sign in, FAILED handshakes of TLS, and REFUSED
sign-ins. Names that were tried are kept where an account has them. --account lists addresses
from which clients of that account came as well.`
}

// Run lists strangers.
func (c *portStrangersCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		all, err := client.PortStrangers(ctx, c.query())
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, all)
		}
		if len(all) == 0 {
			_, err := fmt.Fprintln(e.stdout, "Nobody of that kind has connected without signing in as far as is known.")
			return err
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "LAST SEEN\tFROM\tNAME\tPORT\tSILENT\tFAILED\tREFUSED\tALSO OF\tWHY")
		for _, s := range all {
			for _, k := range s.Uses {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", k.Last.Local().Format(time.DateTime), networkName(s.Network), orDash(s.Name), k.Port,
					k.Silent, k.Failed, k.Refused, orDash(strings.Join(s.Accounts, ", ")), orDash(strangerReason(&k)))
			}
		}

		return w.Flush()
	})
}

func strangerReason(k *ports.Knock) string {
	var all []string
	if k.Reason != "" {
		all = append(all, k.Reason)
	}
	if k.Refusal != "" {
		text := k.Refusal
		if len(k.Tried) > 0 {
			text += " (as " + strings.Join(k.Tried, ", ") + ")"
		}
		all = append(all, text)
	}

	return strings.Join(all, "; ")
}

type portTotalsCommand struct {
	dataFlag
	jsonFlag

	Days int `help:"How many days." default:"7" placeholder:"N"`
}

// Help is printed below the flags.
func (c *portTotalsCommand) Help() string {
	return `Days are those of UTC. --json has all that are kept.`
}

// Run counts.
func (c *portTotalsCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		all, err := client.Ports(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, all)
		}
		if len(all) == 0 {
			_, err := fmt.Fprintln(e.stdout, "Nobody has connected as far as is known.")
			return err
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		for _, p := range all {
			fmt.Fprintf(w, "%s (%d): in the last 30 days %s of %d accounts\n", p.Name, p.Number, plural(p.Clients, "client"), p.Accounts)
			fmt.Fprintln(w, "  DAY\tSIGN-INS\tFAILED\tHANDSHAKES\tFAILED\tSILENT")
			for _, d := range p.Days[max(0, len(p.Days)-max(0, c.Days)):] {
				fmt.Fprintf(w, "  %s\t%d\t%d\t%d\t%d\t%d\n", d.Date.Format(time.DateOnly), d.SignIns, d.FailedSignIns, d.Handshakes, d.FailedShakes, d.SilentSessions)
			}
		}

		return w.Flush()
	})
}
