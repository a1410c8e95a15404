package access

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
)

// Handshake is what there is to know of a TLS handshake.
type Handshake struct {
	Remote net.Addr
	Port   int // of ours
	// Listener is the name of the one by which it came.
	Listener string
	// Reason says in words why it failed; "" means that it is done.
	Reason string

	ServerName string // by which the client knows us (SNI); "" if it named none
	// Offered is the newest version that the client knows, 0 if it did not come
	// so far.
	Offered uint16

	// The rest is zero where the two sides did not come to agree on it.
	Version  uint16
	Cipher   uint16
	Group    tls.CurveID // of the key exchange; 0 where it was resumed without one
	Protocol string      // by ALPN
	Resumed  bool
	Client   *x509.Certificate // that the client presented, unverified
}

// offer is what a client said before anything was agreed on.
type offer struct {
	serverName string
	version    uint16
}

// Heard is called with a client's first message by whoever configures the
// handshake, in its goroutine.
func (g *gatherConn) Heard(hello *tls.ClientHelloInfo) {
	g.offer.serverName = hello.ServerName
	for _, v := range hello.SupportedVersions {
		// A client may also name values that no version has (RFC 8701).
		if v > g.offer.version && slices.Contains(versions[:], v) {
			g.offer.version = v
		}
	}
}

var versions = [...]uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13}

// observe tells the observer of a handshake; reason is "" if it is done.
func (s *service) observe(c *Conn, reason string) {
	if s.conf.Observe == nil {
		return
	}
	state, offer := c.ConnectionState(), c.below.offer
	h := Handshake{
		Remote: c.RemoteAddr(), Port: s.port, Listener: s.name, Reason: reason,
		ServerName: offer.serverName, Offered: offer.version,
		Version: state.Version, Cipher: state.CipherSuite, Group: state.CurveID,
		Protocol: state.NegotiatedProtocol, Resumed: state.DidResume,
	}
	if h.ServerName == "" {
		h.ServerName = state.ServerName
	}
	if len(state.PeerCertificates) > 0 {
		h.Client = state.PeerCertificates[0]
	}
	s.conf.Observe(h)
}
