package setup_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/setup"
)

func zone(t *testing.T, o *office, domain string) string {
	t.Helper()
	all, err := service(o).Records(t.Context(), domain)
	if err != nil {
		t.Fatal(err)
	}
	return setup.Zone(all)
}

func TestRecords(t *testing.T) {
	for _, c := range []struct {
		name, domain string
		change       func(*setup.Facts)
		want         []string
	}{
		{"the server's own domain", "office.example", func(*setup.Facts) {}, []string{
			"mail.office.example. 3600 IN A 192.0.2.7", "mail.office.example. 3600 IN AAAA 2001:db8::7",
			"_imaps._tcp.office.example. 3600 IN SRV 0 1 993 mail.office.example.", "_imap._tcp.office.example. 3600 IN SRV 0 0 0 .",
			"_pop3._tcp.office.example. 3600 IN SRV 0 0 0 .", "_pop3s._tcp.office.example. 3600 IN SRV 0 0 0 .",
			"autoconfig.office.example. 3600 IN CNAME mail.office.example.", "autodiscover.office.example. 3600 IN CNAME mail.office.example.",
			"_autodiscover._tcp.office.example. 3600 IN SRV 0 1 443 mail.office.example.",
		}},
		{"another, and no pages", "Other.Example.", func(f *setup.Facts) {
			f.HTTP, f.HTTPS = 0, 0
			f.Outgoing = &setup.Server{Host: "smtp.provider.example", Port: 587, Security: setup.STARTTLS}
		}, []string{
			"_imaps._tcp.other.example. 3600 IN SRV 0 1 993 mail.office.example.", "_imap._tcp.other.example. 3600 IN SRV 0 0 0 .",
			"_pop3._tcp.other.example. 3600 IN SRV 0 0 0 .", "_pop3s._tcp.other.example. 3600 IN SRV 0 0 0 .",
			"_submission._tcp.other.example. 3600 IN SRV 0 1 587 smtp.provider.example.",
		}},
		{"the server is known in the local network alone, and another domain", "other.example", func(f *setup.Facts) {
			f.IMAP.Host, f.Addresses = "pillarbox.local", f.Addresses[:1]
		}, []string{
			"mail.other.example. 3600 IN A 192.0.2.7",
			"_imaps._tcp.other.example. 3600 IN SRV 0 1 993 mail.other.example.", "_imap._tcp.other.example. 3600 IN SRV 0 0 0 .",
			"_pop3._tcp.other.example. 3600 IN SRV 0 0 0 .", "_pop3s._tcp.other.example. 3600 IN SRV 0 0 0 .",
			"autoconfig.other.example. 3600 IN CNAME mail.other.example.", "autodiscover.other.example. 3600 IN CNAME mail.other.example.",
			"_autodiscover._tcp.other.example. 3600 IN SRV 0 1 443 mail.other.example.",
		}},
		{"it sends by itself", "other.example", func(f *setup.Facts) {
			f.HTTP, f.HTTPS = 0, 0
			f.Outgoing = &setup.Server{Host: "mail.office.example", Port: 465, Security: setup.TLS}
		}, []string{
			"_imaps._tcp.other.example. 3600 IN SRV 0 1 993 mail.office.example.", "_imap._tcp.other.example. 3600 IN SRV 0 0 0 .",
			"_pop3._tcp.other.example. 3600 IN SRV 0 0 0 .", "_pop3s._tcp.other.example. 3600 IN SRV 0 0 0 .",
			"_submissions._tcp.other.example. 3600 IN SRV 0 1 465 mail.office.example.",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOffice()
			c.change(&o.facts)
			var got []string
			for line := range strings.Lines(zone(t, o, c.domain)) {
				if !strings.HasPrefix(line, ";") {
					got = append(got, strings.Join(strings.Fields(line), " "))
				}
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
	var unknown *setup.UnknownDomainError
	if _, err := service(newOffice()).Records(t.Context(), "elsewhere.example"); !errors.As(err, &unknown) {
		t.Errorf("another's domain: %v", err)
	}
}
