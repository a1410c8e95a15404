package setup_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/setup"
)

const (
	autoconfig = "http://autoconfig.office.example/mail/config-v1.1.xml"
	wellKnown  = "/.well-known/autoconfig/mail/config-v1.1.xml"
)

// read reads an autoconfig file with another program's parser: one line for each
// server.
func read(t *testing.T, text string) []string {
	t.Helper()
	out := tool(t, []byte(text), "python3", "-c", `
import sys, xml.etree.ElementTree as e
p = e.parse(sys.stdin.buffer).getroot().find("emailProvider")
print(p.get("id"), *[d.text for d in p.findall("domain")])
for s in p.findall("incomingServer") + p.findall("outgoingServer"):
    print(s.get("type"), *[x.tag + "=" + (x.text or "") for x in s])`)
	return strings.Split(strings.TrimSpace(out), "\n")
}

func TestAutoconfig(t *testing.T) {
	imap := "imap hostname=mail.office.example port=993 socketType=SSL authentication=password-cleartext authentication=password-encrypted username=%EMAILADDRESS%"
	waits := "smtp hostname=mail.office.example port=465 socketType=SSL authentication=password-cleartext authentication=password-encrypted username=%EMAILADDRESS% useGlobalPreferredServer=true"
	for _, c := range []struct {
		name   string
		change func(*setup.Facts)
		want   []string
	}{
		{"as it is", func(*setup.Facts) {}, []string{imap, waits}},
		{"a server of the office's that knows its clients", func(f *setup.Facts) {
			f.Outgoing = &setup.Server{Host: "smtp.office.example", Port: 587, Security: setup.STARTTLS, Login: setup.NoLogin}
		}, []string{imap, "smtp hostname=smtp.office.example port=587 socketType=STARTTLS authentication=none"}},
		{"a server with the same passwords", func(f *setup.Facts) {
			f.Outgoing = &setup.Server{Host: "smtp.office.example", Port: 465, Security: setup.TLS}
		}, []string{imap, "smtp hostname=smtp.office.example port=465 socketType=SSL authentication=password-cleartext username=%EMAILADDRESS%"}},
		{"a server with a password of its own, that is given nobody else's", func(f *setup.Facts) {
			f.Outgoing = &setup.Server{Host: "smtp.provider.example", Port: 465, Security: setup.TLS, Login: setup.OwnLogin}
		}, []string{imap, waits}},
		{"the box itself", func(f *setup.Facts) {
			f.Outgoing = &setup.Server{Host: "mail.office.example", Port: 465, Security: setup.TLS}
		}, []string{imap, strings.TrimSuffix(waits, " useGlobalPreferredServer=true")}},
		{"tokens alone, and a fallback port", func(f *setup.Facts) {
			f.IMAP.Port, f.Mechanisms = 9993, []string{"OAUTHBEARER", "EXTERNAL"}
		}, []string{
			"imap hostname=mail.office.example port=9993 socketType=SSL authentication=OAuth2 authentication=TLS-client-cert username=%EMAILADDRESS%",
			"smtp hostname=mail.office.example port=465 socketType=SSL authentication=OAuth2 authentication=TLS-client-cert username=%EMAILADDRESS% useGlobalPreferredServer=true",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOffice()
			c.change(&o.facts)
			r := ask(t, o, http.MethodGet, autoconfig+"?emailaddress=ada%40other.example", "")
			if r.status != http.StatusOK || r.header.Get("Content-Type") != "text/xml; charset=utf-8" {
				t.Fatalf("%d %v", r.status, r.header)
			}
			tool(t, []byte(r.body), "xmllint", "--noout", "-")
			if d := cmp.Diff(append([]string{"other.example office.example other.example"}, c.want...), read(t, r.body)); d != "" {
				t.Error(d)
			}
			if strings.Contains(r.body, "990") {
				t.Error("port 990 is named")
			}
		})
	}
}

func TestAutoconfigIsAnsweredForTheOfficeAlone(t *testing.T) {
	for _, c := range []struct {
		url    string
		status int
	}{
		{autoconfig, 200},
		{autoconfig + "?emailaddress=nobody@office.example", 200},
		{"https://autoconfig.other.example/mail/config-v1.1.xml?emailaddress=ada@other.example", 200},
		{"http://OFFICE.example.:8080" + wellKnown, 200},
		{"http://mail.office.example" + wellKnown + "?emailaddress=ada@office.example", 200},
		{"http://192.0.2.7:8080" + wellKnown + "?emailaddress=ada@office.example", 200},
		{"http://[::1]:8080" + wellKnown + "?emailaddress=ada@office.example", 200},
		{"http://[::1]" + wellKnown + "?emailaddress=ada@office.example", 200},
		{"http://mail.office.example" + wellKnown, 404}, // which domain?
		{autoconfig + "?emailaddress=ada@elsewhere.example", 404},
		{autoconfig + "?emailaddress=office.example", 404},
		{autoconfig + "?emailaddress=@office.example", 404},
		{autoconfig + "?emailaddress=%3Cscript%3E@office.example", 404},
		{autoconfig + "?emailaddress=" + strings.Repeat("a", 250) + "@office.example", 404},
		{"http://autoconfig.elsewhere.example/mail/config-v1.1.xml?emailaddress=ada@office.example", 404}, // a page elsewhere asks
		{"http://attacker.example" + wellKnown + "?emailaddress=ada@office.example", 404},
		{"http://autoconfig.office.example/", 404},
		{"http://autoconfig.office.example/MAIL/config-v1.1.xml", 404},
	} {
		if r := ask(t, newOffice(), http.MethodGet, c.url, ""); r.status != c.status {
			t.Errorf("%s: %d, want %d", c.url, r.status, c.status)
		}
	}
	r := ask(t, newOffice(), http.MethodPost, autoconfig, "x")
	if r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") != "GET" {
		t.Errorf("POST: %d %v", r.status, r.header)
	}
	if r := ask(t, newOffice(), http.MethodHead, autoconfig, ""); r.status != http.StatusOK {
		t.Errorf("HEAD: %d", r.status)
	}
	nobody := newOffice()
	nobody.facts.Mechanisms = nil
	if r := ask(t, nobody, http.MethodGet, autoconfig, ""); r.status != http.StatusNotFound {
		t.Errorf("where nobody may sign in: %d", r.status)
	}
}

func TestWhetherSomebodyExistsShowsNowhere(t *testing.T) {
	for _, url := range []string{
		autoconfig + "?emailaddress=", "http://mail.office.example/connect?emailaddress=",
		"http://mail.office.example/connect/apple.mobileconfig?emailaddress=",
		"https://autodiscover.office.example/autodiscover/autodiscover.json?Protocol=AutodiscoverV1&Email=",
	} {
		// The identifiers of a profile follow from the address.
		known := ask(t, newOffice(), http.MethodGet, url+"ada@office.example", "")
		other := ask(t, newOffice(), http.MethodGet, url+"bob@office.example", "")
		if known.status != http.StatusOK || known.status != other.status || len(known.body) != len(other.body) {
			t.Errorf("%s: %d and %d, %d and %d octets", url, known.status, other.status, len(known.body), len(other.body))
		}
	}
}

func TestNoAnswerRunsAnything(t *testing.T) {
	for _, url := range []string{
		autoconfig, "http://autoconfig.office.example/nothing", "http://mail.office.example/connect", "http://elsewhere.example/connect",
		"https://autodiscover.office.example/autodiscover/autodiscover.xml", "http://mail.office.example/connect/ca.crt",
	} {
		h := ask(t, newOffice(), http.MethodGet, url, "").header
		if policy := h.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", url, h)
		}
	}
}

func TestOtherPagesAreLeftToOthers(t *testing.T) {
	for url, want := range map[string]bool{
		"http://mail.office.example/": false, "https://mail.office.example/login": false, "https://office.example/autodiscover/": false,
		"https://mail.office.example/connected": false, "https://mail.office.example/mail/config-v1.1.xml": true,
		"http://autoconfig.office.example/": true, "https://autodiscover.office.example/login": true,
	} {
		r := httptest.NewRequest(http.MethodGet, url, nil)
		if got := service(newOffice()).Handler(r, false) != nil; got != want {
			t.Errorf("%s: it takes it: %v", url, got)
		}
	}
}
