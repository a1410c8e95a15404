package webui

import (
	"errors"
	"net/http"
	"time"
)

// tokensPage is the tokens, and what is typed for a new one.
type tokensPage struct {
	Tokens []token
	Name   string
	Role   string
}

func (s *Server) tokenRoutes() []Route {
	return []Route{
		{Pattern: "GET /tokens", Role: Administrator, Nav: "Access tokens", Section: "Security", Handle: (*visit).tokens},
		{Pattern: "GET /tokens/new", Role: Administrator, Fresh: true, Handle: (*visit).newToken},
		{Pattern: "POST /tokens/new", Role: Administrator, Fresh: true, Handle: (*visit).makeToken},
		{Pattern: "POST /tokens/revoke", Role: Administrator, Handle: (*visit).revokeToken},
	}
}

func (v *visit) tokens() error {
	return v.show("tokens", "Access tokens", tokensPage{Tokens: v.s.tokens.list()})
}

func (v *visit) newToken() error {
	return v.show("tokennew", "Make an access token", tokensPage{Role: Auditor.String()})
}

func (v *visit) makeToken() error {
	d, bad := tokensPage{Name: v.value("name"), Role: v.value("role")}, problems{}
	role, err := ParseRole(d.Role)
	if err != nil || role < Auditor {
		bad.add("role", "Choose one of them.")
	}
	if d.Name == "" || len(d.Name) > 60 {
		bad.add("name", "Give the token a name of at most 60 characters: what it is for.")
	}
	days, ok := map[string]int{"30": 30, "90": 90, "365": 365}[v.value("days")]
	if !ok {
		days = 90
	}
	secret := ""
	if len(bad) == 0 {
		secret, err = v.s.tokens.add(v.ctx(), token{
			Name: d.Name, Role: role, By: v.who.account(), Expires: v.s.now().Add(time.Duration(days) * 24 * time.Hour),
		})
		var refused *Refusal
		switch {
		case errors.As(err, &refused):
			bad.add("name", refused.Text)
		case err != nil:
			return err
		}
	}
	if len(bad) > 0 {
		return v.again("tokennew", "Make an access token", d, bad)
	}
	if err := v.record("token.made", "", map[string]string{"text": d.Name, "after": role.String()}); err != nil {
		return err
	}

	return v.show("secret", "Token "+d.Name, shownSecret{
		Title: "Token " + d.Name, Secret: secret, Back: "/tokens",
		Text: "Give it to the program as “Authorization: Bearer …”. It is shown this once.",
	})
}

func (v *visit) revokeToken() error {
	gone, ok, err := v.s.tokens.revoke(v.ctx(), v.value("id"))
	if err != nil {
		return err
	}
	if !ok {
		v.flash("warning", "That token was revoked already.")
	} else {
		if err := v.record("token.revoked", "", map[string]string{"text": gone.Name}); err != nil {
			return err
		}
		v.flash("ok", "The token "+gone.Name+" opens nothing any more.")
	}
	http.Redirect(v.w, v.r, "/tokens", http.StatusSeeOther)

	return nil
}
