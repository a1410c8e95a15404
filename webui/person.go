package webui

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

func (s *Server) personRoutes() []Route {
	return []Route{
		{Pattern: "GET /people/{address}", Role: Auditor, Handle: (*visit).person},
		{Pattern: "POST /people/{address}/name", Role: Operator, Handle: (*visit).setName},
		{Pattern: "POST /people/{address}/quota", Role: Operator, Handle: (*visit).setQuota},
		{Pattern: "POST /people/{address}/suspend", Role: Operator, Handle: (*visit).suspend},
		{Pattern: "POST /people/{address}/password", Role: Operator, Handle: (*visit).resetPassword},
		{Pattern: "POST /people/{address}/sessions/end", Role: Operator, Handle: (*visit).endPersonSessions},
		{Pattern: "GET /people/{address}/sheet", Role: Auditor, Handle: (*visit).personSheet},
		{Pattern: "GET /people/{address}/factor", Role: Administrator, Fresh: true, Handle: (*visit).askFactorReset},
		{Pattern: "POST /people/{address}/factor", Role: Administrator, Fresh: true, Handle: (*visit).resetFactor},
		{Pattern: "POST /people/{address}/role", Role: Administrator, Fresh: true, Handle: (*visit).setRole},
		{Pattern: "GET /people/{address}/role", Role: Administrator, Fresh: true, Handle: (*visit).showRole},
		{Pattern: "GET /people/{address}/remove", Role: Administrator, Fresh: true, Handle: (*visit).askRemove},
		{Pattern: "POST /people/{address}/remove", Role: Administrator, Fresh: true, Handle: (*visit).removePerson},
		{Pattern: "POST /people/{address}/devices", Role: Operator, Handle: (*visit).addDevice},
		{Pattern: "POST /people/{address}/devices/certificate", Role: Operator, Handle: (*visit).certifyDevice},
		{Pattern: "POST /people/{address}/devices/revoke", Role: Operator, Handle: (*visit).revokeDevice},
		{Pattern: "POST /people/{address}/aliases", Role: Operator, Handle: (*visit).addAlias},
		{Pattern: "POST /people/{address}/aliases/remove", Role: Operator, Handle: (*visit).removeAlias},
	}
}

// onePerson is a person's page.
type onePerson struct {
	Person  person
	Devices []device
	Aliases []alias // that lead to them alone
	Groups  []alias // of which they are one
	History []auditEntry
	Web     user // what the pages know of them
	Quota   string
	NewName string

	Sessions     []session
	Certificates bool // devices can have one
}

// findPerson returns the account that the path names.
func (v *visit) findPerson() (person, error) {
	all, err := v.listPeople()
	if err != nil {
		return person{}, err
	}
	address := strings.ToLower(v.r.PathValue("address"))
	i := slices.IndexFunc(all, func(p person) bool { return p.Address == address })
	if i < 0 {
		return person{}, errNotFound
	}

	return all[i], nil
}

func (v *visit) person() error {
	d, err := v.personData()
	if err != nil {
		return err
	}

	return v.show("person", d.Person.Address, d)
}

func (v *visit) personData() (d onePerson, err error) {
	if d.Person, err = v.findPerson(); err != nil {
		return d, err
	}
	address := d.Person.Address
	if d.Person.Quota > 0 {
		d.Quota = strconv.FormatFloat(float64(d.Person.Quota)/1e9, 'f', -1, 64)
	}
	d.Web = v.s.users.get(d.Person.ID)
	if err := v.call(http.MethodGet, "/v1/accounts/"+url.PathEscape(address)+"/devices", nil, &d.Devices); err != nil {
		return d, err
	}
	var all []alias
	if err := v.call(http.MethodGet, "/v1/aliases", nil, &all); err != nil {
		return d, err
	}
	for _, a := range all {
		switch {
		case !slices.Contains(a.Targets, address):
		case a.plain():
			d.Aliases = append(d.Aliases, a)
		default:
			d.Groups = append(d.Groups, a)
		}
	}
	d.Sessions = v.s.sessions.of(d.Person.ID)
	_, d.Certificates = v.s.conf.API.Routes()[certificatePattern]
	d.History, err = v.signIns(address, 15)

	return d, err
}

// signIns returns the newest sign-ins to an account.
func (v *visit) signIns(address string, most int) ([]auditEntry, error) {
	var all []auditEntry
	q := url.Values{"kind": {"signin"}, "book": {"access"}, "account": {address}, "limit": {strconv.Itoa(most)}}

	return all, v.call(http.MethodGet, "/v1/audit/records?"+q.Encode(), nil, &all)
}

// backTo leads to the page of a person.
func (v *visit) backTo(p *person) { v.seeOther("/people/" + url.PathEscape(p.Address)) }

// above refuses what somebody may not do to who stands above them.
func (v *visit) above(p *person) error {
	if p.Role > v.who.Role {
		return errForbidden
	}

	return nil
}

func (v *visit) setQuota() error {
	d, err := v.personData()
	if err == nil {
		err = v.above(&d.Person)
	}
	if err != nil {
		return err
	}
	bad := problems{}
	quota, ok := parseQuota(v.value("quota"))
	if !ok {
		d.Quota = v.value("quota")
		bad.add("quota", "Type a number of gigabytes such as 5, or leave it empty for no limit.")
		return v.again("person", d.Person.Address, d, bad)
	}
	err = v.call(http.MethodPut, "/v1/accounts/"+url.PathEscape(d.Person.Address)+"/quota", map[string]any{"quota": quota}, nil)
	if err != nil {
		return err
	}
	before := ""
	if d.Person.Quota > 0 {
		before = strconv.FormatFloat(float64(d.Person.Quota)/1e9, 'f', -1, 64)
	}
	v.undoable("The limit was changed.", "/people/"+url.PathEscape(d.Person.Address)+"/quota", "quota", before)
	v.backTo(&d.Person)

	return nil
}

func (v *visit) suspend() error {
	p, err := v.findPerson()
	if err == nil {
		err = v.above(&p)
	}
	if err != nil {
		return err
	}
	suspended := v.value("suspended") == "yes"
	err = v.call(http.MethodPut, "/v1/accounts/"+url.PathEscape(p.Address)+"/suspended", map[string]any{"suspended": suspended}, nil)
	if err != nil {
		return err
	}
	at := "/people/" + url.PathEscape(p.Address) + "/suspend"
	if suspended {
		v.undoable("Nobody can sign in to "+p.Address+" now. Mail still comes in and is kept.", at, "suspended", "no")
	} else {
		v.undoable("The person can sign in again.", at, "suspended", "yes")
	}
	v.backTo(&p)

	return nil
}

func (v *visit) resetPassword() error {
	d, err := v.personData()
	if err == nil {
		err = v.above(&d.Person)
	}
	if err != nil {
		return err
	}
	address, typed := d.Person.Address, v.r.PostFormValue("password")
	password := orElse(typed, newPassword())
	if err := v.call(http.MethodPut, personPath(address, "password"), map[string]any{"password": password}, nil); err != nil {
		bad := problems{}
		if err := v.explain(err, bad, map[string]string{"password": "password"}); err != nil {
			return err
		}
		return v.again("person", address, d, bad)
	}
	if typed != "" {
		v.flash("ok", "The old password opens nothing any more; passwords of devices still do.")
		v.backTo(&d.Person)
		return nil
	}

	return v.show("secret", "New password for "+address, shownSecret{
		Title: "New password for " + address, Secret: password, Back: "/people/" + url.PathEscape(address),
		Text: "The old one opens nothing any more; passwords of devices still do. It is shown this once.",
	})
}

// personPath is that of the API for what concerns a person.
func personPath(address, what string) string {
	return "/v1/accounts/" + url.PathEscape(address) + "/" + what
}

func (v *visit) setName() error {
	d, err := v.personData()
	if err == nil {
		err = v.above(&d.Person)
	}
	if err != nil {
		return err
	}
	before, name := d.Person.Name, v.value("name")
	if err := v.call(http.MethodPut, personPath(d.Person.Address, "name"), map[string]any{"name": name}, nil); err != nil {
		bad := problems{}
		if err := v.explain(err, bad, map[string]string{"name": "name"}); err != nil {
			return err
		}
		d.Person.Name = name
		return v.again("person", d.Person.Address, d, bad)
	}
	v.undoable("The name was changed.", "/people/"+url.PathEscape(d.Person.Address)+"/name", "name", before)
	v.backTo(&d.Person)

	return nil
}

func (v *visit) endPersonSessions() error {
	p, err := v.findPerson()
	if err == nil {
		err = v.above(&p)
	}
	if err != nil {
		return err
	}
	var ended struct {
		Ended int `json:"ended"`
	}
	path := personPath(p.Address, "sessions") + "?" + url.Values{"session": {v.value("session")}}.Encode()
	if err := v.call(http.MethodDelete, path, nil, &ended); err != nil {
		return err
	}
	if ended.Ended == 0 {
		v.flash("warning", "That was over already.")
	} else {
		v.flash("ok", p.Address+" is signed out there.")
	}
	v.backTo(&p)

	return nil
}

func (v *visit) askFactorReset() error {
	p, err := v.findPerson()
	if err != nil {
		return err
	}

	return v.show("confirm", "Reset the second factor of "+p.Address+"?", confirmation{
		Title: "Reset the second factor of " + p.Address + "?", Action: "/people/" + url.PathEscape(p.Address) + "/factor",
		Back: "/people/" + url.PathEscape(p.Address), Button: "Reset it",
		Text: "Their app's codes, recovery codes and passkeys end, and they are signed out of this page. From then on their password alone " +
			"signs them in, until they set up another factor. Be sure that it is they who ask.",
	})
}

func (v *visit) resetFactor() error {
	p, err := v.findPerson()
	if err != nil {
		return err
	}
	var reset struct {
		Had bool `json:"had"`
	}
	if err := v.call(http.MethodDelete, personPath(p.Address, "factor"), nil, &reset); err != nil {
		return err
	}
	if !reset.Had {
		v.flash("warning", "There was no second factor and no passkey.")
	} else {
		v.flash("ok", "The second factor is gone, and so are recovery codes and passkeys. "+p.Address+" signs in by the password.")
	}
	v.backTo(&p)

	return nil
}

// personSheet shows how a person connects their devices, to be printed.
func (v *visit) personSheet() error {
	p, err := v.findPerson()
	if err != nil {
		return err
	}

	return v.sheet(p.Address)
}

func (v *visit) showRole() error {
	p, err := v.findPerson()
	if err != nil {
		return err
	}

	return v.show("personrole", "What "+p.Address+" may do", p)
}

func (v *visit) setRole() error {
	p, err := v.findPerson()
	if err != nil {
		return err
	}
	role, err := ParseRole(v.value("role"))
	if err != nil || role < Person {
		return v.again("personrole", "What "+p.Address+" may do", p, problems{"role": "Choose one of them."})
	}
	if err := v.call(http.MethodPut, personPath(p.Address, "role"), map[string]any{"role": role}, nil); err != nil {
		return err
	}
	if v.who.User == p.ID {
		v.seeOther("/signin")
		return nil
	}
	v.flash("ok", p.Address+" is now "+withArticle(role)+". They have to sign in again.")
	v.backTo(&p)

	return nil
}

func withArticle(r Role) string {
	if r == Person {
		return "a person without further rights"
	}
	if r == Auditor || r == Operator || r == Administrator {
		return "an " + r.String()
	}

	return r.String()
}

func (v *visit) askRemove() error {
	p, err := v.findPerson()
	if err != nil {
		return err
	}

	return v.show("personremove", "Delete "+p.Address, p)
}

func (v *visit) removePerson() error {
	p, err := v.findPerson()
	if err != nil {
		return err
	}
	if !strings.EqualFold(v.value("address"), p.Address) {
		return v.again("personremove", "Delete "+p.Address, p, problems{"address": "Type the address of the account as it stands above."})
	}
	if err := v.call(http.MethodDelete, "/v1/accounts/"+url.PathEscape(p.Address), nil, nil); err != nil {
		return err
	}
	v.flash("ok", p.Address+" and its mail were deleted.")
	v.seeOther("/people")

	return nil
}

func (v *visit) addAlias() error {
	d, err := v.personData()
	if err == nil {
		err = v.above(&d.Person)
	}
	if err != nil {
		return err
	}
	address, bad := v.value("alias"), problems{}
	if address != "" && !strings.Contains(address, "@") {
		_, domain, _ := strings.Cut(d.Person.Address, "@")
		address += "@" + domain
	}
	err = v.call(http.MethodPost, "/v1/aliases", map[string]any{"address": address, "targets": []string{d.Person.Address}}, nil)
	if err != nil {
		fields := map[string]string{"address": "alias", "address-taken": "alias", "alias": "alias", "too-many": "alias", "request": "alias"}
		if err := v.explain(err, bad, fields); err != nil {
			return err
		}
		return v.again("person", d.Person.Address, d, bad)
	}
	v.flash("ok", "Mail for "+address+" now comes to "+d.Person.Address+", too.")
	v.backTo(&d.Person)

	return nil
}

func (v *visit) removeAlias() error {
	p, err := v.findPerson()
	if err == nil {
		err = v.above(&p)
	}
	if err != nil {
		return err
	}
	path := "/v1/aliases/" + url.PathEscape(v.value("alias")) + "?" + url.Values{"target": {p.Address}}.Encode()
	var api *APIError
	if err := v.call(http.MethodDelete, path, nil, nil); errors.As(err, &api) && api.Status == http.StatusNotFound {
		v.flash("warning", "That alias was removed already.")
	} else if err != nil {
		return err
	} else {
		v.undoable(v.value("alias")+" no longer leads here.", "/people/"+url.PathEscape(p.Address)+"/aliases", "alias", v.value("alias"))
	}
	v.backTo(&p)

	return nil
}
