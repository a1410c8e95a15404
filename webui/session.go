package webui

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	sectionSessions = "web/sessions"
	// The name's prefix has browsers refuse the cookie where it is not secure,
	// or for another path or domain.
	sessionCookie = "__Host-pillarbox"

	// How long a session may be idle, and last, of those who keep the box and of
	// people.
	staffIdle, staffLasts   = 30 * time.Minute, 12 * time.Hour
	personIdle, personLasts = 2 * time.Hour, 24 * time.Hour

	sessionSaving = 5 * time.Minute
	maxSessions   = 2000
	maxOwn        = 20 // of one user; the oldest makes room

	// How long ago somebody may have shown who they are for a dangerous act: for
	// its page, and for what is typed there.
	freshPage, freshAct = 5 * time.Minute, 15 * time.Minute
)

// session is somebody who is signed in. What is not Seen or flashes never changes.
type session struct {
	ID      string    `json:"-"` // the hash of the cookie
	User    string    `json:"user"`
	Name    string    `json:"name"`
	Address string    `json:"address,omitempty"` // of a person's account
	Role    Role      `json:"role"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"`
	Proved  time.Time `json:"proved"` // when who it is was shown last
	Remote  string    `json:"remote"`
	Agent   string    `json:"agent,omitempty"`
	Means   string    `json:"means"` // by what: "password", "password and code", "passkey"

	dirty   bool
	flashes []flash
}

// admin is the user who is the box's administrator.
const admin = "admin"

func (s *session) ends() time.Time {
	idle, lasts := personIdle, personLasts
	if s.Role > Person {
		idle, lasts = staffIdle, staffLasts
	}
	if e := s.Created.Add(lasts); e.Before(s.Seen.Add(idle)) {
		return e
	}

	return s.Seen.Add(idle)
}

// sessions are all that there are. Its methods may be called at once.
type sessions struct {
	store Store
	now   func() time.Time

	mu  sync.Mutex
	all map[string]*session
}

func loadSessions(store Store, now func() time.Time) (*sessions, error) {
	all := &sessions{store: store, now: now, all: map[string]*session{}}
	err := store.All(sectionSessions, func(key string, value []byte) error {
		s := &session{}
		if json.Unmarshal(value, s) == nil && now().Before(s.ends()) {
			s.ID = key
			all.all[key] = s
		}
		return nil // who is not known any more signs in again
	})

	return all, err
}

// hashOf is by what a cookie or token is found.
func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))

	return hex.EncodeToString(sum[:])
}

// newSecret returns 256 random bits in letters.
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails

	return hex.EncodeToString(b[:])
}

// begin keeps a session and returns its cookie's value.
func (s *sessions) begin(ctx context.Context, n session) (string, error) {
	cookie := newSecret()
	n.ID, n.Created, n.Seen = hashOf(cookie), s.now(), s.now()
	records := []Record{recordOf(&n)}
	s.mu.Lock()
	gone := s.crowded(n.User)
	s.mu.Unlock()
	for _, id := range gone {
		records = append(records, Record{Section: sectionSessions, Key: id})
	}
	if err := s.store.Save(ctx, true, records...); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range gone {
		delete(s.all, id)
	}
	s.all[n.ID] = &n

	return cookie, nil
}

// crowded returns what must end for one more of a user: what is over, and the
// oldest where there are too many. s.mu is held.
func (s *sessions) crowded(user string) (gone []string) {
	var own, all []*session
	for id, x := range s.all {
		if !s.now().Before(x.ends()) {
			gone = append(gone, id)
			continue
		}
		all = append(all, x)
		if x.User == user {
			own = append(own, x)
		}
	}
	oldest := func(list []*session, most int) {
		slices.SortFunc(list, func(a, b *session) int { return a.Seen.Compare(b.Seen) })
		for i := 0; i+most <= len(list); i++ {
			gone = append(gone, list[i].ID)
		}
	}
	oldest(own, maxOwn)
	oldest(all, maxSessions)

	return gone
}

// find returns the session of a cookie's value, nil if there is none. Seen keeps
// it from being idle: what a page asks by itself does not.
func (s *sessions) find(cookie string, seen bool) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.all[hashOf(cookie)]
	if x == nil || !s.now().Before(x.ends()) {
		return nil
	}
	if seen {
		x.Seen, x.dirty = s.now(), true
	}
	copied := *x
	copied.flashes = nil

	return &copied
}

// lives tells whether a session has not ended.
func (s *sessions) lives(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.all[id]

	return x != nil && s.now().Before(x.ends())
}

// end ends those that pick chooses.
func (s *sessions) end(ctx context.Context, pick func(*session) bool) error {
	var gone []Record
	s.mu.Lock()
	for id, x := range s.all {
		if pick(x) {
			delete(s.all, id)
			gone = append(gone, Record{Section: sectionSessions, Key: id})
		}
	}
	s.mu.Unlock()
	if len(gone) == 0 {
		return nil
	}

	return s.store.Save(ctx, false, gone...)
}

// of returns a user's sessions, the one used last first.
func (s *sessions) of(user string) []session {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []session
	for _, x := range s.all {
		if x.User == user && s.now().Before(x.ends()) {
			all = append(all, *x)
		}
	}
	slices.SortFunc(all, func(a, b session) int { return b.Seen.Compare(a.Seen) })

	return all
}

// save writes when sessions were used last.
func (s *sessions) save(ctx context.Context) error {
	var records []Record
	s.mu.Lock()
	for id, x := range s.all {
		switch {
		case !s.now().Before(x.ends()):
			delete(s.all, id)
			records = append(records, Record{Section: sectionSessions, Key: id})
		case x.dirty:
			x.dirty = false
			records = append(records, recordOf(x))
		}
	}
	s.mu.Unlock()
	if len(records) == 0 {
		return nil
	}

	return s.store.Save(ctx, true, records...)
}

func recordOf(s *session) Record {
	value, _ := json.Marshal(s) // of a struct of plain fields

	return Record{Section: sectionSessions, Key: s.ID, Value: value}
}

// flash is a message for the next page.
type flash struct {
	Kind string // "ok", "warning" or "error"
	Text string
	// Undo is the path of a form that takes back what was done, "" where that
	// cannot be; Fields are what it sends.
	Undo   string
	Fields map[string]string
}

// flash keeps a message for a session's next page.
func (s *sessions) flash(id string, f flash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.all[id]; x != nil && len(x.flashes) < 5 {
		x.flashes = append(x.flashes, f)
	}
}

// flashed returns and forgets the messages.
func (s *sessions) flashed(id string) []flash {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.all[id]
	if x == nil {
		return nil
	}
	all := x.flashes
	x.flashes = nil

	return all
}

// cookieFor returns the cookie of a session; value "" takes it away.
func cookieFor(name, value string, lasts time.Duration) *http.Cookie {
	c := &http.Cookie{
		Name: name, Value: value, Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode, MaxAge: int(lasts / time.Second),
	}
	if value == "" {
		c.MaxAge = -1
	}

	return c
}
