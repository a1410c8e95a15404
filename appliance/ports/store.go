package ports

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What is stored: sections of keys and values.
//
//	ports          "format" → 1; a higher number is refused
//	               "since" → Unix time of the first record
//	               "dropped" → when a client was last seen that made room for others
//	ports/clients  an account's ID → its address and clients, JSON
//	ports/others   "in" or "out", a shard → strangers, JSON
//	ports/days     a listener's name → its totals by day, JSON
const (
	sectionPorts    = "ports"
	sectionClients  = "ports/clients"
	sectionOthers   = "ports/others"
	sectionDays     = "ports/days"
	keyFormat       = "format"
	keySince        = "since"
	keyDropped      = "dropped"
	keyInside       = "in"
	keyOutside      = "out"
	inventoryFormat = 1
)

// When what is written.
const (
	writeNew      = time.Minute      // if a client has come for the first time
	writeAll      = 15 * time.Minute // what changed of clients, and totals
	writeOutsider = time.Hour        // what changed of strangers
)

// ErrFormat says that a newer version wrote what is stored.
var ErrFormat = errors.New("the inventory of ports was stored by a newer version")

// Store keeps what must survive a restart.
type Store interface {
	// Load calls f for each key of a section.
	Load(section string, f func(key string, value []byte) error) error
	// Save makes all changes durable, or none.
	Save(ctx context.Context, changes []Change) error
}

// Change is a key that gets a value, or, with nil, is removed.
type Change struct {
	Section, Key string
	Value        []byte
}

// load reads what is stored. What is damaged is reported and left out.
func (inv *Inventory) load() error {
	each := map[string]func(key string, value []byte) error{
		sectionPorts: func(key string, value []byte) error {
			n, err := strconv.ParseInt(string(value), 10, 64)
			switch {
			case key == keyFormat && (err != nil || n > inventoryFormat):
				return fmt.Errorf("format %q: %w", value, ErrFormat)
			case key == keySince && err == nil && within(n):
				inv.since, inv.sinceKept = n, true
			case key == keyDropped && err == nil && within(n):
				inv.dropped = n
			}
			return nil
		},
		sectionClients: inv.loadAccount,
		sectionOthers: func(key string, value []byte) error {
			c := inv.outside
			if strings.HasPrefix(key, keyInside) {
				c = inv.inside
			}
			if err := c.read(value); err != nil {
				inv.log.Error("strangers of a port cannot be read and are left out", "key", key, "err", err)
			}
			return nil
		},
		sectionDays: func(key string, value []byte) error {
			t, err := readTraffic(value)
			if err != nil || len(inv.ports) >= maxPorts || clean(key, maxPortName) != key {
				inv.log.Error("the totals of a port cannot be read and are left out", "key", key, "err", err)
				return nil
			}
			inv.ports[key] = t
			return nil
		},
	}
	for _, section := range []string{sectionPorts, sectionClients, sectionOthers, sectionDays} {
		if err := inv.conf.Store.Load(section, each[section]); err != nil {
			return err
		}
	}
	return nil
}

func (inv *Inventory) loadAccount(id string, value []byte) error {
	a, err := readAccount(id, value)
	if err != nil || inv.clients+len(a.records) > maxClients {
		inv.log.Error("clients of an account cannot be read and are left out", "account", id, "err", err)
		return nil
	}
	inv.accounts[id] = a
	inv.clients += len(a.records)
	return nil
}

// due is what there is to be written.
type due struct{ fresh, all, strangers bool }

// Flush makes durable what was seen.
func (inv *Inventory) Flush(ctx context.Context) error {
	inv.mu.Lock()
	inv.settleBefore(inv.now().Add(time.Second))
	inv.mu.Unlock()
	return inv.save(ctx, due{true, true, true})
}

// save writes what is due. What could not be written is tried again.
func (inv *Inventory) save(ctx context.Context, d due) error {
	inv.saving.Lock()
	defer inv.saving.Unlock()
	b, err := inv.batch(d)
	if err == nil && len(b.changes) > 0 {
		err = inv.conf.Store.Save(ctx, b.changes)
	}
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if err != nil {
		b.undo(inv)
		inv.failed = fmt.Errorf("store the inventory of ports: %w", err)
		return inv.failed
	}
	inv.failed = nil
	return nil
}

// batch is what is written at once.
type batch struct {
	changes  []Change
	accounts []*account
	crowds   map[*crowd][]int
	ports    []*traffic
	gone     map[string]bool
}

func (b *batch) put(section, key string, value []byte, err error) error {
	if err != nil {
		return fmt.Errorf("encode %s: %w", section, err)
	}
	b.changes = append(b.changes, Change{section, key, value})
	return nil
}

// undo has everything written again. inv.mu is held.
func (b *batch) undo(inv *Inventory) {
	for _, a := range b.accounts {
		a.changed, a.fresh = true, true
		if inv.accounts[a.id] == nil {
			a.records = nil
			inv.accounts[a.id] = a
		}
	}
	for c, all := range b.crowds {
		for _, shard := range all {
			c.changed[shard] = true
		}
	}
	for _, t := range b.ports {
		t.changed = true
	}
	maps.Copy(inv.gone, b.gone)
	inv.sinceKept = false
}

// batch takes down what is due, and forgets what is too old. It holds the lock
// for one account at a time: who signs in does not wait for all of them.
func (inv *Inventory) batch(d due) (*batch, error) {
	b := &batch{crowds: map[*crowd][]int{}}
	if d.all {
		inv.forget()
	}
	inv.mu.Lock()
	b.gone, inv.gone = inv.gone, map[string]bool{}
	for id := range b.gone {
		b.changes = append(b.changes, Change{Section: sectionClients, Key: id})
	}
	var ids []string
	for id, a := range inv.accounts {
		if a.fresh || d.all && a.changed {
			ids = append(ids, id)
		}
	}
	err := inv.batchPorts(b, d)
	inv.mu.Unlock()
	for _, id := range ids {
		if err == nil {
			err = inv.batchAccount(b, id)
		}
	}
	if err == nil && d.strangers {
		err = errors.Join(inv.batchCrowd(b, inv.inside, keyInside), inv.batchCrowd(b, inv.outside, keyOutside))
	}
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if len(b.changes) > 0 || !inv.sinceKept {
		inv.sinceKept = true
		b.changes = append(b.changes,
			Change{sectionPorts, keyFormat, []byte(strconv.Itoa(inventoryFormat))},
			Change{sectionPorts, keySince, strconv.AppendInt(nil, inv.since, 10)},
			Change{sectionPorts, keyDropped, strconv.AppendInt(nil, inv.dropped, 10)})
	}
	return b, err
}

func (inv *Inventory) batchPorts(b *batch, d due) error {
	for name, t := range inv.ports {
		if !d.all || !t.changed {
			continue
		}
		value, err := t.marshal()
		if err := b.put(sectionDays, name, value, err); err != nil {
			return err
		}
		b.ports = append(b.ports, t)
		t.changed = false
	}
	return nil
}

func (inv *Inventory) batchAccount(b *batch, id string) error {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	a := inv.accounts[id]
	if a == nil {
		return nil // it was removed meanwhile
	}
	b.accounts = append(b.accounts, a)
	a.changed, a.fresh = false, false
	if len(a.records) == 0 {
		b.changes = append(b.changes, Change{Section: sectionClients, Key: id})
		delete(inv.accounts, id)
		return nil
	}
	value, err := a.marshal()
	return b.put(sectionClients, id, value, err)
}

func (inv *Inventory) batchCrowd(b *batch, c *crowd, prefix string) error {
	for shard := range shards {
		inv.mu.Lock()
		changed := c.changed[shard]
		value, err := []byte(nil), error(nil)
		if changed {
			value, err = c.marshal(shard)
			delete(c.changed, shard)
			b.crowds[c] = append(b.crowds[c], shard)
		}
		inv.mu.Unlock()
		if !changed {
			continue
		}
		if err := b.put(sectionOthers, fmt.Sprintf("%s%02d", prefix, shard), value, err); err != nil {
			return err
		}
	}
	return nil
}

// forget drops what is older than it is kept.
func (inv *Inventory) forget() {
	inv.mu.Lock()
	day := dayOf(inv.now()) - inv.keep + 1
	inv.mu.Unlock()
	for _, id := range inv.accountIDs() {
		inv.forgetOf(id, day)
	}
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.inside.forget(day)
	inv.outside.forget(day)
	for _, t := range inv.ports {
		t.forget(day)
	}
}

// forgetOf drops what of an account was before a day.
func (inv *Inventory) forgetOf(id string, day int) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	a := inv.accounts[id]
	if a == nil {
		return
	}
	before := len(a.records)
	a.records = slices.DeleteFunc(a.records, func(r *record) bool { return r.connected == 0 && r.forget(day) })
	if gone := before - len(a.records); gone > 0 {
		inv.clients -= gone
		a.changed = true
	}
}

// settleBefore counts sessions of clients that did not tell a name, of sign-ins
// before a time. inv.mu is held.
func (inv *Inventory) settleBefore(t time.Time) {
	for v := range inv.waiting {
		if v.at.Before(t) {
			inv.settle(v)
		}
	}
}

// Run settles, writes and asks for names until ctx ends.
func (inv *Inventory) Run(ctx context.Context) error {
	names := make(chan struct{})
	go func() {
		defer close(names)
		inv.findNames(ctx)
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	begun := inv.now()
	written := writes{begun, begun, begun}
	for {
		select {
		case <-ctx.Done():
			<-names
			if err := inv.Flush(context.WithoutCancel(ctx)); err != nil {
				inv.log.Error("who used which port lately is not stored and will be forgotten", "err", err)
			}
			return nil
		case <-tick.C:
		}
		now := inv.now()
		inv.mu.Lock()
		inv.settleBefore(now.Add(-naming))
		inv.mu.Unlock()
		d := written.next(now)
		if d == (due{}) {
			continue
		}
		if inv.conf.Networks != nil {
			networks := inv.conf.Networks()
			inv.mu.Lock()
			inv.networks = networks
			inv.mu.Unlock()
		}
		if err := inv.save(ctx, d); err != nil && ctx.Err() == nil {
			inv.log.Error("who used which port cannot be stored; a restart would forget it", "err", err)
		}
	}
}

// writes is when what was written last.
type writes struct{ fresh, all, strangers time.Time }

func (w *writes) next(now time.Time) (d due) {
	for _, x := range []struct {
		last  *time.Time
		every time.Duration
		is    *bool
	}{{&w.fresh, writeNew, &d.fresh}, {&w.all, writeAll, &d.all}, {&w.strangers, writeOutsider, &d.strangers}} {
		// A clock that was set back is no reason to wait.
		if now.Sub(*x.last).Abs() >= x.every {
			*x.last, *x.is = now, true
		}
	}
	return d
}

// Health returns an error while what was seen cannot be stored.
func (inv *Inventory) Health() error {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.failed
}
