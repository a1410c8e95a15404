package webui

import (
	"net/http"
	"net/url"
	"strings"
)

// filePage is where somebody's mail is downloaded.
type filePage struct {
	Account string
	Own     bool   // it is the mail of who is signed in
	Form    string // mbox or maildir
	People  []person
}

func (s *Server) archiveRoutes() []Route {
	return []Route{
		{Pattern: "GET /me/mail", Role: Person, Fresh: true, Handle: (*visit).ownFile},
		{Pattern: "POST /me/mail", Role: Person, Fresh: true, Handle: (*visit).downloadOwn},
		{Pattern: "GET /moving-out/file", Role: Administrator, Fresh: true, Handle: (*visit).anyFile},
		{Pattern: "POST /moving-out/file", Role: Administrator, Fresh: true, Handle: (*visit).downloadAny},
	}
}

func (v *visit) ownFile() error {
	if v.who.Address == "" {
		return errNotFound
	}

	return v.show("file", "My mail as a file", &filePage{Account: v.who.Address, Own: true})
}

func (v *visit) downloadOwn() error {
	if v.who.Address == "" {
		return errNotFound
	}

	return v.download(&filePage{Account: v.who.Address, Own: true, Form: v.value("form")})
}

func (v *visit) anyFile() error {
	d := &filePage{Account: v.r.URL.Query().Get("account")}
	if err := v.call(http.MethodGet, "/v1/accounts", nil, &d.People); err != nil {
		return err
	}

	return v.show("file", "Mail as a file", d)
}

func (v *visit) downloadAny() error {
	return v.download(&filePage{Account: v.value("account"), Form: v.value("form")})
}

// download hands a person's mail to the browser while the box reads it.
func (v *visit) download(d *filePage) error {
	bad := problems{}
	ending := map[string]string{"": ".zip", "mbox": ".zip", "maildir": ".tar"}[d.Form]
	if ending == "" {
		bad.add("form", "Choose one of the two.")
	}
	if d.Account == "" {
		bad.add("account", "Say whose mail.")
	}
	if len(bad) == 0 {
		path := "/v1/accounts/" + url.PathEscape(d.Account) + "/archive?form=" + orElse(d.Form, "mbox")
		name := strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' || strings.ContainsRune(`"/\`, r) {
				return '_'
			}
			return r
		}, d.Account)
		err := v.pass(http.MethodPost, path, nil, name+ending)
		if err == nil {
			return nil
		}
		if err := v.explain(err, bad, map[string]string{"no-account": "account"}); err != nil {
			return err
		}
	}
	if !d.Own {
		if err := v.call(http.MethodGet, "/v1/accounts", nil, &d.People); err != nil {
			return err
		}
	}

	return v.again("file", "Mail as a file", d, bad)
}
