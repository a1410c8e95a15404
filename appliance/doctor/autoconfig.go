package doctor

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// autoconfig looks at the file by which Thunderbird and others set themselves up,
// as they fetch it, if the domain has one.
func (x *examination) autoconfig(ctx context.Context) {
	host := "autoconfig." + x.domain
	if _, err := x.lookup(ctx, host); err != nil {
		x.skip("autoconfig of "+x.domain, "there is no "+host)
		return
	}
	see := place{host: host}
	path := host + "/mail/config-v1.1.xml?" + url.Values{"emailaddress": {"postmaster@" + x.domain}}.Encode()
	text, err := x.get(ctx, http.MethodGet, "https://"+path, "", nil)
	if err != nil {
		text, err = x.get(ctx, http.MethodGet, "http://"+path, "", nil)
	}
	var servers []advised
	if err == nil {
		servers, err = readAutoconfig(text)
	}
	if err != nil {
		x.find("autoconfig-wrong", "", fmt.Sprintf("mail programs find no settings at %s: %v", host, err), see)
		return
	}
	for _, s := range servers {
		if s.port == 990 {
			x.find("autoconfig-990", "", fmt.Sprintf("%s leads mail programs to port 990", host), see)
		}
		if s.plain {
			x.find("autoconfig-plain", "", fmt.Sprintf("%s tells mail programs to connect to %s without TLS", host, s.host), see)
		}
		if where := x.nowhere(ctx, s.host, s.port); where != "" {
			x.find("autoconfig-wrong", "", fmt.Sprintf("%s leads mail programs to %s", host, where), see)
		}
	}
}

// advised is a server that mail programs are told to read mail from.
type advised struct {
	host  string
	port  uint16
	plain bool
}

// readAutoconfig reads the servers for IMAP and POP3 that a file names. What
// programs send by is not looked at: they are told of it before it is there.
func readAutoconfig(text []byte) ([]advised, error) {
	var file struct {
		XMLName xml.Name `xml:"clientConfig"`
		Servers []struct {
			Type   string `xml:"type,attr"`
			Host   string `xml:"hostname"`
			Port   uint16 `xml:"port"`
			Socket string `xml:"socketType"`
		} `xml:"emailProvider>incomingServer"`
	}
	if err := xml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("it is no autoconfig file: %w", err)
	}
	var all []advised
	for _, s := range file.Servers {
		host := strings.ToLower(strings.TrimSpace(s.Host))
		switch {
		case s.Type != "imap" && s.Type != "pop3":
			continue
		case host == "" || s.Port == 0 || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
			return nil, errors.New("a server in it lacks its hostname or port")
		}
		all = append(all, advised{host, s.Port, strings.TrimSpace(s.Socket) == "plain"})
	}
	switch {
	case len(all) == 0:
		return nil, errors.New("it names no server for IMAP or POP3")
	case len(all) > 10:
		return nil, errors.New("it names more than ten servers")
	}

	return all, nil
}
