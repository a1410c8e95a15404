package exporter

import (
	"sync"
	"time"
)

// rateTime is over how long a rate is taken.
const rateTime = 15 * time.Second

// Pace is how far a person's export is, and how fast.
type Pace struct {
	Progress

	PerSecond   float64 `json:"per_second"`       // messages
	BytesPerSec float64 `json:"bytes_per_second"` //
	SecondsLeft int64   `json:"seconds_left"`     // -1: not known
}

// meter measures it. Its methods may be called from several goroutines.
type meter struct {
	mu      sync.Mutex
	now     Progress
	version int64
	marks   []mark // the oldest first, at most one a second
}

type mark struct {
	at             time.Time
	messages, size int64
}

// tell takes how far it is.
func (m *meter) tell(p Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = p
	m.version++
	now := time.Now()
	if n := len(m.marks); n == 0 || now.Sub(m.marks[n-1].at) >= time.Second {
		m.marks = append(m.marks, mark{now, p.Done, p.DoneBytes})
	}
	for len(m.marks) > 1 && now.Sub(m.marks[0].at) > rateTime {
		m.marks = m.marks[1:]
	}
}

// begin forgets the last run.
func (m *meter) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now, m.marks = Progress{}, nil
	m.version++
}

// pace returns what was measured, with a number that grows with each change.
func (m *meter) pace() (Pace, int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := Pace{Progress: m.now, SecondsLeft: -1}
	if len(m.marks) > 0 {
		if span := time.Since(m.marks[0].at).Seconds(); span > 0.5 {
			p.PerSecond = float64(m.now.Done-m.marks[0].messages) / span
			p.BytesPerSec = float64(m.now.DoneBytes-m.marks[0].size) / span
		}
	}
	if p.PerSecond > 0 {
		p.SecondsLeft = int64(float64(p.Total-p.Done)/p.PerSecond) + 1
	}

	return p, m.version
}
