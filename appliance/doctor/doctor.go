package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	// examineTime bounds an examination: some twenty conversations, most of
	// them short, with a server that may answer slowly.
	examineTime = 5 * time.Minute

	connectTime      = 5 * time.Second
	conversationTime = 20 * time.Second // for one step; with Go's own deadline on the connection

	// maxFetch bounds what is fetched by HTTP, in octets: large CAs have lists
	// of revocations of some megabytes.
	maxFetch = 16 << 20
)

// Config says what a Doctor works with. The zero value examines by the system's
// DNS and trusts the public CAs.
type Config struct {
	// Roots are trusted instead of the public CAs; nil means those.
	Roots *x509.CertPool
	// DNS is the name server's address with its port; "" means the system's.
	DNS string
	// HTTP fetches what certificates and domains refer to; nil means a client
	// that trusts the public CAs.
	HTTP *http.Client
	// Now is the time; nil means time.Now.
	Now func() time.Time
	// System is where /proc and /sys lie; "" means the root.
	System string
}

// Doctor examines servers. Its methods may be called at once.
type Doctor struct {
	roots    *x509.CertPool
	resolver *net.Resolver
	http     *http.Client
	now      func() time.Time
	system   string
}

// New returns a Doctor.
func New(c *Config) *Doctor {
	d := &Doctor{roots: c.Roots, resolver: &net.Resolver{PreferGo: true}, http: c.HTTP, now: c.Now, system: c.System}
	if c.DNS != "" {
		d.resolver.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, network, c.DNS)
		}
	}
	if d.http == nil {
		d.http = &http.Client{Timeout: conversationTime}
	}
	client := *d.http
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	d.http = &client
	if d.now == nil {
		d.now = time.Now
	}
	if d.system == "" {
		d.system = "/"
	}

	return d
}

// Secret is a password; it does not show in logs.
type Secret string

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// String implements fmt.Stringer.
func (Secret) String() string { return "[secret]" }

// Service is what a port speaks.
type Service string

// The services, by the names that IANA has for them where there is one.
const (
	IMAPS       Service = "imaps"
	IMAP        Service = "imap" // with STARTTLS
	Submissions Service = "submissions"
	Submission  Service = "submission" // with STARTTLS
	SMTP        Service = "smtp"       // from other servers
	LMTP        Service = "lmtp"
)

// Services returns them all.
func Services() []Service { return []Service{IMAPS, IMAP, Submissions, Submission, SMTP, LMTP} }

// implicit tells whether TLS begins with the first octet.
func (s Service) implicit() bool { return s == IMAPS || s == Submissions }

// isIMAP tells IMAP from SMTP and its kin.
func (s Service) isIMAP() bool { return s == IMAP || s == IMAPS }

// Request says what to examine.
type Request struct {
	// Host is a name or an address.
	Host string `json:"host"`
	// Port is examined alone; 0 means those that mail servers have.
	Port uint16 `json:"port,omitempty"`
	// Service is what Port speaks; "" means to find out.
	Service Service `json:"service,omitempty"`
	// Name is what the certificate must hold; "" means Host.
	Name string `json:"name,omitempty"`

	// Domain is whose records are looked at; "" means that of User, and with
	// neither none are.
	Domain string `json:"domain,omitempty"`
	// Selectors are the domain's for DKIM; empty means to try usual ones.
	Selectors []string `json:"selectors,omitempty"`
	User      string   `json:"user,omitempty"` // "" means not to log in
	Password  Secret   `json:"password,omitempty"`
	// Write allows a mailbox of the examination's own, which is removed again.
	Write bool `json:"write,omitempty"`
	// TimeServers are asked for the time, addresses or names with or without a
	// port; empty means none.
	TimeServers []string `json:"time_servers,omitempty"`
}

// errHost says that the host cannot be one.
var errHost = errors.New("the host is neither a name nor an address")

// Validate says what is wrong with a request.
func (r *Request) Validate() error {
	var all []error
	if !validHost(r.Host) {
		all = append(all, fmt.Errorf("host %q: %w", r.Host, errHost))
	}
	if r.Name != "" && !validHost(r.Name) {
		all = append(all, fmt.Errorf("name %q: %w", r.Name, errHost))
	}
	if r.Domain != "" && !validHost(r.Domain) {
		all = append(all, fmt.Errorf("domain %q: it is no name", r.Domain))
	}
	if r.Service != "" && !slices.Contains(Services(), r.Service) {
		all = append(all, fmt.Errorf("service %q: there is none of that name", string(r.Service)))
	}
	if r.Service != "" && r.Port == 0 {
		all = append(all, errors.New("service: it belongs to a port, and none is named"))
	}
	for _, s := range r.Selectors {
		if !validHost(s) {
			all = append(all, fmt.Errorf("selector %q: it is no name", s))
		}
	}
	if strings.ContainsAny(r.User+string(r.Password), "\r\n\x00") {
		all = append(all, errors.New("user and password: they hold a line break or a NUL"))
	}

	return errors.Join(all...)
}

func validHost(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(c rune) bool {
			return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"'$&()*;<>?[\]^{|}~!#%,/:=@`+"`", c)
		}) || label[0] == '-' {
			return false // nor what a shell would take for more than a name
		}
	}

	return true
}

// Examine examines a server. An error means that the request is wrong; what is
// wrong with the server is in the report.
func (d *Doctor) Examine(ctx context.Context, r *Request) (*Report, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	x := d.begin(r)
	x.walk(ctx, []step{x.serverStep(), x.domainStep(), x.clockStep()})

	return x.end(ctx), nil
}

func (d *Doctor) begin(r *Request) *examination {
	x := &examination{Doctor: d, Request: r, report: &Report{
		Host: r.Host, Began: d.now(), Findings: []Finding{}, NotChecked: []NotChecked{}, Timings: []Timing{}, Checked: []string{},
	}}
	x.domain = r.Domain
	if _, of, ok := strings.Cut(r.User, "@"); ok && x.domain == "" && validHost(of) {
		x.domain = of
	}
	x.name = strings.TrimSuffix(r.Name, ".")
	if x.name == "" {
		x.name = strings.TrimSuffix(r.Host, ".")
	}

	return x
}

// get fetches a URL with a bound.
func (d *Doctor) get(ctx context.Context, method, url, kind string, body io.Reader) ([]byte, error) {
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
		return nil, errors.New("it is no address of the web")
	}
	ctx, cancel := context.WithTimeout(ctx, conversationTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	res, err := d.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %s", res.Status)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxFetch+1))
	if err == nil && len(text) > maxFetch {
		err = errors.New("it is too large")
	}

	return text, err
}
