package webui

import (
	"net/http"
	"net/url"
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
	if d.Name == "" || len(d.Name) > maxTokenName {
		bad.add("name", "Give the token a name of at most 60 characters: what it is for.")
	}
	days, ok := map[string]int{"30": 30, "90": 90, "365": 365}[v.value("days")]
	if !ok {
		days = 90
	}
	var made struct {
		Secret string `json:"secret"`
	}
	if len(bad) == 0 {
		err := v.call(http.MethodPost, "/v1/tokens", map[string]any{"name": d.Name, "role": d.Role, "days": days}, &made)
		if err != nil {
			if err := v.explain(err, bad, map[string]string{"token": "name"}); err != nil {
				return err
			}
		}
	}
	if len(bad) > 0 {
		return v.again("tokennew", "Make an access token", d, bad)
	}

	return v.show("secret", "Token "+d.Name, shownSecret{
		Title: "Token " + d.Name, Secret: made.Secret, Back: "/tokens",
		Text: "Give it to the program as “Authorization: Bearer …”. It is shown this once.",
	})
}

func (v *visit) revokeToken() error {
	var gone struct {
		Name string `json:"name"`
	}
	err := v.call(http.MethodDelete, "/v1/tokens/"+url.PathEscape(v.value("id")), nil, &gone)
	switch {
	case isCode(err, "no-token"):
		v.flash("warning", "That token was revoked already.")
	case err != nil:
		return err
	default:
		v.flash("ok", "The token "+gone.Name+" opens nothing any more.")
	}
	v.seeOther("/tokens")

	return nil
}
