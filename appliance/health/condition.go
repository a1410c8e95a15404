package health

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Severity says how bad a condition is.
type Severity string

// The severities.
const (
	Low    Severity = "low"    // something to know
	Medium Severity = "medium" // something to see to soon
	High   Severity = "high"   // mail does not work, or may be lost
)

func (s Severity) level() slog.Level {
	switch s {
	case High:
		return slog.LevelError
	case Medium:
		return slog.LevelWarn
	}

	return slog.LevelInfo
}

func (s Severity) rank() int { return slices.Index([]Severity{High, Medium, Low}, s) }

// Kind is what a condition is about.
type Kind struct {
	Name     string // stable, in kebab-case
	Title    string
	Severity Severity
	After    time.Duration // it is shown when it has lasted so long
	Follows  []string      // names of kinds whose conditions explain this one
}

// Condition is something that is wrong.
type Condition struct {
	Name     string    `json:"name"`
	Title    string    `json:"title"`
	Severity Severity  `json:"severity"`
	Text     string    `json:"text"`
	Since    time.Time `json:"since"`
}

// Tracker holds the conditions. It is safe for concurrent use.
type Tracker struct {
	log *slog.Logger

	mu        sync.Mutex
	current   map[string]*tracked
	published []Condition // by another process
}

type tracked struct {
	kind  *Kind
	text  string
	since time.Time
}

// NewTracker returns a Tracker without conditions.
func NewTracker(log *slog.Logger) *Tracker {
	return &Tracker{log: log, current: map[string]*tracked{}}
}

// Set says that a condition holds; text says what exactly and what to do.
func (t *Tracker) Set(k *Kind, text string) {
	t.mu.Lock()
	c := t.current[k.Name]
	begins := c == nil
	if begins {
		c = &tracked{kind: k, since: time.Now()}
		t.current[k.Name] = c
	}
	c.text = text
	t.mu.Unlock()
	if begins {
		t.log.Log(context.Background(), k.Severity.level(), "health: "+k.Title, "condition", k.Name, "text", text)
	}
}

// Clear says that a condition no longer holds.
func (t *Tracker) Clear(k *Kind) {
	t.mu.Lock()
	c := t.current[k.Name]
	delete(t.current, k.Name)
	t.mu.Unlock()
	if c != nil {
		t.log.Info("health: no longer: "+k.Title, "condition", k.Name, "lasted", time.Since(c.since).Round(time.Second))
	}
}

// Conditions returns what is to be shown, the worst first.
func (t *Tracker) Conditions() []Condition {
	t.mu.Lock()
	defer t.mu.Unlock()
	shown := append([]Condition{}, t.published...)
	for _, c := range t.current {
		if time.Since(c.since) < c.kind.After || t.explained(c.kind) {
			continue
		}
		shown = append(shown, Condition{
			Name: c.kind.Name, Title: c.kind.Title, Severity: c.kind.Severity, Text: c.text, Since: c.since,
		})
	}
	slices.SortFunc(shown, func(a, b Condition) int {
		return cmp.Or(cmp.Compare(a.Severity.rank(), b.Severity.rank()), cmp.Compare(a.Name, b.Name))
	})

	return shown
}

func (t *Tracker) explained(k *Kind) bool {
	return slices.ContainsFunc(k.Follows, func(name string) bool { return t.current[name] != nil })
}
