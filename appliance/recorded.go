package appliance

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"time"

	"pillarbox/appliance/access"
	"pillarbox/appliance/audit"
	"pillarbox/appliance/imap"
	"pillarbox/appliance/ports"
)

// theBox is the actor of what nobody asked for.
const theBox = "the box"

// record records what the server itself saw. Where that fails the log and the
// box's health tell of it, and mail is served all the same.
func (a *Appliance) record(ctx context.Context, e audit.Event) {
	_ = a.office.audit.Record(ctx, e) // it has been logged
}

// recordStart records that the server starts, and the reset before it.
func (a *Appliance) recordStart(ctx context.Context) {
	if r := a.conf.Reset; r != nil {
		mail := "deleted"
		if r.KeepMail {
			mail = "kept"
		}
		a.record(ctx, audit.Event{Kind: audit.FactoryReset, Actor: "somebody at the box", More: map[string]string{
			"mail": mail, "requested": r.Requested.UTC().Format(time.RFC3339),
		}})
	}
	a.record(ctx, audit.Event{Kind: audit.ServerStarted, More: map[string]string{
		"version": a.conf.Version, "fingerprint": hash(a.certs.Leaf().Raw),
	}})
}

// recordSignIn is told of each try to sign in by IMAP.
func (a *Appliance) recordSignIn(ctx context.Context, s imap.SignIn) {
	// Whatever way of writing was used, one account's records are found together.
	e := audit.Event{Kind: audit.SignInOK, Account: a.office.directory.Spelling(s.Account), More: map[string]string{"mechanism": s.Mechanism}}
	if name := strings.ToLower(s.Account); name != e.Account {
		e.More["name"] = name
	}
	e.Remote, _ = hostAndPort(s.Conn.RemoteAddr())
	_, e.Port = hostAndPort(s.Conn.LocalAddr())
	if t, ok := s.Conn.(*access.Conn); ok {
		e.More["tls"] = tls.VersionName(t.ConnectionState().Version)
		if name := t.ConnectionState().ServerName; name != "" && s.Failure == "" {
			a.certs.Saw(name, true)
		}
	}
	if device := s.Identity.Device; device != "" {
		e.More["device"] = device
	}
	a.seeSignIn(ctx, &s)
	a.office.metrics.SignIn(access.ListenerOf(s.Conn), s.Mechanism, s.Failure == "")
	if s.Failure == "" {
		a.certs.Seen()
	}
	if s.Failure != "" {
		e.Kind, e.More["reason"] = audit.SignInFailed, s.Failure
	}
	a.record(ctx, e)
}

// recordHandshake is told of each handshake, done or failed.
func (a *Appliance) recordHandshake(h access.Handshake) {
	e := audit.Event{Kind: audit.HandshakeDone, Port: h.Port, More: map[string]string{"sni": h.ServerName}}
	e.Remote, _ = hostAndPort(h.Remote)
	if h.Version != 0 {
		e.More["tls"] = tls.VersionName(h.Version)
	}
	if h.Reason != "" {
		a.office.ports.HandshakeFailed(&ports.FailedHandshake{
			Remote: source(h.Remote), Port: h.Listener, Number: h.Port, Reason: h.Reason, Offered: h.Offered, ServerName: h.ServerName,
		})
		a.office.metrics.HandshakeFailed(h.Listener, h.Reason)
		e.Kind, e.More["reason"] = audit.HandshakeFailed, h.Reason
		if h.Offered != 0 {
			e.More["offered"] = tls.VersionName(h.Offered)
		}
	} else {
		a.office.metrics.Handshake(h.Listener, tls.VersionName(h.Version), h.Resumed)
		e.More["cipher"], e.More["protocol"] = tls.CipherSuiteName(h.Cipher), h.Protocol
		if h.Group != 0 {
			e.More["group"] = h.Group.String()
		}
		if h.Resumed {
			e.More["resumed"] = "yes"
		}
		if h.Client != nil {
			e.More["client"] = h.Client.Subject.String() + " " + hash(h.Client.Raw)
		}
	}
	if h.ServerName != "" {
		a.certs.Saw(h.ServerName, false)
	}
	a.record(context.Background(), e)
}

// hostAndPort takes an address apart; the port of none is 0.
func hostAndPort(a net.Addr) (host string, port int) {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return a.String(), 0
	}

	return t.AddrPort().Addr().Unmap().String(), t.Port
}
