package webui

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
)

// mine is somebody's own page.
type mine struct {
	User     user
	Account  bool // there is a mailbox behind it
	Devices  []device
	History  []auditEntry
	Sessions []session
	NewName  string
	Passkeys bool // they can work under the name by which the page is open
	Host     string

	Setup        setupFacts
	Certificates bool // devices can have one
}

// setupFacts are how mail programs connect.
type setupFacts struct {
	IMAP     setupServer  `json:"imap"`
	Outgoing *setupServer `json:"outgoing"`

	Mechanisms []string `json:"mechanisms"` // by which one signs in
}

type setupServer struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Security string `json:"security"`
}

// Words is how mail programs call the way by which the connection is encrypted.
func (s setupServer) Words() string {
	if s.Security == "starttls" {
		return "STARTTLS"
	}

	return "SSL/TLS"
}

func (s *Server) meRoutes() []Route {
	return []Route{
		{Pattern: "GET /me", Role: Person, Nav: "My account", Section: "Me", Handle: (*visit).me},
		{Pattern: "POST /me/password", Role: Person, Handle: (*visit).changePassword},
		{Pattern: "POST /me/devices", Role: Person, Handle: (*visit).addOwnDevice},
		{Pattern: "POST /me/devices/certificate", Role: Person, Handle: (*visit).certifyOwnDevice},
		{Pattern: "POST /me/devices/revoke", Role: Person, Handle: (*visit).revokeOwnDevice},
		{Pattern: "GET /me/sheet", Role: Person, Handle: (*visit).ownSheet},
		{Pattern: "GET /me/mail.mobileconfig", Role: Person, Handle: (*visit).ownProfile},
		{Pattern: "POST /me/sessions/end", Role: Person, Handle: (*visit).endOtherSessions},
	}
}

func (v *visit) myData() (d mine, err error) {
	d = mine{
		User: v.s.users.get(v.who.User), Account: v.who.Address != "", Sessions: v.s.sessions.of(v.who.User),
		Passkeys: v.passkeysWork(), Host: hostOf(v.r),
	}
	if d.Account {
		if err := v.call(http.MethodGet, "/v1/accounts/"+url.PathEscape(v.who.Address)+"/devices", nil, &d.Devices); err != nil {
			return d, err
		}
		if err := v.call(http.MethodGet, "/v1/setup", nil, &d.Setup); err != nil {
			return d, err
		}
		// One that the box does not ask for would do nothing.
		d.Certificates = slices.Contains(d.Setup.Mechanisms, "EXTERNAL")
	}
	d.History, err = v.signIns(v.who.account(), 20)

	return d, err
}

func (v *visit) me() error {
	d, err := v.myData()
	if err != nil {
		return err
	}

	return v.show("me", "My account", d)
}

// changePassword wants the old one: who finds the page open must not lock its
// owner out.
func (v *visit) changePassword() error {
	d, err := v.myData()
	if err != nil {
		return err
	}
	bad, password := problems{}, v.r.PostFormValue("password")
	if password != v.r.PostFormValue("again") {
		bad.add("again", "The two passwords differ. Type the same one twice.")
	}
	if len([]rune(password)) < 12 {
		bad.add("password", "Choose at least 12 characters: a sentence that nobody knows is easy to remember.")
	}
	if len(bad) == 0 {
		_, err := v.verify(v.ctx(), v.who.account(), v.r.PostFormValue("old"))
		if text, ok := refused(err); ok {
			if errors.Is(err, ErrWrong) {
				text = "That is not your present password."
			}
			bad.add("old", text)
		} else if err != nil {
			return err
		}
	}
	if len(bad) == 0 {
		path := "/v1/accounts/" + url.PathEscape(v.who.Address) + "/password"
		if !d.Account {
			path = "/v1/admin/password"
		}
		if err := v.call(http.MethodPut, path, map[string]string{"password": password}, nil); err != nil {
			if err := v.explain(err, bad, map[string]string{"password": "password"}); err != nil {
				return err
			}
		}
	}
	if len(bad) > 0 {
		return v.again("me", "My account", d, bad)
	}
	// Every session ends, and this one begins anew. That the password was right
	// says nothing of the second factor: when both were shown stays as it was.
	if _, err := v.s.conf.Book.EndSessions(v.ctx(), v.who.User, ""); err != nil {
		return err
	}
	cookie, err := v.signedIn(*v.who, v.who.Means, v.who.Proved)
	if err != nil {
		return err
	}
	http.SetCookie(v.w, cookie)
	v.s.sessions.flash(hashOf(cookie.Value), flash{Kind: "ok", Text: "Your password was changed. You are signed out of this page everywhere else."})
	v.seeOther("/me")

	return nil
}

func (v *visit) addOwnDevice() error {
	if v.who.Address == "" {
		return errNotFound
	}
	name := v.value("name")
	secret, bad, err := v.makeDevice(v.who.Address, name)
	if err != nil {
		return err
	}
	if len(bad) > 0 {
		d, err := v.myData()
		if err != nil {
			return err
		}
		d.NewName = name
		return v.again("me", "My account", d, bad)
	}
	secret.Back = "/me"

	return v.show("secret", secret.Title, secret)
}

func (v *visit) certifyOwnDevice() error {
	if v.who.Address == "" {
		return errNotFound
	}
	name := v.value("name")
	made, bad, err := v.makeCertificate(v.who.Address, name)
	if err != nil {
		return err
	}
	if len(bad) > 0 {
		d, err := v.myData()
		if err != nil {
			return err
		}
		d.NewName = name
		return v.again("me", "My account", d, bad)
	}
	made.Back = "/me"

	return v.show("certificate", "Certificate for "+made.Name, made)
}

func (v *visit) ownSheet() error {
	if v.who.Address == "" {
		return errNotFound
	}

	return v.sheet(v.who.Address)
}

// sheetPolicy is of a page that brings its own style and nothing else.
const sheetPolicy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// sheet shows the page that tells somebody how to connect their devices. It is
// one that is printed or sent on, and so is none of ours by its looks.
func (v *visit) sheet(address string) error {
	var text []byte
	if err := v.call(http.MethodGet, "/v1/setup/people/"+url.PathEscape(address)+"/sheet", nil, &text); err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Set("Content-Security-Policy", sheetPolicy)
	_, _ = v.w.Write(text) // a browser that has gone asks again

	return nil
}

func (v *visit) ownProfile() error {
	if v.who.Address == "" {
		return errNotFound
	}

	return v.pass(http.MethodGet, "/v1/setup/people/"+url.PathEscape(v.who.Address)+"/profile", nil, "mail.mobileconfig")
}

func (v *visit) revokeOwnDevice() error {
	if v.who.Address == "" {
		return errNotFound
	}
	if err := v.dropDevice(v.who.Address); err != nil {
		return err
	}
	v.seeOther("/me")

	return nil
}

// endOtherSessions ends one that is named, or all but the one that asks.
func (v *visit) endOtherSessions() error {
	one := v.value("session")
	err := v.s.sessions.end(v.ctx(), func(x *session) bool {
		return x.User == v.who.User && x.ID != v.who.ID && (one == "" || x.ID == one)
	})
	if err != nil {
		return err
	}
	if one == "" {
		v.flash("ok", "You are signed out everywhere else.")
	} else {
		v.flash("ok", "You are signed out there.")
	}
	v.seeOther("/me")

	return nil
}
