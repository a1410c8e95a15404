package sunset

import (
	_ "embed" // the page
	"encoding/csv"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"
	"time"
)

//go:embed report.html
var page string

// WriteHTML writes a report as one page without anything from elsewhere, to be
// read or printed.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"time": func(t time.Time) string {
			if t.IsZero() {
				return "–"
			}
			return t.UTC().Format("2006-01-02 15:04")
		},
		"day": func(t time.Time) string {
			if t.IsZero() {
				return "–"
			}
			return t.UTC().Format(time.DateOnly)
		},
		"date":  date, // that somebody has set
		"list":  func(all []string) string { return strings.Join(all, ", ") },
		"does":  func(p Plan, i int) string { return p.does(i) },
		"place": func(p Plan, i int) string { return p.place(i) },
		"port":  portName,
		"plan":  func(s Status) Plan { return s.Plan },
	}).Parse(page)
	if err != nil {
		return fmt.Errorf("read the report's page: %w", err)
	}
	if err := t.Execute(w, r); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}

	return nil
}

// date is a day as whoever set it wrote it.
func date(t time.Time) string {
	if t.IsZero() {
		return "–"
	}

	return t.Local().Format(time.DateOnly)
}

func portName(name string) string {
	switch name {
	case IMAPS:
		return "993"
	case Legacy:
		return "990"
	}

	return name
}

// does says what a step does, for the runbook.
func (p *Plan) does(i int) string {
	about := p.Kind.words()
	switch s := p.Steps[i]; s.Stage {
	case Dual:
		return "Both ways work. Nobody is told anything."
	case Announce:
		return "Whoever comes by " + about.old + " is told so by the mail program (ALERT), and by mail with their own devices and what to change."
	case Pilot, Phase:
		return "Refused by " + about.old + ", with what to change: " + s.Who.String() + "."
	case Closed:
		if about.port == "" {
			return "The settings do not offer " + about.old + " any more."
		}
		return "Everybody who connects to " + about.old + " is told what to change, and let go; for " + p.Grace.String() + "."
	case Silent:
		return "The listener of " + about.old + " and its rule in the firewall are gone."
	}

	return ""
}

// WriteCSV writes a report as one table; a cell that a spreadsheet could take for
// a formula begins with an apostrophe.
func (r *Report) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	row := func(cells ...string) {
		for i, cell := range cells {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
				cells[i] = "'" + cell
			}
		}
		_ = c.Write(cells) // Error tells
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	row("section", "time", "who", "what", "about", "from", "to", "why")
	row("report", at(r.Made), r.For, "made", r.Server, "", "", "")
	o := r.Ownership
	row("ownership", at(o.At), o.Owner, "port 990 is "+map[bool]string{true: "open", false: "closed"}[r.Open], "port 990", "", "review "+date(o.Review), o.Why)
	for _, s := range r.Plans {
		row("plan", at(s.Made), s.By, s.Place, string(s.Kind), at(s.Since), string(s.Outcome), s.Spec.Why)
		for i, step := range s.Steps {
			row("step", at(step.Begins), step.Who.String(), s.place(i), string(s.Kind), "", "", s.does(i))
		}
		for _, b := range s.Brownouts {
			row("brown-out", at(b.Begins), b.By, string(b.State), string(s.Kind), at(b.Began), at(b.Ended),
				"tried: "+strings.Join(b.Tried, " ")+"; came by "+s.Kind.words().new+": "+strings.Join(b.Came, " "))
		}
		for _, person := range s.People {
			row("person", at(person.Old), person.Account, "told "+at(person.Told)+" mailed "+at(person.Mailed), string(s.Kind),
				"", at(person.New), strconv.Itoa(person.Refusals)+" refusals")
		}
	}
	for _, u := range r.Inventory {
		row("inventory", at(u.Last), u.Account, u.Device, portName(u.Port), u.Address,
			strings.TrimSpace(u.TLS+" "+u.Mechanism), strings.Join(append([]string{strconv.Itoa(u.Sessions) + " sessions"}, u.Risks...), "; "))
	}
	for _, caller := range r.Callers {
		row("caller", at(caller.Last), caller.Remote.String(), "knocks at a closed port", "", "", "", strconv.Itoa(caller.Count)+" times")
	}
	for _, d := range r.Decisions() {
		row("decision", at(d.At), d.By, string(d.What), d.About, d.From, d.To, d.Why)
	}
	for _, change := range r.Changes {
		row("change", at(change.At), change.By, strings.Join(change.What, "; "), "version "+strconv.Itoa(change.Version), "", "", change.Why)
	}
	for _, e := range r.Evidence {
		row("evidence", "", "", e.Name, "", "", "", e.Value)
	}
	c.Flush()
	if err := c.Error(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}

	return nil
}
