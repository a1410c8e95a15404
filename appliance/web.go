package appliance

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"pillarbox/appliance/access"
	"pillarbox/appliance/audit"
	"pillarbox/appliance/certs"
	"pillarbox/appliance/config"
	"pillarbox/appliance/control"
	"pillarbox/webui"
)

// httpsHint is for a browser that speaks plain HTTP to the port of HTTPS.
const httpsHint = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
	"This port speaks HTTPS: begin the address with https://\r\n"

// web is the pages and what brings connections to them. They have bounds of
// their own, so that browsers and mail programs keep no places from each other.
type web struct {
	server *webui.Server
	access *access.Listener
}

// Bounds of the pages' connections.
const (
	maxWebConns           = 500
	maxWebConnsPerAddress = 100
)

// openWeb makes the pages. The listeners are open.
func (a *Appliance) openWeb(in *signIn) error {
	reach := &webReach{more: a.conf.WebFrom, current: func() config.Version { return a.settings.Current() }}
	server, err := webui.New(&webui.Config{
		Logger:    a.log.With("service", "web"),
		Version:   a.conf.Version,
		Store:     webStore{sections{a.office.store.System()}},
		Book:      a.office.pages,
		Gate:      &webGate{in: in, dir: a.office.directory, bans: a.office.bans, zone: a.zone},
		API:       webAPI{a.office.handler},
		Record:    a.recordWeb,
		Office:    a.officeFacts,
		Names:     a.office.names,
		Inside:    reach.inside,
		Ports:     func() (plain, secure int) { return a.portOfName(nameHTTP), a.portOfName(nameHTTPS) },
		Proof:     http.HandlerFunc(a.certs.ServeProof),
		ProofPath: certs.ACMEPath,
		Public:    a.office.setup.Handler,
		Power:     a.conf.PowerSocket != "",
	})
	if err != nil {
		return err
	}
	a.web = &web{server: server, access: access.New(&access.Config{
		Logger: a.log.With("service", "web"), Grace: grace, PlainHint: httpsHint, Bans: a.office.bans,
		MaxConns: maxWebConns, MaxPerAddress: maxWebConnsPerAddress,
		Observe: a.recordHandshake, Refused: a.office.metrics.Refused, BoundLoopback: a.conf.BoundLoopback,
	})}
	// Another program may have a port: then the proofs see to it themselves.
	a.certs.ShareProofs(a.portOfName(nameHTTP) == portHTTP, a.portOfName(nameHTTPS) == portHTTPS)

	return nil
}

// portOfName returns the port of a listener, 0 if it is closed.
func (a *Appliance) portOfName(name string) int {
	for _, l := range a.listeners {
		if _, port := hostAndPort(l.Addr()); l.name == name {
			return port
		}
	}

	return 0
}

// serve serves one of the pages' listeners.
func (w *web) serve(ctx context.Context, l *listener, c *certs.Manager) error {
	if l.name == nameHTTP {
		return w.access.ServePlain(ctx, l, l.name, func(ctx context.Context, c net.Conn) { w.server.ServeConn(ctx, c, false) })
	}

	return w.access.Serve(ctx, l, l.name, c.TLSConfig(), func(ctx context.Context, c *access.Conn) {
		if !certs.IsProof(c.ConnectionState()) {
			w.server.ServeConn(ctx, c, true)
		}
	})
}

// ClaimCode returns the code by which the box gets its administrator, "" if it
// has one.
func (a *Appliance) ClaimCode() string { return a.web.server.ClaimCode() }

// recordWeb records what was done on the pages.
func (a *Appliance) recordWeb(ctx context.Context, act webui.Act) error {
	e := audit.Event{Kind: audit.Kind(act.Kind), Actor: act.Actor, Account: act.Account, Remote: act.Remote.String(), More: act.More}
	e.Port = a.portOfName(nameHTTP)
	if act.Secure {
		e.Port = a.portOfName(nameHTTPS)
	}
	if err := a.office.audit.Record(ctx, e); err != nil {
		return fmt.Errorf("record what was done: %w", err)
	}

	return nil
}

// webAPI shows the commands' requests to the pages and to tokens.
type webAPI struct{ handler *control.Handler }

// Answer implements webui.API.
func (w webAPI) Answer(rw http.ResponseWriter, r *http.Request, by webui.Caller) {
	w.handler.ServeHTTP(rw, r.WithContext(control.As(r.Context(), by.Name, by.Began)))
}

// Routes implements webui.API.
func (w webAPI) Routes() map[string]string { return w.handler.Roles() }

// OpenAPI implements webui.API.
func (w webAPI) OpenAPI() []byte { return w.handler.OpenAPI() }

// officeFacts shows what the settings say of the office to the pages.
func (a *Appliance) officeFacts() webui.Office {
	o := a.settings.Current().Document.Office

	return webui.Office{Name: o.Name, Domain: o.Domain, Zone: o.TimeZone}
}

// zone is the time zone in which people are told of times.
func (a *Appliance) zone() *time.Location {
	o := a.settings.Current().Document.Office

	return o.Place()
}

// takeOldOffice moves what an earlier version kept of the office beside the
// settings into them. While a change is on its way it waits for the next start.
func (a *Appliance) takeOldOffice(ctx context.Context) error {
	old, forget, err := webui.OldOffice(webStore{sections{a.office.store.System()}})
	if err != nil || forget == nil {
		return err
	}
	if a.settings.Current().Document.Office == (config.Office{}) {
		patch, err := json.Marshal(map[string]config.Office{"office": {Name: old.Name, Domain: old.Domain, TimeZone: old.Zone}})
		if err != nil {
			return err
		}
		if _, _, _, err := a.settings.Amend(ctx, &config.Amendment{Patch: patch, By: theBox, Why: "an earlier version kept this elsewhere"}); err != nil {
			return err
		}
	}

	return forget(ctx)
}
