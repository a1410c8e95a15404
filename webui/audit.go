package webui

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// auditEntry is a record of who did what.
type auditEntry struct {
	Book     string            `json:"book"`
	Severity string            `json:"severity"`
	Seq      uint64            `json:"seq"`
	Time     time.Time         `json:"time"`
	Kind     string            `json:"kind"`
	Values   map[string]string `json:"values"`
}

// inWords makes of an object in JSON what a person can read.
func inWords(value string) string {
	var object map[string]any
	if !strings.HasPrefix(value, "{") || json.Unmarshal([]byte(value), &object) != nil {
		return value
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(object)) {
		switch x := object[name].(type) {
		case string:
			if name != "id" && name != "created" && x != "" {
				all = append(all, name+" "+x)
			}
		case float64:
			if x != 0 {
				all = append(all, fmt.Sprintf("%s %.0f", name, x))
			}
		case bool:
			if x {
				all = append(all, strings.ReplaceAll(name, "_", " "))
			}
		case nil:
		default:
			return value
		}
	}

	return strings.Join(all, ", ")
}

// auditPage is a part of the record, and how it was chosen.
type auditPage struct {
	Entries              []auditEntry
	Kind, Account, Since string
	Until                string
	Topics               []auditTopic
	Before               string // the place from which this goes back; "" from the end
	Older                string // the place behind it; "" if there is nothing
	Verified             *verified
}

// verified is what came of verifying the record.
type verified struct {
	Books []struct {
		Name    string `json:"name"`
		Records int    `json:"records"`
	} `json:"books"`
	Findings []struct {
		Text string `json:"text"`
	} `json:"findings"`
}

// listed is how many records a page shows.
const listed = 100

func (s *Server) auditRoutes() []Route {
	return []Route{
		{Pattern: "GET /audit", Role: Auditor, Nav: "Audit", Section: "Security", Handle: (*visit).audit},
		{Pattern: "POST /audit/export", Role: Auditor, Reads: true, Handle: (*visit).exportAudit},
		{Pattern: "POST /audit/verify", Role: Auditor, Reads: true, Handle: (*visit).verifyAudit},
	}
}

func (v *visit) audit() error {
	d, err := v.auditData(v.r.URL.Query())
	if err != nil {
		return err
	}

	return v.show("audit", "Audit", d)
}

func (v *visit) auditData(q url.Values) (d auditPage, err error) {
	d = auditPage{Kind: q.Get("kind"), Account: strings.TrimSpace(q.Get("account")), Since: q.Get("since"), Until: q.Get("until"), Topics: auditTopics()}
	d.Before = q.Get("before")
	choice := v.s.auditChoice(&d)
	choice.Set("limit", fmt.Sprint(listed))
	if d.Before != "" {
		choice.Set("before", d.Before)
	}
	if err := v.call(http.MethodGet, "/v1/audit/records?"+choice.Encode(), nil, &d.Entries); err != nil {
		return d, err
	}
	if len(d.Entries) == listed {
		d.Older = placeAfter(d.Before, d.Entries)
	}

	return d, nil
}

// Link leads to the same choice from a place on, "" from the end.
func (d auditPage) Link(before string) string {
	q := url.Values{}
	for name, value := range map[string]string{"kind": d.Kind, "account": d.Account, "since": d.Since, "until": d.Until, "before": before} {
		if value != "" {
			q.Set(name, value)
		}
	}

	return "/audit?" + q.Encode()
}

// placeAfter is the place in the record behind what is shown from a place on, as
// the API has it: of each book the least number.
func placeAfter(before string, shown []auditEntry) string {
	least := map[string]uint64{}
	for part := range strings.SplitSeq(before, ",") {
		book, number, _ := strings.Cut(part, ":")
		if n, err := strconv.ParseUint(number, 10, 64); err == nil {
			least[book] = n
		}
	}
	for _, e := range shown { // by time, which is not always the order of the numbers
		if n, ok := least[e.Book]; !ok || e.Seq < n {
			least[e.Book] = e.Seq
		}
	}
	var parts []string
	for _, book := range slices.Sorted(maps.Keys(least)) {
		parts = append(parts, fmt.Sprintf("%s:%d", book, least[book]))
	}

	return strings.Join(parts, ",")
}

// auditChoice makes a query for the API of what was typed; what is no date or
// kind chooses nothing.
func (s *Server) auditChoice(d *auditPage) url.Values {
	choice := url.Values{}
	if slices.ContainsFunc(d.Topics, func(t auditTopic) bool { return t.Name == d.Kind }) {
		choice.Set("kind", d.Kind)
	}
	if d.Account != "" {
		choice.Set("account", d.Account)
	}
	for name, text := range map[string]string{"since": d.Since, "until": d.Until} {
		day, err := time.ParseInLocation(time.DateOnly, text, s.office.zone())
		if err != nil {
			continue
		}
		if name == "until" {
			day = day.AddDate(0, 0, 1) // the day itself counts
		}
		choice.Set(name, day.Format(time.RFC3339))
	}

	return choice
}

func (v *visit) exportAudit() error {
	format, name := "csv", "audit.csv"
	if v.value("format") == "jsonl" {
		format, name = "jsonl", "audit.jsonl"
	}
	d := auditPage{Kind: v.value("kind"), Account: v.value("account"), Since: v.value("since"), Until: v.value("until"), Topics: auditTopics()}
	choice := v.s.auditChoice(&d)
	choice.Set("format", format)

	return v.pass(http.MethodPost, "/v1/audit/export?"+choice.Encode(), nil, name)
}

func (v *visit) verifyAudit() error {
	v.deadline(longAnswer)
	d, err := v.auditData(url.Values{})
	if err != nil {
		return err
	}
	d.Verified = &verified{}
	if err := v.call(http.MethodPost, "/v1/audit/verify", map[string]any{}, d.Verified); err != nil {
		return err
	}

	return v.show("audit", "Audit", d)
}
