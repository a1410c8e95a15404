package sunset

import (
	"fmt"
	"strings"
	"time"
)

// Words are what people are told; "" means the usual. {server} stands for the
// server's name and {date} for when the next step begins, or for "soon".
type Words struct {
	Announce string `json:"announce,omitempty"` // the ALERT; ASCII, as Refuse and Farewell
	Refuse   string `json:"refuse,omitempty"`   // after a sign-in that is refused
	Farewell string `json:"farewell,omitempty"` // with which a closed port greets
	Subject  string `json:"subject,omitempty"`  // of the mail
	Mail     string `json:"mail,omitempty"`     // its first paragraph; the person's devices and what to change follow
}

// maxWords bounds each of them, in octets; maxLetter the paragraph of the mail.
const (
	maxWords  = 380
	maxLetter = 4000
)

func (w Words) filled(k Kind) (Words, error) {
	about := k.words()
	or := func(text *string, usual string) {
		if *text == "" {
			*text = usual
		}
	}
	or(&w.Announce, upper(about.old)+" will not be served here any more ({date}). Please "+about.change+"; the server is {server}. "+about.rest)
	or(&w.Refuse, "Your password is right, but "+about.old+" is over for you. Please "+about.change+"; the server is {server}. "+about.rest)
	or(&w.Farewell, upper(about.old)+" is not served here any more. Please "+about.change+"; the server is {server}. "+about.rest)
	or(&w.Subject, "Please change a device: "+about.old+" ends ({date})")
	or(&w.Mail, upper(about.old)+" is going to end on our mail server ({date}). Some of your devices still come that way and would stop showing mail.")
	for _, t := range []struct{ name, text string }{{"announce", w.Announce}, {"refuse", w.Refuse}, {"farewell", w.Farewell}, {"subject", w.Subject}} {
		if len(t.text) > maxWords || strings.ContainsFunc(t.text, func(r rune) bool { return r < ' ' || r > '~' }) {
			return w, fmt.Errorf("words.%s: one line of ASCII and at most %d octets, because mail programs show no other", t.name, maxWords)
		}
	}
	if len(w.Mail) > maxLetter || strings.ContainsFunc(w.Mail, func(r rune) bool { return r < ' ' && r != '\n' }) {
		return w, fmt.Errorf("words.mail: at most %d octets of text", maxLetter)
	}

	return w, nil
}

func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// said fills in what is known now, with times as they are in a zone.
func (p *Plan) said(text, server string, zone *time.Location) string {
	date := "soon"
	if n := p.next(); n != nil && !n.Begins.IsZero() {
		date = "on " + n.Begins.In(zone).Format("2 January 2006")
	}

	return strings.NewReplacer("{server}", server, "{date}", date).Replace(text)
}

// warned is what is said of the brown-out that comes next, "" if none does.
func (p *Plan) warned(now time.Time, zone *time.Location) string {
	for _, b := range p.Brownouts {
		if b.State == Planned && b.Begins.After(now) {
			return fmt.Sprintf(" A test: on %s %s is closed for %s.",
				b.Begins.In(zone).Format("2 January 15:04"), p.Kind.words().old, time.Duration(b.For))
		}
	}

	return ""
}

// warnedUntil is when that brown-out begins.
func (p *Plan) warnedUntil(now time.Time) time.Time {
	for _, b := range p.Brownouts {
		if b.State == Planned && b.Begins.After(now) {
			return b.Begins
		}
	}

	return time.Time{}
}
