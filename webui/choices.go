package webui

import (
	"fmt"
	"strconv"
	"strings"
)

// kind is how a setting is typed.
type kind int

const (
	asText kind = iota
	asNumber
	asWords // a list with spaces between
	asChoice
)

// choice is one of a setting's values.
type choice struct{ Value, Title string }

// setting is one of the settings, as a page shows it.
type setting struct {
	Path  string // in the settings, such as office.name
	Label string
	Hint  string // what it does, and what is usual
	Kind  kind
	// Choices are for asChoice; true and false stand for a switch.
	Choices []choice

	Value string
}

// Name is that of the field.
func (s setting) Name() string { return strings.ReplaceAll(s.Path, ".", "-") }

// Mode is which keys a telephone shows, as inputmode has it; "" for all.
func (s setting) Mode() string {
	if s.Kind == asNumber {
		return "numeric"
	}

	return ""
}

// Listed tells whether it is chosen from a list.
func (s setting) Listed() bool { return s.Kind == asChoice }

// settingGroup are settings that one form sets.
type settingGroup struct {
	Name, Title, About string
	// Whole is a part that exists or not: where Needs, one of the settings, is left
	// empty, it does not.
	Whole, Needs string
	Settings     []setting
}

func openOrClosed(open, closed string) []choice { return []choice{{open, "open"}, {closed, "closed"}} }

// settingGroups are the settings that have no page of their own.
func settingGroups() []settingGroup {
	return []settingGroup{
		{Name: "office", Title: "The office", About: "Holds at once.", Settings: []setting{
			{Path: "office.name", Label: "Name", Hint: "People see it on these pages, and mail programs where they are set up."},
			{Path: "office.domain", Label: "Mail domain", Hint: "What stands behind the @ of your addresses, such as office.example."},
			{Path: "office.time_zone", Label: "Time zone", Hint: "In which times are shown and changes happen, such as Europe/Berlin. Empty for the machine's."},
		}},
		{Name: "programs", Title: "What mail programs are told", About: "Holds at once, for programs that are still to be set up.",
			Whole: "client_setup.outgoing", Needs: "client_setup.outgoing.server", Settings: []setting{
				{Path: "client_setup.server", Label: "Name of this box", Hint: "Such as mail.office.example. Empty for the name that the box has."},
				{Path: "client_setup.outgoing.server", Label: "Server for sending", Hint: "Such as smtp.provider.example. Empty where there is none yet."},
				{Path: "client_setup.outgoing.port", Label: "Its port", Hint: "Often 465 with TLS, 587 with STARTTLS.", Kind: asNumber},
				{Path: "client_setup.outgoing.security", Label: "Its encryption", Kind: asChoice, Choices: []choice{{"", "TLS from the start"}, {"starttls", "STARTTLS"}}},
				{Path: "client_setup.outgoing.sign_in", Label: "People sign in there with", Kind: asChoice, Choices: []choice{
					{"", "a name and password of its own"}, {"same", "their address and mailbox's password"}, {"none", "nothing"},
				}},
			}},
		{Name: "records", Title: "How long records are kept", About: "What is older, or too much, leaves for good. A change of how long is to be kept by you before it holds.", Settings: []setting{
			{Path: "audit.acts.days", Label: "What administrators did, in days", Hint: "90 to 3660. Empty for the usual 1095.", Kind: asNumber},
			{Path: "audit.acts.megabytes", Label: "and in megabytes", Hint: "4 to 4096. Empty for the usual 16.", Kind: asNumber},
			{Path: "audit.access.days", Label: "Who signed in, and from where, in days", Hint: "7 to 3660. Empty for the usual 90.", Kind: asNumber},
			{Path: "audit.access.megabytes", Label: "and in megabytes", Hint: "4 to 4096. Empty for the usual 48.", Kind: asNumber},
			{Path: "inventory.days", Label: "Which device used which port, in days", Hint: "30 to 400. Empty for the usual 90.", Kind: asNumber},
			{Path: "audit.checkpoints_to", Label: "Who gets a proof of the record by mail each day", Hint: "An address here. With these mails it shows if somebody changes the record. Empty for nobody."},
		}},
		{Name: "changes", Title: "How changes are made", Whole: "changes.window", Needs: "changes.window.from", Settings: []setting{
			{Path: "changes.confirm_within", Label: "Seconds in which a change is to be kept", Hint: "30 to 900, usually 90: then it takes itself back.", Kind: asNumber},
			{Path: "changes.window.from", Label: "Changes may begin from", Hint: "Such as 22:00, in the office's time zone. Empty for at any time."},
			{Path: "changes.window.to", Label: "until", Hint: "Such as 05:00; on the next day, if that is earlier."},
			{Path: "changes.window.days", Label: "on these days", Hint: "Such as: mon tue wed thu fri. Empty for each.", Kind: asWords},
		}},
		{Name: "ports", Title: "Ports", About: "Who may reach them is said on the page Firewall. To close a port that people use, make a plan: it tells them before.", Settings: []setting{
			{Path: "ports.no_imaps", Label: "Port 993, for mail programs", Hint: "Usually open.", Kind: asChoice, Choices: openOrClosed("false", "true")},
			{Path: "ports.imaps_legacy", Label: "Port 990, for old devices", Hint: "Open on a fresh box.", Kind: asChoice, Choices: openOrClosed("true", "false")},
			{Path: "ports.metrics", Label: "Port 9464, for Prometheus", Hint: "Usually closed. It wants a token, from: pillarbox metrics token.", Kind: asChoice, Choices: openOrClosed("true", "false")},
		}},
	}
}

// choicesPage are all of them.
type choicesPage struct {
	Groups []settingGroup
	Zones  []string
}

func (s *Server) choicesRoutes() []Route {
	return []Route{
		{Pattern: "GET /office", Role: Auditor, Nav: "Office and settings", Section: "System", Handle: (*visit).choices},
		{Pattern: "POST /office/{group}", Role: Administrator, Handle: (*visit).changeChoices},
	}
}

const choicesTitle = "Office and settings"

func (v *visit) choicesData() (d choicesPage, err error) {
	doc, err := v.document()
	if err != nil {
		return d, err
	}
	d.Groups, d.Zones = settingGroups(), zones()
	for i := range d.Groups {
		for j := range d.Groups[i].Settings {
			s := &d.Groups[i].Settings[j]
			s.Value = s.shown(at(doc, s.Path))
		}
	}

	return d, nil
}

// at returns what stands at a path, nil for nothing.
func at(doc map[string]any, path string) any {
	var now any = doc
	for name := range strings.SplitSeq(path, ".") {
		m, ok := now.(map[string]any)
		if !ok {
			return nil
		}
		now = m[name]
	}

	return now
}

// shown puts a value into a field.
func (s setting) shown(value any) string {
	switch value := value.(type) {
	case nil:
		if s.Kind == asChoice && len(s.Choices) == 2 && s.Choices[0].Value != "" {
			return "false" // of a switch that nobody touched
		}
		return ""
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	case []any:
		var all []string
		for _, one := range value {
			all = append(all, fmt.Sprint(one))
		}
		return strings.Join(all, " ")
	}
	text := fmt.Sprint(value)
	if s.Path == "client_setup.outgoing.security" && text == "tls" || s.Path == "client_setup.outgoing.sign_in" && text == "own" {
		return "" // as which that counts
	}

	return text
}

// typed reads a field: nil is what is usual.
func (s setting) typed(bad problems) any {
	switch s.Kind {
	case asText:
	case asWords:
		if all := words(strings.ToLower(s.Value)); len(all) > 0 {
			return all
		}
		return nil
	case asNumber:
		n, err := strconv.Atoi(s.Value)
		if err != nil && s.Value != "" {
			bad.add(s.Name(), "Type a whole number, or nothing.")
		}
		if err == nil {
			return n
		}
		return nil
	case asChoice:
		known := false
		for _, c := range s.Choices {
			known = known || c.Value == s.Value
		}
		if !known {
			bad.add(s.Name(), "Choose one of the list.")
		}
		if s.Value == "true" || s.Value == "false" {
			return s.Value == "true"
		}
	}
	if s.Value == "" {
		return nil
	}

	return s.Value
}

func (v *visit) choices() error {
	d, err := v.choicesData()
	if err != nil {
		return err
	}

	return v.show("choices", choicesTitle, &d)
}

func (v *visit) changeChoices() error {
	d, err := v.choicesData()
	if err != nil {
		return err
	}
	for i := range d.Groups {
		if g := &d.Groups[i]; g.Name == v.r.PathValue("group") {
			return v.saveChoices(&d, g)
		}
	}

	return errNotFound
}

// saveChoices sets what was typed into one of the forms.
func (v *visit) saveChoices(d *choicesPage, g *settingGroup) error {
	bad, fields, set := problems{}, map[string]string{}, map[string]any{}
	leftOut := false
	for i := range g.Settings {
		s := &g.Settings[i]
		s.Value = v.value(s.Name())
		fields[s.Path] = s.Name()
		leftOut = leftOut || s.Path == g.Needs && s.Value == ""
	}
	if leftOut {
		put(set, g.Whole, nil)
	}
	for _, s := range g.Settings {
		if !leftOut || !strings.HasPrefix(s.Path, g.Whole+".") {
			put(set, s.Path, s.typed(bad))
		}
	}
	pending := false
	if len(bad) == 0 {
		var err error
		if pending, err = v.amend(set, v.value("why"), bad, fields); err != nil {
			return err
		}
	}
	switch {
	case len(bad) > 0:
		return v.again("choices", choicesTitle, d, bad)
	case pending:
		v.flash("ok", "The change is on its way. Keep it above if everything still works.")
	default:
		v.flash("ok", "Saved.")
	}
	v.seeOther("/office")

	return nil
}

// put puts a value at a path.
func put(set map[string]any, path string, value any) {
	place, rest, deeper := strings.Cut(path, ".")
	if deeper {
		put(part(set, place), rest, value)
		return
	}
	set[place] = value
}
