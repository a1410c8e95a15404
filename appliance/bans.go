package appliance

import (
	"context"
	"time"

	"pillarbox/appliance/access"
	"pillarbox/appliance/audit"
	"pillarbox/appliance/network"
)

// openBans reads who is banned.
func openBans(c *Config, o *office) (*access.Bans, error) {
	var wall access.Firewall
	if c.NetworkSocket != "" {
		wall = network.NewClient(c.NetworkSocket)
	}

	return access.OpenBans(&access.BansConfig{
		Logger:   c.Logger.With("service", "access"),
		Firewall: wall,
		Store:    banStore{sections{o.store.System()}},
		Loopback: c.BoundLoopback,
		Banned: func(ctx context.Context, ban access.Ban) {
			o.metrics.Banned(ban.Reason)
			_ = o.audit.Record(ctx, audit.Event{ // a failure has been logged
				Kind: audit.BanMade, Account: ban.Account, Remote: ban.Network.String(),
				More: map[string]string{"reason": ban.Reason, "until": ban.Until.UTC().Format(time.RFC3339)},
			})
		},
	})
}
