package doctor

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Severity says how bad a finding is.
type Severity string

// The severities, the worst first.
const (
	Broken  Severity = "broken"  // mail does not work, or is not safe
	Warning Severity = "warning" // it will not work soon, or not for all
	Note    Severity = "note"    // something to know; all is well nevertheless
)

func (s Severity) rank() int { return slices.Index([]Severity{Broken, Warning, Note}, s) }

// Report is what an examination found.
type Report struct {
	Host string `json:"host"`
	// Well says that nothing was found beyond notes.
	Well       bool         `json:"well"`
	Began      time.Time    `json:"began"`
	Findings   []Finding    `json:"findings"` // the worst first
	NotChecked []NotChecked `json:"not_checked"`
	Checked    []string     `json:"checked"` // what was looked at
	Timings    []Timing     `json:"timings"`
}

// Worst returns the worst severity among the findings, "" if there is none.
func (r *Report) Worst() Severity {
	if len(r.Findings) == 0 {
		return ""
	}

	return r.Findings[0].Severity
}

// Finding is one thing that is wrong.
type Finding struct {
	ID       string   `json:"id"` // stable, in kebab-case
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Where    []string `json:"where,omitempty"` // ports or addresses
	Why      string   `json:"why"`             // it matters
	Do       string   `json:"do"`
	See      string   `json:"see"` // a command that shows it too
}

// NotChecked is something that was not looked at.
type NotChecked struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Timing is how long an answer took.
type Timing struct {
	What string  `json:"what"`
	MS   float64 `json:"ms"`
}

// examination is one examination as it goes. It runs in one goroutine.
type examination struct {
	*Doctor
	*Request

	name   string // that the certificate must hold
	domain string // "" if none is known
	report *Report

	refused bool // the password was, once
}

// step is a check with those that need it.
type step struct {
	name  string
	run   func(ctx context.Context) bool // whether those below can be tried
	below []step
	// more returns steps that are known only after run; nil means none.
	more func() []step
}

// walk runs steps. What lies below one that fails is not checked.
func (x *examination) walk(ctx context.Context, steps []step) {
	for _, s := range steps {
		if s.run == nil {
			continue
		}
		if ctx.Err() != nil {
			x.skip(s.name, "the time for the examination was over")
			continue
		}
		if s.run(ctx) {
			if !slices.ContainsFunc(x.report.NotChecked, func(n NotChecked) bool { return n.What == s.name }) {
				x.checked(s.name)
			}
			below := s.below
			if s.more != nil {
				below = append(slices.Clone(below), s.more()...)
			}
			x.walk(ctx, below)
			continue
		}
		x.leave(s.below, s.name)
	}
}

// leave notes that steps are not tried.
func (x *examination) leave(steps []step, failed string) {
	for _, s := range steps {
		if s.run != nil {
			x.skip(s.name, "it needs what failed before it: "+failed)
			x.leave(s.below, failed)
		}
	}
}

func (x *examination) checked(what string) {
	if what != "" && !slices.Contains(x.report.Checked, what) {
		x.report.Checked = append(x.report.Checked, what)
	}
}

func (x *examination) skip(what, why string) {
	n := NotChecked{What: what, Why: why}
	if !slices.Contains(x.report.NotChecked, n) {
		x.report.NotChecked = append(x.report.NotChecked, n)
	}
}

func (x *examination) time(what string, since time.Time) time.Duration {
	took := time.Since(since)
	x.report.Timings = append(x.report.Timings, Timing{What: what, MS: float64(took.Microseconds()) / 1000})

	return took
}

// find adds a finding of a known kind. where is "" or a port or an address;
// see fills the places of the kind's command.
func (x *examination) find(id, where, what string, see place) {
	k := kindOf(id)
	what = clean(what)
	for i := range x.report.Findings {
		f := &x.report.Findings[i]
		if f.ID == id && (unquoted(f.What) == unquoted(what) || id == "dns-silent") {
			if where != "" && !slices.Contains(f.Where, where) {
				f.Where = append(f.Where, where)
			}
			return
		}
	}
	if see.host == "" {
		see.host = x.Host
	}
	if see.domain == "" {
		see.domain = x.domain
	}
	f := Finding{ID: id, Severity: k.severity, What: what, Why: k.why, Do: k.do, See: see.fill(k.see)}
	if where != "" {
		f.Where = []string{where}
	}
	x.report.Findings = append(x.report.Findings, f)
}

// unquoted leaves out a server's own words, which may differ each time.
func unquoted(what string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(what, "“")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		_, what, _ = strings.Cut(rest, "”")
	}
}

// end puts the report in order.
func (x *examination) end(ctx context.Context) *Report {
	r := x.report
	if ctx.Err() != nil {
		x.skip("the rest", "the time for the examination was over")
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Compare(a.Severity.rank(), b.Severity.rank())
	})
	r.Well = !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity != Note })

	return r
}

// maxQuoted bounds what is shown of a server's text, in runes.
const maxQuoted = 300

// clean makes foreign text fit to be shown.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 3*maxQuoted {
		s = string(r[:3*maxQuoted]) + " …"
	}

	return s
}

// quote shows a server's text within ours.
func quote(s string) string {
	s = strings.TrimSpace(clean(s))
	if r := []rune(s); len(r) > maxQuoted {
		s = string(r[:maxQuoted]) + " …"
	}

	return "“" + s + "”"
}
