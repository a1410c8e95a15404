package importer

import (
	"log/slog"
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
	ByXOAUTH2  SignIn = "xoauth2" // Secret is an access token
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
