package mdns

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
)

// Config describes a responder.
type Config struct {
	Logger *slog.Logger // must not be nil

	// Host is the wished host name without ".local": one label of letters,
	// digits and hyphens.
	Host string

	// Services are announced beside the host name until Announce replaces them;
	// they must really listen.
	Services []Service

	// Conflict is told the new host name, as Name would return it, when
	// somebody else has the old one; nil means nobody is.
	Conflict func(newName string)

	// Held is told whenever what Name returns has changed; nil means nobody is.
	Held func(name string)

	// Open returns what carries the packets of a family; nil means Open of this
	// package.
	Open func(ipv6 bool) (Conn, error)
}

// Service is something that listens on the machine.
type Service struct {
	Instance string   // what people read, up to 63 octets: "Pillarbox"
	Type     string   // "_imaps._tcp"
	Port     uint16   // must not be 0
	TXT      []string // "key=value", up to 255 octets each, 1,000 in all
}

// Network is where the machine is to be known.
type Network struct {
	Interfaces []Interface // those chosen, up and connected
}

// Interface is an interface that has addresses.
type Interface struct {
	Index     int // the kernel's
	Name      string
	Addresses []netip.Prefix // those in use: neither tentative nor clashing
}

// Bounds of what a caller may ask for; all of a link's records are small
// enough for a few packets.
const (
	maxServices   = 32
	maxInterfaces = 64
	maxAddresses  = 16 // of an interface; those beyond are not told
	maxTXT        = 1000
)

var (
	hostLabel   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	serviceType = regexp.MustCompile(`^_[A-Za-z0-9]([A-Za-z0-9-]{0,13}[A-Za-z0-9])?\._(tcp|udp)$`)
)

// ValidHost tells whether a name can be a Config's Host.
func ValidHost(name string) bool { return hostLabel.MatchString(name) }

// validate returns all that is wrong with the wishes.
func (c *Config) validate() error {
	var wrong []error
	if !ValidHost(c.Host) {
		wrong = append(wrong, fmt.Errorf("host: %q is not a label of letters, digits and hyphens", c.Host))
	}
	if len(c.Services) > maxServices {
		wrong = append(wrong, fmt.Errorf("services: more than %d", maxServices))
	}
	seen := map[string]bool{}
	for i, s := range c.Services {
		if err := s.validate(); err != nil {
			wrong = append(wrong, fmt.Errorf("services[%d]: %w", i, err))
		}
		id := s.id()
		if seen[id] {
			wrong = append(wrong, fmt.Errorf("services[%d]: %q of type %s is there already", i, s.Instance, s.Type))
		}
		seen[id] = true
	}

	return errors.Join(wrong...)
}

// id is what tells services apart.
func (s *Service) id() string { return fold(s.Instance + "." + s.Type) }

func (s *Service) validate() error {
	var wrong []error
	if s.Instance == "" || len(s.Instance) > maxLabel {
		wrong = append(wrong, fmt.Errorf("instance: %q must have 1 to %d octets", s.Instance, maxLabel))
	}
	if !serviceType.MatchString(s.Type) {
		wrong = append(wrong, fmt.Errorf("type: %q is not of the form _name._tcp", s.Type))
	}
	if s.Port == 0 {
		wrong = append(wrong, errors.New("port: must not be 0"))
	}
	all := 0
	for _, text := range s.TXT {
		if text == "" || len(text) > 255 || text[0] == '=' {
			wrong = append(wrong, fmt.Errorf("txt: %q must be a key, or key=value of up to 255 octets", text))
		}
		all += 1 + len(text)
	}
	if all > maxTXT {
		wrong = append(wrong, fmt.Errorf("txt: more than %d octets", maxTXT))
	}

	return errors.Join(wrong...)
}
