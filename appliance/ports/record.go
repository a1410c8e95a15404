package ports

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The bounds of what is remembered; see BenchmarkScan and BenchmarkFull.
const (
	maxClients   = 8192
	maxOfAccount = 32
	maxAddresses = 8
	maxUses      = 6
	maxKeep      = 400 // days
)

// identity is what tells clients of an account apart.
type identity struct {
	kind       Kind
	credential string       // of a device; "" else
	program    string       // its name without a version, in lower case
	place      netip.Prefix // in the office, where it has no credential of its own
}

// id is shown, and stays the same over a restart.
func (i *identity) id(account string) string {
	place := ""
	if i.place.IsValid() {
		place = i.place.String()
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{account, string(i.kind), i.credential, i.program, place}, "\x00")))
	return hex.EncodeToString(sum[:5])
}

// record is a client, as it is stored.
type record struct {
	Kind       Kind         `json:"kind"`
	Credential string       `json:"credential,omitempty"`
	Device     string       `json:"device,omitempty"`
	Named      string       `json:"named,omitempty"`   // identity.program
	Program    string       `json:"program,omitempty"` // as it is shown
	Place      netip.Prefix `json:"place,omitzero"`
	First      int64        `json:"first"` // Unix time, as all of these
	Last       int64        `json:"last"`
	Addresses  []seenAt     `json:"addresses"` // the newest first
	Uses       []use        `json:"uses"`      // the newest first

	connected int
	fresh     bool // has never been written
}

// seenAt is an address of a record.
type seenAt struct {
	Addr   netip.Addr `json:"addr"`
	Name   string     `json:"name,omitempty"`
	NameBy string     `json:"name_by,omitempty"`
	Asked  int64      `json:"asked,omitempty"` // when somebody was asked for the name
	First  int64      `json:"first"`
	Last   int64      `json:"last"`
}

// use is a way of a record.
type use struct {
	Port       string     `json:"port"`
	Number     int        `json:"number"`
	TLS        uint16     `json:"tls"`
	Mechanism  string     `json:"mechanism"`
	From       netip.Addr `json:"from"`
	Cipher     string     `json:"cipher,omitempty"`
	ServerName string     `json:"sni,omitempty"`
	Better     bool       `json:"better,omitempty"`
	First      int64      `json:"first"`
	Last       int64      `json:"last"`
	Sessions   uint32     `json:"sessions"`
	Resumed    uint32     `json:"resumed,omitempty"`
	Failures   uint32     `json:"failures,omitempty"`
	TurnedAway uint32     `json:"turned_away,omitempty"`
	Days       days       `json:"days"`
}

func (r *record) identity() identity { return identity{r.Kind, r.Credential, r.Named, r.Place} }

// at notes that the client was at an address, and returns when somebody was asked
// for its name.
func (r *record) at(addr netip.Addr, now int64) (asked int64) {
	i := slices.IndexFunc(r.Addresses, func(a seenAt) bool { return a.Addr == addr })
	if i < 0 {
		i = min(len(r.Addresses), maxAddresses-1)
		if i == len(r.Addresses) {
			r.Addresses = append(r.Addresses, seenAt{})
		}
		r.Addresses[i] = seenAt{Addr: addr, First: now}
	}
	found := r.Addresses[i]
	found.Last = now
	copy(r.Addresses[1:i+1], r.Addresses[:i])
	r.Addresses[0] = found
	return found.Asked
}

// by returns the way by which the client comes, the newest first from now on.
func (r *record) by(port string, version uint16, mechanism string, now int64) *use {
	i := slices.IndexFunc(r.Uses, func(u use) bool { return u.Port == port && u.TLS == version && u.Mechanism == mechanism })
	if i < 0 {
		i = min(len(r.Uses), maxUses-1)
		if i == len(r.Uses) {
			r.Uses = append(r.Uses, use{})
		}
		r.Uses[i] = use{Port: port, TLS: version, Mechanism: mechanism, First: now}
	}
	found := r.Uses[i]
	copy(r.Uses[1:i+1], r.Uses[:i])
	r.Uses[0] = found
	return &r.Uses[0]
}

// shown returns what others see; local tells what belongs to the office.
func (r *record) shown(a *account, local func(netip.Addr) bool) Client {
	id := r.identity()
	c := Client{
		ID: id.id(a.id), AccountID: a.id, Account: a.address, Program: r.Program, Connected: r.connected,
		Credential: Credential{Kind: r.Kind, Device: r.Device, ID: r.Credential},
		First:      time.Unix(r.First, 0).UTC(), Last: time.Unix(r.Last, 0).UTC(),
		Addresses: make([]Address, 0, len(r.Addresses)), Uses: make([]Use, 0, len(r.Uses)), Risks: []Risk{},
	}
	for _, a := range r.Addresses {
		c.Addresses = append(c.Addresses, Address{
			Addr: a.Addr, Name: a.Name, NameBy: a.NameBy, Local: local(a.Addr),
			First: time.Unix(a.First, 0).UTC(), Last: time.Unix(a.Last, 0).UTC(),
		})
	}
	for _, u := range r.Uses {
		c.Sessions += int(u.Sessions)
		c.Failures += int(u.Failures)
		c.Uses = append(c.Uses, Use{
			Port: u.Port, Number: u.Number, TLS: tls.VersionName(u.TLS), From: u.From, Cipher: u.Cipher, ServerName: u.ServerName,
			Mechanism: u.Mechanism, Better: u.Better, Sessions: int(u.Sessions), Resumed: int(u.Resumed), Failures: int(u.Failures), TurnedAway: int(u.TurnedAway),
			First: time.Unix(u.First, 0).UTC(), Last: time.Unix(u.Last, 0).UTC(), Days: u.Days.shown(),
		})
	}
	return c
}

// account is a person's, with the clients that came for it.
type account struct {
	id      string
	address string
	records []*record
	changed bool // since it was written
	fresh   bool // something of it was never written
}

// storedAccount is the form in which an account is stored.
type storedAccount struct {
	Address string    `json:"address"`
	Clients []*record `json:"clients"`
}

func (a *account) marshal() ([]byte, error) { return json.Marshal(storedAccount{a.address, a.records}) }

// maxStored bounds a value that is read: no account makes one that long.
const maxStored = 1 << 20

var errRecord = errors.New("not a record of clients")

// readAccount reads what marshal wrote. What is stored may come from a damaged
// disk or another version: what breaks a bound is an error.
func readAccount(id string, value []byte) (*account, error) {
	if len(value) > maxStored {
		return nil, errRecord
	}
	var s storedAccount
	if err := json.Unmarshal(value, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	}
	a := &account{id: id, address: clean(s.Address, maxAccount), records: s.Clients}
	if id == "" || a.address == "" || len(a.records) > maxOfAccount {
		return nil, errRecord
	}
	known := map[identity]bool{}
	for _, r := range a.records {
		if r == nil || !r.valid() || known[r.identity()] {
			return nil, errRecord
		}
		known[r.identity()] = true
	}
	return a, nil
}

func (r *record) valid() bool {
	switch r.Kind {
	case Password, AppPassword, Certificate, Token:
	default:
		return false
	}
	if len(r.Addresses) == 0 || len(r.Addresses) > maxAddresses || len(r.Uses) == 0 || len(r.Uses) > maxUses {
		return false
	}
	cleaned := func(text string, longest int) bool { return clean(text, longest) == text }
	if !cleaned(r.Device, maxDevice) || !cleaned(r.Program, maxProgram) || !cleaned(r.Named, maxProgram) ||
		!cleaned(r.Credential, maxDevice) || r.Place.IsValid() && r.Place != r.Place.Masked() {
		return false
	}
	for _, a := range r.Addresses {
		if !plain(a.Addr) || !isHost(a.Name) || !cleaned(a.NameBy, maxNameBy) || !within(r.First, a.First, a.Last, a.Asked) {
			return false
		}
	}
	for i, u := range r.Uses {
		if u.Port == "" || !plain(u.From) || !within(r.Last, u.First, u.Last) || !cleaned(u.Port, maxPortName) || !cleaned(u.Mechanism, maxMechanism) || !cleaned(u.Cipher, maxCipher) ||
			!isHost(u.ServerName) {
			return false
		}
		for _, other := range r.Uses[:i] {
			if u.Port == other.Port && u.TLS == other.TLS && u.Mechanism == other.Mechanism {
				return false
			}
		}
	}
	return true
}

// plain tells whether an address is in the one form in which it is kept.
func plain(a netip.Addr) bool { return a.IsValid() && a == a.Unmap().WithZone("") }

func isHost(name string) bool { return name == "" || cleanHost(name) == name }

// within tells whether times can be shown.
func within(times ...int64) bool {
	return !slices.ContainsFunc(times, func(t int64) bool { return t < 0 || t > maxDay*daySeconds })
}

// forget drops what was before a day, and tells whether nothing is left.
func (r *record) forget(day int) bool {
	before := int64(day) * daySeconds
	r.Uses = slices.DeleteFunc(r.Uses, func(u use) bool { return u.Last < before })
	r.Addresses = slices.DeleteFunc(r.Addresses, func(a seenAt) bool { return a.Last < before })
	for i := range r.Uses {
		r.Uses[i].Days.since(day)
	}
	return len(r.Uses) == 0 || len(r.Addresses) == 0
}

// newestFirst orders records by when they were last seen.
func newestFirst(a, b *record) int {
	return cmp.Or(cmp.Compare(b.Last, a.Last), cmp.Compare(b.First, a.First))
}
