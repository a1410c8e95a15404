package setup_test

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/setup"
)

const (
	pox     = "https://autodiscover.office.example/autodiscover/autodiscover.xml"
	schema  = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
	request = `<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006">
  <Request>
    <EMailAddress>%s</EMailAddress>
    <AcceptableResponseSchema>%s</AcceptableResponseSchema>
  </Request>
</Autodiscover>`
)

// poxAnswer is what a client reads of one.
type poxAnswer struct {
	XMLName  xml.Name `xml:"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006 Autodiscover"`
	Response struct {
		XMLName xml.Name
		Account struct {
			AccountType, Action string
			Protocol            []struct{ Type, Server, Port, LoginName, SPA, SSL, Encryption, AuthRequired string }
		}
		Error struct {
			ErrorCode int
			Message   string
		}
	}
}

func discover(t testing.TB, o *office, url, body string) poxAnswer {
	t.Helper()
	r := ask(t, o, http.MethodPost, url, body)
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "text/xml; charset=utf-8" {
		t.Fatalf("%d %v", r.status, r.header)
	}
	var a poxAnswer
	if err := xml.Unmarshal([]byte(r.body), &a); err != nil {
		t.Fatalf("%v\n%s", err, r.body)
	}
	return a
}

func TestOutlookIsToldOfIMAP(t *testing.T) {
	for _, url := range []string{
		pox, "https://autodiscover.office.example/Autodiscover/Autodiscover.xml", "https://office.example/AutoDiscover/AutoDiscover.xml",
		"https://mail.office.example/autodiscover/autodiscover.xml", "https://AUTODISCOVER.office.example:8443/AUTODISCOVER/AUTODISCOVER.XML",
	} {
		o := newOffice()
		o.facts.Outgoing = &setup.Server{Host: "smtp.office.example", Port: 587, Security: setup.STARTTLS}
		a := discover(t, o, url, fmt.Sprintf(request, "Ada@office.example", schema))
		var got []string
		for _, p := range a.Response.Account.Protocol {
			got = append(got, fmt.Sprintf("%v", p))
		}
		want := []string{
			"{IMAP mail.office.example 993 Ada@office.example off on  on}",
			"{SMTP smtp.office.example 587 Ada@office.example off on TLS on}",
		}
		if d := cmp.Diff(want, got); d != "" || a.Response.XMLName.Space != schema || a.Response.Account.AccountType != "email" ||
			a.Response.Account.Action != "settings" {
			t.Errorf("%s: %s\n%+v", url, d, a)
		}
	}
}

func TestOutlookIsToldOfNoServerForSendingWhereThereIsNone(t *testing.T) {
	for _, out := range []*setup.Server{nil, {Host: "smtp.provider.example", Port: 465, Security: setup.TLS, Login: setup.OwnLogin}} {
		o := newOffice()
		o.facts.Outgoing = out
		if a := discover(t, o, pox, fmt.Sprintf(request, "ada@office.example", schema)); len(a.Response.Account.Protocol) != 1 {
			t.Errorf("%+v", a)
		}
	}
}

func TestAutodiscoverRefusesInItsOwnWords(t *testing.T) {
	good := fmt.Sprintf(request, "ada@office.example", schema)
	for _, c := range []struct {
		name, body string
		code       int
	}{
		{"nothing", "", 600},
		{"no XML", "POST me", 600},
		{"half of it", good[:len(good)/2], 600},
		{"another document", "<a><b/></a>", 600},
		{"no address", strings.Replace(good, "ada@office.example", " ", 1), 600},
		{"no schema", strings.Replace(good, schema, "", 1), 600},
		{"entities", strings.Replace(good, "<Autodiscover", `<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><Autodiscover`, 1), 600},
		{"another character set", strings.Replace(good, "utf-8", "utf-16", 1), 600},
		{"a long one", strings.Replace(good, "<Request>", "<Request>"+strings.Repeat(" ", 20<<10), 1), 600},
		{"a long address", strings.Replace(good, "ada", strings.Repeat("a", 2000), 1), 600},
		{"many elements", strings.Replace(good, "<Request>", "<Request>"+strings.Repeat("<a/>", 100), 1), 600},
		{"ActiveSync", strings.Replace(good, schema, "http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006", 1), 601},
		{"another schema", strings.Replace(good, schema, "urn:x", 1), 601},
		{"another domain", strings.Replace(good, "office.example", "elsewhere.example", 1), 500},
		{"markup in the address", strings.Replace(good, "ada", "&lt;b&gt;", 1), 500},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := discover(t, newOffice(), pox, c.body)
			if a.Response.Error.ErrorCode != c.code || a.Response.Error.Message == "" || len(a.Response.Account.Protocol) != 0 {
				t.Errorf("%+v", a.Response)
			}
		})
	}
	tokens := newOffice()
	tokens.facts.Mechanisms = []string{"OAUTHBEARER", "SCRAM-SHA-256"}
	if a := discover(t, tokens, pox, good); a.Response.Error.ErrorCode != 500 {
		t.Errorf("where Outlook could not sign in: %+v", a.Response)
	}
}

func TestAutodiscoverGoesByHTTPS(t *testing.T) {
	plain := "http://autodiscover.office.example/Autodiscover/Autodiscover.xml"
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		r := ask(t, newOffice(), method, plain, "")
		if r.status != http.StatusFound || r.header.Get("Location") != pox {
			t.Errorf("%s: %d %v", method, r.status, r.header)
		}
	}
	o := newOffice()
	o.facts.HTTPS = 8443
	r := ask(t, o, http.MethodGet, "http://[::1]:8080/autodiscover/autodiscover.xml", "")
	if want := "https://[::1]:8443/autodiscover/autodiscover.xml"; r.header.Get("Location") != want {
		t.Errorf("%v, want %s", r.header, want)
	}
	if r := ask(t, newOffice(), http.MethodGet, "http://attacker.example/autodiscover/autodiscover.xml", ""); r.status != http.StatusNotFound {
		t.Errorf("another host: %d %v", r.status, r.header)
	}
	if r := ask(t, newOffice(), http.MethodGet, pox, ""); r.status != http.StatusMethodNotAllowed {
		t.Errorf("GET by HTTPS: %d", r.status)
	}
	if r := ask(t, newOffice(), http.MethodPost, pox, fmt.Sprintf(request, "a@office.example", schema)); r.header.Get("WWW-Authenticate") != "" {
		t.Error("a password is asked for")
	}
}

func TestAutodiscoverInJSON(t *testing.T) {
	base := "https://autodiscover.office.example/autodiscover/autodiscover.json"
	found := `{"Protocol":"AutodiscoverV1","Url":"` + pox + `"}`
	for _, c := range []struct {
		url, want string
		status    int
	}{
		{base + "?Email=ada@office.example&Protocol=AutodiscoverV1&RedirectCount=1", found, 200},
		{base + "?email=ada@office.example&protocol=autodiscoverv1", found, 200},
		{"https://autodiscover.office.example/Autodiscover/Autodiscover.json/v1.0/ada@office.example?Protocol=AutodiscoverV1", found, 200},
		{base + "/v1.0/ada%40office.example?Protocol=AutodiscoverV1", found, 200},
		{base + "/v1.0/ada@office.example?Protocol=ActiveSync", "InvalidProtocol", 400},
		{base + "?Email=ada@office.example&Protocol=Ews", "InvalidProtocol", 400},
		{base + "?Email=ada@office.example", "MandatoryParameterMissing", 400},
		{base + "?Protocol=AutodiscoverV1", "MandatoryParameterMissing", 400},
		{base + "?Email=ada@elsewhere.example&Protocol=AutodiscoverV1", "UserNotFound", 404},
		{base + "/v2.0/ada@office.example?Protocol=AutodiscoverV1", "not found", 404},
		{base + "/v1.0/", "not found", 404},
		{base + "x?Email=ada@office.example&Protocol=AutodiscoverV1", "not found", 404},
		{"https://attacker.example/autodiscover/autodiscover.json?Email=ada@office.example&Protocol=AutodiscoverV1", "not found", 404},
	} {
		if r := ask(t, newOffice(), http.MethodGet, c.url, ""); r.status != c.status || !strings.Contains(r.body, c.want) {
			t.Errorf("%s: %d %s", c.url, r.status, r.body)
		}
	}
}
