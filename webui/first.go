package webui

import (
	"bufio"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The first steps, each of which can be left and done later.
const (
	stepTime = iota + 1
	stepOffice
	stepNetwork
	stepCertificate
	stepPeople
	stepSetup
)

// lastStep is that after which they are done.
const lastStep = stepSetup

// firstPage is one of the first steps.
type firstPage struct {
	Step  int
	Steps []string
	Facts facts
	Zones []string

	Cert      certPage
	Addresses []string // by which the box is reached
	Names     []string
	Ports     []string
	People    []person
	Text      string // what was typed
	Wrong     []wrongLine
	Made      []newcomer
	Back      string // where it goes on once their passwords are noted
	Skipped   []string
	Host      string
	Setup     connect
}

// connect is how mail programs connect.
type connect struct {
	IMAP struct {
		Host string `json:"host"`
		Port int    `json:"port"`
	} `json:"imap"`
}

// newcomer is a person who was just added, with the password that is shown once.
type newcomer struct {
	Name, Address, Password string

	Line int // of the list on which they stood
}

func stepNames() []string {
	return []string{"Time", "Office", "Network", "Certificate", "People", "Devices"}
}

func (s *Server) firstRoutes() []Route {
	return []Route{
		{Pattern: "GET /first", Role: Administrator, Handle: (*visit).first},
		{Pattern: "GET /first/{step}", Role: Administrator, Handle: (*visit).firstStep},
		{Pattern: "POST /first/{step}", Role: Administrator, MaxBody: 1 << 20, Handle: (*visit).doStep},
	}
}

// first goes on where somebody left.
func (v *visit) first() error {
	v.seeOther("/first/" + strconv.Itoa(min(v.s.office.now().Step+1, lastStep)))

	return nil
}

func (v *visit) stepData() (d firstPage, err error) {
	d = firstPage{Steps: stepNames(), Facts: v.s.office.now(), Host: hostOf(v.r)}
	d.Step, err = strconv.Atoi(v.r.PathValue("step"))
	if err != nil || d.Step < 1 || d.Step > lastStep {
		return d, errNotFound
	}
	switch d.Step {
	case stepTime:
		d.Zones = zones()
		if d.Facts.Zone == "" {
			d.Facts.Zone = orElse(v.r.URL.Query().Get("zone"), "Europe/Berlin")
		}
	case stepNetwork, stepSetup:
		if err := v.stepNetwork(&d); err != nil {
			return d, err
		}
	case stepPeople:
		d.People, err = v.listPeople()
	}
	if err == nil && (d.Step == stepCertificate || d.Step == stepSetup) {
		d.Cert, err = v.certData()
	}

	return d, err
}

// stepNetwork tells by what the box is reached.
func (v *visit) stepNetwork(d *firstPage) error {
	var status boxStatus
	if err := v.call(http.MethodGet, "/v1/status", nil, &status); err != nil {
		return err
	}
	names := v.s.conf.Names()
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if a, err := netip.ParseAddr(name); err == nil {
			if !a.IsLoopback() && !a.IsLinkLocalUnicast() {
				d.Addresses = append(d.Addresses, a.String())
			}
			continue
		}
		if name != "localhost" && !strings.HasPrefix(name, "autoconfig.") && !strings.HasPrefix(name, "autodiscover.") {
			d.Names = append(d.Names, name)
		}
	}
	for _, l := range status.Listeners {
		if strings.HasPrefix(l.Name, "imaps") || strings.HasPrefix(l.Name, "http") {
			d.Ports = append(d.Ports, l.Name+" on "+l.Address)
		}
	}

	return v.call(http.MethodGet, "/v1/setup", nil, &d.Setup)
}

func (v *visit) firstStep() error {
	d, err := v.stepData()
	if err != nil {
		return err
	}

	return v.show("first", "First steps: "+d.Steps[d.Step-1], d)
}

// doStep keeps what was typed and leads on.
func (v *visit) doStep() error {
	d, err := v.stepData()
	if err != nil {
		return err
	}
	bad := problems{}
	switch d.Step {
	case stepTime:
		d.Facts.Zone = v.value("zone")
		if _, err := time.LoadLocation(d.Facts.Zone); err != nil || d.Facts.Zone == "" {
			bad.add("zone", "Type a time zone such as Europe/Berlin.")
		}
	case stepOffice:
		d.Facts.Name, d.Facts.Domain = v.value("name"), strings.ToLower(v.value("domain"))
		if d.Facts.Name == "" || len(d.Facts.Name) > 100 {
			bad.add("name", "Type the name of the office, at most 100 characters.")
		}
		if !domainName.MatchString(d.Facts.Domain) || len(d.Facts.Domain) > 200 {
			bad.add("domain", "Type what stands behind the @ of your addresses, such as office.example.")
		}
	case stepPeople:
		if err := v.addMany(&d, bad); err != nil {
			return err
		}
	}
	if d.Step <= stepOffice && len(bad) == 0 {
		if err := v.keepFacts(d.Facts, bad); err != nil {
			return err
		}
	}
	if len(bad) > 0 {
		return v.again("first", "First steps: "+d.Steps[d.Step-1], d, bad)
	}
	if err := v.s.office.went(v.ctx(), d.Step); err != nil {
		return err
	}
	switch {
	case len(d.Made) > 0:
		d.Back = "/first/" + strconv.Itoa(lastStep)
		return v.show("newcomers", "Passwords of the new people", d)
	case d.Step == lastStep:
		v.flash("ok", "That was all. Each step can be changed later: the office and its time on the page Office and settings, the rest on pages of its own.")
		v.seeOther("/")
	default:
		v.seeOther("/first/" + strconv.Itoa(d.Step+1))
	}

	return nil
}

// domainName is a name that mail can have behind the @.
var domainName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)

// keepFacts puts what was typed into the settings.
func (v *visit) keepFacts(after facts, bad problems) error {
	before := v.s.office.now().Office
	if before == after.Office {
		return nil
	}
	set := map[string]any{}
	if after.Name != before.Name {
		set["name"] = after.Name
	}
	if after.Domain != before.Domain {
		set["domain"] = after.Domain
	}
	if after.Zone != before.Zone {
		set["time_zone"] = after.Zone
	}
	_, err := v.amend(map[string]any{"office": set}, "", bad,
		map[string]string{"office.name": "name", "office.domain": "domain", "office.time_zone": "zone"})

	return err
}

// maxAtOnce bounds how many people are added by one form: hashing their
// passwords takes a while.
const maxAtOnce = 100

// addMany makes accounts of lines or of CSV, or none where a line is wrong. What
// has an account already is left as it is, so that the same text can be sent again.
func (v *visit) addMany(d *firstPage, bad problems) error {
	d.Text = v.r.PostFormValue("people")
	all, wrong, err := parsePeople(d.Text, d.Facts.Domain)
	if err != nil {
		bad.add("people", err.Error())
		return nil
	}
	if len(all) > maxAtOnce {
		bad.add("people", "These are more than 100 people. Add the rest afterwards, on the page People.")
		return nil
	}
	have := map[string]bool{}
	for _, p := range d.People {
		have[p.Address] = true
	}
	var rows []newcomer
	for _, n := range all {
		if have[strings.ToLower(n.Address)] {
			d.Skipped = append(d.Skipped, n.Address)
			continue
		}
		rows = append(rows, n)
	}
	if len(rows)+len(wrong) == 0 {
		return nil
	}
	taken, err := v.lookThrough(rows)
	if err != nil {
		return err
	}
	if d.Wrong = inOrder(wrong, taken); len(d.Wrong) > 0 {
		bad.add("people", nobodyYet)
		return nil
	}
	v.deadline(longAnswer)
	for _, n := range rows {
		n.Password = newPassword()
		err := v.call(http.MethodPost, "/v1/accounts", map[string]any{"address": n.Address, "name": n.Name, "password": n.Password}, nil)
		var api *APIError
		switch {
		case errors.As(err, &api) && len(d.Made) == 0 && api.Status < http.StatusInternalServerError:
			d.Wrong = append(d.Wrong, wrongLine{n.Line, n.Address, sentence(api.Message)})
			bad.add("people", nobodyYet)
			return nil
		case err != nil && len(d.Made) == 0:
			return err
		case err != nil:
			// Passwords that were made must be shown whatever happens.
			d.Skipped = append(d.Skipped, n.Address+" ("+err.Error()+")")
			continue
		}
		d.Made = append(d.Made, n)
	}

	return nil
}

// parsePeople reads a person a line: a name and an address in any order, with
// commas, semicolons or tabs between them, or an address alone. A heading is
// left out. What is wrong with a line does not keep the others from being read.
func parsePeople(text, domain string) (all []newcomer, wrong []wrongLine, err error) {
	scan := bufio.NewScanner(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
	for n := 1; scan.Scan(); n++ {
		line := strings.TrimSpace(scan.Text())
		if line == "" {
			continue
		}
		if len(wrong) == maxWrong {
			return nil, nil, &Refusal{"This is no list of people: write a line for each, with a name, a comma and an address such as ada@office.example."}
		}
		r := csv.NewReader(strings.NewReader(line))
		r.LazyQuotes, r.FieldsPerRecord, r.TrimLeadingSpace = true, -1, true
		switch {
		case strings.Contains(line, ";"):
			r.Comma = ';'
		case strings.Contains(line, "\t"):
			r.Comma = '\t'
		}
		cells, err := r.Read()
		if err != nil && !errors.Is(err, io.EOF) {
			wrong = append(wrong, wrongLine{n, shortened(line), "It cannot be read. Write a name, a comma and an address."})
			continue
		}
		p, heading := personOf(cells, domain)
		p.Line = n
		switch {
		case heading && len(all)+len(wrong) == 0:
		case p.Address == "":
			wrong = append(wrong, wrongLine{n, shortened(line), "It has no address. Write a name, a comma and an address such as ada@office.example."})
		default:
			all = append(all, p)
		}
	}
	if err := scan.Err(); err != nil {
		return nil, nil, &Refusal{"A line is too long to be of a person."}
	}

	return all, wrong, nil
}

// maxWrong bounds how many lines are told of.
const maxWrong = 100

// shortened is as much of a line as a table has room for.
func shortened(line string) string {
	if all := []rune(line); len(all) > 60 {
		return string(all[:59]) + "…"
	}

	return line
}

// personOf finds out which cell is what.
func personOf(cells []string, domain string) (p newcomer, heading bool) {
	var names []string
	for _, c := range cells {
		c = strings.TrimSpace(strings.Trim(strings.TrimSpace(c), "<>"))
		switch {
		case c == "":
		case strings.Contains(c, "@") && p.Address == "":
			p.Address = c
		default:
			names = append(names, c)
		}
	}
	p.Name = strings.Join(names, " ")
	lower := strings.ToLower(p.Name)
	heading = p.Address == "" && (strings.Contains(lower, "mail") || strings.Contains(lower, "address"))
	if p.Address == "" && !heading && len(names) > 0 && domain != "" && !strings.Contains(names[len(names)-1], " ") {
		p.Address = names[len(names)-1] + "@" + domain
		p.Name = strings.Join(names[:len(names)-1], " ")
	}

	return p, heading
}

// zones are those that a person is likely to look for; any other can be typed.
func zones() []string {
	return []string{
		"Europe/Berlin", "Europe/Vienna", "Europe/Zurich", "Europe/London", "Europe/Dublin", "Europe/Lisbon", "Europe/Madrid", "Europe/Paris",
		"Europe/Brussels", "Europe/Amsterdam", "Europe/Rome", "Europe/Prague", "Europe/Warsaw", "Europe/Copenhagen", "Europe/Oslo",
		"Europe/Stockholm", "Europe/Helsinki", "Europe/Tallinn", "Europe/Riga", "Europe/Vilnius", "Europe/Athens", "Europe/Bucharest",
		"Europe/Sofia", "Europe/Budapest", "Europe/Kyiv", "Europe/Istanbul", "America/New_York", "America/Chicago", "America/Denver",
		"America/Los_Angeles", "America/Toronto", "America/Vancouver", "America/Mexico_City", "America/Bogota", "America/Sao_Paulo",
		"America/Argentina/Buenos_Aires", "Africa/Cairo", "Africa/Johannesburg", "Africa/Lagos", "Africa/Nairobi", "Asia/Jerusalem",
		"Asia/Dubai", "Asia/Karachi", "Asia/Kolkata", "Asia/Bangkok", "Asia/Singapore", "Asia/Shanghai", "Asia/Tokyo", "Asia/Seoul",
		"Australia/Perth", "Australia/Sydney", "Pacific/Auckland", "UTC",
	}
}

// Numbers are those of the steps, for the template.
func (d firstPage) Numbers() []int {
	all := make([]int, len(d.Steps))
	for i := range all {
		all[i] = i + 1
	}

	return all
}

// Before is the number of the step before.
func (d firstPage) Before() int { return d.Step - 1 }
