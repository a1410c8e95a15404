package certs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/go-acme/lego/v5/challenge/dns01"
	"github.com/go-acme/lego/v5/log"
	"github.com/go-acme/lego/v5/providers/dns/cloudflare"
	"github.com/go-acme/lego/v5/providers/dns/digitalocean"
	"github.com/go-acme/lego/v5/providers/dns/gandiv5"
	"github.com/go-acme/lego/v5/providers/dns/hetzner"
	"github.com/go-acme/lego/v5/providers/dns/ionos"
	"github.com/go-acme/lego/v5/providers/dns/ovh"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// Provider is who serves DNS zones, with what it wants to know.
type Provider struct {
	Name        string       `json:"name"`
	Title       string       `json:"title"`
	Credentials []Credential `json:"credentials"`
}

// Credential is a value that a provider wants.
type Credential struct {
	Name     string `json:"name"`
	Text     string `json:"text"`
	Optional bool   `json:"optional,omitempty"`
	Public   bool   `json:"public,omitempty"` // it is no secret
}

// Providers lists the providers.
func Providers() []Provider {
	token := func(text string) []Credential { return []Credential{{Name: "token", Text: text}} }
	return []Provider{
		{"cloudflare", "Cloudflare", token("an API token with the permissions Zone:Read and DNS:Edit")},
		{"digitalocean", "DigitalOcean", token("an access token that may write domains")},
		{"gandi", "Gandi LiveDNS", token("a personal access token")},
		{"hetzner", "Hetzner", token("an API token of the cloud console")},
		{"ionos", "IONOS", token("the API key, as PREFIX.SECRET")},
		{"ovh", "OVHcloud", []Credential{
			{Name: "endpoint", Text: "ovh-eu, ovh-ca or ovh-us", Public: true},
			{Name: "application_key", Text: "the application's key"},
			{Name: "application_secret", Text: "its secret"},
			{Name: "consumer_key", Text: "the consumer key"},
		}},
		{"rfc2136", "a name server with dynamic updates (RFC 2136), such as BIND or Knot", []Credential{
			{Name: "server", Text: "its address, or HOST:PORT", Public: true},
			{Name: "key_name", Text: "the name of the TSIG key", Public: true},
			{Name: "key", Text: "the TSIG key, in base64"},
			{Name: "algorithm", Text: "hmac-sha256 (the default), hmac-sha384, hmac-sha512 or hmac-sha1", Optional: true, Public: true},
		}},
	}
}

func isPublicCredential(name string) bool {
	for _, p := range Providers() {
		if slices.ContainsFunc(p.Credentials, func(c Credential) bool { return c.Name == name && c.Public }) {
			return true
		}
	}
	return false
}

func (s *DNSSettings) validate() (errs []error) {
	if s == nil {
		return []error{errors.New("acme.dns: must not be empty for the challenge dns-01")}
	}
	all := Providers()
	i := slices.IndexFunc(all, func(p Provider) bool { return p.Name == s.Provider })
	if i < 0 {
		return []error{fmt.Errorf("acme.dns.provider: %q is not known", s.Provider)}
	}
	known := map[string]bool{}
	for _, c := range all[i].Credentials {
		known[c.Name] = true
		if s.Credentials[c.Name] == "" && !c.Optional {
			errs = append(errs, fmt.Errorf("acme.dns.credentials.%s: is missing: %s", c.Name, c.Text))
		}
	}
	for name := range s.Credentials {
		if !known[name] {
			errs = append(errs, fmt.Errorf("acme.dns.credentials.%s: %s does not have that", name, all[i].Title))
		}
	}
	return errs
}

// records makes and removes the TXT records of a challenge. It is the form of
// lego's providers.
type records interface {
	Present(ctx context.Context, domain, token, keyAuth string) error
	CleanUp(ctx context.Context, domain, token, keyAuth string) error
}

// openProvider returns the provider that is set. The times are lego's own waits,
// which we do not use.
func (m *Manager) openProvider(s *DNSSettings) (acmez.Solver, error) {
	// The library knows only one logger, and has read the system's name servers
	// when the program started.
	log.SetDefault(m.log)
	dns01.SetDefaultClient(dns01.NewClient(nil))
	client := &http.Client{Timeout: 30 * time.Second}
	value := func(name string) string { return string(s.Credentials[name]) }
	var r records
	var err error
	switch s.Provider {
	case "cloudflare":
		r, err = cloudflare.NewDNSProviderConfig(&cloudflare.Config{AuthToken: value("token"), TTL: 120, HTTPClient: client})
	case "digitalocean":
		r, err = digitalocean.NewDNSProviderConfig(&digitalocean.Config{AuthToken: value("token"), TTL: 30, HTTPClient: client})
	case "gandi":
		r, err = gandiv5.NewDNSProviderConfig(&gandiv5.Config{PersonalAccessToken: value("token"), TTL: 300, HTTPClient: client})
	case "hetzner":
		r, err = hetzner.NewDNSProviderConfig(&hetzner.Config{
			APIToken: value("token"), TTL: 120, HTTPClient: client, PropagationTimeout: time.Minute, PollingInterval: 2 * time.Second,
		})
	case "ionos":
		r, err = ionos.NewDNSProviderConfig(&ionos.Config{APIKey: value("token"), TTL: 300, HTTPClient: client})
	case "ovh":
		r, err = ovh.NewDNSProviderConfig(&ovh.Config{
			APIEndpoint: value("endpoint"), ApplicationKey: value("application_key"),
			ApplicationSecret: value("application_secret"), ConsumerKey: value("consumer_key"), TTL: 120, HTTPClient: client,
		})
	case "rfc2136":
		r, err = newUpdater(s.Credentials)
	default:
		err = fmt.Errorf("the provider %q is not known", s.Provider)
	}
	if err != nil {
		return nil, fmt.Errorf("prepare the DNS provider: %w", err)
	}
	return &dnsProof{records: r, zones: &zones{resolver: m.resolver}, log: m.log}, nil
}

// dnsProof answers by a TXT record (RFC 8555, section 8.4).
type dnsProof struct {
	records records
	zones   *zones
	log     *slog.Logger
}

// Present implements acmez.Solver.
func (d *dnsProof) Present(ctx context.Context, c acme.Challenge) error {
	if err := d.records.Present(ctx, c.Identifier.Value, c.Token, c.KeyAuthorization); err != nil {
		return fmt.Errorf("make the TXT record %s: %w", c.DNS01TXTRecordName(), err)
	}
	return nil
}

// Wait implements acmez.Waiter.
func (d *dnsProof) Wait(ctx context.Context, c acme.Challenge) error {
	if err := d.zones.await(ctx, c.DNS01TXTRecordName(), c.DNS01KeyAuthorization()); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		d.log.Warn("the CA is told to look though the TXT record is not seen on all name servers", "name", c.DNS01TXTRecordName(), "err", err)
	}
	return nil
}

// CleanUp implements acmez.Solver.
func (d *dnsProof) CleanUp(ctx context.Context, c acme.Challenge) error {
	if err := d.records.CleanUp(ctx, c.Identifier.Value, c.Token, c.KeyAuthorization); err != nil {
		return fmt.Errorf("remove the TXT record %s: %w", c.DNS01TXTRecordName(), err)
	}
	return nil
}
