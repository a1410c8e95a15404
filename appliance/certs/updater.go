package certs

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// updater makes TXT records by dynamic updates (RFC 2136), signed (RFC 8945).
type updater struct {
	server    string // HOST:PORT
	key       string // a name with a dot at its end
	algorithm string
	client    *dns.Client
}

// updateTTL is how long a record may be kept by others, in seconds.
const updateTTL = 60

func newUpdater(values map[string]Secret) (*updater, error) {
	server := string(values["server"])
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(strings.Trim(server, "[]"), "53")
	}
	algorithm := dns.HmacSHA256
	switch a := strings.ToLower(string(values["algorithm"])); a {
	case "", "hmac-sha256":
	case "hmac-sha1", "hmac-sha384", "hmac-sha512":
		algorithm = dns.Fqdn(a)
	default:
		return nil, fmt.Errorf("%q is not an algorithm of TSIG", a)
	}
	key := strings.TrimSpace(string(values["key"]))
	if _, err := base64.StdEncoding.DecodeString(key); err != nil {
		return nil, errors.New("the TSIG key is not base64")
	}
	name := strings.ToLower(dns.Fqdn(string(values["key_name"])))
	return &updater{
		server: server, key: name, algorithm: algorithm,
		// Over TCP: a message with a signature may be long.
		client: &dns.Client{Net: "tcp", Timeout: 15 * time.Second, TsigSecret: map[string]string{name: key}},
	}, nil
}

// Present implements records.
func (u *updater) Present(ctx context.Context, domain, _, keyAuth string) error {
	return u.update(ctx, domain, keyAuth, (*dns.Msg).Insert)
}

// CleanUp implements records.
func (u *updater) CleanUp(ctx context.Context, domain, _, keyAuth string) error {
	return u.update(ctx, domain, keyAuth, (*dns.Msg).Remove)
}

func (u *updater) update(ctx context.Context, domain, keyAuth string, change func(*dns.Msg, []dns.RR)) error {
	name := dns.Fqdn("_acme-challenge." + domain)
	zone, err := u.zone(ctx, name)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(keyAuth))
	msg := new(dns.Msg)
	msg.SetUpdate(zone)
	change(msg, []dns.RR{&dns.TXT{
		Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: updateTTL},
		Txt: []string{base64.RawURLEncoding.EncodeToString(sum[:])},
	}})
	return u.send(ctx, msg, "update zone "+zone)
}

// zone asks the server which of its zones a name lies in.
func (u *updater) zone(ctx context.Context, name string) (string, error) {
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		msg := new(dns.Msg)
		msg.SetQuestion(name[off:], dns.TypeSOA)
		answer, _, err := u.client.ExchangeContext(ctx, msg, u.server)
		if err != nil {
			return "", fmt.Errorf("ask the name server %s: %w", u.server, err)
		}
		for _, rr := range answer.Answer {
			if soa, ok := rr.(*dns.SOA); ok && strings.EqualFold(soa.Hdr.Name, name[off:]) {
				return soa.Hdr.Name, nil
			}
		}
	}
	return "", fmt.Errorf("the name server %s has no zone for %s", u.server, name)
}

func (u *updater) send(ctx context.Context, msg *dns.Msg, what string) error {
	msg.SetTsig(u.key, u.algorithm, 300, time.Now().Unix()) // seconds of tolerance
	answer, _, err := u.client.ExchangeContext(ctx, msg, u.server)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case answer.Rcode == dns.RcodeNotAuth || answer.Rcode == dns.RcodeRefused:
		return fmt.Errorf("%s: the name server answered %s: does it know the key %s, and may that change the zone?",
			what, dns.RcodeToString[answer.Rcode], u.key)
	case answer.Rcode != dns.RcodeSuccess:
		return fmt.Errorf("%s: the name server answered %s", what, dns.RcodeToString[answer.Rcode])
	}
	return nil
}
