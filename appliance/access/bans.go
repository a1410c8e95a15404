package access

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Bounds of memory: see BenchmarkScan.
const (
	maxSuspects = 16_384
	maxTrusted  = 8_192
	maxRecords  = 8_192
	maxAllowed  = 256
	maxExempt   = 64
	maxEvents   = 256
)

// BansConfig says what Bans work with.
type BansConfig struct {
	Logger *slog.Logger     // must not be nil
	Store  BanStore         // must not be nil
	Now    func() time.Time // nil means time.Now
	// Firewall is told of the bans of whole addresses; nil means that they
	// are enforced by the Listener alone, which does so in any case.
	Firewall Firewall
	// Banned is told of each ban that the box made, some time after; it may
	// take its time. What administrators do is told by who serves them. Nil
	// means that nobody is told.
	Banned func(ctx context.Context, ban Ban)
	// Loopback lets loopback addresses be banned like others: for tests.
	Loopback bool
}

// Bans know who may not connect or sign in. Failed sign-ins weigh, each
// different credential once: so many of one address ban it, and so many for one
// account from one address, fewer, ban that pair alone. The time grows with
// each repetition and shrinks again while there is quiet.
//
// Never banned are loopback, what is on the allow-list, and where the
// administrator is (see Exempt). An address from which somebody signed in is an
// office's, behind which one machine may guess: there only accounts are banned,
// unless so many different names were tried that it cannot be people.
//
// Bans, allow-list and the memory of repetition are stored; what leads to a ban
// is not.
type Bans struct {
	conf BansConfig
	log  *slog.Logger
	now  func() time.Time
	hash hasher
	told *pace // of lines about bans

	saving sync.Mutex // held by who writes, so that writes keep their order

	mu       sync.Mutex
	suspects *recent[source, *suspect]
	pairs    *recent[counterKey, fading]
	trusted  *recent[source, int64] // Unix time of the last right sign-in
	records  map[banKey]*banRecord
	lengths  [2][129]int // how many records ban whole networks of a length, IPv4 and IPv6
	allowed  map[netip.Prefix]*Allowed
	exempt   map[netip.Addr]time.Time // until when

	unsaved   map[banKey]struct{}
	unallowed map[netip.Prefix]struct{} // the same of the allow-list
	unpushed  map[netip.Prefix]struct{} // what the firewall is to be told
	pushing   chan struct{}             // wakes who tells it
	events    chan Ban
	cutters   []func(netip.Prefix) // close the connections of who is banned
}

// OpenBans reads what is stored.
func OpenBans(c *BansConfig) (*Bans, error) {
	b := &Bans{
		conf: *c, log: c.Logger, now: c.Now, hash: newHasher(),
		suspects:  newRecent[source, *suspect](maxSuspects),
		pairs:     newRecent[counterKey, fading](maxSuspects),
		trusted:   newRecent[source, int64](maxTrusted),
		records:   map[banKey]*banRecord{},
		allowed:   map[netip.Prefix]*Allowed{},
		exempt:    map[netip.Addr]time.Time{},
		unsaved:   map[banKey]struct{}{},
		unallowed: map[netip.Prefix]struct{}{},
		unpushed:  map[netip.Prefix]struct{}{},
		pushing:   make(chan struct{}, 1),
		events:    make(chan Ban, maxEvents),
	}
	if b.now == nil {
		b.now = time.Now
	}
	b.told = newPace(b.now, 0.2, 20)
	if err := b.load(); err != nil {
		return nil, fmt.Errorf("open bans: %w", err)
	}
	return b, nil
}

// Attempt is a sign-in that failed.
type Attempt struct {
	Remote     net.Addr
	Account    string // as the client gave it, folded to one spelling
	Credential string
	Unknown    bool // no account has that name
	Unchecked  bool // it was refused for a ban
}

// Failed weighs a failed sign-in and bans if that is one too many.
func (b *Bans) Failed(a *Attempt) {
	addr := addressOf(a.Remote)
	if !addr.IsValid() {
		return
	}
	from := suspectOf(addr)
	pair := b.hash.sum("pair", from.String(), a.Account)
	name := b.hash.short("name", a.Account)
	credential := b.hash.short("credential", a.Account, a.Credential)
	b.mu.Lock()
	made := b.weigh(addr, from, a, pair, name, credential)
	b.mu.Unlock()
	if made != nil {
		b.tell(made)
	}
}

// weigh does the work of Failed; it returns the ban that came of it. b.mu is held.
func (b *Bans) weigh(addr netip.Addr, from source, a *Attempt, pair counterKey, name, credential uint64) *Ban {
	now := b.now()
	if b.spared(addr, now) {
		return nil
	}
	s, ok := b.suspects.get(from)
	if !ok {
		s = &suspect{}
		b.suspects.put(from, s)
	}
	s.note(a.Account)
	if !first(&s.counted, credential, maxCredentials) {
		return nil
	}
	weight := float64(weighPassword)
	if a.Unknown {
		weight = weighUnknown
		if first(&s.names, name, maxStrangers) {
			s.strangers.add(now, banHalfLife, 1)
		}
	}
	m := measureFor(from.Prefix)
	hostile := s.strangers.now(now, banHalfLife) >= m.strangers
	if s.score.add(now, banHalfLife, weight) >= m.address && (hostile || !b.trusts(from, now)) {
		reason := "too many failed sign-ins"
		if hostile {
			reason = "sign-ins with many names that nobody has"
		}
		s.score, s.strangers = fading{}, fading{}
		return b.ban(banKey{network: from.Prefix}, reason, s, now, m.steps)
	}
	if a.Unchecked || a.Account == "" {
		return nil
	}
	// An unknown name weighs no more here: who waits for the refusal must not
	// learn from when it comes which names exist.
	p, _ := b.pairs.get(pair)
	if p.add(now, banHalfLife, weighPassword) < m.account {
		b.pairs.put(pair, p)
		return nil
	}
	b.pairs.drop(pair)
	key := banKey{from.Prefix, cleanText(a.Account, maxAccountName)}
	return b.ban(key, "too many wrong passwords for this account", s, now, m.steps)
}

// ban makes or extends a ban. b.mu is held.
func (b *Bans) ban(k banKey, reason string, s *suspect, now time.Time, steps []time.Duration) *Ban {
	r, ok := b.records[k]
	if !ok {
		b.makeRoom(now)
		r = &banRecord{Ban: Ban{Network: k.network, Account: k.account}}
	}
	r.Reason, r.Attempts = reason, s.attempts
	r.Tried = slices.Clone(s.tried)
	if k.account != "" {
		r.Tried = nil
	}
	s.attempts = 0
	r.extend(now, steps)
	b.put(r)
	made := r.shown()
	return &made
}

// tell passes a ban that the box made on.
func (b *Bans) tell(made *Ban) {
	if n, ok := b.told.take(); ok {
		b.log.Warn("banned", "network", made.Network, "account", made.Account, "reason", made.Reason,
			"until", made.Until.Local().Format(time.DateTime), "times", made.Times, "left_out", n)
	}
	b.cut(made)
	if b.conf.Banned == nil {
		return
	}
	select {
	case b.events <- *made:
	default: // who is told is far behind; the log has a line
	}
}

// Passed notes a right sign-in: its address is somebody's.
func (b *Bans) Passed(remote net.Addr, account string) {
	addr := addressOf(remote)
	if !addr.IsValid() {
		return
	}
	from := suspectOf(addr)
	pair := b.hash.sum("pair", from.String(), account)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trusted.put(from, b.now().Unix())
	b.pairs.drop(pair)
}

// put adds a record or notes that it changed. b.mu is held.
func (b *Bans) put(r *banRecord) {
	k := r.key()
	if _, ok := b.records[k]; !ok {
		b.records[k] = r
		if k.account == "" {
			b.lengths[family(k.network.Addr())][k.network.Bits()]++
		}
	}
	b.changed(k)
}

// remove forgets a record. b.mu is held.
func (b *Bans) remove(k banKey) {
	r, ok := b.records[k]
	if !ok {
		return
	}
	delete(b.records, k)
	if k.account == "" {
		b.lengths[family(k.network.Addr())][k.network.Bits()]--
	}
	b.changed(k)
	if !r.stored {
		delete(b.unsaved, k) // or a flood would fill it while nothing can be stored
	}
}

// changed has a record stored, and the firewall told. b.mu is held.
func (b *Bans) changed(k banKey) {
	b.unsaved[k] = struct{}{}
	if k.account == "" {
		b.push(k.network)
	}
}

// makeRoom lets the least of the records go when there are too many: first the
// memories, then the bans that end soonest; those of administrators last. It
// takes an eighth at a time, so that a flood of bans does not sort for each.
// b.mu is held.
func (b *Bans) makeRoom(now time.Time) {
	if len(b.records) < maxRecords {
		return
	}
	all := make([]*banRecord, 0, len(b.records))
	for _, r := range b.records {
		all = append(all, r)
	}
	worth := func(r *banRecord) int {
		switch {
		case r.active(now) && r.Manual:
			return 2
		case r.active(now):
			return 1
		}
		return 0
	}
	slices.SortFunc(all, func(x, y *banRecord) int {
		return cmp.Or(cmp.Compare(worth(x), worth(y)), x.Until.Compare(y.Until))
	})
	for _, r := range all[:maxRecords/8] {
		b.remove(r.key())
	}
}

// Len returns how many addresses are held in memory, for whatever reason.
func (b *Bans) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.suspects.len() + b.pairs.len() + b.trusted.len() + len(b.records)
}

// short is a sum for short lists.
func (h *hasher) short(parts ...string) uint64 {
	k := h.sum(parts...)
	return binary.NativeEndian.Uint64(k[:])
}
