package setup

import (
	"fmt"
	"net/netip"
	"strings"
	"text/tabwriter"
)

// Record is one that a domain's name servers are to have.
type Record struct {
	Name string `json:"name"` // absolute, without the dot at its end
	Type string `json:"type"`
	Data string `json:"data"` // as a zone file has it
	Why  string `json:"why"`  // for a person
}

// recordTime is how long others keep them, in seconds: an hour, as they may have
// to be corrected.
const recordTime = 3600

// records returns those for a domain (RFC 6186; RFC 8314, section 5.1). A service
// that is not offered gets a record that says so; where nothing is known about
// sending, nothing is said.
func (f *Facts) records(domain string) []Record {
	host := f.target(domain)
	var all []Record
	add := func(name, kind, data, why string) { all = append(all, Record{name, kind, data, why}) }
	if strings.HasSuffix(host, "."+domain) { // its name servers can have it
		for _, a := range f.Addresses {
			kind := "A"
			if a.Is6() {
				kind = "AAAA"
			}
			add(host, kind, a.String(), "the box itself; a private address belongs into the office's own name server alone")
		}
	}
	srv := func(service string, s *Server, why string) {
		data := "0 0 0 ."
		if s != nil {
			data = fmt.Sprintf("0 1 %d %s.", s.Port, s.Host)
		}
		add("_"+service+"._tcp."+domain, "SRV", data, why)
	}
	srv("imaps", &Server{Host: host, Port: f.IMAP.Port}, "mail programs find IMAP with TLS")
	srv("imap", nil, "there is no IMAP without TLS")
	srv("pop3", nil, "there is no POP3")
	srv("pop3s", nil, "there is no POP3")
	if out := f.Outgoing; out != nil {
		service := "submissions"
		if out.Security == STARTTLS {
			service = "submission"
		}
		srv(service, out, "mail programs find where to send")
	}
	if f.HTTP != 0 {
		add("autoconfig."+domain, "CNAME", host+".", "Thunderbird and others set themselves up")
	}
	if f.HTTPS != 0 {
		add("autodiscover."+domain, "CNAME", host+".", "Outlook (classic) sets itself up")
		srv("autodiscover", &Server{Host: host, Port: f.HTTPS}, "the same, where a program looks for it by this record")
	}

	return all
}

// target returns the server's name for the DNS: where it is known by one of the
// local network alone, that which its certificate holds for each domain.
func (f *Facts) target(domain string) string {
	host := f.IMAP.Host
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") || strings.HasSuffix(host, ".local") {
		return "mail." + domain
	}

	return host
}

// Zone writes records as lines of a zone file.
func Zone(all []Record) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	why := ""
	for _, r := range all {
		if r.Why != why {
			why = r.Why
			fmt.Fprintf(w, "; %s\n", why)
		}
		fmt.Fprintf(w, "%s.\t%d\tIN\t%s\t%s\n", r.Name, recordTime, r.Type, r.Data)
	}
	_ = w.Flush() // a Builder takes all

	return b.String()
}
