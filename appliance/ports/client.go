package ports

import (
	"net/netip"
	"slices"
	"time"
)

// The ports that mail programs come by, as the listeners are called.
const (
	IMAPS  = "imaps"        // 993
	Legacy = "imaps-legacy" // 990
)

// Kind says what somebody signs in with.
type Kind string

// The kinds of credentials.
const (
	Password    Kind = "password"     // the person's own
	AppPassword Kind = "app-password" // one made for a device
	Certificate Kind = "certificate"  // of a device
	Token       Kind = "token"        // of the office's OpenID provider
)

// Credential is what a client signs in with, and never what is secret of it.
type Credential struct {
	Kind   Kind   `json:"kind"`
	Device string `json:"device,omitempty"` // whose it is; "" where it is the person's own
	ID     string `json:"id,omitempty"`     // of the device
}

// Client is a device or a program of somebody's, as far as the box can tell them
// apart: by account, credential and the name that the program gives itself, and,
// where the credential is not a device's own, by the address in the office. What
// comes from outside and differs in nothing else is one client.
type Client struct {
	ID         string     `json:"id"` // the same for as long as the client is known
	AccountID  string     `json:"account_id"`
	Account    string     `json:"account"` // its address
	Credential Credential `json:"credential"`
	Program    string     `json:"program,omitempty"` // what it says that it is (RFC 2971)
	Addresses  []Address  `json:"addresses"`         // the newest first
	Uses       []Use      `json:"uses"`              // the newest first
	First      time.Time  `json:"first"`
	Last       time.Time  `json:"last"`
	Sessions   int        `json:"sessions"`
	Failures   int        `json:"failures"`  // sign-ins of its account that failed from where it is
	Connected  int        `json:"connected"` // sessions that are open
	Risks      []Risk     `json:"risks"`
}

// Address is where a client was.
type Address struct {
	Addr   netip.Addr `json:"addr"`
	Name   string     `json:"name,omitempty"`    // of the machine, if somebody knows it
	NameBy string     `json:"name_by,omitempty"` // who does: dns or mdns
	Local  bool       `json:"local"`             // in the office's own networks
	First  time.Time  `json:"first"`
	Last   time.Time  `json:"last"`
}

// Use is one way in which a client came. From, Cipher, ServerName and Better are
// those of the last time.
type Use struct {
	Port       string     `json:"port"`   // the listener's name
	Number     int        `json:"number"` // of the port
	TLS        string     `json:"tls"`    // "TLS 1.2" or "TLS 1.3"
	From       netip.Addr `json:"from"`
	Cipher     string     `json:"cipher"`
	ServerName string     `json:"server_name,omitempty"` // by which it knows the box (SNI)
	Mechanism  string     `json:"mechanism"`
	Better     bool       `json:"better"` // it could have used one that does not send the password
	First      time.Time  `json:"first"`
	Last       time.Time  `json:"last"`
	Sessions   int        `json:"sessions"`
	Resumed    int        `json:"resumed"` // of them, whose TLS session was
	Failures   int        `json:"failures"`
	TurnedAway int        `json:"turned_away"` // sign-ins with a right password that this way was closed for
	Days       []Day      `json:"days"`        // those that are kept, the oldest first
}

// Day counts what happened on one day of UTC.
type Day struct {
	Date     time.Time `json:"date"` // its beginning
	Sessions int       `json:"sessions"`
	Failures int       `json:"failures"`
}

// Name is what people call it: its device, its machine, its program or its address.
func (c *Client) Name() string {
	if c.Credential.Device != "" {
		return c.Credential.Device
	}
	for _, a := range c.Addresses {
		if a.Local && a.Name != "" {
			return a.Name
		}
	}
	if c.Program != "" {
		return c.Program
	}
	if len(c.Addresses) > 0 {
		return c.Addresses[0].Addr.String()
	}
	return "unknown"
}

// at returns what is known of an address of the client's, which may be no more
// than the address.
func (c *Client) at(addr netip.Addr) Address {
	for _, a := range c.Addresses {
		if a.Addr == addr {
			return a
		}
	}
	return Address{Addr: addr}
}

// Outside tells whether it was last seen from outside the office.
func (c *Client) Outside() bool { return len(c.Addresses) > 0 && !c.Addresses[0].Local }

// On tells whether it came by a port, ever since it is known.
func (c *Client) On(port string) bool {
	return slices.ContainsFunc(c.Uses, func(u Use) bool { return u.Port == port })
}

// Stranger is an address, or for outsiders with IPv6 a network, from which
// somebody connected without signing in.
type Stranger struct {
	Network  netip.Prefix `json:"network"`
	Name     string       `json:"name,omitempty"`
	NameBy   string       `json:"name_by,omitempty"`
	Local    bool         `json:"local"`
	Accounts []string     `json:"accounts,omitempty"` // whose clients came from there, too
	Uses     []Knock      `json:"uses"`
	First    time.Time    `json:"first"`
	Last     time.Time    `json:"last"`
}

// Knock is what a Stranger did at one port.
type Knock struct {
	Port       string    `json:"port"`
	Silent     int       `json:"silent"`            // handshakes that nothing came of
	Failed     int       `json:"failed"`            // handshakes that failed
	Reason     string    `json:"reason,omitempty"`  // why the last of them did
	Offered    string    `json:"offered,omitempty"` // the newest TLS that the last one knew
	Refused    int       `json:"refused"`           // sign-ins that failed
	Tried      []string  `json:"tried,omitempty"`   // accounts that exist; other names are not kept
	Refusal    string    `json:"refusal,omitempty"` // why the last of them failed
	First      time.Time `json:"first"`
	Last       time.Time `json:"last"`
	LastDays   int       `json:"last_days"` // on how many of the last 30 days
	ServerName string    `json:"server_name,omitempty"`
}

// Totals counts what happened at a port.
type Totals struct {
	Handshakes     int `json:"handshakes"`      // that were done
	FailedShakes   int `json:"failed_shakes"`   // that were not
	SignIns        int `json:"sign_ins"`        // that succeeded
	FailedSignIns  int `json:"failed_sign_ins"` // that did not
	Guesses        int `json:"guesses"`         // of them, with a name that nobody has
	TurnedAway     int `json:"turned_away"`     // with a right password, by a way that was closed to them
	SilentSessions int `json:"silent_sessions"` // connections that ended without a try to sign in
}

// PortDay is a day at a port.
type PortDay struct {
	Date time.Time `json:"date"` // its beginning in UTC
	Totals
}

// Port is what is known of a port.
type Port struct {
	Name     string    `json:"name"`
	Number   int       `json:"number"`   // 0 as long as nobody has come
	Clients  int       `json:"clients"`  // seen in the last 30 days
	Accounts int       `json:"accounts"` // whose clients these are
	Last     time.Time `json:"last,omitzero"`
	Days     []PortDay `json:"days"` // those that are kept, the oldest first
}

// Query chooses clients or strangers; the zero value means all.
type Query struct {
	Port    string     // by which they came
	Account string     // the address, as people write it
	Since   time.Time  // when they were last seen, at the earliest
	Address netip.Addr // where they were
}
