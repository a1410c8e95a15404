package webui

import (
	"crypto/rand"
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
		{Pattern: "GET /people/many", Role: Operator, Handle: (*visit).newPeople},
		{Pattern: "POST /people/many", Role: Operator, MaxBody: 1 << 20, Handle: (*visit).addPeople},
		{Pattern: "GET /people/many/added", Role: Operator, Handle: (*visit).peopleAdded},
		{Pattern: "GET /live/people/added", Role: Operator, Stream: true, Handle: (*visit).peopleAddedLive},
		{Pattern: "POST /people/many/noted", Role: Operator, Handle: (*visit).peopleNoted},
	}
}

// listPeople returns all accounts with their roles.
func (v *visit) listPeople() ([]person, error) {
	var all []person
	if err := v.call(http.MethodGet, "/v1/accounts", nil, &all); err != nil {
		return nil, err
	}
	for i := range all {
		all[i].Role = v.s.users.get(all[i].ID).role()
	}

	return all, nil
}

// peopleShown is how many people one page of the list has.
const peopleShown = 50

// peoplePage is the list, and what of it was asked for.
type peoplePage struct {
	People       []person
	Total, Found int
	Search, Show string
	Page, Pages  int
}

// Link is the address of another page of the same list.
func (p peoplePage) Link(page int) string {
	q := url.Values{}
	for name, value := range map[string]string{"search": p.Search, "show": p.Show} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if page > 1 {
		q.Set("page", strconv.Itoa(page))
	}

	return "/people?" + q.Encode()
}

// Before and After are the pages beside this one, 0 where there is none.
func (p peoplePage) Before() int { return p.Page - 1 }

// After is the next page.
func (p peoplePage) After() int {
	if p.Page >= p.Pages {
		return 0
	}

	return p.Page + 1
}

// wants tells whether somebody is among those who are asked for.
func (p peoplePage) wants(x *person) bool {
	switch {
	case p.Show == "suspended" && !x.Suspended,
		p.Show == "staff" && x.Role <= Person,
		p.Show == "full" && x.Used() < 90:
		return false
	}

	return strings.Contains(strings.ToLower(x.Address+" "+x.Name), strings.ToLower(p.Search))
}

func (v *visit) people() error {
	all, err := v.listPeople()
	if err != nil {
		return err
	}
	q := v.r.URL.Query()
	p := peoplePage{Total: len(all), Search: strings.TrimSpace(q.Get("search")), Show: q.Get("show")}
	all = slices.DeleteFunc(all, func(x person) bool { return !p.wants(&x) })
	p.Found, p.Pages = len(all), max(1, (len(all)+peopleShown-1)/peopleShown)
	p.Page, _ = strconv.Atoi(q.Get("page")) // what is no number is the first
	p.Page = min(max(1, p.Page), p.Pages)
	from := (p.Page - 1) * peopleShown
	p.People = all[from:min(from+peopleShown, len(all))]

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
	// What was typed is known to who typed it; what the box made is shown once.
	typed := v.r.PostFormValue("password")
	password := orElse(typed, newPassword())
	var made person
	err := v.call(http.MethodPost, "/v1/accounts", map[string]any{
		"address": address, "name": form.Name, "password": password, "quota": quota,
	}, &made)
	if err != nil {
		if err := v.explain(err, bad, map[string]string{"address": "address", "address-taken": "address", "password": "password", "name": "name"}); err != nil {
			return err
		}
		return v.again("personnew", "Add a person", form, bad)
	}
	if typed != "" {
		v.flash("ok", made.Address+" was added, with the password that you typed.")
		v.backTo(&made)
		return nil
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
