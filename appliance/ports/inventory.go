package ports

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config says what an Inventory works with.
type Config struct {
	Logger *slog.Logger // must not be nil
	Store  Store        // must not be nil
	// Find asks for the names of machines; nil means that nobody is asked.
	Find Finder
	// Account returns the id of the account that a name belongs to, with which
	// somebody tried to sign in; nil means that no name is known.
	Account func(name string) (id string, ok bool)
	// Networks returns the networks that this machine is in; private ones belong
	// to the office in any case. Nil means that there are no others.
	Networks func() []netip.Prefix
	// Keep is for how many days what was seen is kept, 30 to 400; 0 means 90.
	Keep int
	Now  func() time.Time // nil means time.Now
}

// window is how many days a Forecast looks back.
const window = 30

// Inventory knows who uses which port. It is safe for concurrent use.
type Inventory struct {
	conf Config
	log  *slog.Logger
	now  func() time.Time

	saving sync.Mutex // held by who writes, so that writes keep their order

	mu        sync.Mutex
	keep      int   // days
	since     int64 // Unix time from when on there are records
	sinceKept bool  // it is stored
	accounts  map[string]*account
	clients   int   // of all accounts
	dropped   int64 // when a client was last seen that made room for others
	inside    *crowd
	outside   *crowd
	ports     map[string]*traffic
	waiting   map[*Visit]struct{} // that signed in and may still tell a name
	unnamed   map[unnamed]bool    // whether it is local
	gone      map[string]bool     // accounts whose records are to be deleted
	networks  []netip.Prefix
	failed    error // why the last write failed
}

// Open reads what is stored.
func Open(c *Config) (*Inventory, error) {
	inv := &Inventory{
		conf: *c, log: c.Logger, now: c.Now,
		accounts: map[string]*account{},
		inside:   newCrowd(false), outside: newCrowd(true),
		ports:   map[string]*traffic{},
		waiting: map[*Visit]struct{}{},
		unnamed: map[unnamed]bool{},
		gone:    map[string]bool{},
	}
	if inv.now == nil {
		inv.now = time.Now
	}
	if err := inv.SetKeep(cmp.Or(c.Keep, 90)); err != nil {
		return nil, fmt.Errorf("open the inventory of ports: %w", err)
	}
	if c.Networks != nil {
		inv.networks = c.Networks()
	}
	if err := inv.load(); err != nil {
		return nil, fmt.Errorf("open the inventory of ports: %w", err)
	}
	if inv.since == 0 {
		inv.since = inv.now().Unix()
	}
	return inv, nil
}

// SetKeep says for how many days, 30 to 400, what was seen is kept.
func (inv *Inventory) SetKeep(days int) error {
	if days < window || days > maxKeep {
		return fmt.Errorf("who used which port is kept for %d to %d days, not %d", window, maxKeep, days)
	}
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.keep = days
	return nil
}

// local tells whether an address is in the office's networks. inv.mu is held.
func (inv *Inventory) local(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() ||
		slices.ContainsFunc(inv.networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// placeOf returns the network that an address is remembered by: with IPv6, where
// machines change their addresses every day, its /64.
func placeOf(a netip.Addr) netip.Prefix {
	if a.Is6() && !a.IsLoopback() {
		p, _ := a.Prefix(64)
		return p
	}
	return netip.PrefixFrom(a, a.BitLen())
}

// at returns what is counted of a port; where there are too many, what nobody
// sees. inv.mu is held.
func (inv *Inventory) at(port string, number int) *traffic {
	t := inv.ports[port]
	if t == nil {
		t = &traffic{}
		if len(inv.ports) < maxPorts {
			inv.ports[port] = t
		}
	}
	if number != 0 {
		t.number = number
	}
	return t
}

// crowdOf returns the strangers to whom an address belongs. inv.mu is held.
func (inv *Inventory) crowdOf(a netip.Addr) *crowd {
	if inv.local(a) {
		return inv.inside
	}
	return inv.outside
}

// record returns what is known of a client, after making room for it if nothing
// is. inv.mu is held.
func (inv *Inventory) record(s *SignIn, who identity, now time.Time) *record {
	a := inv.accounts[s.AccountID]
	if a == nil {
		a = &account{id: s.AccountID}
		inv.accounts[s.AccountID] = a
	}
	a.address, a.changed = clean(strings.ToLower(s.Account), maxAccount), true
	for _, r := range a.records {
		if r.identity() == who {
			return r
		}
	}
	if len(a.records) >= maxOfAccount {
		inv.dropOf(a, 1)
	}
	if inv.clients >= maxClients {
		inv.makeRoom()
	}
	r := &record{
		Kind: who.kind, Credential: who.credential, Named: who.program, Place: who.place,
		First: now.Unix(), fresh: true,
	}
	a.records = append(a.records, r)
	a.fresh = true
	inv.clients++
	return r
}

// dropOf forgets the n clients of an account that were not seen for longest.
// inv.mu is held.
func (inv *Inventory) dropOf(a *account, n int) {
	slices.SortFunc(a.records, newestFirst)
	for _, r := range a.records[len(a.records)-n:] {
		inv.dropped = max(inv.dropped, r.Last)
	}
	clear(a.records[len(a.records)-n:])
	a.records = a.records[:len(a.records)-n]
	inv.clients -= n
	a.changed = true
}

// makeRoom forgets the eighth of all clients that was not seen for longest, so
// that not each new one has all of them sorted. inv.mu is held.
func (inv *Inventory) makeRoom() {
	var all []int64
	for _, a := range inv.accounts {
		for _, r := range a.records {
			all = append(all, r.Last)
		}
	}
	slices.Sort(all)
	limit := all[len(all)/8]
	for _, a := range inv.accounts {
		n := 0
		for _, r := range a.records {
			if r.Last <= limit {
				n++
			}
		}
		if n > 0 {
			inv.dropOf(a, n)
		}
	}
}

// ForgetAccount forgets the clients of an account that was removed.
func (inv *Inventory) ForgetAccount(id string) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if a := inv.accounts[id]; a != nil {
		inv.clients -= len(a.records)
		delete(inv.accounts, id)
	}
	inv.gone[id] = true
	for v := range inv.waiting {
		if v.in.AccountID == id {
			v.in.AccountID = ""
		}
	}
}

// ForgetCredential forgets the clients that signed in by the credential of a
// device that was revoked.
func (inv *Inventory) ForgetCredential(accountID, credential string) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	a := inv.accounts[accountID]
	if a == nil || credential == "" {
		return
	}
	before := len(a.records)
	a.records = slices.DeleteFunc(a.records, func(r *record) bool { return r.Credential == credential })
	inv.clients -= before - len(a.records)
	a.changed, a.fresh = true, true
}

// ErrUnknown says that no client has an ID.
var ErrUnknown = errors.New("no client has that ID")

// Clients returns those that a query chooses, those seen last first.
func (inv *Inventory) Clients(q Query) []Client {
	all := []Client{}
	for _, id := range inv.accountIDs() {
		of := inv.clientsOf(id)
		if q.Account != "" && (len(of) == 0 || !strings.EqualFold(of[0].Account, q.Account)) {
			continue
		}
		all = append(all, slices.DeleteFunc(of, func(c Client) bool { return !q.chooses(&c) })...)
	}
	slices.SortFunc(all, func(a, b Client) int { return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.ID, b.ID)) })
	return all
}

func (inv *Inventory) accountIDs() []string {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return slices.Collect(maps.Keys(inv.accounts))
}

func (q *Query) chooses(c *Client) bool {
	return (q.Port == "" || c.On(q.Port)) && !c.Last.Before(q.Since) &&
		(!q.Address.IsValid() || slices.ContainsFunc(c.Addresses, func(a Address) bool { return a.Addr == q.Address.Unmap() }))
}

// clientsOf returns the clients of an account with their risks. The lock is held
// for one account at a time: who signs in does not wait for who looks.
func (inv *Inventory) clientsOf(id string) []Client {
	inv.mu.Lock()
	a := inv.accounts[id]
	if a == nil {
		inv.mu.Unlock()
		return nil
	}
	all := make([]Client, len(a.records))
	for i, r := range a.records {
		all[i] = r.shown(a, inv.local)
	}
	inv.mu.Unlock()
	assess(all, inv.now())
	return all
}

// Client returns the one with an ID.
func (inv *Inventory) Client(id string) (Client, error) {
	for _, c := range inv.Clients(Query{}) {
		if c.ID == id {
			return c, nil
		}
	}
	return Client{}, fmt.Errorf("%w: %s", ErrUnknown, clean(id, maxProgram))
}

// Strangers returns those that a query chooses, those seen last first.
func (inv *Inventory) Strangers(q Query) []Stranger {
	owners := map[netip.Prefix][]string{}
	for _, id := range inv.accountIDs() {
		inv.own(owners, id)
	}
	inv.mu.Lock()
	defer inv.mu.Unlock()
	all := []Stranger{}
	today := dayOf(inv.now())
	for _, c := range []*crowd{inv.inside, inv.outside} {
		for _, s := range c.list() {
			v := s.shown(c == inv.inside, today)
			v.Accounts = slices.Sorted(slices.Values(owners[s.Network]))
			if q.choosesStranger(&v) {
				all = append(all, v)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Stranger) int { return b.Last.Compare(a.Last) })
	return all
}

// own notes where clients of an account come from.
func (inv *Inventory) own(owners map[netip.Prefix][]string, id string) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	a := inv.accounts[id]
	if a == nil {
		return
	}
	for _, r := range a.records {
		for _, at := range r.Addresses {
			if p := placeOf(at.Addr); !slices.Contains(owners[p], a.address) {
				owners[p] = append(owners[p], a.address)
			}
		}
	}
}

func (q *Query) choosesStranger(s *Stranger) bool {
	return (q.Port == "" || slices.ContainsFunc(s.Uses, func(k Knock) bool { return k.Port == q.Port })) &&
		(q.Account == "" || slices.Contains(s.Accounts, strings.ToLower(q.Account))) &&
		!s.Last.Before(q.Since) && (!q.Address.IsValid() || s.Network.Contains(q.Address.Unmap()))
}

// Ports returns what is known of each port, in the order of their names.
func (inv *Inventory) Ports() []Port {
	now := inv.now()
	from := dateOf(dayOf(now) - window + 1)
	clients := inv.Clients(Query{Since: from})
	inv.mu.Lock()
	defer inv.mu.Unlock()
	all := []Port{}
	for _, name := range slices.Sorted(maps.Keys(inv.ports)) {
		p := inv.ports[name].shown(name)
		people := map[string]bool{}
		for _, c := range clients {
			if slices.ContainsFunc(c.Uses, func(u Use) bool { return u.Port == name && !u.Last.Before(from) }) {
				p.Clients++
				people[c.AccountID] = true
			}
		}
		p.Accounts = len(people)
		all = append(all, p)
	}
	return all
}

// Traffic sums up what happened at a port, or with "" at all, between two times,
// to the minute. It knows the last 24 hours, and nothing from before the server
// was started.
func (inv *Inventory) Traffic(port string, from, to time.Time) (sum Totals) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	for name, t := range inv.ports {
		if name == port || port == "" {
			sum.add(t.between(from, to))
		}
	}
	return sum
}

// LastSignIn tells when somebody signed in by a port last; zero if nobody did.
func (inv *Inventory) LastSignIn(port string) time.Time {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if t := inv.ports[port]; t != nil && t.last != 0 {
		return time.Unix(t.last, 0).UTC()
	}
	return time.Time{}
}

// Since tells from when on there are records.
func (inv *Inventory) Since() time.Time {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	now := inv.now()
	first := int64(dayOf(now)-inv.keep+1) * daySeconds
	return time.Unix(min(max(inv.since, first), now.Unix()), 0).UTC()
}
