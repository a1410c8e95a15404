package access_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strconv"
	"testing"
	"time"

	"pillarbox/appliance/access"
)

func TestEachHandshakeIsObserved(t *testing.T) {
	seen := make(chan access.Handshake, 100)
	p := serve(t, "tcp", "127.0.0.1:0", access.Config{Observe: func(h access.Handshake) { seen <- h }}, nil)
	cache := tls.NewLRUClientSessionCache(1)
	dial := func(change func(*tls.Config)) {
		conf := p.client.Clone()
		change(conf)
		c, err := tls.Dial("tcp", p.addr, conf)
		if err != nil {
			return
		}
		c.SetDeadline(time.Now().Add(20 * time.Second))
		c.Write([]byte("hello\r\n"))
		c.Read(make([]byte, 100)) // with it a ticket comes
		c.Close()
	}
	next := func() access.Handshake {
		t.Helper()
		select {
		case h := <-seen:
			return h
		case <-time.After(time.Minute):
			t.Fatal("nobody was told")
			return access.Handshake{}
		}
	}
	tests := []struct {
		name   string
		client func(*tls.Config)
		want   func(access.Handshake) bool
	}{
		{"done", func(c *tls.Config) { c.ClientSessionCache = cache; c.NextProtos = []string{"imap"} }, func(h access.Handshake) bool {
			return h.Reason == "" && h.Version == tls.VersionTLS13 && h.Group == tls.X25519MLKEM768 && h.Cipher != 0 &&
				h.Protocol == "imap" && !h.Resumed && h.Client == nil && h.Offered == tls.VersionTLS13
		}},
		{"resumed", func(c *tls.Config) { c.ClientSessionCache = cache; c.NextProtos = []string{"imap"} }, func(h access.Handshake) bool { return h.Reason == "" && h.Resumed }},
		{"TLS 1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, func(h access.Handshake) bool {
			return h.Reason == "" && h.Version == tls.VersionTLS12 && h.Offered == tls.VersionTLS12
		}},
		{"too old", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, func(h access.Handshake) bool {
			return h.Reason == "the client speaks only protocols older than TLS 1.2" && h.Version == 0 && h.Offered == tls.VersionTLS11
		}},
		{"no trust", func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }, func(h access.Handshake) bool {
			return h.Reason != "" && h.Offered == tls.VersionTLS13
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dial(tt.client)
			h := next()
			if !tt.want(h) || h.ServerName != "localhost" || strconv.Itoa(h.Port) != portOf(p.addr) || h.Listener != "imaps" || h.Remote == nil {
				t.Errorf("%+v", h)
			}
		})
	}
	// Also of who says nothing, or nonsense.
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if h := next(); h.Reason != "the client connected and left without a word (a port scan or a health check)" {
		t.Errorf("%+v", h)
	}
	c, err = net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("a LOGIN b c\r\n"))
	if h := next(); h.Reason == "" || h.ServerName != "" || h.Offered != 0 {
		t.Errorf("%+v", h)
	}
}

func portOf(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}
