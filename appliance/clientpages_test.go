package appliance_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestThePortsOfThePagesAnswerMailPrograms before anybody has claimed the box,
// each host name what is its own.
func TestThePortsOfThePagesAnswerMailPrograms(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	addAnna(t, dir)
	c := config(dir)
	c.HTTP, c.HTTPS = []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}
	r := start(t, c)
	root, err := os.ReadFile(r.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(root)
	plain, secure := r.Addresses("http")[0], r.Addresses("https")[0]
	_, securePort, _ := net.SplitHostPort(secure)
	ask := func(address, method, host, path, body string) (*http.Response, string) {
		t.Helper()
		scheme := "http"
		if address == secure {
			scheme = "https"
		}
		req, err := http.NewRequestWithContext(t.Context(), method, scheme+"://"+address+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, ServerName: host}}
		defer transport.CloseIdleConnections()
		client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(text)
	}
	const pox = "/Autodiscover/Autodiscover.xml"
	request := `<Autodiscover><Request><EMailAddress>anna@office.example</EMailAddress><AcceptableResponseSchema>` +
		`http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema></Request></Autodiscover>`
	for _, tt := range []struct {
		address, method, host, path, body string
		status                            int
		want                              string
	}{
		{plain, "GET", "autoconfig.office.example", "/mail/config-v1.1.xml?emailaddress=anna@office.example", "", 200, "<hostname>mail.office.example</hostname>"},
		{secure, "GET", "autoconfig.office.example", "/mail/config-v1.1.xml", "", 200, "<hostname>mail.office.example</hostname>"},
		{secure, "POST", "autodiscover.office.example", pox, request, 200, "<LoginName>anna@office.example</LoginName>"},
		{plain, "POST", "autodiscover.office.example", pox, request, 302, ""},
		{plain, "GET", "mail.office.example", "/connect?emailaddress=anna@office.example", "", 200, "profile for anna@office.example"},
		{plain, "GET", "mail.office.example", "/connect/ca.crt", "", 200, string(root)},
		{plain, "GET", "attacker.example", "/mail/config-v1.1.xml?emailaddress=anna@office.example", "", 404, ""},
		{plain, "GET", "autoconfig.office.example", "/", "", 404, ""}, // not the pages themselves
	} {
		res, text := ask(tt.address, tt.method, tt.host, tt.path, tt.body)
		if res.StatusCode != tt.status || !strings.Contains(text, tt.want) {
			t.Errorf("%s %s%s: %s %s", tt.method, tt.host, tt.path, res.Status, text)
		}
		if want := "https://autodiscover.office.example:" + securePort + "/autodiscover/autodiscover.xml"; tt.status == 302 && res.Header.Get("Location") != want {
			t.Errorf("it leads to %s, want %s", res.Header.Get("Location"), want)
		}
	}
}
