package directory

import (
	"cmp"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Bounds of RFC 5321, section 4.5.3.1, in octets. A path has 256 octets with
// its angle brackets, which leaves 254 for the address.
const (
	maxLocal   = 64
	maxAddress = 254
)

// Address is a mail address in canonical form. The zero value is no address.
type Address struct {
	Local  string // lower case, NFC
	Domain string // lower case, internationalised labels as xn--
}

// ParseAddress brings an address into its canonical form: the local part in
// lower case, the domain in lower case with internationalised labels in their
// ASCII form. The local part is a dot-atom (RFC 5321, section 4.1.2) and may
// hold letters beyond ASCII (RFC 6531); quoted local parts and address literals
// are not accepted. Every refusal wraps ErrAddress.
func ParseAddress(s string) (Address, error) {
	if len(s) > maxAddress {
		return Address{}, fmt.Errorf("%w: longer than %d octets", ErrAddress, maxAddress)
	}
	if !utf8.ValidString(s) {
		return Address{}, fmt.Errorf("%w: it is not UTF-8", ErrAddress)
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return Address{}, fmt.Errorf("%w: %q has no @", ErrAddress, s)
	}
	local, err := canonicalLocal(s[:at])
	if err != nil {
		return Address{}, err
	}
	domain, err := canonicalDomain(s[at+1:])
	if err != nil {
		return Address{}, err
	}
	a := Address{Local: local, Domain: domain}
	if len(a.String()) > maxAddress {
		return Address{}, fmt.Errorf("%w: longer than %d octets", ErrAddress, maxAddress)
	}
	return a, nil
}

// String returns local@domain, or "" for the zero value.
func (a Address) String() string {
	if a == (Address{}) {
		return ""
	}
	return a.Local + "@" + a.Domain
}

// base returns the address without its subaddress: user+tag@ is user@
// (RFC 5233). ok is false if there is none.
func (a Address) base() (Address, bool) {
	i := strings.IndexByte(a.Local, '+')
	if i < 1 {
		return a, false
	}
	return Address{Local: a.Local[:i], Domain: a.Domain}, true
}

var idnaProfile = idna.New(
	idna.MapForLookup(),
	idna.BidiRule(),
	idna.StrictDomainName(true),
	idna.VerifyDNSLength(true),
)

func canonicalDomain(s string) (string, error) {
	d, err := idnaProfile.ToASCII(s)
	if err != nil {
		return "", fmt.Errorf("%w: domain %q: %w", ErrAddress, s, err)
	}
	if d == "" || strings.HasSuffix(d, ".") {
		return "", fmt.Errorf("%w: %q is not a domain", ErrAddress, s)
	}
	return d, nil
}

func canonicalLocal(s string) (string, error) {
	if len(s) > maxAddress {
		return "", fmt.Errorf("%w: longer than %d octets", ErrAddress, maxAddress)
	}
	l := norm.NFC.String(strings.ToLower(norm.NFC.String(s)))
	switch {
	case l == "":
		return "", fmt.Errorf("%w: nothing stands before the @", ErrAddress)
	case len(l) > maxLocal:
		return "", fmt.Errorf("%w: the part before the @ is longer than %d octets", ErrAddress, maxLocal)
	case l[0] == '.' || l[len(l)-1] == '.' || strings.Contains(l, ".."):
		return "", fmt.Errorf("%w: a dot in %q stands where it may not", ErrAddress, l)
	}
	for _, r := range l {
		if !localRune(r) {
			return "", fmt.Errorf("%w: %q may not stand before the @", ErrAddress, r)
		}
	}
	return l, nil
}

// localRune tells whether r is atext or a dot (RFC 5322, section 3.2.3), or a
// visible character beyond ASCII.
func localRune(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r)
	}
	return unicode.IsGraphic(r) && !unicode.IsSpace(r) && r != utf8.RuneError
}

// compare orders by domain, then local part.
func (a Address) compare(b Address) int {
	return cmp.Or(strings.Compare(a.Domain, b.Domain), strings.Compare(a.Local, b.Local))
}
