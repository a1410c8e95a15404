package setup_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func FuzzAutodiscover(f *testing.F) {
	good := fmt.Sprintf(request, "ada@office.example", schema)
	for _, s := range []string{good, "", "<", good[:100], strings.ReplaceAll(good, "Request", "a:Request"), "<!DOCTYPE a><a/>", good + good} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		a := discover(t, newOffice(), pox, body) // a document in any case
		for _, p := range a.Response.Account.Protocol {
			if !strings.HasSuffix(strings.ToLower(p.LoginName), "@office.example") && !strings.HasSuffix(strings.ToLower(p.LoginName), "@other.example") {
				t.Errorf("settings for %q", p.LoginName)
			}
		}
		if (len(a.Response.Account.Protocol) == 0) == (a.Response.Error.ErrorCode == 0) {
			t.Errorf("neither one nor the other: %+v", a)
		}
	})
}

func FuzzAutodiscoverJSON(f *testing.F) {
	f.Add("", "Email=ada@office.example&Protocol=AutodiscoverV1")
	f.Add("/v1.0/ada@office.example", "Protocol=ActiveSync")
	f.Add("/V1.0/a/b", "protocol=&protocol=x")
	f.Fuzz(func(t *testing.T, rest, query string) {
		u := url.URL{Scheme: "https", Host: "office.example", Path: "/autodiscover/autodiscover.json" + rest, RawQuery: query}
		if _, err := url.ParseRequestURI(u.String()); err != nil || strings.ContainsAny(query, "# \x7f") || strings.ContainsFunc(query, func(r rune) bool { return r < ' ' }) {
			return // it is no request
		}
		r := ask(t, newOffice(), http.MethodGet, u.String(), "")
		if r.header.Get("Content-Type") == "application/json; charset=utf-8" && !json.Valid([]byte(r.body)) {
			t.Errorf("%d %q", r.status, r.body)
		}
		if r.status == http.StatusOK && !strings.Contains(r.body, `"https://office.example/autodiscover/autodiscover.xml"`) {
			t.Errorf("it leads to %s", r.body)
		}
	})
}

func FuzzEmailAddress(f *testing.F) {
	for _, s := range []string{"ada@office.example", "<b>@office.example", "a@b@other.example", "%@office.example", "\u0130@office.example", "&amp;@OFFICE.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, address string) {
		query := "?" + url.Values{"emailaddress": {address}}.Encode()
		r := ask(t, newOffice(), http.MethodGet, autoconfig+query, "")
		var config struct {
			Provider struct {
				ID string `xml:"id,attr"`
			} `xml:"emailProvider"`
		}
		if r.status == http.StatusOK {
			if err := xml.Unmarshal([]byte(r.body), &config); err != nil || config.Provider.ID != "office.example" && config.Provider.ID != "other.example" {
				t.Errorf("%v: %s", err, r.body)
			}
		}
		page := ask(t, newOffice(), http.MethodGet, "http://mail.office.example/connect"+query, "")
		if page.status != http.StatusOK || strings.Contains(page.body, "<b>") {
			t.Errorf("%d %s", page.status, page.body)
		}
		made := ask(t, newOffice(), http.MethodGet, "http://mail.office.example/connect/apple.mobileconfig"+query, "")
		if made.status == http.StatusOK {
			if address != "" && r.status != http.StatusOK {
				t.Errorf("a profile for an address that autoconfig does not know: %q", address)
			}
			if err := xml.Unmarshal([]byte(made.body), new(struct {
				XMLName xml.Name `xml:"plist"`
			})); err != nil {
				t.Errorf("%v: %s", err, made.body)
			}
		}
	})
}
