package mdns

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/miekg/dns"
)

// maxLabel is the longest label of a domain name, in octets (RFC 1035).
const maxLabel = 63

const (
	domain      = "local."
	enumeration = "_services._dns-sd._udp.local." // RFC 6763, section 9
)

// hostName is the n-th choice for a host (RFC 6762, section 9).
func hostName(base string, n int) string {
	if n > 1 {
		base = withSuffix(base, fmt.Sprintf("-%d", n))
	}

	return canonical(base + "." + domain)
}

// instanceName is the n-th choice for a service (RFC 6763, appendix D).
func instanceName(s *Service, n int) string {
	label := s.Instance
	if n > 1 {
		label = withSuffix(label, fmt.Sprintf(" (%d)", n))
	}

	return canonical(escape(label) + "." + typeName(s))
}

func typeName(s *Service) string { return canonical(s.Type + "." + domain) }

// withSuffix shortens a label where it must be, between characters.
func withSuffix(label, suffix string) string {
	room := maxLabel - len(suffix)
	if len(label) > room {
		for room > 0 && !utf8.RuneStart(label[room]) {
			room--
		}
		label = label[:room]
	}

	return label + suffix
}

// escape returns octets in the form in which the DNS library takes them.
func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\%03d`, c)
		}
	}

	return b.String()
}

// canonical returns a name as the DNS library would read it from a packet, so
// that names can be compared. It keeps the case.
func canonical(name string) string {
	buf := make([]byte, 256)
	n, err := dns.PackDomainName(dns.Fqdn(name), buf, 0, nil, false)
	if err != nil {
		return name // never: labels and their number are bounded before
	}
	out, _, err := dns.UnpackDomainName(buf[:n], 0)
	if err != nil {
		return name
	}

	return out
}

// fold makes names equal that differ in case only; only ASCII letters do (RFC
// 6762, section 16).
func fold(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}

	return string(b)
}
