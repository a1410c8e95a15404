package webui

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// b32 is how apps have the secret of a second factor.
var b32 = base32.StdEncoding.WithPadding(base32.NoPadding)

const (
	maxPasskeys   = 10 // of one user
	ceremonyLasts = 5 * time.Minute
	maxCeremonies = 200

	maxOwnCeremonies = 20 // that one address began
)

// ceremonies are passkeys that are being made or used.
type ceremonies struct {
	mu  sync.Mutex
	all map[string]ceremony // by the challenge
}

type ceremony struct {
	data   webauthn.SessionData
	user   string // "" for a sign-in
	remote netip.Addr
	ends   time.Time
}

func (c *ceremonies) begin(x ceremony, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]ceremony{}
	}
	maps.DeleteFunc(c.all, func(_ string, old ceremony) bool { return !now.Before(old.ends) })
	// Anybody may begin one: who begins many makes room of their own before others'.
	own, oldest, ownOldest := 0, "", ""
	older := func(key, than string) bool { return than == "" || c.all[key].ends.Before(c.all[than].ends) }
	for key, old := range c.all {
		if older(key, oldest) {
			oldest = key
		}
		if old.remote != x.remote {
			continue
		}
		if own++; older(key, ownOldest) {
			ownOldest = key
		}
	}
	switch {
	case own >= maxOwnCeremonies:
		delete(c.all, ownOldest)
	case len(c.all) >= maxCeremonies:
		delete(c.all, oldest)
	}
	x.ends = now.Add(ceremonyLasts)
	c.all[x.data.Challenge] = x
}

// end returns the ceremony of a challenge, which is over with that.
func (c *ceremonies) end(challenge, user string, now time.Time) (ceremony, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, ok := c.all[challenge]
	delete(c.all, challenge)

	return x, ok && x.user == user && now.Before(x.ends)
}

func (s *Server) passkeyRoutes() []Route {
	return []Route{
		{Pattern: "GET /passkey", Role: Person, Fresh: true, Handle: (*visit).showPasskey},
		{Pattern: "POST /passkey/new/begin", Role: Person, Fresh: true, Handle: (*visit).beginPasskey},
		{Pattern: "POST /passkey/new/finish", Role: Person, Fresh: true, Handle: (*visit).finishPasskey},
		{Pattern: "POST /passkey/remove", Role: Person, Fresh: true, Handle: (*visit).removePasskey},
		{Pattern: "POST /passkey/signin/begin", Handle: (*visit).beginPasskeySignIn},
		{Pattern: "POST /passkey/signin/finish", Handle: (*visit).finishPasskeySignIn},
	}
}

// passkeysWork tells whether the page is open by a name, in a way that browsers
// take: an address cannot be what a passkey is bound to.
func (v *visit) passkeysWork() bool {
	host := hostOf(v.r)
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))

	return v.conn.secure && err != nil && (strings.Contains(host, ".") || host == "localhost")
}

// relying returns what passkeys of the name by which the page is open are bound to.
func (v *visit) relying() (*webauthn.WebAuthn, error) {
	if !v.passkeysWork() {
		return nil, &Refusal{"Passkeys work only where the page is opened by its name and with a certificate that the browser trusts."}
	}
	w, err := webauthn.New(&webauthn.Config{
		RPID: hostOf(v.r), RPDisplayName: orElse(v.s.office.now().Name, "Pillarbox"), RPOrigins: []string{"https://" + v.r.Host},
	})
	if err != nil {
		return nil, fmt.Errorf("passkeys of %s: %w", hostOf(v.r), err)
	}

	return w, nil
}

// keyHolder shows a user to the library.
type keyHolder struct {
	user
	account, name string
	keys          []webauthn.Credential
}

// WebAuthnID implements webauthn.User.
func (k *keyHolder) WebAuthnID() []byte { return []byte(k.ID) }

// WebAuthnName implements webauthn.User.
func (k *keyHolder) WebAuthnName() string { return k.account }

// WebAuthnDisplayName implements webauthn.User.
func (k *keyHolder) WebAuthnDisplayName() string { return k.name }

// WebAuthnCredentials implements webauthn.User.
func (k *keyHolder) WebAuthnCredentials() []webauthn.Credential { return k.keys }

func (v *visit) holder(u user, account, name string) *keyHolder {
	k := &keyHolder{user: u, account: account, name: name}
	for _, p := range u.Passkeys {
		if p.Host == hostOf(v.r) {
			k.keys = append(k.keys, p.Credential)
		}
	}

	return k
}

func (v *visit) showPasskey() error {
	if !v.passkeysWork() {
		v.seeOther("/me")
		return nil
	}

	return v.show("passkey", "Add a passkey", v.s.users.get(v.who.User).Passkeys)
}

// inJSON answers our own script, and puts what it can tell a person into words.
func (v *visit) inJSON(answer any, err error) error {
	if err != nil {
		if v.fail422(err) {
			return nil
		}
		return err
	}
	v.w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(v.w).Encode(answer) // a browser that has gone asks again

	return nil
}

func (v *visit) beginPasskey() error {
	w, err := v.relying()
	if err != nil {
		return v.inJSON(nil, err)
	}
	u := v.s.users.get(v.who.User)
	if len(u.Passkeys) >= maxPasskeys {
		return v.inJSON(nil, &Refusal{"You have ten passkeys already. Remove one first."})
	}
	k := v.holder(u, v.who.account(), v.who.Name)
	var known []protocol.CredentialDescriptor
	for _, c := range k.keys {
		known = append(known, c.Descriptor())
	}
	options, data, err := w.BeginRegistration(k, webauthn.WithExclusions(known),
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired,
		}))
	if err != nil {
		return fmt.Errorf("begin a passkey: %w", err)
	}
	v.s.ceremonies.begin(ceremony{data: *data, user: v.who.User, remote: remoteOf(v.r)}, v.s.now())

	return v.inJSON(options, nil)
}

func (v *visit) finishPasskey() error {
	w, err := v.relying()
	if err != nil {
		return v.inJSON(nil, err)
	}
	name := strings.TrimSpace(v.r.URL.Query().Get("name"))
	if name == "" || len(name) > 60 {
		return v.inJSON(nil, &Refusal{"Give the passkey a name of at most 60 characters."})
	}
	parsed, err := protocol.ParseCredentialCreationResponseBody(v.r.Body)
	if err != nil {
		return v.inJSON(nil, &Refusal{"The browser's answer was not understood."})
	}
	x, ok := v.s.ceremonies.end(parsed.Response.CollectedClientData.Challenge, v.who.User, v.s.now())
	if !ok {
		return v.inJSON(nil, &Refusal{"It took too long. Try again."})
	}
	u := v.s.users.get(v.who.User)
	made, err := w.CreateCredential(v.holder(u, v.who.account(), v.who.Name), x.data, parsed)
	if err != nil {
		v.s.log.WarnContext(v.ctx(), "a passkey was refused", "account", v.who.account(), "err", err)
		return v.inJSON(nil, &Refusal{"The passkey could not be verified."})
	}
	_, err = v.s.users.change(v.ctx(), v.who.User, func(u *user) bool {
		u.Address = v.who.Address
		u.Passkeys = append(u.Passkeys, passkey{Name: name, Host: hostOf(v.r), Created: v.s.now(), Credential: *made})
		return len(u.Passkeys) <= maxPasskeys
	})
	if err != nil {
		return err
	}
	if err := v.record("factor.set", v.who.account(), map[string]string{"text": "passkey " + name}); err != nil {
		return err
	}

	return v.inJSON(map[string]string{"next": "/me"}, nil)
}

func (v *visit) removePasskey() error {
	number, err := strconv.Atoi(v.value("number"))
	if err != nil {
		return errNotFound
	}
	gone := ""
	_, err = v.s.users.change(v.ctx(), v.who.User, func(u *user) bool {
		if number < 0 || number >= len(u.Passkeys) {
			return false
		}
		gone = u.Passkeys[number].Name
		u.Passkeys = slices.Delete(u.Passkeys, number, number+1)
		return true
	})
	if err != nil {
		return err
	}
	if gone != "" {
		if err := v.record("factor.removed", v.who.account(), map[string]string{"text": "passkey " + gone}); err != nil {
			return err
		}
		v.flash("ok", "The passkey "+gone+" opens nothing any more.")
	}
	v.seeOther("/me")

	return nil
}

func (v *visit) beginPasskeySignIn() error {
	w, err := v.relying()
	if err != nil {
		return v.inJSON(nil, err)
	}
	options, data, err := w.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return fmt.Errorf("begin a sign-in by a passkey: %w", err)
	}
	v.s.ceremonies.begin(ceremony{data: *data, remote: remoteOf(v.r)}, v.s.now())

	return v.inJSON(options, nil)
}

func (v *visit) finishPasskeySignIn() error {
	w, err := v.relying()
	if err != nil {
		return v.inJSON(nil, err)
	}
	parsed, err := protocol.ParseCredentialRequestResponseBody(v.r.Body)
	if err != nil {
		return v.inJSON(nil, &Refusal{"The browser's answer was not understood."})
	}
	x, ok := v.s.ceremonies.end(parsed.Response.CollectedClientData.Challenge, "", v.s.now())
	if !ok {
		return v.inJSON(nil, &Refusal{"It took too long. Try again."})
	}
	var found *keyHolder
	err = v.s.conf.Gate.Weigh(v.ctx(), "passkey", parsed.ID, v.conn.remote(), func() bool {
		cred, err := w.ValidateDiscoverableLogin(func(_, id []byte) (webauthn.User, error) {
			found = v.holder(v.s.users.get(string(id)), "", "")
			return found, nil
		}, x.data, parsed)
		if err != nil || cred.Authenticator.CloneWarning {
			v.s.log.WarnContext(v.ctx(), "a passkey was refused", "remote", v.r.RemoteAddr, "err", err)
			return false
		}
		return v.s.usedPasskey(v.ctx(), found.ID, cred) == nil
	})
	if errors.Is(err, ErrWrong) {
		err = &Refusal{"That passkey is not known here, or was removed."}
	}
	if text, ok := refused(err); ok {
		account := ""
		if found != nil {
			account = found.user.account()
		}
		if err := v.noteSignIn(account, "passkey", text); err != nil {
			return err
		}
	}
	if err != nil {
		return v.inJSON(nil, err)
	}
	who, err := v.userSession(found.ID)
	if err != nil {
		return v.inJSON(nil, err)
	}
	if err := v.noteSignIn(who.account(), "passkey", ""); err != nil {
		return err
	}
	cookie, err := v.signedIn(*who, "passkey", v.s.now())
	if err != nil {
		return err
	}
	http.SetCookie(v.w, cookie)
	next := local(v.r.URL.Query().Get("next"))
	if next == "/" && who.Role == Person {
		next = "/me"
	}

	return v.inJSON(map[string]string{"next": next}, nil)
}

// usedPasskey keeps the counter of a passkey, by which a copy shows.
func (s *Server) usedPasskey(ctx context.Context, id string, cred *webauthn.Credential) error {
	_, err := s.users.change(ctx, id, func(u *user) bool {
		for i := range u.Passkeys {
			if string(u.Passkeys[i].Credential.ID) == string(cred.ID) {
				u.Passkeys[i].Credential = *cred
				return true
			}
		}
		return false
	})

	return err
}

// userSession makes a session of a user whose password was not asked for.
func (v *visit) userSession(id string) (*session, error) {
	if id == admin {
		return &session{User: admin, Name: "Administrator", Role: Administrator}, nil
	}
	all, err := v.listPeople()
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if p.ID == id && !p.Suspended {
			return &session{User: p.ID, Name: orElse(p.Name, p.Address), Address: p.Address, Role: p.Role}, nil
		}
	}

	return nil, &Refusal{"The account of that passkey is not there any more, or is suspended."}
}
