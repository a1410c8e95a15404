package config

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Keys of the Store.
const (
	versionKey = "version/"
	pendingKey = "pending"
	takenKey   = "taken/" // by Applier, the mark of what was found on the disk

	// maxVersions bounds how many versions are kept, maxKept how many octets
	// they may have together; the newest two are always kept.
	maxVersions = 200
	maxKept     = 4 << 20
)

func keyOf(number int) string { return fmt.Sprintf("%s%010d", versionKey, number) }

// load reads everything.
func (m *Manager) load() error {
	return m.conf.Store.Load(func(key string, value []byte) error {
		switch {
		case key == pendingKey:
			m.pending = &Pending{}
			if err := json.Unmarshal(value, m.pending); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			if m.pending.State != Waiting {
				m.pending.State = Applying // nobody can confirm it any more
			}
		case strings.HasPrefix(key, versionKey):
			var v Version
			if err := json.Unmarshal(value, &v); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			m.versions = append(m.versions, v)
			m.sizes = append(m.sizes, len(value))
		case strings.HasPrefix(key, takenKey):
			m.taken[strings.TrimPrefix(key, takenKey)] = string(value)
		}
		return nil
	})
}

// savePending makes a change durable before it goes on.
func (m *Manager) savePending(ctx context.Context, p *Pending) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := m.conf.Store.Save(ctx, map[string][]byte{pendingKey: text}); err != nil {
		return fmt.Errorf("write the change down: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := *p
	m.pending = &kept

	return nil
}

func (m *Manager) forgetPending(ctx context.Context) error {
	if err := m.conf.Store.Save(ctx, map[string][]byte{pendingKey: nil}); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pending = nil

	return nil
}

// saveVersion makes a version the confirmed one; nothing is pending any more.
// marks are those of what was found on the disk, if it comes from there.
func (m *Manager) saveVersion(ctx context.Context, v *Version, marks map[string]string) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	changes := map[string][]byte{keyOf(v.Number): text, pendingKey: nil}
	for applier, mark := range marks {
		changes[takenKey+applier] = []byte(mark)
		if mark == "" {
			changes[takenKey+applier] = nil
		}
	}
	m.mu.Lock()
	drop := m.surplus(len(text))
	for i := range drop {
		changes[keyOf(m.versions[i].Number)] = nil
	}
	m.mu.Unlock()
	if err := m.conf.Store.Save(ctx, changes); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.versions = append(m.versions[drop:], *v)
	m.sizes = append(m.sizes[drop:], len(text))
	maps.Copy(m.taken, marks)
	m.pending = nil

	return nil
}

// surplus returns how many of the oldest versions go for a new one. m.mu is
// held.
func (m *Manager) surplus(size int) int {
	drop, kept := 0, size
	for i, n := range slices.Backward(m.sizes) {
		kept += n
		if i < len(m.sizes)-1 && (kept > maxKept || len(m.sizes)-i+1 > maxVersions) {
			drop = i + 1
			break
		}
	}

	return drop
}

// saveTaken notes what was found on the disk, and is the same as what holds.
func (m *Manager) saveTaken(ctx context.Context, applier, mark string) error {
	if err := m.conf.Store.Save(ctx, map[string][]byte{takenKey + applier: []byte(mark)}); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.taken[applier] = mark

	return nil
}
