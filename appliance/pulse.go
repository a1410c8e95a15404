package appliance

import (
	"context"
	"sync"
	"time"

	"pillarbox/appliance/control"
)

// pulse counts what is delivered, by the hour, for a day.
type pulse struct {
	since time.Time

	mu    sync.Mutex
	hours [24]control.PulseHour // by the hour since 1970, modulo
}

// delivered counts messages that were filed, and that could not be.
func (p *pulse) delivered(ok, failed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	begins := time.Now().UTC().Truncate(time.Hour)
	h := &p.hours[begins.Unix()/3600%int64(len(p.hours))]
	if !h.Begins.Equal(begins) {
		*h = control.PulseHour{Begins: begins}
	}
	h.Delivered += int64(ok)
	h.Failed += int64(failed)
}

// day returns the last hours, the present one last.
func (p *pulse) day() []control.PulseHour {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now().UTC().Truncate(time.Hour)
	all := make([]control.PulseHour, len(p.hours))
	for i := range all {
		begins := now.Add(time.Duration(i+1-len(all)) * time.Hour)
		all[i].Begins = begins
		if h := p.hours[begins.Unix()/3600%int64(len(p.hours))]; h.Begins.Equal(begins) {
			all[i] = h
		}
	}

	return all
}

// pulseNow tells what the box did lately.
func (a *Appliance) pulseNow(ctx context.Context) control.Pulse {
	p := control.Pulse{Since: a.office.pulse.since, Hours: a.office.pulse.day(), Ports: []control.PulsePort{}}
	seen := map[string]bool{}
	for _, l := range a.listening() {
		if name := l.name; (name == nameIMAPS || name == nameLegacy) && !seen[name] {
			seen[name] = true
			_, port := hostAndPort(l.Addr())
			p.Ports = append(p.Ports, control.PulsePort{Name: name, Port: port, Connections: a.access.OpenAt(name)})
		}
	}
	if r, err := a.office.space.room(); err == nil {
		p.DiskFree, p.DiskSize = int64(r.free), int64(r.size)
	}
	expires := a.certs.Leaf().NotAfter
	p.Certificate = &expires
	if all, err := a.office.directory.List(ctx); err == nil {
		p.Accounts = len(all)
	}

	return p
}
