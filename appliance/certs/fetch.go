package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

const (
	fetchTime = 15 * time.Second
	maxFetch  = 64 << 10 // octets of an issuer's certificate or an OCSP answer
)

// errInside says that a certificate names an address of this network: whoever
// wrote the certificate must not choose where the box connects to within it.
var errInside = errors.New("the address is not one of the Internet")

// outside returns a client that reaches only public addresses, in little time
// and by few redirects. With inside it also reaches this machine, for tests.
func outside(inside bool) *http.Client {
	dial := &net.Dialer{Timeout: fetchTime, Control: func(_, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if ip := a.Addr().Unmap(); !isPublic(ip) && !(inside && ip.IsLoopback()) {
			return errInside
		}
		return nil
	}}
	return &http.Client{
		Timeout:   fetchTime,
		Transport: &http.Transport{DialContext: dial.DialContext, MaxResponseHeaderBytes: 16 << 10, DisableKeepAlives: true},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 3 || r.URL.Scheme != "http" && r.URL.Scheme != "https" {
				return errors.New("it leads on too far")
			}
			return nil
		},
	}
}

func isPublic(ip netip.Addr) bool {
	for _, p := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001:db8::/32", "2002::/16", "fec0::/10",
	} {
		if netip.MustParsePrefix(p).Contains(ip) {
			return false
		}
	}
	return ip.IsGlobalUnicast() && !ip.IsPrivate()
}

// fetchIssuer fetches a certificate in DER or PEM.
func fetchIssuer(ctx context.Context, client *http.Client, url string) (*x509.Certificate, error) {
	b, err := get(ctx, client, url)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", url, err)
	}
	if c, err := x509.ParseCertificate(b); err == nil {
		return c, nil
	}
	c, err := parseCertificate(b)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", url, err)
	}
	return c, nil
}

func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	return body(res)
}

// body reads an answer and closes it.
func body(res *http.Response) ([]byte, error) {
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxFetch+1))
	if err == nil && len(b) > maxFetch {
		err = errors.New("the answer is too long")
	}
	return b, err
}
