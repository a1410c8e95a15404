package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// What is stored: sections of keys and values.
//
//	access         "format" → 1; a higher number is refused
//	access/bans    network " " account → banRecord, JSON
//	access/allowed network → Allowed, JSON
const (
	sectionAccess  = "access"
	sectionBans    = "access/bans"
	sectionAllowed = "access/allowed"
	keyFormat      = "format"
	banFormat      = 1
)

// ErrFormat says that a newer version wrote what is stored.
var ErrFormat = errors.New("the bans were stored by a newer version")

// saveEvery is the time between two writes of bans that the box made: a flood
// of them must not wear out the disk. A power cut costs those.
const saveEvery = time.Minute

// BanStore keeps what must survive a restart.
type BanStore interface {
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

// load reads what is stored. What is damaged is reported and left out: bans
// must not keep anybody from his mail.
func (b *Bans) load() error {
	err := b.conf.Store.Load(sectionAccess, func(key string, value []byte) error {
		if n, err := strconv.Atoi(string(value)); key == keyFormat && (err != nil || n > banFormat) {
			return fmt.Errorf("format %q: %w", value, ErrFormat)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = b.conf.Store.Load(sectionBans, func(key string, value []byte) error {
		var r banRecord
		if err := json.Unmarshal(value, &r); err != nil || !r.Network.IsValid() || r.key().String() != key || len(b.records) >= maxRecords {
			b.log.Error("a ban cannot be read and is left out", "key", key, "err", err)
			return nil
		}
		r.stored = true
		b.put(&r)
		return nil
	})
	if err != nil {
		return err
	}
	err = b.conf.Store.Load(sectionAllowed, func(key string, value []byte) error {
		var a Allowed
		if err := json.Unmarshal(value, &a); err != nil || a.Network.String() != key || len(b.allowed) >= maxAllowed {
			b.log.Error("an entry of the allow-list cannot be read and is left out", "key", key, "err", err)
			return nil
		}
		b.allowed[a.Network] = &a
		return nil
	})
	clear(b.unsaved)
	return err
}

// save makes durable what changed. What could not be written is tried again
// with the next change.
func (b *Bans) save(ctx context.Context) error {
	b.saving.Lock()
	defer b.saving.Unlock()
	b.mu.Lock()
	now := b.now()
	for k, r := range b.records {
		if r.forgotten(now) {
			b.remove(k)
		}
	}
	bans, allowed := b.unsaved, b.unallowed
	b.unsaved, b.unallowed = map[banKey]struct{}{}, map[netip.Prefix]struct{}{}
	changes, err := b.changes(bans, allowed)
	var fresh []*banRecord
	for k := range bans {
		if r := b.records[k]; r != nil && !r.stored {
			r.stored = true
			fresh = append(fresh, r)
		}
	}
	b.mu.Unlock()
	if len(changes) > 0 && err == nil {
		format := Change{sectionAccess, keyFormat, []byte(strconv.Itoa(banFormat))}
		err = b.conf.Store.Save(ctx, append(changes, format))
	}
	if err == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range fresh {
		r.stored = false
	}
	for k := range bans {
		b.unsaved[k] = struct{}{}
	}
	for p := range allowed {
		b.unallowed[p] = struct{}{}
	}
	return fmt.Errorf("store bans: %w", err)
}

// changes writes down what keys hold now. b.mu is held.
func (b *Bans) changes(bans map[banKey]struct{}, allowed map[netip.Prefix]struct{}) ([]Change, error) {
	changes := make([]Change, 0, len(bans)+len(allowed)+1)
	for k := range bans {
		c := Change{Section: sectionBans, Key: k.String()}
		if r := b.records[k]; r != nil {
			var err error
			if c.Value, err = json.Marshal(r); err != nil {
				return nil, err
			}
		}
		changes = append(changes, c)
	}
	for p := range allowed {
		c := Change{Section: sectionAllowed, Key: p.String()}
		if a := b.allowed[p]; a != nil {
			var err error
			if c.Value, err = json.Marshal(a); err != nil {
				return nil, err
			}
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// Run stores what happens and tells it to others, until ctx ends.
func (b *Bans) Run(ctx context.Context) error {
	var all sync.WaitGroup
	all.Go(func() { b.keepTelling(ctx) })
	if b.conf.Firewall != nil {
		all.Go(func() { b.keepFirewall(ctx) })
	}
	t := time.NewTicker(saveEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			b.trySave(ctx)
			continue
		case <-ctx.Done():
		}
		all.Wait()
		b.trySave(context.WithoutCancel(ctx))
		return nil
	}
}

// trySave saves; a full disk must neither stop nor fail anything else.
func (b *Bans) trySave(ctx context.Context) {
	if err := b.save(ctx); err != nil && ctx.Err() == nil {
		b.log.Error("bans not stored; a restart would forget them", "err", err)
	}
}

// keepTelling tells of the bans that the box made.
func (b *Bans) keepTelling(ctx context.Context) {
	for {
		select {
		case ban := <-b.events:
			b.conf.Banned(ctx, ban)
		case <-ctx.Done():
			return
		}
	}
}
