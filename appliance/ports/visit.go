package ports

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Connection is one whose handshake is done.
type Connection struct {
	Remote     netip.Addr
	Port       string // the listener's name
	Number     int    // of the port
	TLS        uint16
	Cipher     uint16
	Resumed    bool
	ServerName string
}

// FailedHandshake is one that was not done.
type FailedHandshake struct {
	Remote     netip.Addr
	Port       string
	Number     int
	Reason     string
	Offered    uint16 // the newest version that the client knows; 0 means not known
	ServerName string
}

// ID is what a program says that it is (RFC 2971); all of it may be empty.
type ID struct {
	Name, Version, OS string
}

// SignIn is one that succeeded.
type SignIn struct {
	AccountID  string
	Account    string // its address
	Kind       Kind
	Credential string // what tells it from others of its account
	Device     string // whose it is; "" where it is the person's own
	Mechanism  string
	Better     bool // there is one that does not send the password
}

// naming is how long a client may take from the sign-in to telling its name.
const naming = 2 * time.Second

// Visit is a connection on its way through the box. Its methods are for one
// goroutine.
type Visit struct {
	inv  *Inventory
	conn Connection

	// What follows is guarded by inv.mu.
	id      ID
	in      *SignIn   // nil until somebody has signed in
	at      time.Time // when
	refused bool
	record  *record // once it is settled
}

// Visit notes a connection whose handshake is done. End must follow.
func (inv *Inventory) Visit(c *Connection) *Visit {
	v := &Visit{inv: inv, conn: *c}
	v.conn.Remote = c.Remote.Unmap().WithZone("")
	v.conn.Port = clean(c.Port, maxPortName)
	v.conn.ServerName = cleanHost(c.ServerName)
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.at(v.conn.Port, c.Number).count(inv.now(), func(t *Totals) { t.Handshakes++ })
	return v
}

// HandshakeFailed notes a handshake that failed.
func (inv *Inventory) HandshakeFailed(h *FailedHandshake) {
	remote, port := h.Remote.Unmap().WithZone(""), clean(h.Port, maxPortName)
	inv.mu.Lock()
	defer inv.mu.Unlock()
	now := inv.now()
	inv.at(port, h.Number).count(now, func(t *Totals) { t.FailedShakes++ })
	k := inv.knock(remote, port, now)
	if k == nil {
		return
	}
	more(&k.Failed)
	k.Reason, k.Offered = clean(h.Reason, maxReason), h.Offered
	if name := cleanHost(h.ServerName); name != "" {
		k.ServerName = name
	}
	more(&k.Days.at(dayOf(now)).failures)
}

// knock returns what is known of a stranger at a port; nil means that it is not
// kept. inv.mu is held.
func (inv *Inventory) knock(remote netip.Addr, port string, now time.Time) *knock {
	if !remote.IsValid() || port == "" {
		return nil
	}
	c, network := inv.crowdOf(remote), placeOf(remote)
	k := c.at(network, port, now)
	if c == inv.inside && network.IsSingleIP() {
		inv.ask("", remote, c.all[network].Asked, now)
	}
	return k
}

// Named notes what the program says that it is.
func (v *Visit) Named(id ID) {
	v.inv.mu.Lock()
	defer v.inv.mu.Unlock()
	if id == (ID{}) || v.record != nil {
		return
	}
	v.id = id
	if v.in != nil {
		v.inv.settle(v)
	}
}

// SignedIn notes that somebody was let in.
func (v *Visit) SignedIn(s *SignIn) {
	v.inv.mu.Lock()
	defer v.inv.mu.Unlock()
	now := v.inv.now()
	t := v.inv.at(v.conn.Port, 0)
	t.count(now, func(t *Totals) { t.SignIns++ })
	t.last = now.Unix()
	in := *s
	v.in, v.at = &in, now
	if v.id != (ID{}) {
		v.inv.settle(v)
		return
	}
	v.inv.waiting[v] = struct{}{}
}

// Refused notes a sign-in that failed, with the name that was tried.
func (v *Visit) Refused(name, reason string) {
	id, known := v.inv.accountOf(name)
	inv := v.inv
	inv.mu.Lock()
	defer inv.mu.Unlock()
	now := inv.now()
	v.refused = true
	inv.at(v.conn.Port, 0).count(now, func(t *Totals) {
		t.FailedSignIns++
		if !known && name != "" {
			t.Guesses++
		}
	})
	if u := inv.suspect(id, v); known && u != nil {
		more(&u.Failures)
		more(&u.Days.at(dayOf(now)).failures)
		return
	}
	k := inv.knock(v.conn.Remote, v.conn.Port, now)
	if k == nil {
		return
	}
	more(&k.Refused)
	more(&k.Days.at(dayOf(now)).failures)
	k.Refusal = clean(reason, maxReason)
	if name = clean(strings.ToLower(name), maxAccount); known && !slices.Contains(k.Tried, name) && len(k.Tried) < maxTried {
		k.Tried = append(k.Tried, name)
	}
}

// TurnedAway notes a sign-in with a right password by a way that is closed to
// whoever came.
func (v *Visit) TurnedAway(name string) {
	id, known := v.inv.accountOf(name)
	inv := v.inv
	inv.mu.Lock()
	defer inv.mu.Unlock()
	v.refused = true
	inv.at(v.conn.Port, 0).count(inv.now(), func(t *Totals) { t.TurnedAway++ })
	if u := inv.suspect(id, v); known && u != nil {
		more(&u.TurnedAway)
	}
}

func (inv *Inventory) accountOf(name string) (id string, known bool) {
	if inv.conf.Account == nil {
		return "", false
	}
	return inv.conf.Account(name)
}

// suspect returns the way of the client of an account that was at the address
// before, nil if there is none: a program with an old password, or an old setting.
// Who guesses from elsewhere makes there be no client. inv.mu is held.
func (inv *Inventory) suspect(id string, v *Visit) *use {
	a := inv.accounts[id]
	if a == nil {
		return nil
	}
	var found *record
	worth := -1
	for _, r := range a.records {
		if !slices.ContainsFunc(r.Addresses, func(at seenAt) bool { return at.Addr == v.conn.Remote }) {
			continue
		}
		w := 0
		if r.Named == programName(v.id) {
			w += 2
		}
		if slices.ContainsFunc(r.Uses, func(u use) bool { return u.Port == v.conn.Port }) {
			w++
		}
		if w > worth {
			found, worth = r, w
		}
	}
	if found == nil {
		return nil
	}
	a.changed = true
	return &found.Uses[max(0, slices.IndexFunc(found.Uses, func(u use) bool { return u.Port == v.conn.Port }))]
}

// End notes that the connection has ended.
func (v *Visit) End() {
	inv := v.inv
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if v.in != nil {
		inv.settle(v)
		if v.record != nil {
			v.record.connected--
		}
		return
	}
	if v.refused {
		return
	}
	now := inv.now()
	inv.at(v.conn.Port, 0).count(now, func(t *Totals) { t.SilentSessions++ })
	if k := inv.knock(v.conn.Remote, v.conn.Port, now); k != nil {
		more(&k.Silent)
		more(&k.Days.at(dayOf(now)).sessions)
		if v.conn.ServerName != "" {
			k.ServerName = v.conn.ServerName
		}
	}
}

// settle counts a session with its client, once. inv.mu is held.
func (inv *Inventory) settle(v *Visit) {
	delete(inv.waiting, v)
	if v.record != nil || v.in.AccountID == "" || clean(v.in.Account, maxAccount) == "" || !v.conn.Remote.IsValid() || v.conn.Port == "" {
		return
	}
	who := identity{kind: v.in.Kind, program: programName(v.id)}
	switch {
	case v.in.Device != "":
		who.credential = clean(v.in.Credential, maxDevice)
	case inv.local(v.conn.Remote):
		who.place = placeOf(v.conn.Remote)
	}
	now := v.at.Unix()
	r := inv.record(v.in, who, v.at)
	r.Device = clean(v.in.Device, maxDevice)
	r.Last = max(r.Last, now)
	if p := shownProgram(v.id); p != "" {
		r.Program = p
	}
	inv.ask(v.in.AccountID, v.conn.Remote, r.at(v.conn.Remote, now), v.at)
	u := r.by(v.conn.Port, v.conn.TLS, clean(v.in.Mechanism, maxMechanism), now)
	u.Number, u.From, u.Cipher, u.Better = v.conn.Number, v.conn.Remote, clean(tls.CipherSuiteName(v.conn.Cipher), maxCipher), v.in.Better
	if v.conn.ServerName != "" {
		u.ServerName = v.conn.ServerName
	}
	u.Last = max(u.Last, now)
	more(&u.Sessions)
	if v.conn.Resumed {
		more(&u.Resumed)
	}
	more(&u.Days.at(dayOf(v.at)).sessions)
	r.connected++
	v.record = r
}

// programName is what tells programs apart: not their versions, which change.
func programName(id ID) string { return clean(strings.ToLower(id.Name), maxProgram) }

func shownProgram(id ID) string {
	text := id.Name
	for _, more := range []string{id.Version, id.OS} {
		if text != "" && more != "" && !strings.Contains(text, more) {
			text += " " + more
		}
	}
	return clean(text, maxProgram)
}

// versionName names a version of TLS, "" for none.
func versionName(v uint16) string {
	if v == 0 {
		return ""
	}
	return tls.VersionName(v)
}
