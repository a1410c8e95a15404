package appliance

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/config"
	"pillarbox/appliance/control"
	"pillarbox/appliance/network"
)

// openSettings opens the configuration. more are those parts of it that belong to
// what only a running server has.
func openSettings(ctx context.Context, c *Config, o *office, more ...config.Applier) (*config.Manager, error) {
	var appliers []config.Applier
	if c.NetworkSocket == "" {
		appliers = append(appliers, hostNetwork{})
	} else {
		appliers = append(appliers, &boxNetwork{client: network.NewClient(c.NetworkSocket)})
	}
	m, err := o.openCerts(ctx)
	if err != nil {
		return nil, err
	}
	appliers = append(append(appliers, more...), certSource{m})

	return config.Open(ctx, &config.Config{
		Logger:   c.Logger.With("service", "config"),
		Store:    sectionStore{o.store.System(), settingsSection},
		Appliers: appliers,
		Record:   o.recordSettings,
	})
}

// recordSettings records what happens to the configuration.
func (o *office) recordSettings(ctx context.Context, e config.Event) error {
	kinds := map[config.What]audit.Kind{
		config.WasProposed: audit.ConfigProposed, config.WasApplied: audit.ConfigApplied,
		config.WasConfirmed: audit.ConfigConfirmed, config.WasReverted: audit.ConfigReverted,
		config.WasRestored: audit.ConfigRestored, config.WasOverridden: audit.Port990Override,
	}
	more := map[string]string{}
	if e.Version > 0 {
		more["version"] = fmt.Sprint(e.Version)
	}
	if e.Reason != "" {
		more["reason"] = e.Reason
	}

	return o.audit.Record(ctx, audit.Event{Kind: kinds[e.What], Actor: e.Actor, After: e.Diff, More: more})
}

const settingsSection = "config"

// hostNetwork stands for a network that is not ours to change.
type hostNetwork struct{}

// errHostNetwork says whose the network is.
var errHostNetwork = errors.New("the network and the firewall of this machine are its own: change them where its other settings are; here only ports and certificates can be changed")

// Name implements config.Applier.
func (hostNetwork) Name() string { return "network" }

// Check implements config.Applier.
func (hostNetwork) Check(_ context.Context, from, to *config.Document) (config.Report, error) {
	if !sameNetwork(from, to) {
		return config.Report{}, errHostNetwork
	}

	return config.Report{}, nil
}

// Try implements config.Applier.
func (hostNetwork) Try(context.Context, *config.Trial) ([]string, error) { return nil, nil }

// Hold implements config.Applier.
func (hostNetwork) Hold(context.Context, *config.Document) error { return nil }

func sameNetwork(a, b *config.Document) bool {
	return sameJSON(a.Network, b.Network) && sameJSON(a.Firewall, b.Firewall)
}

func sameJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)

	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// boxNetwork is the box's own network, which its service keeps. Its methods are
// called one at a time.
type boxNetwork struct {
	client *network.Client
	known  string // the mark of the provisioned network that is known here
	idle   string // the trial in which there is nothing to do
}

// Name implements config.Applier.
func (n *boxNetwork) Name() string { return "network" }

func settingsOf(d *config.Document) *network.Settings {
	return &network.Settings{Network: d.Network, Firewall: d.Firewall}
}

// Check implements config.Applier.
func (n *boxNetwork) Check(ctx context.Context, from, to *config.Document) (config.Report, error) {
	if sameNetwork(from, to) {
		return config.Report{}, nil
	}
	r, err := n.client.Check(ctx, settingsOf(to))
	if err != nil {
		return config.Report{}, err
	}

	return config.Report{Steps: r.Steps, Notes: append(r.Problems, r.Rehearsal...)}, nil
}

// trialMargin is how much longer the service waits than the configuration,
// which is to end a trial as long as it lives.
const trialMargin = 5 * time.Second

// Try implements config.Applier.
func (n *boxNetwork) Try(ctx context.Context, t *config.Trial) ([]string, error) {
	if n.idle = ""; sameNetwork(t.From, t.To) {
		n.idle = t.ID // nor need the service be there
		return nil, nil
	}
	return n.client.Try(ctx, t.ID, settingsOf(t.To), t.For+trialMargin)
}

// Trying implements config.Witness: the service may have been started again.
func (n *boxNetwork) Trying(ctx context.Context, id string) (bool, error) {
	if n.idle == id {
		return true, nil
	}
	s, err := n.client.State(ctx)

	return s.Trial == id, err
}

// Hold implements config.Applier.
func (n *boxNetwork) Hold(ctx context.Context, d *config.Document) error {
	return n.client.Hold(ctx, settingsOf(d), n.known)
}

// Newer implements config.Source: the provisioning file is the way back in for
// somebody who has locked themselves out.
func (n *boxNetwork) Newer(ctx context.Context, current *config.Document, taken string) (*config.Found, error) {
	s, err := n.client.State(ctx)
	if err != nil {
		return nil, err
	}
	n.known = s.Provisioned
	if s.Provisioned == "" || s.Provisioned == taken {
		return nil, nil
	}
	d := *current
	d.Network = s.Found

	return &config.Found{Document: d, By: "the provisioning file", Mark: s.Provisioned}, nil
}

// rulesTime is how long listeners wait for the firewall's rules.
const rulesTime = 20 * time.Second

// awaitRules waits until the firewall's rules stand, but not for ever: an
// office that gets no mail because of a firewall that does not start is no
// safer. A condition tells of it then.
func (a *Appliance) awaitRules(ctx context.Context) {
	if a.conf.NetworkSocket == "" {
		return
	}
	client := network.NewClient(a.conf.NetworkSocket)
	ctx, cancel := context.WithTimeout(ctx, rulesTime)
	defer cancel()
	for {
		s, err := client.State(ctx)
		if err == nil && !s.Open() {
			return
		}
		select {
		case <-ctx.Done():
			a.log.Error("the mail server opens its ports without a firewall", "err", err, "problem", s.Problem)
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// startSettings makes the confirmed settings hold. What hangs is left for later:
// mail does not wait for it.
func (a *Appliance) startSettings(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, rulesTime)
	defer cancel()

	return a.settings.Start(ctx)
}

// checkFirewall tells what is wrong with the firewall.
func (a *Appliance) checkFirewall(ctx context.Context) error {
	if a.conf.NetworkSocket == "" {
		return nil
	}
	s, err := network.NewClient(a.conf.NetworkSocket).State(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("the network's service does not answer: %w. It is started again by itself; if this stays, restart the box", err)
	case s.Open():
		return fmt.Errorf("no rules stand, so everybody on the network reaches every open port. %s", s.Problem)
	case s.Problem != "":
		return fmt.Errorf("%s. Look at pillarbox firewall show, and take back the last change of the settings", s.Problem)
	}

	return nil
}

// checkSettings tells where the configuration may not hold.
func (a *Appliance) checkSettings(context.Context) error {
	var all []error
	for applier, err := range a.settings.Problems() {
		all = append(all, fmt.Errorf("%s: %w", applier, err))
	}

	return errors.Join(all...)
}

// wall shows the box's firewall to commands.
type wall struct{ client *network.Client }

// firewallOf returns nil where the firewall is not ours.
func firewallOf(c *Config) control.Firewall {
	if c.NetworkSocket == "" {
		return nil
	}

	return wall{network.NewClient(c.NetworkSocket)}
}

// Rules implements control.Firewall.
func (w wall) Rules(ctx context.Context) (r control.FirewallRules, err error) {
	s, err := w.client.State(ctx)
	if err != nil {
		return r, err
	}
	r.Words, r.Problem = s.Words, s.Problem
	r.State, err = json.Marshal(s.Firewall)

	return r, err
}

// Explain implements control.Firewall.
func (w wall) Explain(ctx context.Context, source netip.Addr, port uint16) (control.FirewallDecision, error) {
	d, err := w.client.Explain(ctx, source, port)
	if err != nil {
		return control.FirewallDecision{}, err
	}

	return control.FirewallDecision{Accepted: d.Accepted, Rule: d.Rule, Why: d.Why, Path: d.Path}, nil
}

// foundNetwork returns what tells which network the machine has: as the firmware's
// service says, or by looking.
func foundNetwork(c *Config) func() (json.RawMessage, error) {
	return func() (json.RawMessage, error) {
		s, err := network.ReadStatus(cmp.Or(c.NetworkStatus, network.StatusFile))
		if err != nil {
			return nil, err
		}
		return json.Marshal(s)
	}
}
