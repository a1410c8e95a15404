package appliance

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"pillarbox/appliance/access"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/imap"
	"pillarbox/webui"
)

// webGate verifies who comes to the pages, with the throttle and the bans of
// IMAP in front.
type webGate struct {
	in   *signIn
	dir  *directory.Directory
	bans *access.Bans
	zone func() *time.Location // in which times are told
}

// Claimed implements webui.Gate.
func (g *webGate) Claimed() (bool, error) { return g.dir.HasAdmin() }

// Claim implements webui.Gate.
func (g *webGate) Claim(ctx context.Context, password string) error {
	taken, err := g.dir.ClaimAdmin(ctx, directory.Secret(password))
	switch {
	case errors.Is(err, directory.ErrPassword):
		return &webui.Refusal{Text: err.Error()}
	case err == nil && !taken:
		return webui.ErrClaimed
	}

	return err
}

// Administrator implements webui.Gate.
func (g *webGate) Administrator(ctx context.Context, password string, remote net.Addr) error {
	_, err := g.in.admit(ctx, "admin", password, remote, func() (directory.Login, error) {
		return directory.Login{}, g.dir.VerifyAdmin(ctx, directory.Secret(password))
	})

	return g.forWeb(err)
}

// Person implements webui.Gate. A device's password opens mail, and nothing else.
func (g *webGate) Person(ctx context.Context, login, password string, remote net.Addr) (webui.Known, error) {
	var found directory.Login
	_, err := g.in.admit(ctx, g.dir.Spelling(login), password, remote, func() (l directory.Login, err error) {
		if found, err = g.dir.Authenticate(ctx, login, password, remote); err == nil && found.Device != "" {
			err = &webui.Refusal{Text: "This is the password of a device: it opens mail only. Sign in by your own password."}
		}
		return found, err
	})
	if err := g.forWeb(err); err != nil {
		return webui.Known{}, err
	}

	return webui.Known{ID: string(found.ID), Address: found.Address, Name: found.Name}, nil
}

// Weigh implements webui.Gate.
func (g *webGate) Weigh(ctx context.Context, name, credential string, remote net.Addr, verify func() bool) error {
	_, err := g.in.admit(ctx, "web "+name, credential, remote, func() (directory.Login, error) {
		if !verify() {
			return directory.Login{}, directory.ErrCredentials
		}
		return directory.Login{}, nil
	})

	return g.forWeb(err)
}

// Active implements webui.Gate.
func (g *webGate) Active(ctx context.Context, id string) (bool, error) {
	all, err := g.dir.List(ctx) // asks memory

	return slices.ContainsFunc(all, func(a directory.Account) bool { return string(a.ID) == id && !a.Suspended }), err
}

// exemptTime is how long an administrator's address is spared after a page.
const exemptTime = 30 * time.Minute

// Exempt implements webui.Gate.
func (g *webGate) Exempt(addr netip.Addr) { g.bans.Exempt(addr, exemptTime) }

// forWeb makes what the pages understand of an error.
func (g *webGate) forWeb(err error) error {
	var banned *bannedError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, directory.ErrSuspended):
		return &webui.Refusal{Text: "This account is suspended. Ask whoever keeps the box."}
	case errors.Is(err, imap.ErrCredentials):
		return webui.ErrWrong
	case errors.Is(err, directory.ErrNoAdmin):
		return webui.ErrWrong
	case errors.As(err, &banned):
		return &webui.Refusal{Text: "Too many wrong passwords came from here. Try again at " + banned.until.In(g.zone()).Format(time.TimeOnly) +
			", or lift the ban where somebody else is signed in."}
	case errors.Is(err, errTooManyLogins), errors.Is(err, errTooFast), errors.Is(err, directory.ErrBusy):
		return &webui.Refusal{Text: "Too many tries. Wait a minute and try again."}
	}

	return err
}
