package webui

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// person is an account as the API tells it.
type person struct {
	ID           string    `json:"id"`
	Address      string    `json:"address"`
	Name         string    `json:"name"`
	Created      time.Time `json:"created"`
	Quota        int64     `json:"quota"`
	Suspended    bool      `json:"suspended"`
	UsedBytes    int64     `json:"used_bytes"`
	UsedMessages int64     `json:"used_messages"`
	Error        string    `json:"error"`

	Role Role `json:"-"`
}

// Used returns how much of the quota is used, in percent; 0 without one.
func (p person) Used() int {
	if p.Quota <= 0 {
		return 0
	}

	return int(min(100, 100*p.UsedBytes/p.Quota))
}

// alias is an address that leads to others.
type alias struct {
	Address string   `json:"address"`
	Targets []string `json:"targets"`
}

// device is something with a password of its own.
type device struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Created    time.Time  `json:"created"`
	NoSending  bool       `json:"no_sending"`
	Expires    *time.Time `json:"expires"`
	LastUsed   *time.Time `json:"last_used"`
	LastRemote string     `json:"last_remote"`
}

func (s *Server) peopleRoutes() []Route {
	return []Route{
		{Pattern: "GET /people", Role: Auditor, Nav: "People", Section: "Office", Handle: (*visit).people},
		{Pattern: "GET /people/new", Role: Operator, Handle: (*visit).newPerson},
		{Pattern: "POST /people/new", Role: Operator, Handle: (*visit).addPerson},
		{Pattern: "GET /people/{address}", Role: Auditor, Handle: (*visit).person},
		{Pattern: "POST /people/{address}/quota", Role: Operator, Handle: (*visit).setQuota},
		{Pattern: "POST /people/{address}/suspend", Role: Operator, Handle: (*visit).suspend},
		{Pattern: "POST /people/{address}/password", Role: Operator, Handle: (*visit).resetPassword},
		{Pattern: "POST /people/{address}/role", Role: Administrator, Fresh: true, Handle: (*visit).setRole},
		{Pattern: "GET /people/{address}/role", Role: Administrator, Fresh: true, Handle: (*visit).showRole},
		{Pattern: "GET /people/{address}/remove", Role: Administrator, Fresh: true, Handle: (*visit).askRemove},
		{Pattern: "POST /people/{address}/remove", Role: Administrator, Fresh: true, Handle: (*visit).removePerson},
		{Pattern: "POST /people/{address}/devices", Role: Operator, Handle: (*visit).addDevice},
		{Pattern: "POST /people/{address}/devices/revoke", Role: Operator, Handle: (*visit).revokeDevice},
		{Pattern: "POST /people/{address}/aliases", Role: Operator, Handle: (*visit).addAlias},
		{Pattern: "POST /people/{address}/aliases/remove", Role: Operator, Handle: (*visit).removeAlias},
	}
}

// listPeople returns all accounts with their roles.
func (v *visit) listPeople() ([]person, error) {
	var all []person
	if err := v.call(http.MethodGet, "/v1/accounts", nil, &all); err != nil {
		return nil, err
	}
	for i := range all {
		all[i].Role = max(Person, v.s.users.get(all[i].ID).Role)
	}

	return all, nil
}

// peoplePage is the list, and what of it was searched for.
type peoplePage struct {
	People  []person
	Total   int
	Search  string
	Aliases []alias
}

func (v *visit) people() error {
	all, err := v.listPeople()
	if err != nil {
		return err
	}
	p := peoplePage{Total: len(all), Search: strings.TrimSpace(v.r.URL.Query().Get("search"))}
	p.People = slices.DeleteFunc(all, func(x person) bool {
		in := strings.ToLower(x.Address + " " + x.Name)
		return !strings.Contains(in, strings.ToLower(p.Search))
	})
	if err := v.call(http.MethodGet, "/v1/aliases", nil, &p.Aliases); err != nil {
		return err
	}

	return v.show("people", "People", p)
}

// personForm is what is typed for a new person.
type personForm struct{ Name, Address, Quota, Domain string }

func (v *visit) newPerson() error {
	return v.show("personnew", "Add a person", personForm{Domain: v.s.office.now().Domain})
}

func (v *visit) addPerson() error {
	form := personForm{v.value("name"), v.value("address"), v.value("quota"), v.s.office.now().Domain}
	bad := problems{}
	quota, ok := parseQuota(form.Quota)
	if !ok {
		bad.add("quota", "Type a number of gigabytes such as 5, or leave it empty for no limit.")
	}
	address := form.Address
	if !strings.Contains(address, "@") && form.Domain != "" {
		address += "@" + form.Domain
	}
	if form.Address == "" {
		bad.add("address", "Type the address, such as ada@"+orElse(form.Domain, "office.example")+".")
	}
	if len(bad) > 0 {
		return v.again("personnew", "Add a person", form, bad)
	}
	password := newPassword()
	var made person
	err := v.call(http.MethodPost, "/v1/accounts", map[string]any{
		"address": address, "name": form.Name, "password": password, "quota": quota,
	}, &made)
	if err != nil {
		if err := v.explain(err, bad, map[string]string{"address": "address", "address-taken": "address"}); err != nil {
			return err
		}
		return v.again("personnew", "Add a person", form, bad)
	}

	return v.show("secret", "Password for "+made.Address, shownSecret{
		Title: "Password for " + made.Address, Secret: password, Back: "/people/" + url.PathEscape(made.Address),
		Text: "Hand it to the person in private. It is shown this once; they can choose another on their own page.",
	})
}

// shownSecret is something that is shown once.
type shownSecret struct {
	Title, Text, Secret, Back string
	Login, Server             string // with what it goes, where that helps
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}

	return text
}

// newPassword makes one of 75 random bits that can be read out and typed.
func newPassword() string {
	const letters = "abcdefghijkmnpqrstuvwxyz23456789"
	var b [15]byte
	_, _ = rand.Read(b[:]) // it never fails
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}

	return string(b[:5]) + "-" + string(b[5:10]) + "-" + string(b[10:])
}

// parseQuota reads gigabytes.
func parseQuota(text string) (int64, bool) {
	text = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "GB"))
	if text == "" {
		return 0, true
	}
	gb, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", "."), 64)
	if err != nil || !(gb >= 0 && gb <= 1e6) {
		return 0, false
	}

	return int64(gb * 1e9), true
}

// onePerson is a person's page.
type onePerson struct {
	Person  person
	Devices []device
	Aliases []alias // that lead to them
	History []auditEntry
	Web     user // what the pages know of them
	Quota   string
	NewName string
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
	d.Aliases = slices.DeleteFunc(all, func(a alias) bool { return !slices.Contains(a.Targets, address) })
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
	v.flash("ok", "The limit was changed.")
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
	if suspended {
		v.s.EndSessions(v.ctx(), p.ID)
		v.flash("ok", "Nobody can sign in to "+p.Address+" now. Mail still comes in and is kept.")
	} else {
		v.flash("ok", "The person can sign in again.")
	}
	v.backTo(&p)

	return nil
}

func (v *visit) resetPassword() error {
	p, err := v.findPerson()
	if err == nil {
		err = v.above(&p)
	}
	if err != nil {
		return err
	}
	password := newPassword()
	if err := v.call(http.MethodPut, "/v1/accounts/"+url.PathEscape(p.Address)+"/password", map[string]any{"password": password}, nil); err != nil {
		return err
	}

	return v.show("secret", "New password for "+p.Address, shownSecret{
		Title: "New password for " + p.Address, Secret: password, Back: "/people/" + url.PathEscape(p.Address),
		Text: "The old one opens nothing any more; passwords of devices still do. It is shown this once.",
	})
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
	before := p.Role
	if _, err := v.s.users.change(v.ctx(), p.ID, func(u *user) bool { u.Role, u.Address = role, p.Address; return true }); err != nil {
		return err
	}
	// Who is signed in gets another session, with the other role.
	v.s.EndSessions(v.ctx(), p.ID)
	if err := v.record("role.set", p.Address, map[string]string{"before": before.String(), "after": role.String()}); err != nil {
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

func (v *visit) addDevice() error {
	d, err := v.personData()
	if err == nil {
		err = v.above(&d.Person)
	}
	if err != nil {
		return err
	}
	d.NewName = v.value("name")
	secret, bad, err := v.makeDevice(d.Person.Address, d.NewName)
	switch {
	case err != nil:
		return err
	case len(bad) > 0:
		return v.again("person", d.Person.Address, d, bad)
	}
	secret.Back = "/people/" + url.PathEscape(d.Person.Address)

	return v.show("secret", secret.Title, secret)
}

// makeDevice makes a password for a device.
func (v *visit) makeDevice(address, name string) (shownSecret, problems, error) {
	bad := problems{}
	if name == "" {
		bad.add("device", "Give the device a name, such as Telephone.")
		return shownSecret{}, bad, nil
	}
	var made struct {
		Password string `json:"password"`
	}
	err := v.call(http.MethodPost, "/v1/accounts/"+url.PathEscape(address)+"/devices", map[string]any{"name": name}, &made)
	if err != nil {
		return shownSecret{}, bad, v.explain(err, bad, map[string]string{"device": "device", "device-taken": "device", "too-many": "device"})
	}

	return shownSecret{
		Title: "Password for " + name, Secret: made.Password, Login: address,
		Text: "Type it into the mail program on this device, in place of the person's own password. It is shown this once.",
	}, bad, nil
}

func (v *visit) revokeDevice() error {
	p, err := v.findPerson()
	if err == nil {
		err = v.above(&p)
	}
	if err != nil {
		return err
	}
	if err := v.dropDevice(p.Address); err != nil {
		return err
	}
	v.backTo(&p)

	return nil
}

func (v *visit) dropDevice(address string) error {
	var gone device
	path := "/v1/accounts/" + url.PathEscape(address) + "/devices?" + url.Values{"device": {v.value("device")}}.Encode()
	if err := v.call(http.MethodDelete, path, nil, &gone); err != nil {
		return err
	}
	v.flash("ok", gone.Name+" can no longer sign in.")

	return nil
}

func (v *visit) addAlias() error {
	d, err := v.personData()
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
		v.flash("ok", v.value("alias")+" no longer leads here.")
	}
	v.backTo(&p)

	return nil
}
