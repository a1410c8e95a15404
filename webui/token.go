package webui

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	sectionTokens = "web/tokens"
	tokenPrefix   = "pbx_" // by which scanners of sources find one that was left there
	maxAPITokens  = 100
)

// token opens the API to a program.
type token struct {
	ID      string     `json:"-"` // the hash
	Name    string     `json:"name"`
	Role    Role       `json:"role"`
	By      string     `json:"by"`
	Maker   string     `json:"maker,omitempty"` // the ID of the user who made it, or the token by which it was made; "" of the command line
	Created time.Time  `json:"created"`
	Expires time.Time  `json:"expires"`
	Used    *time.Time `json:"used,omitempty"` // a quarter of an hour old at most
}

// tokens are all that there are. Its methods may be called at once.
type tokens struct {
	store Store
	now   func() time.Time

	mu  sync.Mutex
	all map[string]*token
}

func loadTokens(store Store, now func() time.Time) (*tokens, error) {
	t := &tokens{store: store, now: now, all: map[string]*token{}}
	err := store.All(sectionTokens, func(key string, value []byte) error {
		x := &token{}
		if err := json.Unmarshal(value, x); err != nil {
			return err
		}
		x.ID = key
		t.all[key] = x
		return nil
	})

	return t, err
}

// add keeps a token and returns it; it cannot be shown again.
func (t *tokens) add(ctx context.Context, x token) (string, error) {
	secret := tokenPrefix + newSecret()
	x.ID, x.Created = hashOf(secret), t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) >= maxAPITokens {
		return "", &Refusal{"There are 100 tokens already. Revoke those that nothing uses any more."}
	}
	for _, other := range t.all {
		if strings.EqualFold(other.Name, x.Name) {
			return "", &Refusal{"There is a token of this name already."}
		}
	}
	if err := t.keep(ctx, &x, false); err != nil {
		return "", err
	}
	t.all[x.ID] = &x

	return secret, nil
}

func (t *tokens) keep(ctx context.Context, x *token, passing bool) error {
	value, err := json.Marshal(x)
	if err != nil {
		return err
	}

	return t.store.Save(ctx, passing, Record{sectionTokens, x.ID, value})
}

// find returns the token that a secret is, nil if it is none.
func (t *tokens) find(ctx context.Context, secret string) *token {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.all[hashOf(secret)]
	if x == nil || !t.now().Before(x.Expires) {
		return nil
	}
	if now := t.now(); x.Used == nil || now.Sub(*x.Used) > 15*time.Minute {
		x.Used = &now
		_ = t.keep(ctx, x, true) // nobody misses it
	}
	copied := *x

	return &copied
}

// forget removes those that a user has made.
func (t *tokens) forget(ctx context.Context, maker string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var gone []Record
	for id, x := range t.all {
		if x.Maker == maker {
			gone = append(gone, Record{Section: sectionTokens, Key: id})
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if err := t.store.Save(ctx, false, gone...); err != nil {
		return err
	}
	for _, r := range gone {
		delete(t.all, r.Key)
	}

	return nil
}

// list returns all, by name.
func (t *tokens) list() []token {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]token, 0, len(t.all))
	for _, x := range t.all {
		all = append(all, *x)
	}
	slices.SortFunc(all, func(a, b token) int { return strings.Compare(a.Name, b.Name) })

	return all
}

// revoke removes a token, and returns it; false if there is none.
func (t *tokens) revoke(ctx context.Context, id string) (token, bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.all[id]
	if x == nil {
		return token{}, false, nil
	}
	if err := t.store.Save(ctx, false, Record{Section: sectionTokens, Key: id}); err != nil {
		return token{}, false, err
	}
	delete(t.all, id)

	return *x, true, nil
}
