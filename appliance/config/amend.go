package config

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
)

// Amendment is a change of some settings, whatever the others are.
type Amendment struct {
	// Patch is what is set, as JSON (RFC 7396): what it does not name stays, null is
	// what is usual.
	Patch []byte
	By    string // as whom they were authenticated
	Why   string
	Now   bool // do not wait for the window
}

// Amend changes some settings. What can neither keep anybody out nor lose anything
// is a version at once, whatever the window; then the Pending is nil. Anything
// else is proposed, as by Propose. Where nothing would change, Amend returns the
// version that is current.
func (m *Manager) Amend(ctx context.Context, a *Amendment) (Version, *Pending, []Report, error) {
	if len(a.Why) > maxWhy {
		return Version{}, nil, nil, errLongWhy
	}
	edit := func(d *Document) error {
		if err := d.Merge(a.Patch); err != nil {
			return &CheckError{"configuration", err}
		}
		return nil
	}
	v, err := m.settle(ctx, &Approved{By: a.By, Why: a.Why, Edit: edit}, light)
	if !errors.Is(err, ErrReach) {
		return v, nil, nil, err
	}
	p, reports, err := m.propose(ctx, &Proposal{By: a.By, Why: a.Why, Now: a.Now}, edit, WasProposed)
	if err != nil {
		return Version{}, nil, reports, err
	}

	return m.Current(), &p, reports, nil
}

// light tells whether two documents differ only in what keeps nobody from the box
// or from mail, and loses nothing: what the office is called, who is told of the
// record, and what programs are told that are still to be set up.
func light(from, to *Document) bool {
	a, b := *from, *to
	for _, d := range []*Document{&a, &b} {
		d.Office, d.ClientSetup, d.Audit.CheckpointsTo = Office{}, ClientSetup{}, ""
	}

	return len(Diff(&a, &b)) == 0
}

// Merge puts a patch into the document (RFC 7396). The error names all that is
// wrong with what comes of it.
func (d *Document) Merge(patch []byte) error {
	var change map[string]any
	dec := json.NewDecoder(bytes.NewReader(patch))
	dec.UseNumber()
	if err := dec.Decode(&change); err != nil {
		return errors.New("a JSON object of settings is wanted")
	}
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	var whole map[string]any
	dec = json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&whole); err != nil {
		return err
	}
	if text, err = json.Marshal(merged(whole, change)); err != nil {
		return err
	}
	*d, err = Parse(bytes.NewReader(text))

	return err
}

// merged is RFC 7396, section 2.
func merged(target, patch any) any {
	change, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	all, ok := target.(map[string]any)
	if !ok {
		all = map[string]any{}
	}
	for k, v := range change {
		if v == nil {
			delete(all, k)
			continue
		}
		all[k] = merged(all[k], v)
	}

	return all
}
