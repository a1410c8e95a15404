package appliance

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"pillarbox/appliance/access"
	"pillarbox/appliance/config"
	"pillarbox/appliance/imap"
	"pillarbox/appliance/ports"
	"pillarbox/appliance/ports/hostnames"
	"pillarbox/appliance/scram"
)

// openPorts reads who used which port. What belongs to accounts and devices that
// were removed while no server ran is forgotten.
func openPorts(ctx context.Context, c *Config, o *office, days int) (*ports.Inventory, error) {
	inv, err := ports.Open(&ports.Config{
		Logger:   c.Logger.With("service", "ports"),
		Store:    portStore{sections{o.store.System()}},
		Find:     hostnames.New(&hostnames.Config{}),
		Networks: networks,
		Keep:     days,
		Account: func(login string) (string, bool) {
			a, ok := o.directory.Whose(login)
			return string(a.ID), ok
		},
	})
	if err != nil {
		return nil, err
	}
	accounts, err := o.directory.List(ctx)
	if err != nil {
		return nil, err
	}
	devices := map[string][]string{} // of each account
	for _, a := range accounts {
		all, err := o.directory.Devices(ctx, a.Address)
		if err != nil {
			return nil, err
		}
		ids := []string{}
		for _, d := range all {
			ids = append(ids, d.ID)
		}
		devices[string(a.ID)] = ids
	}
	for _, client := range inv.Clients(ports.Query{}) {
		of, ok := devices[client.AccountID]
		switch id := client.Credential.ID; {
		case !ok:
			inv.ForgetAccount(client.AccountID)
		case id != "" && !slices.Contains(of, id):
			inv.ForgetCredential(client.AccountID, id)
		}
	}

	return inv, nil
}

// inventorySettings keeps what was seen of clients as long as the settings say.
type inventorySettings struct{ ports *ports.Inventory }

// Name implements config.Applier.
func (inventorySettings) Name() string { return "inventory" }

// Follows implements config.Follower.
func (inventorySettings) Follows() {}

// Check implements config.Applier.
func (inventorySettings) Check(_ context.Context, from, to *config.Document) (r config.Report, err error) {
	was, will := from.Inventory.Days, to.Inventory.Days
	if was == will {
		return r, nil
	}
	r.Steps = append(r.Steps, fmt.Sprintf("keep for %d days who used which port", will))
	if will < was {
		r.Notes = append(r.Notes, "what was seen before that is forgotten within a quarter of an hour of the confirmation, and does not come back")
	}

	return r, nil
}

// Try implements config.Applier. What is forgotten does not come back, so that
// nothing is done before the change is confirmed.
func (inventorySettings) Try(context.Context, *config.Trial) ([]string, error) { return nil, nil }

// Hold implements config.Applier.
func (s inventorySettings) Hold(_ context.Context, d *config.Document) error {
	return s.ports.SetKeep(d.Inventory.Days)
}

// networks returns those that this machine is in.
func networks() []netip.Prefix {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil // private networks are the office's all the same
	}
	var all []netip.Prefix
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.IsSingleIP() && !p.Addr().IsLoopback() {
			all = append(all, p.Masked())
		}
	}

	return all
}

// visitKey is under what a connection's context has its visit.
type visitKey struct{}

// see tells the inventory of a connection whose handshake is done, until leaves
// is called.
func (a *Appliance) see(ctx context.Context, c *access.Conn) (_ context.Context, leaves func()) {
	state := c.ConnectionState()
	_, number := hostAndPort(c.LocalAddr())
	v := a.office.ports.Visit(&ports.Connection{
		Remote: source(c.RemoteAddr()), Port: access.ListenerOf(c), Number: number,
		TLS: state.Version, Cipher: state.CipherSuite, Resumed: state.DidResume, ServerName: state.ServerName,
	})

	return context.WithValue(ctx, visitKey{}, v), v.End
}

// seeSignIn tells the inventory of a try to sign in.
func (a *Appliance) seeSignIn(ctx context.Context, s *imap.SignIn) {
	v, ok := ctx.Value(visitKey{}).(*ports.Visit)
	switch {
	case !ok:
	case s.Turned:
		v.TurnedAway(s.Account)
	case s.Failure != "":
		v.Refused(s.Account, s.Failure)
	default:
		v.SignedIn(&ports.SignIn{
			AccountID: string(s.Identity.Account), Account: s.Identity.Address, Kind: kindOf(s),
			Credential: s.Identity.Credential, Device: s.Identity.Device,
			Mechanism: s.Mechanism, Better: slices.ContainsFunc(a.signIn.Offered(s.Conn), hidesPassword),
		})
	}
}

// seeName tells the inventory what a client says that it is.
func seeName(ctx context.Context, id imap.ClientID) {
	if v, ok := ctx.Value(visitKey{}).(*ports.Visit); ok {
		v.Named(ports.ID{Name: id.Name, Version: id.Version, OS: id.OS})
	}
}

func kindOf(s *imap.SignIn) ports.Kind {
	switch {
	case s.Mechanism == external:
		return ports.Certificate
	case isBearer(s.Mechanism):
		return ports.Token
	case s.Identity.Device != "":
		return ports.AppPassword
	}

	return ports.Password
}

// hidesPassword tells whether the server does not learn the password by a
// mechanism, and everybody with a password or a certificate could use it.
func hidesPassword(mechanism string) bool {
	return mechanism == external || mechanism == scram.Mechanism || mechanism == scram.MechanismPlus
}

// unusedFor is how long nobody must have come by port 990 before that is told.
const unusedFor = 30 * 24 * time.Hour

// checkUnused tells of port 990 where it is open for nobody.
func (a *Appliance) checkUnused() error {
	inv := a.office.ports
	if len(a.ports.legacy.listeners()) == 0 || time.Since(inv.Since()) < unusedFor || time.Since(inv.LastSignIn(nameLegacy)) < unusedFor {
		return nil
	}

	return fmt.Errorf("nobody has signed in by port 990 for %d days. See what closing it would break (pillarbox port simulate close 990), "+
		"and close it in the settings (ports.imaps_legacy, pillarbox network apply)", int(unusedFor.Hours()/24))
}
