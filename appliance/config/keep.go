package config

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Keys of the Store.
const (
	versionKey = "version/"
	pendingKey = "pending"
	endedKey   = "ended"
	takenKey   = "taken/" // by Applier, the mark of what was found on the disk

	// maxVersions bounds how many versions are kept, maxKept how many octets
	// they may have together; the newest two are always kept.
	maxVersions = 200
	maxKept     = 4 << 20
)

func keyOf(number int) string { return fmt.Sprintf("%s%010d", versionKey, number) }

// ended is a change that was taken back.
type ended struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// load reads everything. What cannot be read keeps no mail server from
// starting: see damaged.
func (m *Manager) load() error {
	return m.conf.Store.Load(func(key string, value []byte) error {
		switch {
		case key == pendingKey:
			m.pending = &Pending{}
			if err := json.Unmarshal(value, m.pending); err != nil {
				m.log.Error("a change that was not confirmed cannot be read", "err", err)
				m.pending = &Pending{}
			}
			if m.pending.State != Waiting {
				m.pending.State = Applying // nobody can confirm it any more
			}
		case strings.HasPrefix(key, versionKey):
			m.loadVersion(strings.TrimPrefix(key, versionKey), value)
		case key == endedKey:
			if e := (ended{}); json.Unmarshal(value, &e) == nil {
				m.ended = &e
			}
		case strings.HasPrefix(key, takenKey):
			m.taken[strings.TrimPrefix(key, takenKey)] = string(value)
		}
		return nil
	})
}

// loadVersion reads one; they come in order.
func (m *Manager) loadVersion(name string, value []byte) {
	m.damaged = nil
	var v Version
	err := json.Unmarshal(value, &v)
	if err == nil && v.Document.Format > Format {
		err = fmt.Errorf("a newer release has written it, in format %d", v.Document.Format)
	}
	number, wrong := strconv.Atoi(name)
	if err == nil {
		number, wrong = v.Number, nil
	}
	if wrong == nil {
		m.newest = max(m.newest, number)
	}
	if err != nil {
		m.log.Error("a version of the settings cannot be read", "version", name, "err", err)
		m.damaged = fmt.Errorf("version %d of the settings, which was confirmed last, cannot be read (%w). Nothing that is kept elsewhere, such as the network, is changed by it: "+
			"see \"pillarbox network history\", and bring one that is right back by \"network restore\" or \"network apply\"", number, err)
		return
	}
	v.Document.fill()
	m.versions = append(m.versions, v)
	m.sizes = append(m.sizes, len(value))
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

// forgetPending forgets a change, and keeps what became of it for whoever comes
// to confirm it.
func (m *Manager) forgetPending(ctx context.Context, e *ended) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := m.conf.Store.Save(ctx, map[string][]byte{pendingKey: nil, endedKey: text}); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pending, m.ended = nil, e

	return nil
}

// saveVersion makes a version the confirmed one; nothing is pending any more.
// marks are those of what was found on the disk, if it comes from there.
func (m *Manager) saveVersion(ctx context.Context, v *Version, marks map[string]string) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	changes := map[string][]byte{keyOf(v.Number): text, pendingKey: nil, endedKey: nil}
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
	m.newest, m.damaged, m.pending, m.ended = v.Number, nil, nil, nil

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
