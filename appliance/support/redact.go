package support

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Removed stands in the place of a secret.
const Removed = "(removed)"

// Redactor takes out of texts what is nobody else's business. Its methods may be
// called from several goroutines.
type Redactor struct {
	key   []byte
	keep  bool
	known *regexp.Regexp // names and domains; nil if there are none
	kinds map[string]string
}

// Known are words that tell whose box it is.
type Known struct {
	Names   []string // of people
	Domains []string // of the office's mail
}

// Shorter words are too often part of something else.
const minName = 3

// NewRedactor returns one that makes stand-ins of its own; keep leaves names and
// addresses as they are, and takes out secrets alone.
func NewRedactor(k Known, keep bool) *Redactor {
	r := &Redactor{key: make([]byte, sha256.Size), keep: keep, kinds: map[string]string{}}
	_, _ = rand.Read(r.key) // it never fails
	add := func(words []string, kind string) {
		for _, w := range words {
			if w = strings.ToLower(strings.TrimSpace(w)); len(w) >= minName {
				r.kinds[w] = kind
			}
		}
	}
	add(k.Names, "name")
	add(k.Domains, "domain")
	var words []string
	for w := range r.kinds {
		words = append(words, regexp.QuoteMeta(w))
	}
	if len(words) > 0 {
		// The longest first: Go's expressions take the first that fits.
		slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
		r.known = regexp.MustCompile(`(?i)(?:` + strings.Join(words, "|") + `)`)
	}

	return r
}

// What has a value that is a secret whatever it looks like.
const secretKey = `[\w.-]*(?:passw(?:or)?d|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key|credential|totp|recovery|verifier|salt|hash|hmac|session|cookie|authorization|refresh|bearer)[\w.-]*`

var (
	privateKey = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`)
	header     = regexp.MustCompile(`(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)(\\?["']?\s*[:=]\s*\\?["']?)[^"'\r\n]+`)
	// With and without quotes, and with quotes that are themselves quoted.
	quoted   = regexp.MustCompile(`(?i)(\\?["']?\b` + secretKey + `\\?["']?\s*[:=]\s*)("(?:[^"\\\n]|\\[^\n])*"|'[^'\n]*'|\\"(?:[^"\\\n])*\\")`)
	bare     = regexp.MustCompile(`(?i)(\\?["']?\b` + secretKey + `\\?["']?\s*[:=]\s*)([^\s"',;&(){}\[\]\\]+)`)
	spoken   = regexp.MustCompile(`(?i)\b(password|passphrase|secret|token)((?: of \S+)? (?:is|was|are|were):? )(\S+)`)
	scheme   = regexp.MustCompile(`(?i)\b(bearer|basic|negotiate)\s+[A-Za-z0-9+/=._~-]{6,}`)
	userinfo = regexp.MustCompile(`://[^/\s:@"']*:[^/\s@"']+@`)
	webToken = regexp.MustCompile(`\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)*`)
	phc      = regexp.MustCompile(`\$(?:argon2\w*|2[abxy]|pbkdf2[\w-]*|scrypt|[156y])\$[^\s"';]+|(?i:scram-sha-(?:1|256|512)\$)[^\s"',;]+`)
	// Passwords of devices and people, claim and recovery codes.
	grouped = regexp.MustCompile(`\b(?:[a-z2-9]{4}(?:-[a-z2-9]{4}){2,}|[a-z2-9]{5}(?:-[a-z2-9]{5}){2,}|[A-Z0-9]{5}-[A-Z0-9]{5})\b`)
	pairs   = regexp.MustCompile(`\b[a-z2-9]{5}-[a-z2-9]{5}\b`)
	command = regexp.MustCompile(`\b(LOGIN|APOP|AUTHENTICATE \S+|USER \S+ PASS|PASS)( +\S+)? +("(?:[^"\\\n]|\\[^\n])*"|\S+)`)
	opaque  = regexp.MustCompile(`[A-Za-z0-9_-]{20,}={0,2}|[A-Za-z0-9+/]{24,}={0,2}|[A-Z2-7]{16,}|[a-z2-9]{16,}`)

	mail   = regexp.MustCompile(`[^\s"'<>()\[\]{},;:=@\\/|]+@([\pL\d-]+(?:\.[\pL\d-]+)*)`)
	who    = regexp.MustCompile(`(?i)\b(login|user|username|account|device|host|hostname|server_name)(\\?["']?\s*[:=]\s*)(\\?"(?:[^"\\\n]|\\[^"\n])*\\?"|[^\s"',;}\]\\]+)`)
	colons = regexp.MustCompile(`\b(?:[0-9A-Fa-f]{2}:){5,}[0-9A-Fa-f]{2}\b`)
	ipv4   = regexp.MustCompile(`\b\d{1,3}(?:\.\d{1,3}){3}\b`)
	ipv6   = regexp.MustCompile(`[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*:[0-9A-Fa-f:]*(?:\d{1,3}(?:\.\d{1,3}){3})?`)
	plain  = regexp.MustCompile(`(?i)^(?:true|false|null|nil|none|yes|no|-?\d{1,9}(?:\.\d{1,9})?%?|""|'')$`)
)

// Text returns a text without what must not leave the house.
func (r *Redactor) Text(s string) string {
	s = strings.ToValidUTF8(s, "?")
	s = privateKey.ReplaceAllString(s, Removed)
	s = header.ReplaceAllString(s, "${1}${2}"+Removed)
	for _, re := range []*regexp.Regexp{quoted, bare} {
		s = replace(s, re, func(m []string) string {
			if plain.MatchString(m[2]) || strings.Trim(m[2], `\"'`) == Removed {
				return m[0]
			}
			q := m[2][:len(m[2])-len(strings.TrimLeft(m[2], `\"'`))]
			return m[1] + q + Removed + q
		})
	}
	s = spoken.ReplaceAllString(s, "${1}${2}"+Removed)
	s = scheme.ReplaceAllString(s, "${1} "+Removed)
	s = userinfo.ReplaceAllString(s, "://"+Removed+"@")
	s = webToken.ReplaceAllString(s, Removed)
	s = phc.ReplaceAllString(s, Removed)
	s = grouped.ReplaceAllString(s, Removed)
	s = pairs.ReplaceAllStringFunc(s, func(w string) string {
		if strings.ContainsAny(w, "23456789") {
			return Removed
		}
		return w // two words
	})
	s = command.ReplaceAllString(s, "${1}${2} "+Removed)
	s = opaque.ReplaceAllStringFunc(s, r.opaque)
	if r.keep {
		return s
	}
	s = replace(s, mail, func(m []string) string {
		local := m[0][:strings.LastIndexByte(m[0], '@')]
		return r.standIn("person", local) + "@" + r.domain(m[1])
	})
	if r.known != nil {
		s = r.known.ReplaceAllStringFunc(s, func(w string) string {
			if r.kinds[strings.ToLower(w)] == "domain" {
				return r.domain(w)
			}
			return r.standIn("name", w)
		})
	}
	s = replace(s, who, func(m []string) string {
		value := strings.Trim(m[3], `\"`)
		if value == "" || strings.ContainsAny(value, "@") || known[strings.ToLower(value)] || standing.MatchString(value) || plain.MatchString(value) {
			return m[0]
		}
		if a, err := netip.ParseAddr(value); err == nil {
			return m[1] + m[2] + strings.Replace(m[3], value, r.address(a), 1)
		}
		return m[1] + m[2] + strings.Replace(m[3], value, r.standIn("person", value), 1)
	})
	s = colons.ReplaceAllStringFunc(s, func(w string) string {
		if len(w) != len("00:00:00:00:00:00") {
			return w // a fingerprint
		}
		return r.standIn("mac", w)
	})
	for _, re := range []*regexp.Regexp{ipv6, ipv4} {
		s = re.ReplaceAllStringFunc(s, func(w string) string {
			a, err := netip.ParseAddr(w)
			if err != nil {
				return w
			}
			return r.address(a)
		})
	}

	return s
}

// known are values that name nobody.
var known = map[string]bool{"admin": true, "administrator": true, "root": true, "localhost": true, "pillarbox.local": true}

// standing are stand-ins.
var standing = regexp.MustCompile(`^(?:person|name|domain|lan|net|mac|text)-[a-z2-7]{8}`)

// replace is ReplaceAllStringFunc with the groups of each match.
func replace(s string, re *regexp.Regexp, f func(groups []string) string) string {
	return re.ReplaceAllStringFunc(s, func(m string) string { return f(re.FindStringSubmatch(m)) })
}

// opaque replaces what only a machine can have made up: such a text may open
// something. Where it stands twice it is seen to be the same.
func (r *Redactor) opaque(w string) string {
	var lower, upper, digit, beyondHex bool
	for _, c := range w {
		lower = lower || unicode.IsLower(c)
		upper = upper || unicode.IsUpper(c)
		digit = digit || unicode.IsDigit(c)
		beyondHex = beyondHex || c > 'f' && c <= 'z' || c > 'F' && c <= 'Z'
	}
	switch {
	case standing.MatchString(w):
		return w
	case lower && upper && digit: // base64
	case upper && digit && !lower: // base32
	case digit && !beyondHex && len(w) >= 32: // hexadecimal
	case lower && digit && !strings.ContainsAny(w, "-_/"), // base32 that was made small
		len(w) == 26 && strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") == "": // the same, without a digit by chance
	default:
		return w
	}

	return r.standIn("text", w)
}

// address replaces those of the office and of others; what every machine has
// stays.
func (r *Redactor) address(a netip.Addr) string {
	a = a.Unmap()
	kind := "net"
	switch {
	case a.IsLoopback(), a.IsUnspecified(), a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return a.String()
	case a.IsPrivate(), a.IsLinkLocalUnicast():
		kind = "lan"
	}

	return r.standIn(kind, a.WithZone("").String())
}

func (r *Redactor) domain(name string) string {
	if strings.EqualFold(name, "local") || strings.EqualFold(name, "localhost") || standing.MatchString(name) {
		return name
	}

	return r.standIn("domain", name) + ".example"
}

// standIn is the same for the same word throughout a bundle.
func (r *Redactor) standIn(kind, word string) string {
	if standing.MatchString(word) {
		return word
	}
	mac := hmac.New(sha256.New, r.key)
	mac.Write([]byte(kind + " " + strings.ToLower(word)))

	return kind + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(mac.Sum(nil)[:5]))
}
