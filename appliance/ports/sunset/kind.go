package sunset

import (
	"net/netip"
	"slices"
)

// Kind is a way that is left behind.
type Kind string

// The kinds.
const (
	Leave990    Kind = "leave-990"    // port 990 is closed; 993 stays
	Leave993    Kind = "leave-993"    // the other way round, for an estate that knows only 990
	TLS13       Kind = "tls-1.3"      // TLS 1.3 alone
	NoPasswords Kind = "no-passwords" // PLAIN and LOGIN are not taken any more
)

// Kinds returns all of them.
func Kinds() []Kind { return []Kind{Leave990, Leave993, TLS13, NoPasswords} }

// Names of the ports, as the listeners have them.
const (
	IMAPS  = "imaps"        // 993
	Legacy = "imaps-legacy" // 990
)

// Contact is how somebody came.
type Contact struct {
	Account   string // their address
	Remote    netip.Addr
	Port      string // the listener's name
	TLS       string // "TLS 1.2" or "TLS 1.3"
	Mechanism string // "LOGIN" and "LOGIN (SASL)" both send the password
}

// words is what is to be known of a kind.
type words struct {
	title, old, new string
	port, other     string // that is closed and that stays; "" where it is about no port
	change          string // what a person does about it
	rest            string // what else they are to know
}

func (k Kind) words() words {
	switch k {
	case Leave990:
		return words{
			"Leaving port 990 for 993", "port 990", "port 993", Legacy, IMAPS,
			"set the incoming server (IMAP) to port 993 with SSL/TLS", "Name, password and folders stay as they are.",
		}
	case Leave993:
		return words{
			"Leaving port 993 for 990", "port 993", "port 990", IMAPS, Legacy,
			"set the incoming server (IMAP) to port 990 with SSL/TLS", "Name, password and folders stay as they are.",
		}
	case TLS13:
		return words{
			"TLS 1.3 alone", "TLS 1.2", "TLS 1.3", "", "",
			"update the mail program or the system, so that it knows TLS 1.3", "A device that knows only TLS 1.2 has to be replaced.",
		}
	case NoPasswords:
		return words{
			"Signing in without sending the password", "signing in by sending the password", "signing in without sending it", "", "",
			"choose another way to sign in, such as encrypted password (SCRAM), a certificate or OAuth2", "A program that knows none of these has to be replaced.",
		}
	}

	return words{title: string(k)}
}

// Title names a kind for people.
func (k Kind) Title() string { return k.words().title }

// opposite returns the kind that cannot be carried out beside this one.
func (k Kind) opposite() Kind {
	switch k {
	case Leave990:
		return Leave993
	case Leave993:
		return Leave990
	}

	return ""
}

// Old tells whether somebody came by the way that is left behind.
func (k Kind) Old(c *Contact) bool {
	switch k {
	case Leave990, Leave993:
		return c.Port == k.words().port
	case TLS13:
		return c.TLS != "" && c.TLS != "TLS 1.3"
	case NoPasswords:
		return slices.Contains([]string{"PLAIN", "LOGIN", "LOGIN (SASL)"}, c.Mechanism)
	}

	return false
}

// New tells whether somebody came by the way that stays.
func (k Kind) New(c *Contact) bool {
	if other := k.words().other; other != "" {
		return c.Port == other
	}

	return !k.Old(c)
}
