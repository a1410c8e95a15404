package directory

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"time"

	"pillarbox/storage"
)

// useInterval is how old what the disk knows of a device's use may become: a
// mail program signs in every minute, and flash wears out by writing.
const useInterval = time.Hour

// use is when and from where a device's password was last used.
type use struct {
	At     time.Time `json:"at"`
	Remote string    `json:"remote"`
}

// uses are those of all devices.
type uses struct {
	mu   sync.Mutex
	all  map[string]use       // by credential
	kept map[string]time.Time // what the disk has
}

func (u *uses) last(credential string) (use, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	last, ok := u.all[credential]
	return last, ok
}

func (u *uses) forget(credential string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.all, credential)
	delete(u.kept, credential)
}

// note takes a use down. What it returns is to be written: nothing as long as
// the disk is up to date to the hour with this device, otherwise all that it
// does not have.
func (u *uses) note(credential string, at time.Time, remote string) map[string]use {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all[credential] = use{at, remote}
	if kept, ok := u.kept[credential]; ok && at.Sub(kept).Abs() < useInterval {
		return nil
	}
	due := map[string]use{}
	for id, last := range u.all {
		if kept, ok := u.kept[id]; !ok || last.At.Sub(kept).Abs() >= useInterval {
			due[id] = last
			u.kept[id] = last.At
		}
	}
	return due
}

// Used notes that somebody was let in. Of a password it keeps nothing; of a
// device, when and from where. The sign-in succeeds whether this can be written
// or not.
func (d *Directory) Used(ctx context.Context, l *Login, remote net.Addr) {
	if l.Device == "" || !d.state.Load().has(l.ID, l.Credential) {
		return
	}
	host := ""
	if remote != nil {
		host = remote.String()
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
	}
	due := d.uses.note(l.Credential, d.now().UTC().Truncate(time.Second), host)
	if len(due) == 0 {
		return
	}
	err := d.store.System().Update(ctx, func(tx *storage.SystemTx) error {
		for id, last := range due {
			b, err := json.Marshal(last)
			if err != nil {
				return fmt.Errorf("encode record: %w", err)
			}
			if err := tx.PutPassing(sectionUses, id, b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		d.log.Warn("when a device was last used could not be written", "account", l.Address, "err", err)
	}
}

// loadUses reads what is known, and forgets devices that are gone: one may have
// been revoked while its use was being written.
func (d *Directory) loadUses() error {
	d.uses.all, d.uses.kept = map[string]use{}, map[string]time.Time{}
	known := map[string]bool{}
	for _, e := range d.state.Load().accounts {
		for i := range e.credentials {
			known[e.credentials[i].id] = true
		}
	}
	err := d.store.System().View(func(tx *storage.SystemTx) error {
		return tx.All(sectionUses, func(id string, value []byte) error {
			var last use
			if json.Unmarshal(value, &last) == nil && known[id] {
				d.uses.all[id], d.uses.kept[id] = last, last.At
			}
			return nil // what is damaged is not worth more than a new beginning
		})
	})
	if err != nil {
		return fmt.Errorf("read the devices' last uses: %w", err)
	}
	return nil
}
