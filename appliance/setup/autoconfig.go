package setup

import (
	"cmp"
	"encoding/xml"
	"fmt"
)

// The form of Thunderbird's autoconfig files, version 1.1, that other programs
// read as well.
type clientConfig struct {
	XMLName  xml.Name `xml:"clientConfig"`
	Version  string   `xml:"version,attr"`
	Provider emailProvider
}

type emailProvider struct {
	XMLName  xml.Name       `xml:"emailProvider"`
	ID       string         `xml:"id,attr"`
	Domains  []string       `xml:"domain"`
	Name     string         `xml:"displayName"`
	Short    string         `xml:"displayShortName"`
	Incoming incomingServer `xml:"incomingServer"`
	Outgoing incomingServer `xml:"outgoingServer"`
}

type incomingServer struct {
	Type           string   `xml:"type,attr"`
	Host           string   `xml:"hostname"`
	Port           uint16   `xml:"port"`
	SocketType     string   `xml:"socketType"`
	Authentication []string `xml:"authentication"`
	Username       string   `xml:"username,omitempty"`
	// UsePreferred has Thunderbird take the outgoing server that a person has
	// already, if there is one.
	UsePreferred string `xml:"useGlobalPreferredServer,omitempty"`
}

// autoconfig writes the file for a domain.
func (f *Facts) autoconfig(domain string) ([]byte, error) {
	out := f.shared()
	waits := out == nil
	if waits {
		out = f.unset()
	}
	outgoing := incomingServer{
		Type: "smtp", Host: out.Host, Port: out.Port, SocketType: socketType(out.Security),
		Authentication: f.authentication(), Username: "%EMAILADDRESS%",
	}
	switch {
	case out.Login == NoLogin:
		outgoing.Authentication, outgoing.Username = []string{"none"}, ""
	case waits:
		outgoing.UsePreferred = "true"
	case out.Host != f.IMAP.Host: // how it lets people in is not ours to say
		outgoing.Authentication = []string{"password-cleartext"}
	}
	text, err := xml.MarshalIndent(clientConfig{Version: "1.1", Provider: emailProvider{
		ID: domain, Domains: f.Domains, Name: cmp.Or(f.Office, domain), Short: cmp.Or(f.Office, domain),
		Incoming: incomingServer{
			Type: "imap", Host: f.IMAP.Host, Port: f.IMAP.Port, SocketType: socketType(f.IMAP.Security),
			Authentication: f.authentication(), Username: "%EMAILADDRESS%",
		},
		Outgoing: outgoing,
	}}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write autoconfig: %w", err)
	}

	return append([]byte(xml.Header), append(text, '\n')...), nil
}

func socketType(s Security) string {
	if s == STARTTLS {
		return "STARTTLS"
	}

	return "SSL"
}

// authentication returns what can be used, the first choice first: programs take
// the first that they know, and Thunderbird takes password-encrypted for CRAM-MD5
// alone, which the box has not.
func (f *Facts) authentication() []string {
	var all []string
	if f.plain() {
		all = append(all, "password-cleartext")
	}
	if f.has("OAUTHBEARER", "XOAUTH2") {
		all = append(all, "OAuth2")
	}
	if f.has("EXTERNAL") {
		all = append(all, "TLS-client-cert")
	}
	if f.has("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS") {
		all = append(all, "password-encrypted")
	}

	return all
}
