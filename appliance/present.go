package appliance

import (
	"context"
	"time"

	"pillarbox/appliance/certs"
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
		Conditions:    map[string]int{"low": 0, "medium": 0, "high": 0},
		SettingsTrial: a.settings.Pending() != nil, DiskFree: -1,
		AuditUnwritten: a.office.audit.Health() != nil,
	}
	for _, c := range a.health.Conditions() {
		p.Conditions[string(c.Severity)]++
	}
	if all, err := a.office.directory.List(ctx); err == nil {
		p.Accounts = len(all)
	}
	p.Certificates = expiries(a.certs.State().Presented)
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

// expiries returns when each name is in trouble: of several certificates that are
// presented for it, which differ in their kind of key, the first to expire.
func expiries(presented []certs.Summary) map[string]time.Time {
	all := map[string]time.Time{}
	for i := range presented {
		for _, name := range presented[i].Names {
			if at, ok := all[name]; !ok || presented[i].NotAfter.Before(at) {
				all[name] = presented[i].NotAfter
			}
		}
	}

	return all
}
