package provision

import (
	"bytes"
	"embed"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"text/template"

	"github.com/BurntSushi/toml"
)

// File is the file's name on the boot partition, and MaxSize bounds it.
const (
	File    = "pillarbox.toml"
	MaxSize = 64 << 10
)

// Settings are what the file may say. What is empty is not set.
type Settings struct {
	Host     string   `toml:"host"`
	TimeZone string   `toml:"timezone"`
	Time     []string `toml:"ntp"` // servers
	Admin    Secret   `toml:"admin-password-hash"`
	Network  Network  `toml:"network"`
}

// DHCP, in the place of an address, asks DHCP also where an address was set
// since on the box itself.
const DHCP = "dhcp"

// Network is a static address. Without one DHCP is asked, unless the box's own
// settings say otherwise.
type Network struct {
	Address string   `toml:"address"` // with the length of the prefix, or DHCP
	Gateway string   `toml:"gateway"`
	DNS     []string `toml:"dns"`
}

// Secret is a hash of a password, which does not belong into a log.
type Secret string

// String hides the hash.
func (s Secret) String() string {
	if s == "" {
		return ""
	}

	return "(hidden)"
}

var (
	hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	argon2id = regexp.MustCompile(`^\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+$`)
	zoneName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$`)
	server   = regexp.MustCompile(`^[A-Za-z0-9:][A-Za-z0-9.:-]{0,252}$`)
)

// Parse reads the file. Problems are in words for a person; what they concern
// is not in the settings.
func Parse(text []byte) (s Settings, problems []string) {
	meta, err := toml.Decode(string(text), &s)
	if err != nil {
		return Settings{}, []string{"nothing of it could be read: " + strings.TrimPrefix(err.Error(), "toml: ")}
	}
	for _, key := range meta.Undecoded() {
		problems = append(problems, fmt.Sprintf("%s is not a setting", key))
	}

	return s, append(problems, s.Validate()...)
}

// Validate drops what is wrong and names it.
func (s *Settings) Validate() (problems []string) {
	check := func(field *string, ok bool, key, want string) {
		if *field != "" && !ok {
			problems = append(problems, fmt.Sprintf("%s: %q is not %s", key, *field, want))
			*field = ""
		}
	}
	check(&s.Host, hostName.MatchString(s.Host), "host", "a host name: letters a to z, digits and hyphens")
	check(&s.TimeZone, zoneName.MatchString(s.TimeZone), "timezone", "a time zone such as Europe/Berlin")
	if s.Admin != "" && !argon2id.MatchString(string(s.Admin)) {
		problems = append(problems, "admin-password-hash: it is not a hash of the kind argon2id")
		s.Admin = ""
	}
	s.Time = keep(s.Time, server.MatchString, func(v string) {
		problems = append(problems, fmt.Sprintf("ntp: %q is no server", v))
	})

	return append(problems, s.Network.validate()...)
}

func (n *Network) validate() (problems []string) {
	complain := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	n.DNS = keep(n.DNS, isIPv4, func(v string) { complain("network.dns: %q is no IPv4 address", v) })
	if n.Address == "" || n.Address == DHCP {
		if n.Gateway != "" {
			complain("network.gateway: it is of no use without network.address")
		}
		n.Gateway = ""
		return problems
	}
	prefix, err := netip.ParsePrefix(n.Address)
	if err != nil || !prefix.Addr().Is4() || prefix.Bits() == 0 {
		complain("network.address: %q is not an IPv4 address with a length, such as 192.168.1.10/24", n.Address)
		*n = Network{DNS: n.DNS}
		return problems
	}
	if n.Gateway == "" {
		return problems
	}
	gateway, err := netip.ParseAddr(n.Gateway)
	if err != nil || !prefix.Contains(gateway) || gateway == prefix.Addr() {
		complain("network.gateway: %q is not another address in %s", n.Gateway, prefix.Masked())
		n.Gateway = ""
	}

	return problems
}

func isIPv4(v string) bool {
	a, err := netip.ParseAddr(v)

	return err == nil && a.Is4()
}

// keep returns the values that are good and hands the others to complain.
func keep(values []string, good func(string) bool, complain func(string)) []string {
	var kept []string
	for _, v := range values {
		if good(v) {
			kept = append(kept, v)
		} else {
			complain(v)
		}
	}

	return kept
}

//go:embed pillarbox.toml.tmpl
var files embed.FS

// Text returns the file with its explanations, each setting either set or as a
// comment.
func (s Settings) Text() ([]byte, error) {
	t, err := template.New("pillarbox.toml.tmpl").Funcs(template.FuncMap{
		"setting": setting,
	}).ParseFS(files, "pillarbox.toml.tmpl")
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, s); err != nil {
		return nil, fmt.Errorf("write %s: %w", File, err)
	}

	return out.Bytes(), nil
}

// setting returns a line of the file: the value, or as a comment the example.
func setting(key string, value any, example string) string {
	switch v := value.(type) {
	case string:
		if v != "" {
			return fmt.Sprintf("%s = %q", key, v)
		}
	case Secret:
		if v != "" {
			return fmt.Sprintf("%s = %q", key, string(v))
		}
	case []string:
		if len(v) > 0 {
			return fmt.Sprintf("%s = [%s]", key, strings.Join(quoted(v), ", "))
		}
	}

	return fmt.Sprintf("#%s = %s", key, example)
}

func quoted(values []string) []string {
	var out []string
	for _, v := range values {
		out = append(out, fmt.Sprintf("%q", v))
	}

	return out
}
