package config

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Keys of the Store.
const (
	versionKey = "version/"
	pendingKey = "pending"

	// maxVersions bounds how many versions are kept.
	maxVersions = 200
)

func keyOf(number int) string { return fmt.Sprintf("%s%010d", versionKey, number) }

// load reads everything.
func (m *Manager) load() error {
	return m.conf.Store.Load(func(key string, value []byte) error {
		switch {
		case key == pendingKey:
			m.pending = &Pending{}
			return json.Unmarshal(value, m.pending)
		case strings.HasPrefix(key, versionKey):
			var v Version
			if err := json.Unmarshal(value, &v); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			m.versions = append(m.versions, v)
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
func (m *Manager) saveVersion(ctx context.Context, v *Version) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	changes := map[string][]byte{keyOf(v.Number): text, pendingKey: nil}
	m.mu.Lock()
	drop := max(0, len(m.versions)+1-maxVersions)
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
	m.pending = nil

	return nil
}
