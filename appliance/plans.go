package appliance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pillarbox/appliance/access"
	"pillarbox/appliance/audit"
	"pillarbox/appliance/config"
	"pillarbox/appliance/delivery"
	"pillarbox/appliance/health"
	"pillarbox/appliance/imap"
	"pillarbox/appliance/ports"
	"pillarbox/appliance/ports/sunset"
)

// plansSection is where plans are kept in the system database.
const plansSection = "plans"

// openPlans opens the plans to leave old ways of reading mail behind.
func (a *Appliance) openPlans(ctx context.Context) (*sunset.Planner, error) {
	p, err := sunset.New(&sunset.Config{
		Logger:     a.log.With("service", "plans"),
		Store:      sectionStore{a.office.store.System(), plansSection},
		Inventory:  planInventory{a.office.ports},
		Settings:   planSettings{a},
		People:     members{recipients{a.office.directory}},
		Mailer:     letters{a.office.delivery},
		Server:     a.office.clients.server,
		Zone:       a.zone,
		Disconnect: a.disconnectContacts,
		Record:     a.recordPlan,
		Trouble:    a.planTrouble,
		Evidence:   a.planEvidence,
	})
	if err == nil && a.conf.Reset != nil {
		err = p.Forget(ctx)
	}

	return p, err
}

// planSettings shows the settings to plans.
type planSettings struct{ a *Appliance }

// wayOpen tells whether a document has the old way of a kind open.
func wayOpen(k sunset.Kind, d *config.Document) bool {
	switch k {
	case sunset.Leave990:
		return d.Ports.IMAPSLegacy
	case sunset.Leave993:
		return !d.Ports.NoIMAPS
	case sunset.TLS13:
		return d.Certificate.Policy != "modern"
	case sunset.NoPasswords:
		for _, port := range config.SignInPorts() {
			for _, client := range clients(&d.SignIn) {
				if r := d.SignIn.Rule(port, client); !withoutPasswords(r) {
					return true
				}
			}
		}
	}

	return false
}

// Way implements sunset.Settings.
func (s planSettings) Way(k sunset.Kind) sunset.Way {
	all := s.a.settings.Versions()
	way := sunset.Way{Open: wayOpen(k, &all[0].Document)}
	for i := range all {
		if wayOpen(k, &all[i].Document) != way.Open {
			break
		}
		way.Version, way.By = all[i].Number, all[i].By
	}

	return way
}

// Works implements sunset.Settings.
func (s planSettings) Works(k sunset.Kind, c *sunset.Contact) bool {
	d := s.a.settings.Current().Document
	from, ports := clients(&d.SignIn), config.SignInPorts()
	if c != nil && c.Remote.IsValid() {
		from = []netip.Addr{c.Remote.Unmap().WithZone("")}
	}
	if c != nil && c.Port != "" {
		ports = []string{c.Port}
	}
	switch k {
	case sunset.Leave990:
		return s.serves(&d, nameIMAPS, from)
	case sunset.Leave993:
		return s.serves(&d, nameLegacy, from)
	case sunset.NoPasswords:
		sends := func(m string) bool { return m == "PLAIN" || m == "LOGIN" }
		return slices.ContainsFunc(ports, func(port string) bool {
			return slices.ContainsFunc(from, func(client netip.Addr) bool {
				return len(slices.DeleteFunc(s.a.office.policy.offers(&d.SignIn, port, client), sends)) > 0
			})
		})
	}

	return true
}

// serves tells whether somebody from one of these addresses is served on a port:
// what listens counts, and not what was to, and whether they get through the
// firewall and the rules of signing in.
func (s planSettings) serves(d *config.Document, port string, from []netip.Addr) bool {
	listens := slices.ContainsFunc(s.a.ports.all(), func(p *mailPort) bool { return p.name == port && len(p.listeners()) > 0 })

	return listens && d.Reachable(port, s.a.conf.NetworkSocket != "") && slices.ContainsFunc(from, func(client netip.Addr) bool {
		r := d.SignIn.Rule(port, client)
		return r.Mechanisms == nil || len(r.Mechanisms) > 0
	})
}

// Set implements sunset.Settings.
func (s planSettings) Set(ctx context.Context, k sunset.Kind, open bool, by, why string) (sunset.Way, error) {
	_, err := s.a.settings.Carry(ctx, &config.Approved{By: by, Why: why, Edit: func(d *config.Document) error {
		if wayOpen(k, d) != open {
			s.edit(k, open, d)
		}
		return nil
	}})

	return s.Way(k), err
}

// edit opens or closes the old way of a kind. What it was like before it was
// closed comes from the versions that are kept.
func (s planSettings) edit(k sunset.Kind, open bool, d *config.Document) {
	before := config.Default()
	for _, v := range s.a.settings.Versions() {
		if wayOpen(k, &v.Document) {
			before = v.Document
			break
		}
	}
	firewall := s.a.conf.NetworkSocket != "" // else it is not ours
	switch k {
	case sunset.Leave990:
		d.SetPort(nameLegacy, open, firewall, &before)
	case sunset.Leave993:
		d.SetPort(nameIMAPS, open, firewall, &before)
	case sunset.TLS13:
		d.Certificate.Policy = map[bool]string{true: before.Certificate.Policy, false: "modern"}[open]
	case sunset.NoPasswords:
		if open {
			d.SignIn.Rules = before.SignIn.Rules
		} else {
			d.SignIn.Rules = withoutSending(d.SignIn.Rules)
		}
	}
}

// withoutSending takes from rules of signing in the mechanisms that send the
// password, also for connections that no rule fits.
func withoutSending(rules []config.SignInRule) []config.SignInRule {
	sends := func(m string) bool { return m == "PLAIN" || m == "LOGIN" }
	rest := slices.DeleteFunc(config.Mechanisms(), sends)
	all := []config.SignInRule{}
	for _, r := range rules {
		if r.Mechanisms == nil {
			r.Mechanisms = rest
		} else {
			r.Mechanisms = slices.DeleteFunc(slices.Clone(r.Mechanisms), sends)
		}
		all = append(all, r)
	}
	if n := len(all); n == 0 || all[n-1].Port != "" || len(all[n-1].Networks) > 0 {
		all = append(all, config.SignInRule{Mechanisms: rest})
	}

	return all
}

// Window implements sunset.Settings.
func (s planSettings) Window(now time.Time) time.Time {
	current := s.a.settings.Current()

	return current.Document.Next(now)
}

// Changes implements sunset.Settings.
func (s planSettings) Changes() []sunset.Change {
	all := s.a.settings.Versions()
	found := []sunset.Change{}
	for i := range len(all) - 1 {
		v := &all[i]
		c := sunset.Change{Version: v.Number, At: v.Confirmed, By: v.By, Why: v.Why}
		for _, d := range config.Diff(&all[i+1].Document, &v.Document) {
			for _, about := range []string{"ports.", "sign_in.", "certificate.policy", "firewall.services.imaps"} {
				if strings.HasPrefix(d.Path, about) {
					c.What = append(c.What, d.String())
				}
			}
		}
		if len(c.What) > 0 {
			found = append(found, c)
		}
	}

	return found
}

// planInventory shows who uses which port to plans.
type planInventory struct{ *ports.Inventory }

// Uses implements sunset.Inventory.
func (i planInventory) Uses(since time.Time) []sunset.Use {
	var all []sunset.Use
	for _, c := range i.Clients(ports.Query{Since: since}) {
		var risks []string
		for _, r := range c.Risks {
			risks = append(risks, r.Text)
		}
		for _, u := range c.Uses {
			if u.Last.Before(since) {
				continue
			}
			all = append(all, sunset.Use{
				Contact: sunset.Contact{Account: c.Account, Remote: u.From, Port: u.Port, TLS: u.TLS, Mechanism: u.Mechanism},
				Device:  c.Name(), Program: c.Program, First: u.First, Last: u.Last, Sessions: u.Sessions, Risks: risks,
			})
		}
	}

	return all
}

// Traffic implements sunset.Inventory.
func (i planInventory) Traffic(port string, from, to time.Time) (t sunset.Traffic) {
	names := []string{port}
	if port == "" {
		names = []string{nameIMAPS, nameLegacy}
	}
	for _, name := range names {
		sum := i.Inventory.Traffic(name, from, to)
		t.SignIns += sum.SignIns
		t.Failed += sum.FailedSignIns - sum.Guesses // no plan is for strangers to stop
	}

	return t
}

// members shows the directory to plans.
type members struct{ recipients }

// Members implements sunset.People.
func (m members) Members(ctx context.Context, address string) ([]string, error) {
	found, err := m.Resolve(ctx, address)
	if errors.Is(err, delivery.ErrUnknownRecipient) {
		err = fmt.Errorf("%w: %s", sunset.ErrNoPerson, address)
	}
	var all []string
	for _, a := range found {
		all = append(all, a.Address)
	}

	return all, err
}

// letters delivers what the box itself writes.
type letters struct{ *delivery.Pipeline }

// Deliver implements sunset.Mailer.
func (l letters) Deliver(ctx context.Context, account string, message []byte) error {
	results := l.Pipeline.Deliver(ctx, &delivery.Envelope{Recipients: []string{account}, Own: true}, strings.NewReader(string(message)))

	return results[0].Err
}

// contact tells plans how somebody came.
func contact(c net.Conn, account, mechanism string) *sunset.Contact {
	found := &sunset.Contact{Account: account, Remote: source(c.RemoteAddr()), Port: access.ListenerOf(c), Mechanism: mechanism}
	if t, ok := c.(*access.Conn); ok {
		found.TLS = tls.VersionName(t.ConnectionState().Version)
	}

	return found
}

// disconnectContacts ends the sessions of those whom a plan refuses.
func (a *Appliance) disconnectContacts(match func(*sunset.Contact) bool, reason string) int {
	if a.imap == nil {
		return 0
	}

	return a.imap.DisconnectIf(func(s *imap.Arrival) bool { return match(contact(s.Conn, s.Address, s.Mechanism)) }, reason)
}

// notices shows plans to IMAP.
type notices struct{ plans *sunset.Planner }

// Turned implements imap.Notices.
func (n notices) Turned(c net.Conn) string {
	return n.plans.Turned(access.ListenerOf(c), source(c.RemoteAddr()))
}

// Notice implements imap.Notices.
func (n notices) Notice(_ context.Context, s *imap.Arrival) imap.Notice {
	alerts, refuse := n.plans.Arrived(contact(s.Conn, s.Address, s.Mechanism))

	return imap.Notice{Alerts: alerts, Refuse: refuse}
}

// recordPlan records what was decided about a plan.
func (a *Appliance) recordPlan(ctx context.Context, e sunset.Event) error {
	kinds := map[sunset.What]audit.Kind{
		sunset.WasMade: audit.PlanMade, sunset.WasStarted: audit.PlanStarted, sunset.WasMoved: audit.PlanMoved,
		sunset.WasPaused: audit.PlanPaused, sunset.WasResumed: audit.PlanResumed, sunset.WasTaken: audit.PlanRolledBack,
		sunset.WasAccepted: audit.PlanAccepted, sunset.WasBrownout: audit.PlanBrownout, sunset.WasDone: audit.PlanEnded,
		sunset.WasDropped: audit.PlanEnded, sunset.WasOwned: audit.Port990Owner, sunset.WasReviewed: audit.Port990Review,
	}

	return a.office.audit.Record(ctx, audit.Event{
		Kind: kinds[e.What], Actor: e.By, Before: e.From, After: e.To, More: map[string]string{"plan": string(e.Kind), "reason": e.Why},
	})
}

// planTrouble shows what somebody should look at.
func (a *Appliance) planTrouble(c sunset.Condition, text string) {
	k := &health.Kind{Name: string(c), Severity: health.Low}
	switch c {
	case sunset.PlanPaused:
		k.Title, k.Severity = "A plan is paused", health.Medium
	case sunset.PlanWaits:
		k.Title = "A plan does not go on"
	case sunset.PlanUnheld:
		k.Title, k.Severity, k.After = "The settings do not follow a plan", health.Medium, time.Minute
	case sunset.PlanDamaged:
		k.Title, k.Severity = "A plan cannot be read", health.Medium
	case sunset.ReviewDue:
		k.Title = "Port 990 is to be looked at again"
	}
	if text == "" {
		a.health.Clear(k)
	} else {
		a.health.Set(k, text)
	}
}

// planEvidence signs where the audit record ends.
func (a *Appliance) planEvidence(ctx context.Context) []sunset.Evidence {
	c, err := a.office.audit.Checkpoint(ctx)
	if err != nil {
		return []sunset.Evidence{{Name: "The audit record cannot be signed", Value: err.Error()}}
	}
	all := []sunset.Evidence{{Name: "Where the audit record ends, signed by the box", Value: c.String()}}
	if key, err := a.office.audit.PublicKey(); err == nil {
		all = append(all, sunset.Evidence{Name: "The key for it", Value: strings.Join(strings.Fields(string(key)), " ")})
	}

	return append(all, sunset.Evidence{Name: "The settings", Value: fmt.Sprintf("version %d", a.settings.Current().Number)})
}
