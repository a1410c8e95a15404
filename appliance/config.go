package appliance

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/factory"
	"pillarbox/appliance/health"
	"pillarbox/appliance/restart"
)

// Off, in the place of addresses, means that a service does not listen.
const Off = "off"

// The registered port of IMAP over TLS, the one that some sites use beside it,
// and what stands in for them where a program may not have them.
const (
	portIMAPS       = 993
	portIMAPSLegacy = 990
	portMetrics     = 9464
	fallbackIMAPS   = 9993
	fallbackLegacy  = 9990
	fallbackMetrics = 19464

	portHTTP      = 80
	portHTTPS     = 443
	fallbackHTTP  = 8080
	fallbackHTTPS = 8443
)

// Config says what an Appliance serves.
type Config struct {
	Dir     string       // the data folder; must not be empty; made if missing
	Logger  *slog.Logger // must not be nil
	Version string

	// Addresses to listen on, "HOST:PORT", and for LMTP also "unix:PATH". Nil
	// means ports 993 and 990 on all addresses, or 9993 and 9990 where this
	// process may not have those, and a unix socket in the data folder.
	IMAPS       []string
	IMAPSLegacy []string
	LMTP        []string
	// Metrics is where Prometheus asks, once the settings open it; nil means port
	// 9464.
	Metrics []string

	// HTTP and HTTPS are where the pages are, and what leads to them; nil means
	// ports 80 and 443 of all addresses, or 8080 and 8443 where this process may
	// not have those or another has them, and none at all where IMAPS names
	// addresses: who chooses those for mail shows the pages nowhere by accident.
	HTTP  []string
	HTTPS []string
	// WebFrom are networks from which the pages may be opened, beside this
	// machine's own and those of the settings.
	WebFrom []netip.Prefix

	// Loopback makes the default addresses those of this machine alone, and
	// lets them give way to the other ports also where they are in use.
	Loopback bool

	// BoundLoopback has connections from this machine itself bounded, throttled
	// and banned like those of others: for tests.
	BoundLoopback bool

	// NetworkSocket leads to the service that keeps the box's network and
	// firewall; "" means that the machine's network is not ours.
	NetworkSocket string
	// NetworkStatus is where that service tells its state; "" means where it does on
	// the firmware.
	NetworkStatus string

	// PowerSocket leads to the process that starts the machine anew or switches it
	// off (package power); "" means that the machine is not ours.
	PowerSocket string

	Hostname string   // "" means the machine's
	Names    []string // more names for the certificate

	MaxMessage int64 // octets; 0 means storage's default

	// Health gets the conditions; nil means that the Appliance has its own.
	Health *health.Tracker
	// Conditions names a file with conditions that the firmware publishes, to
	// be shown with the others; "" means that there is none.
	Conditions string
	// AdminHash names a file with the argon2id hash of the administrator's
	// password, for a box that has none yet; "" means that there is none.
	AdminHash string
	// AuditSender carries checkpoints of the audit record to where the box
	// cannot change them; nil means that they stay here.
	AuditSender audit.Sender
	// Reset is the factory reset that was carried out before this start; nil
	// means that there was none.
	Reset *factory.Reset
	// Run is the record of this run; nil means that none is kept.
	Run *restart.Run
	// Log returns the newest lines of what Logger wrote; nil means none.
	Log func(n int) []string
	// LogAll writes all that is kept of it; nil means what Log returns.
	LogAll func(io.Writer) error
	// Abort ends the process at once. It is called when the program is sick
	// and cannot stop in order; nil means that it waits for ever.
	Abort func()
}

// Validate returns all that is wrong.
func (c *Config) Validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("data: must not be empty"))
	}
	for _, l := range []struct {
		name  string
		addrs []string
		unix  bool
	}{{"imaps", c.IMAPS, false}, {"imaps-legacy", c.IMAPSLegacy, false}, {"metrics", c.Metrics, false}, {"http", c.HTTP, false}, {"https", c.HTTPS, false}, {"lmtp", c.LMTP, true}} {
		for _, a := range l.addrs {
			if err := validAddress(a, l.unix); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", l.name, err))
			}
		}
		if len(l.addrs) > 1 && slices.Contains(l.addrs, Off) {
			errs = append(errs, fmt.Errorf("%s: %q stands alone", l.name, Off))
		}
	}
	if c.MaxMessage < 0 {
		errs = append(errs, errors.New("max-message: must not be negative"))
	}

	return errors.Join(errs...)
}

func validAddress(addr string, unix bool) error {
	if addr == Off {
		return nil
	}
	if path, ok := strings.CutPrefix(addr, "unix:"); unix && ok {
		if path == "" {
			return errors.New("unix: wants a path behind it")
		}
		return nil
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT, such as 127.0.0.1:993 or [::1]:993", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return fmt.Errorf("%q: the port is not a number from 0 to 65535", addr)
	}

	return nil
}

func (c *Config) hostname() string {
	if c.Hostname != "" {
		return c.Hostname
	}
	if h, err := os.Hostname(); err == nil && h != "" {
		return h
	}

	return "localhost"
}
