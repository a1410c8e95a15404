package certs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// settingsFile holds Settings; where it is missing they are zero.
const settingsFile = "settings.json"

// maxSettings bounds that file in octets.
const maxSettings = 64 << 10

// Source names where the certificate comes from.
type Source string

// The sources.
const (
	Private  Source = "private" // the box's own CA, or a pair put into its files
	ACME     Source = "acme"
	Uploaded Source = "upload"
)

// Settings say where the certificate comes from and how strict TLS is. The zero
// value is the private CA and the intermediate policy.
type Settings struct {
	Source Source `json:"source,omitempty"` // "" means Private
	Policy Policy `json:"policy,omitempty"` // "" means Intermediate
	// Upload is the fingerprint of the uploaded certificate that is used, as
	// Manager.Keep returns it.
	Upload string `json:"upload,omitempty"`
	// ACME is kept while another source is used; nil means never set.
	ACME *ACMESettings `json:"acme,omitempty"`
}

// ACMESettings say who certifies which names, and how the box proves that they
// are its own.
type ACMESettings struct {
	// Directory is the URL of the CA's directory, or the name of a known one:
	// letsencrypt, letsencrypt-staging, zerossl.
	Directory string   `json:"directory"`
	Names     []string `json:"names"`             // host names; must not be empty
	Contact   string   `json:"contact,omitempty"` // an e-mail address; "" means none
	// Agreed says that somebody agreed to the CA's terms of service.
	Agreed    bool      `json:"agreed"`
	Challenge Challenge `json:"challenge"`
	// EABKeyID and EABKey bind the account to one that the CA keeps elsewhere
	// (RFC 8555, section 7.3.4); "" means that it asks for none.
	EABKeyID string `json:"eab_key_id,omitempty"`
	EABKey   Secret `json:"eab_key,omitempty"` // base64url
	// RSA orders a certificate for an RSA key beside the one for ECDSA.
	RSA bool `json:"rsa,omitempty"`
	// DNS says who serves the names' zones; it must be there for DNS01.
	DNS *DNSSettings `json:"dns,omitempty"`
}

// Challenge is how the box proves that a name is its own.
type Challenge string

// The challenges.
const (
	HTTP01    Challenge = "http-01"
	TLSALPN01 Challenge = "tls-alpn-01"
	DNS01     Challenge = "dns-01"
)

// DNSSettings say where TXT records are made.
type DNSSettings struct {
	Provider    string            `json:"provider"`    // see Providers
	Credentials map[string]Secret `json:"credentials"` // by the names that Providers lists
}

// Secret is kept from logs.
type Secret string

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue("(secret)") }

// String implements fmt.Stringer.
func (Secret) String() string { return "(secret)" }

// redacted is what a secret looks like to whoever may not know it.
const redacted = "(secret)"

// Redacted returns a copy without secrets, to be shown.
func (s Settings) Redacted() Settings {
	if s.ACME == nil {
		return s
	}
	a := *s.ACME
	if a.EABKey != "" {
		a.EABKey = redacted
	}
	if a.DNS != nil {
		d := DNSSettings{Provider: a.DNS.Provider, Credentials: map[string]Secret{}}
		for name, value := range a.DNS.Credentials {
			if d.Credentials[name] = value; !isPublicCredential(name) {
				d.Credentials[name] = redacted
			}
		}
		a.DNS = &d
	}
	s.ACME = &a
	return s
}

func (s Settings) source() Source {
	if s.Source == "" {
		return Private
	}
	return s.Source
}

// known are directories that have a name.
func known(name string) string {
	switch name {
	case "letsencrypt":
		return "https://acme-v02.api.letsencrypt.org/directory"
	case "letsencrypt-staging":
		return "https://acme-staging-v02.api.letsencrypt.org/directory"
	case "zerossl":
		return "https://acme.zerossl.com/v2/DV90"
	}
	return name
}

// Validate returns all that is wrong, each with its field.
func (s Settings) Validate() error {
	var errs []error
	switch s.source() {
	case Private:
	case Uploaded:
		if !isFingerprint(s.Upload) {
			errs = append(errs, errors.New("upload: wants the fingerprint of an uploaded certificate"))
		}
	case ACME:
		if s.ACME == nil {
			errs = append(errs, errors.New("acme: must not be empty"))
		} else {
			errs = append(errs, s.ACME.validate()...)
		}
	default:
		errs = append(errs, fmt.Errorf("source: %q is none of private, acme and upload", s.Source))
	}
	if !s.Policy.valid() {
		errs = append(errs, fmt.Errorf("policy: %q is none of intermediate and modern", s.Policy))
	}
	return errors.Join(errs...)
}

func (a *ACMESettings) validate() (errs []error) {
	u, err := url.Parse(known(a.Directory))
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		errs = append(errs, errors.New("acme.directory: wants letsencrypt, letsencrypt-staging, zerossl or an address that begins with https://"))
	}
	if len(a.Names) == 0 || len(a.Names) > maxNames {
		errs = append(errs, fmt.Errorf("acme.names: wants 1 to %d names", maxNames))
	}
	for _, name := range a.Names {
		switch {
		case net.ParseIP(name) != nil:
			errs = append(errs, fmt.Errorf("acme.names: %s is an address; only the box's own CA certifies those", name))
		case !isHost(name) || !strings.Contains(name, "."):
			errs = append(errs, fmt.Errorf("acme.names: %q is not a host name in lower case", name))
		case isLocalName(name):
			errs = append(errs, fmt.Errorf("acme.names: %s means something in this network only; no public CA certifies it", name))
		case strings.HasPrefix(name, "*.") && a.Challenge != DNS01:
			errs = append(errs, fmt.Errorf("acme.names: %s needs the challenge dns-01", name))
		}
	}
	if a.Contact != "" && (strings.Count(a.Contact, "@") != 1 || strings.ContainsAny(a.Contact, " ,?\r\n")) {
		errs = append(errs, errors.New("acme.contact: wants an e-mail address"))
	}
	if !a.Agreed {
		errs = append(errs, errors.New("acme.agreed: the CA's terms of service must be agreed to"))
	}
	if (a.EABKeyID == "") != (a.EABKey == "") {
		errs = append(errs, errors.New("acme.eab_key: the key and its identifier belong together"))
	}
	switch a.Challenge {
	case HTTP01, TLSALPN01:
	case DNS01:
		errs = append(errs, a.DNS.validate()...)
	default:
		errs = append(errs, fmt.Errorf("acme.challenge: %q is none of http-01, tls-alpn-01 and dns-01", a.Challenge))
	}
	return errs
}

// isLocalName tells whether a name is of a domain that no public CA certifies
// (RFC 6762, RFC 8375, and what ICANN keeps for private use).
func isLocalName(name string) bool {
	for _, suffix := range localDomains() {
		if name == suffix || strings.HasSuffix(name, "."+suffix) {
			return true
		}
	}
	return false
}

func localDomains() []string {
	return []string{"local", "localhost", "home.arpa", "internal", "lan", "localdomain", "home", "corp"}
}

func isFingerprint(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// readSettings returns zero Settings where there is no file.
func readSettings(dir string) (s Settings, err error) {
	path := filepath.Join(dir, settingsFile)
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Settings{}, nil
	case err != nil:
		return Settings{}, err
	case len(b) > maxSettings:
		return Settings{}, fmt.Errorf("read %s: it is too long", path)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return Settings{}, fmt.Errorf("read %s: %w", path, err)
	}
	if err := s.Validate(); err != nil {
		return Settings{}, fmt.Errorf("read %s: %w", path, err)
	}
	return s, nil
}

func writeSettings(dir string, s Settings) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode settings: %w", err)
	}
	return writeFile(filepath.Join(dir, settingsFile), append(b, '\n'), 0o600)
}

// covers tells whether a certificate holds all of names.
func (a *ACMESettings) covers(has func(name string) bool) bool {
	return !slices.ContainsFunc(a.Names, func(name string) bool { return !has(name) })
}
