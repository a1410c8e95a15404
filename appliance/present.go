package appliance

import (
	"context"
	"time"

	"pillarbox/appliance/metrics"
	"pillarbox/appliance/network"
)

// lookTime bounds how long somebody waits who looks at the metrics.
const lookTime = 3 * time.Second

// present tells the metrics what is there.
func (a *Appliance) present() metrics.Present {
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	p := metrics.Present{
		Connections: a.access.Open(), Sessions: int(a.imap.Stats().Sessions), Bans: a.office.bans.Count(),
		Conditions:   map[string]int{"low": 0, "medium": 0, "high": 0},
		Certificates: map[string]time.Time{}, SettingsTrial: a.settings.Pending() != nil, DiskFree: -1,
		AuditUnwritten: a.office.audit.Health() != nil,
	}
	for _, c := range a.health.Conditions() {
		p.Conditions[string(c.Severity)]++
	}
	if all, err := a.office.directory.List(ctx); err == nil {
		p.Accounts = len(all)
	}
	for _, s := range a.certs.State().Presented {
		// One of each name: the one that lasts longest.
		for _, name := range s.Names {
			if s.NotAfter.After(p.Certificates[name]) {
				p.Certificates[name] = s.NotAfter
			}
		}
	}
	if r, err := a.office.space.room(); err == nil {
		p.DiskFree, p.DiskSize = int64(r.free), int64(r.size)
	}
	if a.conf.NetworkSocket == "" {
		return p
	}
	if s, err := network.NewClient(a.conf.NetworkSocket).State(ctx); err == nil {
		p.Firewall = map[string]metrics.Traffic{}
		for _, c := range s.Firewall.Counters {
			p.Firewall[c.Name] = metrics.Traffic{Packets: c.Packets, Octets: c.Bytes}
		}
	}

	return p
}
