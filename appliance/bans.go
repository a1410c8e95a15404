package appliance

import (
	"context"
	"time"

	"pillarbox/appliance/access"
	"pillarbox/appliance/audit"
	"pillarbox/appliance/network"
	"pillarbox/storage"
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
		Store:    banStore{o.store.System()},
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

// banStore shows the system database to the bans.
type banStore struct{ system *storage.System }

// Load implements access.BanStore.
func (s banStore) Load(section string, f func(key string, value []byte) error) error {
	return s.system.View(func(tx *storage.SystemTx) error { return tx.All(section, f) })
}

// Save implements access.BanStore.
func (s banStore) Save(ctx context.Context, changes []access.Change) error {
	return s.system.Update(ctx, func(tx *storage.SystemTx) error {
		for _, c := range changes {
			var err error
			if c.Value == nil {
				err = tx.Delete(c.Section, c.Key)
			} else {
				err = tx.Put(c.Section, c.Key, c.Value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
