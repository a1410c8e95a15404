package setup

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pillarbox/appliance/profile"
)

// Office is who knows the facts. Its methods may be called at the same time.
type Office interface {
	// Facts returns what holds for a client at an address, who is a stranger; that
	// which is not valid stands for anybody in the office.
	Facts(ctx context.Context, client netip.Addr) (*Facts, error)
	// Person returns who has an address, or an error that wraps ErrNobody.
	Person(ctx context.Context, address string) (*Person, error)
}

// Trust is who keeps the certificates.
type Trust interface {
	Root() []byte                     // the private CA, in PEM
	RootPayload() profile.Payload     // the same for Apple's devices
	Sign(text []byte) ([]byte, error) // CMS
}

// ErrNobody means that nobody has an address.
var ErrNobody = errors.New("nobody has that address")

// Person is who a page is for.
type Person struct {
	Address string `json:"address"`
	Name    string `json:"name,omitempty"`
}

// Facts are how mail programs connect.
type Facts struct {
	Office  string   `json:"office,omitempty"` // its name, as people write it
	Domains []string `json:"domains"`          // for which there are accounts, in lower case and ASCII
	Names   []string `json:"names"`            // host names and addresses by which clients may ask

	IMAP     Server  `json:"imap"`
	Outgoing *Server `json:"outgoing,omitempty"` // where mail is sent; nil means that nobody has said
	Legacy   *Legacy `json:"legacy,omitempty"`   // port 990; nil means that it is closed, or that some are refused there

	// Mechanisms are those that the IMAP server offers (SASL).
	Mechanisms []string `json:"mechanisms"`
	// Provider is the issuer of the office's OpenID provider; "" means none.
	Provider string `json:"provider,omitempty"`

	// Private tells that devices have to trust the box's own CA.
	Private     bool         `json:"private"`
	Fingerprint string       `json:"fingerprint,omitempty"` // of that CA: SHA-256, as devices show it
	Addresses   []netip.Addr `json:"addresses"`             // of the box, for A and AAAA records

	// The ports of the pages by plain HTTP and by HTTPS, on the IMAP server's name;
	// 0 means that there are none.
	HTTP  uint16 `json:"http,omitempty"`
	HTTPS uint16 `json:"https,omitempty"`
}

// Security is how a connection is encrypted.
type Security string

// The kinds of security. There is none without.
const (
	TLS      Security = "tls" // from the first octet on
	STARTTLS Security = "starttls"
)

// Login is by what a server is signed in to.
type Login string

// What a sending server asks for.
const (
	SameLogin Login = ""     // the address and the mailbox's password
	OwnLogin  Login = "own"  // a name and password of its own
	NoLogin   Login = "none" // nothing: it knows its clients by their address
)

// Server is one that programs connect to.
type Server struct {
	Host     string   `json:"host"`
	Port     uint16   `json:"port"`
	Security Security `json:"security"`
	Login    Login    `json:"login,omitempty"`
}

// Legacy is port 990, as long as it is open.
type Legacy struct {
	Port   uint16    `json:"port"`
	Why    string    `json:"why,omitempty"`   // in a person's words; "" means that nobody has said
	Closes time.Time `json:"closes,omitzero"` // zero means that no day is set
}

// has tells whether one of these mechanisms is offered.
func (f *Facts) has(mechanisms ...string) bool {
	return slices.ContainsFunc(mechanisms, func(m string) bool { return slices.Contains(f.Mechanisms, m) })
}

// plain tells whether a password is taken as it is, within TLS.
func (f *Facts) plain() bool { return f.has("PLAIN", "LOGIN") }

// unset is the outgoing server for those who demand one.
func (f *Facts) unset() *Server {
	return &Server{Host: f.IMAP.Host, Port: portSubmissions, Security: TLS}
}

// shared returns the outgoing server for programs that use one password for both
// servers: another's password is not for them to give away.
func (f *Facts) shared() *Server {
	if f.Outgoing != nil && f.Outgoing.Login == OwnLogin {
		return nil
	}

	return f.Outgoing
}

// The registered ports, as programs take them without being told.
const (
	portSubmissions = 465
	portHTTP        = 80
	portHTTPS       = 443
)

// maxAddress bounds a mail address in octets (RFC 5321, section 4.5.3.1.3).
const maxAddress = 254

// domain returns the domain of an address if it is one of the office's. Nothing
// else is looked at but what would do harm where the address is given back.
func (f *Facts) domain(address string) (string, bool) {
	at := strings.LastIndexByte(address, '@')
	if at < 1 || len(address) > maxAddress || strings.ContainsFunc(address, unfit) {
		return "", false
	}
	domain := strings.ToLower(address[at+1:])

	return domain, slices.Contains(f.Domains, domain)
}

// unfit is what no address has but in quotes.
func unfit(r rune) bool {
	return r <= ' ' || r == 0x7f || r >= 0x80 && r < 0xa1 || r == 0xfffd || strings.ContainsRune(`"(),:;<>[\]`, r)
}
