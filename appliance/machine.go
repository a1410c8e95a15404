package appliance

import (
	"context"
	"log/slog"

	"pillarbox/appliance/control"
	"pillarbox/appliance/power"
	"pillarbox/appliance/restart"
)

// machine gives orders that end this program together with its machine.
type machine struct {
	socket string
	run    *restart.Run // nil where none is kept
	log    *slog.Logger
}

// machineOf returns nil where the machine is not ours.
func machineOf(c *Config) control.Machine {
	if c.PowerSocket == "" {
		return nil
	}

	return &machine{c.PowerSocket, c.Run, c.Logger}
}

// Order implements control.Machine. Mail that was accepted is on the disk already;
// what is noted here tells the next start why it comes.
func (m *machine) Order(ctx context.Context, o power.Order, by string) error {
	m.note(string(o), by)
	err := power.Give(ctx, m.socket, o)
	if err != nil {
		m.note("", "")
	}

	return err
}

// note notes an order. A disk that takes no note is no reason to go on with it.
func (m *machine) note(order, by string) {
	if m.run == nil {
		return
	}
	if err := m.run.Order(order, by); err != nil {
		m.log.Warn("the next start will not know why it comes", "err", err)
	}
}
