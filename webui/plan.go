package webui

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// portPlan is a plan to leave an old way of reading mail.
type portPlan struct {
	Kind      string          `json:"kind"`
	Title     string          `json:"title"`
	Why       string          `json:"why"`
	By        string          `json:"by"`
	Made      time.Time       `json:"made"`
	Started   time.Time       `json:"started"`
	Ended     time.Time       `json:"ended"`
	Outcome   string          `json:"outcome"` // "", "done" or "dropped"
	At        int             `json:"at"`
	Steps     []planStep      `json:"steps"`
	Hold      *planHold       `json:"hold"`
	ByHand    bool            `json:"by_hand"`
	Unheld    string          `json:"unheld"`
	Next      *planStep       `json:"next"`
	Check     *planCheck      `json:"check"`
	Measure   planMeasure     `json:"measure"`
	Brownouts []brownout      `json:"brownouts"`
	Decisions []planDecision  `json:"decisions"`
	People    []planAddressee `json:"people"`
}

type planStep struct {
	Stage  string    `json:"stage"`
	Begins time.Time `json:"begins"`
	Who    struct {
		People    []string `json:"people"`
		Networks  []string `json:"networks"`
		Everybody bool     `json:"everybody"`
	} `json:"who"`
}

// Title returns what a step is called.
func (s planStep) Title() string {
	return map[string]string{
		"dual": "Both ways", "announce": "People are told", "pilot": "Pilot", "phase": "Some more", "closed": "Closed", "silent": "Gone",
	}[s.Stage]
}

// What returns what a step does.
func (s planStep) What() string {
	switch s.Stage {
	case "dual":
		return "Nobody is told anything."
	case "announce":
		return "Whoever comes by the old way is told so, in the mail program and by mail."
	case "pilot", "phase":
		return "Refused there, with what to change: " + s.Chosen() + "."
	case "closed":
		return "Nobody is served by the old way; a closed port explains itself."
	case "silent":
		return "The port is gone."
	}

	return ""
}

// Chosen names the people.
func (s planStep) Chosen() string {
	if s.Who.Everybody {
		return "everybody"
	}

	return strings.Join(append(slices.Clone(s.Who.People), s.Who.Networks...), ", ")
}

type planHold struct {
	Why  string    `json:"why"`
	By   string    `json:"by"`
	At   time.Time `json:"at"`
	Auto bool      `json:"auto"`
}

type planCheck struct {
	Waits  []string `json:"waits"`
	CutOff []struct {
		Account  string    `json:"account"`
		Devices  []string  `json:"devices"`
		Last     time.Time `json:"last"`
		Told     bool      `json:"told"`
		Expected bool      `json:"expected"`
	} `json:"cut_off"`
	Unexpected []string `json:"unexpected"`
}

type planMeasure struct {
	Tried     int      `json:"tried"`
	Failed    int      `json:"failed"`
	Moved     int      `json:"moved"`
	Remaining int      `json:"remaining"`
	Refused   []string `json:"refused"`
	Broken    []string `json:"broken"`
	Bad       string   `json:"bad"`
}

type brownout struct {
	State  string    `json:"state"`
	Begins time.Time `json:"begins"`
	For    string    `json:"for"`
	By     string    `json:"by"`
	Tried  []string  `json:"tried"`
	Came   []string  `json:"came"`
	Why    string    `json:"why"`
}

// Live tells whether it is on or still to come.
func (b brownout) Live() bool { return b.State == "planned" || b.State == "on" }

type planDecision struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
	By   string    `json:"by"`
	Why  string    `json:"why"`
	From string    `json:"from"`
	To   string    `json:"to"`
}

// Words returns what was decided.
func (d planDecision) Words() string {
	what := map[string]string{"moved": "went on to", "brownout": "brown-out", "rolled-back": "went back"}
	to := map[string]string{"dual": "both ways", "announce": "people are told", "pilot": "the pilot", "phase": "some more", "closed": "closed", "silent": "gone"}
	text := orElse(what[d.What], strings.ReplaceAll(d.What, "-", " "))
	switch {
	case d.To == "":
		return text
	case d.What == "brownout":
		told, _, _ := strings.Cut(d.To, " for ") // the table of brown-outs has its time
		return text + ": " + told
	case what[d.What] != "":
		return text + " " + orElse(to[d.To], d.To)
	}

	return text + ": " + d.To
}

type planAddressee struct {
	Account  string    `json:"account"`
	Old      time.Time `json:"old"`
	New      time.Time `json:"new"`
	Told     time.Time `json:"told"`
	Mailed   time.Time `json:"mailed"`
	Refusals int       `json:"refusals"`
}

// Active tells whether a plan goes on.
func (p *portPlan) Active() bool { return p.Ended.IsZero() && p.Outcome == "" }

// Brown tells whether a brown-out is on or to come.
func (p *portPlan) Brown() bool { return slices.ContainsFunc(p.Brownouts, brownout.Live) }

// State returns how a plan stands, in a word or two.
func (p *portPlan) State() string {
	switch {
	case p.Outcome == "done":
		return "done"
	case p.Outcome == "dropped":
		return "dropped"
	case p.Started.IsZero():
		return "not started"
	case p.Hold != nil:
		return "paused"
	}

	return "under way"
}

// plansPage is all plans, and who answers for port 990.
type plansPage struct {
	Plans []portPlan
	Owner struct {
		Owner  string    `json:"owner"`
		Why    string    `json:"why"`
		Review time.Time `json:"review"`
		By     string    `json:"by"`
		At     time.Time `json:"at"`
	}
	Review string // what was typed, or the date
	Kinds  []planKind
	Form   planForm
}

type planKind struct{ Name, Title string }

func planKinds() []planKind {
	return []planKind{
		{"leave-990", "Leave port 990 for 993"},
		{"leave-993", "Leave port 993 for 990"},
		{"tls-1.3", "Speak TLS 1.3 alone"},
		{"no-passwords", "Take no passwords that are sent as they are"},
	}
}

// planForm is what is typed for a plan. Dates are empty where an administrator is
// to say when.
type planForm struct{ Kind, Why, Announce, Pilot, PilotOn, Phase, PhaseOn, ClosedOn string }

// planAct is something that can be decided about a plan.
type planAct struct {
	Name, Title, Text string
	Danger            bool
}

func planActs() []planAct {
	return []planAct{
		{"start", "Start the plan", "From now on its steps begin by themselves when their dates come, unless their check finds somebody who would be cut off.", false},
		{"next", "Begin the next step", "It begins now instead of on its date.", true},
		{"pause", "Pause the plan", "It does not go on until you resume it. What its step does stays as it is.", false},
		{"resume", "Resume the plan", "Its steps begin by themselves again when their dates come.", false},
		{"rollback", "Go back", "Everybody is let in by both ways again, at once. The plan is paused then.", false},
		{"accept", "Accept that people are cut off", "These people may be refused by the next step although they were neither chosen nor told.", true},
		{"brownout", "Plan a brown-out", "For some minutes everybody is refused by the old way, to see who notices. It ends by itself.", true},
		{"end-brownout", "End the brown-out", "The one that is on ends at once; one that is planned does not begin.", false},
		{"drop", "Drop the plan", "It ends where it is, and the old way is open to everybody again.", true},
	}
}

// planActPage asks whether something is to be decided.
type planActPage struct {
	Plan                    portPlan
	Act                     planAct
	Why, Begins, At, Length string
}

func (s *Server) planRoutes() []Route {
	return []Route{
		{Pattern: "GET /plans", Role: Auditor, Nav: "Leaving port 990", Section: "Mail", Handle: (*visit).plans},
		{Pattern: "POST /plans", Role: Administrator, Handle: (*visit).makePlan},
		{Pattern: "POST /plans/owner", Role: Administrator, Handle: (*visit).ownPort},
		{Pattern: "POST /plans/report", Role: Auditor, Reads: true, Handle: (*visit).planReport},
		{Pattern: "GET /plans/{id}", Role: Auditor, Handle: (*visit).plan},
		{Pattern: "GET /plans/{id}/decide", Role: Administrator, Fresh: true, Handle: (*visit).decidePage},
		{Pattern: "POST /plans/{id}/decide", Role: Administrator, Fresh: true, Handle: (*visit).decide},
		{Pattern: "POST /plans/{id}/pause", Role: Operator, Handle: (*visit).pausePlan},
	}
}

// dateOf reads a date of a form as nine o'clock in the office.
func (s *Server) dateOf(text string) (time.Time, error) {
	day, err := time.ParseInLocation(time.DateOnly, text, s.office.zone())
	if err != nil {
		return day, err
	}

	return day.Add(9 * time.Hour), nil
}

func (v *visit) plansData() (d plansPage, err error) {
	d.Kinds = planKinds()
	if err := v.call(http.MethodGet, "/v1/plans", nil, &d.Plans); err != nil {
		return d, err
	}
	if err := v.call(http.MethodGet, "/v1/port-990", nil, &d.Owner); err != nil {
		return d, err
	}
	if !d.Owner.Review.IsZero() {
		d.Review = d.Owner.Review.In(v.s.office.zone()).Format(time.DateOnly)
	}

	return d, nil
}

func (v *visit) plans() error {
	d, err := v.plansData()
	if err != nil {
		return err
	}

	return v.show("plans", "Leaving port 990", &d)
}

func (v *visit) makePlan() error {
	f := planForm{
		v.value("kind"), v.value("why"), v.value("announce"), v.value("pilot"), v.value("pilot_on"), v.value("phase"), v.value("phase_on"), v.value("closed_on"),
	}
	bad := problems{}
	steps := f.steps(v.s, bad)
	if len(bad) == 0 {
		err := v.call(http.MethodPost, "/v1/plans", map[string]any{"kind": f.Kind, "why": f.Why, "steps": steps}, nil)
		if err == nil {
			v.flash("ok", "The plan is made. Nothing happens until you start it.")
			v.seeOther("/plans/" + url.PathEscape(f.Kind))
			return nil
		}
		if err := v.explain(err, bad, map[string]string{"plan-taken": "kind"}); err != nil {
			return err
		}
	}
	d, err := v.plansData()
	if err != nil {
		return err
	}
	d.Form = f

	return v.again("plans", "Leaving port 990", &d, bad)
}

// steps makes the steps of a plan of what was typed.
func (f *planForm) steps(s *Server, bad problems) []map[string]any {
	var all []map[string]any
	for _, step := range []struct{ stage, who, whoField, on, onField string }{
		{"announce", "", "", f.Announce, "announce"},
		{"pilot", f.Pilot, "pilot", f.PilotOn, "pilot_on"},
		{"phase", f.Phase, "phase", f.PhaseOn, "phase_on"},
		{"closed", "", "", f.ClosedOn, "closed_on"},
	} {
		if step.whoField != "" && step.who == "" {
			if step.on != "" {
				bad.add(step.whoField, "Say who, or take the date away.")
			}
			continue
		}
		one := map[string]any{"stage": step.stage}
		if step.on != "" {
			begins, err := s.dateOf(step.on)
			if err != nil {
				bad.add(step.onField, "A date such as 2027-01-31 is wanted, or nothing.")
			}
			one["begins"] = begins
		}
		if step.who != "" {
			one["who"] = chosenPeople(step.who)
		}
		all = append(all, one)
	}

	return all
}

// chosenPeople tells addresses of people from networks.
func chosenPeople(text string) map[string]any {
	people, networks := []string{}, []string{}
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' || r <= ' ' }) {
		switch {
		case part == "everybody":
			return map[string]any{"everybody": true}
		case strings.Contains(part, "@"):
			people = append(people, part)
		default:
			if !strings.Contains(part, "/") {
				part += map[bool]string{true: "/128", false: "/32"}[strings.Contains(part, ":")]
			}
			networks = append(networks, part)
		}
	}

	return map[string]any{"people": people, "networks": networks}
}

func (v *visit) ownPort() error {
	d, err := v.plansData()
	if err != nil {
		return err
	}
	bad := problems{}
	d.Owner.Owner, d.Owner.Why, d.Review = v.value("owner"), v.value("owner_why"), v.value("review")
	in := map[string]any{"owner": d.Owner.Owner, "why": d.Owner.Why}
	if d.Review != "" {
		day, err := v.s.dateOf(d.Review)
		if err != nil {
			bad.add("review", "A date such as 2027-01-31 is wanted, or nothing.")
		}
		in["review"] = day
	}
	if len(bad) == 0 {
		err := v.call(http.MethodPut, "/v1/port-990", in, nil)
		if err == nil {
			v.flash("ok", "It is noted who answers for port 990.")
			v.seeOther("/plans")
			return nil
		}
		if err := v.explain(err, bad, map[string]string{"plan": "review"}); err != nil {
			return err
		}
	}

	return v.again("plans", "Leaving port 990", &d, bad)
}

// planReport is a POST because it is recorded, and signs where the record ends.
func (v *visit) planReport() error {
	form := "html"
	if v.value("form") == "csv" {
		form = "csv"
	}

	return v.pass(http.MethodPost, "/v1/plans-report?form="+form, nil, "port-990."+form)
}

func (v *visit) planData() (p portPlan, err error) {
	if err := v.call(http.MethodGet, "/v1/plans/"+url.PathEscape(v.r.PathValue("id")), nil, &p); err != nil {
		return p, err
	}
	slices.Reverse(p.Decisions)
	slices.Reverse(p.Brownouts)

	return p, nil
}

func (v *visit) plan() error {
	p, err := v.planData()
	if err != nil {
		return err
	}

	return v.show("plan", p.Title, &p)
}

// planAct returns what is to be decided.
func (v *visit) planAct(name string) (d planActPage, err error) {
	acts := planActs()
	i := slices.IndexFunc(acts, func(a planAct) bool { return a.Name == name })
	if i < 0 {
		return d, errNotFound
	}
	d.Act, d.Length = acts[i], "10m"
	d.Plan, err = v.planData()

	return d, err
}

func (v *visit) decidePage() error {
	d, err := v.planAct(v.r.URL.Query().Get("act"))
	if err != nil {
		return err
	}

	return v.show("planact", d.Act.Title, &d)
}

func (v *visit) decide() error {
	d, err := v.planAct(v.value("act"))
	if err != nil {
		return err
	}
	d.Why, d.Begins, d.At, d.Length = v.value("why"), v.value("begins"), v.value("at"), v.value("for")
	bad := problems{}
	in := map[string]any{"why": d.Why}
	act := d.Act.Name
	switch act {
	case "next":
		in["now"] = true
		in["anyway"] = v.value("anyway") == "yes"
	case "accept":
		in["people"] = v.r.PostForm["person"]
		if len(v.r.PostForm["person"]) == 0 {
			bad.add("person", "Choose somebody.")
		}
	case "brownout":
		if minutes, err := strconv.Atoi(strings.TrimSuffix(d.Length, "m")); err != nil || minutes < 1 {
			bad.add("for", "Choose how long.")
		}
		begins, err := time.ParseInLocation("2006-01-02 15:04", d.Begins+" "+d.At, v.s.office.zone())
		if d.Begins+d.At != "" && err != nil {
			bad.add("begins", "A date and a time such as 14:30 are wanted, or neither.")
		}
		in["for"] = d.Length
		if d.Begins+d.At != "" {
			in["begins"] = begins
		}
	case "end-brownout":
		act, in["end"] = "brownout", true
	}
	if d.Act.Danger && d.Why == "" {
		bad.add("why", "Say why, for the record.")
	}
	if len(bad) == 0 {
		err = v.call(http.MethodPost, "/v1/plans/"+url.PathEscape(v.r.PathValue("id"))+"/"+act, in, nil)
		if err == nil {
			v.flash("ok", fmt.Sprintf("Done: %s.", strings.ToLower(d.Act.Title)))
			v.seeOther("/plans/" + url.PathEscape(v.r.PathValue("id")))
			return nil
		}
		if err := v.explain(err, bad, nil); err != nil {
			return err
		}
	}

	return v.again("planact", d.Act.Title, &d, bad)
}

// pausePlan asks nothing: whoever sees that something breaks is to stop it at once.
func (v *visit) pausePlan() error {
	act, done := "pause", "The plan is paused."
	if v.value("act") == "rollback" {
		act, done = "rollback", "Everybody is let in by both ways again. The plan is paused."
	}
	id := url.PathEscape(v.r.PathValue("id"))
	why := v.value("why")
	if why == "" {
		why = "by hand, on the web page"
	}
	err := v.call(http.MethodPost, "/v1/plans/"+id+"/"+act, map[string]any{"why": why}, nil)
	bad := problems{}
	if err == nil {
		v.flash("ok", done)
	} else if err := v.explain(err, bad, nil); err != nil {
		return err
	} else {
		v.flash("error", bad[""])
	}
	v.seeOther("/plans/" + id)

	return nil
}
