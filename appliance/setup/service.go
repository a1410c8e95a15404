package setup

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"pillarbox/appliance/profile"
)

// Config says what a Service works with. No field may be nil but Now.
type Config struct {
	Office Office
	Trust  Trust
	Logger *slog.Logger
	Now    func() time.Time // nil means time.Now
}

// Service answers programs and writes pages. Its methods may be called at the
// same time.
type Service struct {
	office Office
	trust  Trust
	log    *slog.Logger
	now    func() time.Time
}

// New returns a Service.
func New(c *Config) *Service {
	s := &Service{office: c.Office, trust: c.Trust, log: c.Logger, now: c.Now}
	if s.now == nil {
		s.now = time.Now
	}

	return s
}

// UnknownDomainError says that a domain is none of the office's.
type UnknownDomainError struct{ Domain string }

func (e *UnknownDomainError) Error() string {
	return fmt.Sprintf("%q is none of the office's domains: nobody has an address in it", e.Domain)
}

// Facts returns what holds in the office.
func (s *Service) Facts(ctx context.Context) (*Facts, error) {
	return s.office.Facts(ctx, netip.Addr{})
}

// Autoconfig returns the file by which Thunderbird sets itself up, for a domain
// of the office, or an UnknownDomainError.
func (s *Service) Autoconfig(ctx context.Context, domain string) ([]byte, error) {
	f, domain, err := s.of(ctx, domain)
	if err != nil {
		return nil, err
	}

	return f.autoconfig(domain)
}

// Records returns what a domain of the office is to have in the DNS, or an
// UnknownDomainError.
func (s *Service) Records(ctx context.Context, domain string) ([]Record, error) {
	f, domain, err := s.of(ctx, domain)
	if err != nil {
		return nil, err
	}

	return f.records(domain), nil
}

// of returns the facts and the domain as they have it.
func (s *Service) of(ctx context.Context, domain string) (*Facts, string, error) {
	f, err := s.Facts(ctx)
	if err != nil {
		return nil, "", err
	}
	known, ok := f.domain("x@" + strings.TrimSuffix(domain, "."))
	if !ok {
		return nil, "", &UnknownDomainError{domain}
	}

	return f, known, nil
}

// Account returns the mail account of a person for a profile of Apple's, or an
// error that wraps ErrNobody.
func (s *Service) Account(ctx context.Context, address string) (profile.Payload, error) {
	person, err := s.office.Person(ctx, address)
	if err != nil {
		return profile.Payload{}, err
	}
	f, err := s.Facts(ctx)
	if err != nil {
		return profile.Payload{}, err
	}

	return f.account(person), nil
}

// Profile returns a signed profile with a person's mail account, and the box's
// CA where devices do not trust it yet, or an error that wraps ErrNobody.
func (s *Service) Profile(ctx context.Context, address string) ([]byte, error) {
	person, err := s.office.Person(ctx, address)
	if err != nil {
		return nil, err
	}
	f, err := s.Facts(ctx)
	if err != nil {
		return nil, err
	}

	return s.signedProfile(f, person)
}
