package webui

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// tryout is what another version of the settings would change, for a page that
// changes a part of them.
type tryout struct {
	Diff    []diff
	Reports []report
}

// document returns the settings that hold.
func (v *visit) document() (map[string]any, error) {
	var s struct {
		Current struct {
			Document map[string]any `json:"document"`
		} `json:"current"`
	}
	err := v.call(http.MethodGet, "/v1/settings", nil, &s)
	if s.Current.Document == nil {
		s.Current.Document = map[string]any{}
	}

	return s.Current.Document, err
}

// part returns a part of a document, which it makes where it is missing.
func part(doc map[string]any, name string) map[string]any {
	p, ok := doc[name].(map[string]any)
	if !ok {
		p = map[string]any{}
		doc[name] = p
	}

	return p
}

// try checks a document, or with the button "try" has it tried, which ends the
// visit. What is wrong with it stands in bad, beside the field of its path.
func (v *visit) try(doc map[string]any, why, back string, bad problems, fields map[string]string) (*tryout, error) {
	if v.value("do") == "try" {
		err := v.call(http.MethodPost, "/v1/settings/proposals", map[string]any{"document": doc, "why": why}, nil)
		if err == nil {
			v.flash("ok", "The change is being tried. Keep it above if everything still works.")
			v.seeOther(back)
			return nil, nil
		}
		return nil, v.explainPaths(err, bad, fields)
	}
	var t tryout
	err := v.call(http.MethodPost, "/v1/settings/plan", doc, &t)
	t.Reports = slices.DeleteFunc(t.Reports, func(r report) bool { return len(r.Steps)+len(r.Notes) == 0 })
	if err != nil {
		return nil, v.explainPaths(err, bad, fields)
	}

	return &t, nil
}

// words splits what was typed into a field for several things.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' || r <= ' ' })
}

// networks reads networks; an address is one of its own.
func networks(text, field string, bad problems) []string {
	all := []string{}
	for _, word := range words(text) {
		n, err := netip.ParsePrefix(word)
		if a, single := netip.ParseAddr(word); single == nil {
			n, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			bad.add(field, "“"+word+"” is no network. One looks like 192.168.7.0/24.")
			continue
		}
		all = append(all, n.Masked().String())
	}

	return all
}

// addresses reads addresses.
func addresses(text, field string, bad problems) []string {
	all := []string{}
	for _, word := range words(text) {
		if _, err := netip.ParseAddr(word); err != nil {
			bad.add(field, "“"+word+"” is no address. One looks like 192.168.7.1.")
			continue
		}
		all = append(all, word)
	}

	return all
}
