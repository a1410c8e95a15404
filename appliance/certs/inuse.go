package certs

import (
	"cmp"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	namesFile = "names-in-use.json"
	// What is kept of names: strangers can invent as many as they like.
	maxInUse    = 256
	forgetAfter = 90 * day
	// saveNames is how long a name that was seen may wait to be written.
	saveNames = time.Hour
)

// NameInUse is a name by which mail programs connect.
type NameInUse struct {
	Name     string    `json:"name"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	SignedIn bool      `json:"signed_in"` // somebody signed in by it
	Covered  bool      `json:"covered"`   // by a certificate in use
}

// inUse collects those names. A stranger can name anything in a handshake, so
// only what somebody signed in by counts, and what belongs to the office.
type inUse struct {
	now func() time.Time

	mu      sync.Mutex
	names   map[string]*NameInUse
	domains []string // of the office
	changed bool
	saved   time.Time
}

// Saw tells that a client named the box so in a handshake (SNI), and whether
// somebody signed in then. It returns soon and may be told anything.
func (m *Manager) Saw(name string, signedIn bool) {
	m.inUse.saw(strings.ToLower(strings.TrimSuffix(name, ".")), signedIn)
}

func (u *inUse) saw(name string, signedIn bool) {
	if !isHost(name) || strings.HasPrefix(name, "*") {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	n := u.names[name]
	if n == nil {
		if !signedIn && !u.ours(name) || len(u.names) >= maxInUse && !u.makeRoom(signedIn) {
			return
		}
		n = &NameInUse{Name: name, First: u.now()}
		u.names[name] = n
	}
	n.Last = u.now()
	n.SignedIn = n.SignedIn || signedIn
	u.changed = true
}

// ours tells whether a name is one of the office's or below one.
func (u *inUse) ours(name string) bool {
	return slices.ContainsFunc(u.domains, func(d string) bool { return name == d || strings.HasSuffix(name, "."+d) })
}

// makeRoom forgets the name by which nobody signed in for the longest time.
func (u *inUse) makeRoom(signedIn bool) bool {
	var oldest *NameInUse
	for _, n := range u.names {
		if !n.SignedIn && (oldest == nil || n.Last.Before(oldest.Last)) {
			oldest = n
		}
	}
	if oldest == nil || !signedIn {
		return false
	}
	delete(u.names, oldest.Name)
	return true
}

func (u *inUse) setDomains(domains []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.domains = domains
}

// list returns the names in their order.
func (u *inUse) list() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var all []string
	for name := range u.names {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// NamesInUse lists the names by which mail programs connect.
func (m *Manager) NamesInUse() []NameInUse {
	leaves := m.leaves()
	m.inUse.mu.Lock()
	defer m.inUse.mu.Unlock()
	all := []NameInUse{}
	for _, n := range m.inUse.names {
		c := *n
		c.Covered = len(uncovered([]string{n.Name}, leaves...)) == 0
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b NameInUse) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// leaves are those of all certificates in use.
func (m *Manager) leaves() []*x509.Certificate {
	var all []*x509.Certificate
	for _, c := range m.served() {
		all = append(all, c.Leaf)
	}
	return all
}

// open reads what an earlier run saw. What cannot be read is seen anew.
func (u *inUse) open(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, namesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var all []*NameInUse
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	for _, n := range all[:min(len(all), maxInUse)] {
		if n != nil && isHost(n.Name) {
			u.names[n.Name] = n
		}
	}
	return nil
}

// save writes what changed, seldom, or at once if it must.
func (u *inUse) save(dir string, must bool) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.now()
	if !u.changed || !must && now.Sub(u.saved) < saveNames {
		return nil
	}
	var all []*NameInUse
	for name, n := range u.names {
		if now.Sub(n.Last) > forgetAfter {
			delete(u.names, name)
			continue
		}
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *NameInUse) int { return cmp.Compare(a.Name, b.Name) })
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	u.changed, u.saved = false, now
	return writeFile(filepath.Join(dir, namesFile), b, 0o600)
}
