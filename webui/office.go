package webui

import (
	"context"
	"encoding/json"
	"sync"
	"time"
)

const (
	sectionOffice = "web/office"
	keyOffice     = "office"
)

// facts are what the first steps ask about the office.
type facts struct {
	Name   string `json:"name"`
	Domain string `json:"domain"`
	Zone   string `json:"zone"`
	// Step is how far the first steps went; beyond the last they are done.
	Step int `json:"step"`
}

// office keeps them. Its methods may be called at once.
type office struct {
	store Store

	mu    sync.Mutex
	facts facts
	place *time.Location
}

func loadOffice(store Store) (*office, error) {
	o := &office{store: store, place: time.Local}
	err := store.All(sectionOffice, func(key string, value []byte) error {
		if key == keyOffice {
			return json.Unmarshal(value, &o.facts)
		}
		return nil
	})
	if place, err := time.LoadLocation(o.facts.Zone); err == nil && o.facts.Zone != "" {
		o.place = place
	}

	return o, err
}

func (o *office) now() facts {
	o.mu.Lock()
	defer o.mu.Unlock()

	return o.facts
}

// zone returns the time zone in which times are shown.
func (o *office) zone() *time.Location {
	o.mu.Lock()
	defer o.mu.Unlock()

	return o.place
}

// set keeps other facts.
func (o *office) set(ctx context.Context, f facts) error {
	place := time.Local
	if f.Zone != "" {
		var err error
		if place, err = time.LoadLocation(f.Zone); err != nil {
			return err
		}
	}
	value, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := o.store.Save(ctx, false, Record{sectionOffice, keyOffice, value}); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.facts, o.place = f, place

	return nil
}
