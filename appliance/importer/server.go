package importer

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
)

// Secret is a password or token. It shows itself to nobody by accident.
type Secret string

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue("(secret)") }

// String implements fmt.Stringer.
func (Secret) String() string { return "(secret)" }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return "(secret)" }

// Security says how a connection is kept from being read.
type Security string

// The ways.
const (
	TLS      Security = "tls"      // from the first octet: 993, 990
	STARTTLS Security = "starttls" // 143
	Plain    Security = "none"     // passwords and mail can be read on the way
)

// SignIn says by which mechanism.
type SignIn string

// The mechanisms.
const (
	ByPassword SignIn = ""        // SASL PLAIN where the server has it, else LOGIN
	ByXOAUTH2  SignIn = "xoauth2" // Secret is an access token, unless OAuth says where one is had
)

// Server says how an IMAP server is reached and signed in to, for import and
// export alike; see Server.Connect.
type Server struct {
	Host     string   `json:"host"`
	Port     uint16   `json:"port,omitempty"`     // 0: that of Security, 993 or 143
	Security Security `json:"security,omitempty"` // "": TLS, or STARTTLS on port 143

	// Fingerprint, SHA-256 in hexadecimal, is the certificate that is trusted
	// whoever signed it. "" means that its chain and name are checked.
	Fingerprint string `json:"fingerprint,omitempty"`
	CA          string `json:"ca,omitempty"`   // PEM of certificates that are trusted beside the system's
	Name        string `json:"name,omitempty"` // that the certificate must hold, if not Host

	User   string `json:"user"`
	SignIn SignIn `json:"sign_in,omitempty"`
	OAuth  *OAuth `json:"oauth,omitempty"`
	// Admin signs in instead of User, with Secret: an account that may act for
	// others. AdminBy says how the server is told for whom.
	Admin   string  `json:"admin,omitempty"`
	AdminBy AdminBy `json:"admin_by,omitempty"`
	Secret  Secret  `json:"-"`

	Connections int `json:"connections,omitempty"` // at most; 0: 4
}

// AdminBy says how a server is told for whom an administrator signs in.
type AdminBy string

// The ways.
const (
	ByAuthzid    AdminBy = ""       // SASL PLAIN's authorisation identity: Cyrus, and Dovecot
	ByMasterUser AdminBy = "master" // user*master: Dovecot
)

// MaxConnections bounds Server.Connections.
const MaxConnections = 16

const usualConnections = 4

// Validate returns all that is wrong.
func (s *Server) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Host == "" || strings.ContainsAny(s.Host, " \t\r\n/") || len(s.Host) > 255 {
		wrong("host: the name or address of the server is wanted, not %q", s.Host)
	}
	switch s.security() {
	case TLS, STARTTLS, Plain:
	default:
		wrong("security: %q is none of tls, starttls and none", s.Security)
	}
	if s.User == "" {
		wrong("user: whose mail it is must be named")
	}
	for name, text := range map[string]string{"user": s.User, "admin": s.Admin, "the password": string(s.Secret)} {
		if strings.ContainsAny(text, "\x00\r\n") {
			wrong("%s: it has a line end or NUL", name)
		}
	}
	switch {
	case s.SignIn != ByPassword && s.SignIn != ByXOAUTH2:
		wrong("sign_in: %q is none of xoauth2 and nothing", s.SignIn)
	case s.SignIn == ByXOAUTH2 && s.Admin != "":
		wrong("admin: with a token nobody signs in for others; the token itself says for whom it is")
	}
	if s.OAuth != nil {
		if s.SignIn != ByXOAUTH2 {
			wrong("oauth: it goes with sign_in xoauth2")
		}
		errs = append(errs, s.OAuth.validate())
	}
	if s.AdminBy != ByAuthzid && s.AdminBy != ByMasterUser {
		wrong("admin_by: %q is none of master and nothing", s.AdminBy)
	}
	if s.Fingerprint != "" && normalFingerprint(s.Fingerprint) == "" {
		wrong("fingerprint: 64 hexadecimal digits are wanted (SHA-256)")
	}
	if s.Connections < 0 || s.Connections > MaxConnections {
		wrong("connections: a number from 1 to %d is wanted", MaxConnections)
	}
	return errors.Join(errs...)
}

// OneSecret tells whether one secret signs in for everybody: an administrator's
// or an application's.
func (s *Server) OneSecret() bool {
	return s.Admin != "" || s.OAuth != nil && s.OAuth.Grant == ByApplication
}

func (s *Server) security() Security {
	switch {
	case s.Security != "":
		return s.Security
	case s.Port == 143:
		return STARTTLS
	}
	return TLS
}

// address is where the server listens.
func (s *Server) address() string {
	port := s.Port
	if port == 0 {
		port = 993
		if s.security() != TLS {
			port = 143
		}
	}
	return net.JoinHostPort(s.Host, strconv.Itoa(int(port)))
}

func (s *Server) connections() int {
	if s.Connections == 0 {
		return usualConnections
	}
	return s.Connections
}

// Warning tells what is unsafe about the way, "" if nothing is.
func (s *Server) Warning() string {
	if s.security() == Plain {
		return "The connection to " + s.Host + " is not encrypted: everybody on the way can read the password and all mail."
	}
	return ""
}
