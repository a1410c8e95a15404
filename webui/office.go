package webui

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

const (
	sectionOffice = "web/office"
	keyOffice     = "office"
)

// Office is what the settings say of the office.
type Office struct {
	Name   string `json:"name"`
	Domain string `json:"domain"` // what stands behind the @ of most addresses
	Zone   string `json:"time_zone"`
}

// facts are what the first steps ask about the office.
type facts struct {
	Office

	// Step is how far the first steps went; beyond the last they are done.
	Step int
}

// office knows them. Its methods may be called at once.
type office struct {
	store Store
	read  func() Office

	mu    sync.Mutex
	step  int
	name  string // of place
	place *time.Location
}

// kept is what is kept here of the office.
type kept struct {
	Step int `json:"step"`
}

func loadOffice(store Store, read func() Office) (*office, error) {
	o := &office{store: store, read: read, place: time.Local}
	err := store.All(sectionOffice, func(key string, value []byte) error {
		var k kept
		if key != keyOffice {
			return nil
		}
		err := json.Unmarshal(value, &k)
		o.step = k.Step

		return err
	})

	return o, err
}

func (o *office) now() facts {
	o.mu.Lock()
	defer o.mu.Unlock()

	return facts{o.read(), o.step}
}

// zone returns the time zone in which times are shown.
func (o *office) zone() *time.Location {
	name := o.read().Zone
	o.mu.Lock()
	defer o.mu.Unlock()
	if name == o.name {
		return o.place
	}
	place, err := time.LoadLocation(name)
	if err != nil || name == "" {
		place = time.Local
	}
	o.name, o.place = name, place

	return place
}

// went keeps that the first steps went so far.
func (o *office) went(ctx context.Context, step int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if step <= o.step {
		return nil
	}
	value, err := json.Marshal(kept{step})
	if err != nil {
		return err
	}
	if err := o.store.Save(ctx, false, Record{sectionOffice, keyOffice, value}); err != nil {
		return err
	}
	o.step = step

	return nil
}

// OldOffice returns what an earlier version kept here of the office, which is now a
// part of the settings. Forget has it kept no longer; it is nil where there is
// nothing.
func OldOffice(store Store) (old Office, forget func(context.Context) error, err error) {
	var k struct {
		Name   string `json:"name"`
		Domain string `json:"domain"`
		Zone   string `json:"zone"`
		kept
	}
	err = store.All(sectionOffice, func(key string, value []byte) error {
		if key != keyOffice {
			return nil
		}

		return json.Unmarshal(value, &k)
	})
	if old = (Office{k.Name, k.Domain, k.Zone}); err != nil || old == (Office{}) {
		return Office{}, nil, err
	}

	return old, func(ctx context.Context) error {
		value, err := json.Marshal(k.kept)
		if err != nil {
			return err
		}
		return store.Save(ctx, false, Record{sectionOffice, keyOffice, value})
	}, nil
}

// amend sets some settings, and tells whether that is to be confirmed. What is
// wrong stands in bad, beside the field of the path that the answer names.
func (v *visit) amend(set map[string]any, why string, bad problems, fields map[string]string) (pending bool, err error) {
	var answer struct {
		Pending *struct {
			ID string `json:"id"`
		} `json:"pending"`
	}
	err = v.call(http.MethodPatch, "/v1/settings", map[string]any{"set": set, "why": why}, &answer)
	if err != nil {
		return false, v.explainPaths(err, bad, fields)
	}

	return answer.Pending != nil, nil
}
