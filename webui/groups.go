package webui

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// alias is an address that leads to others: a group, or another name of somebody.
type alias struct {
	Address     string   `json:"address"`
	Targets     []string `json:"targets"`
	Description string   `json:"description"`
	Writers     string   `json:"writers"` // "office", or "" for anybody
}

// plain tells whether it is just another name of one person.
func (a *alias) plain() bool { return len(a.Targets) == 1 && a.Description == "" && a.Writers == "" }

func (s *Server) groupRoutes() []Route {
	return []Route{
		{Pattern: "GET /groups", Role: Auditor, Nav: "Groups", Section: "Office", Handle: (*visit).groups},
		{Pattern: "GET /groups/new", Role: Operator, Handle: (*visit).newGroup},
		{Pattern: "POST /groups/new", Role: Operator, Handle: (*visit).addGroup},
		{Pattern: "GET /groups/{group}", Role: Auditor, Handle: (*visit).group},
		{Pattern: "POST /groups/{group}", Role: Operator, Handle: (*visit).setGroup},
		{Pattern: "POST /groups/{group}/add", Role: Operator, Handle: (*visit).addMembers},
		{Pattern: "POST /groups/{group}/drop", Role: Operator, Handle: (*visit).dropMember},
		{Pattern: "POST /groups/{group}/remove", Role: Operator, Handle: (*visit).removeGroup},
	}
}

// member is somebody, or a group, that an address leads to.
type member struct {
	Address, Name string
	Group         bool
}

// Path is where the member's own page is.
func (m member) Path() string {
	if m.Group {
		return "/groups/" + url.PathEscape(m.Address)
	}

	return "/people/" + url.PathEscape(m.Address)
}

// listedGroup is a group with its members by name.
type listedGroup struct {
	alias

	Members []member
}

// First are as many members as a list shows.
func (g listedGroup) First() []member { return g.Members[:min(len(g.Members), membersListed)] }

// More is how many it does not show.
func (g listedGroup) More() int { return len(g.Members) - len(g.First()) }

// Plain tells whether it is just another name of one person.
func (g listedGroup) Plain() bool { return g.plain() }

const membersListed = 4

// groupPage is a group, what is typed for it, and who could become a member.
type groupPage struct {
	Group  listedGroup
	Others []member
	Within []alias // groups that it is a member of
	// What is typed.
	Address, Members, Description, Writers, Domain string
}

func (v *visit) listGroups() (all []listedGroup, everybody []member, err error) {
	var aliases []alias
	if err := v.call(http.MethodGet, "/v1/aliases", nil, &aliases); err != nil {
		return nil, nil, err
	}
	people, err := v.listPeople()
	if err != nil {
		return nil, nil, err
	}
	names := map[string]member{}
	for _, p := range people {
		names[p.Address] = member{Address: p.Address, Name: p.Name}
		everybody = append(everybody, names[p.Address])
	}
	for _, a := range aliases {
		names[a.Address] = member{Address: a.Address, Name: a.Description, Group: true}
		everybody = append(everybody, names[a.Address])
	}
	for _, a := range aliases {
		g := listedGroup{alias: a}
		for _, t := range a.Targets {
			m, ok := names[t]
			if !ok {
				m = member{Address: t}
			}
			g.Members = append(g.Members, m)
		}
		all = append(all, g)
	}

	return all, everybody, nil
}

func (v *visit) groups() error {
	all, _, err := v.listGroups()
	if err != nil {
		return err
	}

	return v.show("groups", "Groups", all)
}

func (v *visit) groupData() (d groupPage, err error) {
	all, everybody, err := v.listGroups()
	if err != nil {
		return d, err
	}
	address := strings.ToLower(v.r.PathValue("group"))
	i := slices.IndexFunc(all, func(g listedGroup) bool { return g.Address == address })
	if i < 0 {
		return d, errNotFound
	}
	d.Group = all[i]
	d.Description, d.Writers = d.Group.Description, d.Group.Writers
	for _, g := range all {
		if slices.Contains(g.Targets, address) {
			d.Within = append(d.Within, g.alias)
		}
	}
	for _, m := range everybody {
		if m.Address != address && !slices.Contains(d.Group.Targets, m.Address) {
			d.Others = append(d.Others, m)
		}
	}

	return d, nil
}

func (v *visit) group() error {
	d, err := v.groupData()
	if err != nil {
		return err
	}

	return v.show("group", d.Group.Address, d)
}

func (v *visit) newGroup() error {
	d := groupPage{Domain: v.s.office.now().Domain}
	_, everybody, err := v.listGroups()
	d.Others = everybody
	if err != nil {
		return err
	}

	return v.show("groupnew", "Make a group", d)
}

// mailAddresses splits what was typed, and completes it with a domain.
func mailAddresses(text, domain string) (all []string) {
	for _, a := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(",; \t\r\n", r) }) {
		if !strings.Contains(a, "@") && domain != "" {
			a += "@" + domain
		}
		all = append(all, a)
	}

	return all
}

func (v *visit) addGroup() error {
	d := groupPage{
		Address: v.value("address"), Members: v.r.PostFormValue("members"), Description: v.value("description"), Writers: v.value("writers"),
		Domain: v.s.office.now().Domain,
	}
	_, everybody, err := v.listGroups()
	if err != nil {
		return err
	}
	d.Others = everybody
	bad, members := problems{}, mailAddresses(d.Members, d.Domain)
	address := mailAddresses(d.Address, d.Domain)
	if len(address) != 1 || !isAddress(address[0]) {
		bad.add("address", "Type one address, such as sales@"+orElse(d.Domain, "office.example")+".")
	}
	if len(members) == 0 {
		bad.add("members", "Type who gets the group's mail: one member at least.")
	}
	if len(bad) == 0 {
		if bad, err = v.putGroup(address[0], members, &d, true); err != nil {
			return err
		}
		if len(bad) == 0 {
			v.flash("ok", "Mail for "+address[0]+" goes to its members from now on.")
			v.seeOther("/groups/" + url.PathEscape(strings.ToLower(address[0])))
			return nil
		}
	}

	return v.again("groupnew", "Make a group", d, bad)
}

// isAddress tells whether something looks like a mail address.
func isAddress(text string) bool {
	local, domain, _ := strings.Cut(strings.ToLower(text), "@")

	return local != "" && domainName.MatchString(domain) && !strings.ContainsAny(local, " <>()\"\t")
}

// putGroup has the box keep what was typed.
func (v *visit) putGroup(address string, members []string, d *groupPage, fresh bool) (problems, error) {
	bad := problems{}
	err := v.call(http.MethodPut, "/v1/aliases/"+url.PathEscape(address), map[string]any{
		"targets": members, "description": d.Description, "writers": d.Writers, "new": fresh,
	}, nil)
	if err == nil {
		return bad, nil
	}

	return bad, v.explain(err, bad, map[string]string{"address": "members", "address-taken": "address", "alias": "members", "too-many": "members"})
}

func (v *visit) setGroup() error {
	d, err := v.groupData()
	if err != nil {
		return err
	}
	before := d.Group.alias
	d.Description, d.Writers = v.value("description"), v.value("writers")
	bad, err := v.putGroup(d.Group.Address, d.Group.Targets, &d, false)
	switch {
	case err != nil:
		return err
	case len(bad) > 0:
		return v.again("group", d.Group.Address, d, problems{"description": bad["members"]})
	}
	at := "/groups/" + url.PathEscape(d.Group.Address)
	v.undoable("The group was changed.", at, "description", before.Description, "writers", before.Writers)
	v.seeOther(at)

	return nil
}

func (v *visit) addMembers() error {
	d, err := v.groupData()
	if err != nil {
		return err
	}
	d.Members = v.r.PostFormValue("members")
	_, domain, _ := strings.Cut(d.Group.Address, "@")
	bad, members := problems{}, mailAddresses(d.Members, domain)
	if len(members) == 0 {
		bad.add("members", "Type the address of a person or of another group.")
		return v.again("group", d.Group.Address, d, bad)
	}
	err = v.call(http.MethodPost, "/v1/aliases", map[string]any{"address": d.Group.Address, "targets": members}, nil)
	if err != nil {
		fields := map[string]string{"address": "members", "alias": "members", "too-many": "members"}
		if err := v.explain(err, bad, fields); err != nil {
			return err
		}
		return v.again("group", d.Group.Address, d, bad)
	}
	v.flash("ok", "They get the group's mail from now on.")
	v.seeOther("/groups/" + url.PathEscape(d.Group.Address))

	return nil
}

func (v *visit) dropMember() error {
	d, err := v.groupData()
	if err != nil {
		return err
	}
	at, who := "/groups/"+url.PathEscape(d.Group.Address), v.value("member")
	switch {
	case !slices.Contains(d.Group.Targets, who):
		v.flash("warning", "They were taken out already.")
	case len(d.Group.Targets) == 1:
		v.flash("warning", "A group has one member at least. Delete the group, or add somebody else first.")
	default:
		path := "/v1/aliases/" + url.PathEscape(d.Group.Address) + "?" + url.Values{"target": {who}}.Encode()
		if err := v.call(http.MethodDelete, path, nil, nil); err != nil {
			return err
		}
		v.undoable(who+" gets the group's mail no more.", at+"/add", "members", who)
	}
	v.seeOther(at)

	return nil
}

func (v *visit) removeGroup() error {
	d, err := v.groupData()
	if err != nil {
		return err
	}
	if err := v.call(http.MethodDelete, "/v1/aliases/"+url.PathEscape(d.Group.Address), nil, nil); err != nil {
		return err
	}
	v.undoable(d.Group.Address+" was deleted: mail for it is refused from now on.", "/groups/new",
		"address", d.Group.Address, "members", strings.Join(d.Group.Targets, "\n"), "description", d.Group.Description, "writers", d.Group.Writers)
	v.seeOther("/groups")

	return nil
}
