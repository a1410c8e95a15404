package webui

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed pages
var pageFiles embed.FS

// page is what every template is filled with.
type page struct {
	Title   string
	Path    string
	Office  string
	Version string
	Who     *session
	Staff   bool // who is there may see more than their own account
	Menu    []section
	Flashes []flash
	Change  *change // of the settings, that is on its way
	Bad     problems
	D       any
}

// Problem returns what is wrong with a field, "" if nothing is.
func (p *page) Problem(field string) string { return p.Bad[field] }

// fault is what is wrong with a field.
type fault struct{ Field, Text string }

// Faults returns what is wrong with fields of the form that came back.
func (p *page) Faults() []fault {
	var all []fault
	for _, field := range slices.Sorted(maps.Keys(p.Bad)) {
		if field != "" {
			all = append(all, fault{field, p.Bad[field]})
		}
	}

	return all
}

// May tells whether who is there has a role.
func (p *page) May(role string) bool {
	want, err := ParseRole(role)

	return err == nil && p.Who != nil && p.Who.Role >= want
}

func (s *Server) loadPages() (map[string]*template.Template, error) {
	base, err := template.New("").Funcs(s.functions()).ParseFS(pageFiles, "pages/frame.html", "pages/parts.html")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		return nil, err
	}
	all := map[string]*template.Template{}
	for _, name := range names {
		key := strings.TrimSuffix(path.Base(name), ".html")
		if key == "frame" || key == "parts" {
			continue
		}
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(pageFiles, name)
		}
		if err != nil {
			return nil, fmt.Errorf("page %s: %w", key, err)
		}
		all[key] = t
	}

	return all, nil
}

// show answers with a page.
func (v *visit) show(name, title string, data any) error {
	return v.showForm(http.StatusOK, name, title, data, nil)
}

func (v *visit) showStatus(status int, name, title string, data any) error {
	return v.showForm(status, name, title, data, nil)
}

// again answers with a form that could not be used, with what was typed and why.
func (v *visit) again(name, title string, data any, bad problems) error {
	return v.showForm(http.StatusUnprocessableEntity, name, title, data, bad)
}

func (v *visit) showForm(status int, name, title string, data any, bad problems) error {
	t := v.s.pages[name]
	if t == nil {
		return fmt.Errorf("there is no template %q", name)
	}
	p := &page{
		Title: title, Path: v.r.URL.Path, Office: v.s.office.now().Name, Version: v.s.conf.Version,
		Who: v.who, Staff: v.may(Auditor), Menu: v.menuFor(), Bad: bad, D: data,
	}
	if v.who != nil {
		p.Flashes = v.s.sessions.flashed(v.who.ID)
	}
	if v.may(Auditor) {
		p.Change = v.change()
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "frame", p); err != nil {
		return fmt.Errorf("make page %s: %w", name, err)
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Add("Vary", "Accept-Encoding")
	text := b.Bytes()
	if takesZip(v.r) {
		var z bytes.Buffer
		zw, _ := gzip.NewWriterLevel(&z, gzip.BestSpeed) // a level that there is
		_, err := zw.Write(text)
		if err == nil && zw.Close() == nil {
			text = z.Bytes()
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(text)))
	v.w.WriteHeader(status)
	_, _ = v.w.Write(text) // a browser that has gone asks again

	return nil
}

// piece makes a part of a page alone, for what is filled again.
func (v *visit) piece(name, block string, data any) (string, error) {
	t := v.s.pages[name]
	if t == nil {
		return "", fmt.Errorf("there is no template %q", name)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, block, data); err != nil {
		return "", fmt.Errorf("make %s of page %s: %w", block, name, err)
	}

	return b.String(), nil
}

// functions are what templates can call.
func (s *Server) functions() template.FuncMap {
	return template.FuncMap{
		"asset":    func(name string) string { return s.assets.urls[name] },
		"when":     s.when,
		"day":      func(t time.Time) string { return t.In(s.office.zone()).Format("2 January 2006") },
		"ago":      func(t time.Time) string { return ago(s.now().Sub(t)) },
		"octets":   octets,
		"number":   func(n any) (string, error) { return anyNumber(n) },
		"plural":   plural,
		"path":     url.PathEscape,
		"role":     func(r Role) string { return r.String() },
		"dict":     dict,
		"bare":     bare,
		"sentence": sentence,
		"capital":  capital,
		"kind":     kindInWords,
		"who":      actorInWords,
		"details":  s.auditDetails,
		"lasting": func(text string) string {
			d, err := time.ParseDuration(text)
			if err != nil {
				return text
			}
			return span(d)
		},
		"navTitle": s.navTitle,
		"persons":  persons,
		"pairs":    pairs,
		"issuer":   issuer,
		"iso":      func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"deref": func(t *time.Time) time.Time {
			if t == nil {
				return time.Time{}
			}
			return *t
		},
	}
}

// bare takes quotes, brackets and braces of JSON from a value.
func bare(value string) string {
	var v any
	if json.Unmarshal([]byte(value), &v) != nil {
		return value
	}

	return orElse(plain(v), value)
}

// plain writes a value of JSON as people write it: a list with commas, what has
// parts as each part after its name.
func plain(v any) string {
	var all []string
	switch v := v.(type) {
	case string:
		return v
	case []any:
		for _, item := range v {
			all = append(all, plain(item))
		}
		return strings.Join(all, ", ")
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			text := plain(v[name])
			if _, deeper := v[name].(map[string]any); deeper {
				text = "(" + text + ")"
			}
			all = append(all, strings.ReplaceAll(name, "_", " ")+" "+text)
		}
		return strings.Join(all, "; ")
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}

	return string(text)
}

// dict makes what a block is filled with out of names and values.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("a name without a value")
	}
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("%v is no name", pairs[i])
		}
		m[name] = pairs[i+1]
	}

	return m, nil
}

// when writes a time in the office's zone: short for today.
func (s *Server) when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	zone := s.office.zone()
	t, today := t.In(zone), s.now().In(zone)
	if t.Format(time.DateOnly) == today.Format(time.DateOnly) {
		return "today, " + t.Format("15:04:05")
	}
	if t.Year() == today.Year() {
		return t.Format("2 Jan, 15:04")
	}

	return t.Format("2 Jan 2006, 15:04")
}

// ago tells how long something was before now, or will be after.
func ago(d time.Duration) string {
	switch {
	case d < -time.Minute:
		return "in " + span(-d)
	case d < time.Minute:
		return "just now"
	}

	return span(d) + " ago"
}

// span writes a duration by its largest unit.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return plural(int(d/time.Second), "second")
	case d < time.Hour:
		return plural(int(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour")
	}

	return plural(int(d/(24*time.Hour)), "day")
}

// plural writes a number with its noun.
func plural(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "s"), strings.HasSuffix(noun, "ch"):
		return number(int64(n)) + " " + noun + "es"
	}

	return number(int64(n)) + " " + noun + "s"
}

// persons writes how many people there are.
func persons(n int) string {
	if n == 1 {
		return "1 person"
	}

	return number(n) + " people"
}

// pairs writes a fingerprint as devices show it, so that it can be compared.
func pairs(digits string) string {
	var all []string
	for pair := range slices.Chunk([]rune(strings.ReplaceAll(digits, ":", "")), 2) {
		all = append(all, strings.ToUpper(string(pair)))
	}

	return strings.Join(all, " ")
}

// issuer takes out of a distinguished name what the issuer is called.
func issuer(name string) string {
	for part := range strings.SplitSeq(name, ",") {
		if rest, ok := strings.CutPrefix(part, "CN="); ok {
			return rest
		}
	}

	return name
}

// number writes a number with commas between its thousands.
func number[N int | int64 | uint64](n N) string {
	text := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}

	return sign + text
}

// octets writes a size as people read it, by powers of 1000.
func octets(n int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB"}
	f, i := float64(n), 0
	for f >= 999.5 && i < len(units)-1 {
		f /= 1000
		i++
	}
	if i == 0 || f >= 10 {
		return fmt.Sprintf("%.0f %s", f, units[i])
	}

	return fmt.Sprintf("%.1f %s", f, units[i])
}

// anyNumber is number for what templates have.
func anyNumber(n any) (string, error) {
	switch n := n.(type) {
	case int:
		return number(n), nil
	case int64:
		return number(n), nil
	case uint64:
		return number(n), nil
	}

	return "", fmt.Errorf("%T is no number", n)
}
