package webui

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// settingsVersion is a version of the settings.
type settingsVersion struct {
	Number      int            `json:"number"`
	By          string         `json:"by"`
	Why         string         `json:"why"`
	Confirmed   time.Time      `json:"confirmed"`
	ConfirmedBy string         `json:"confirmed_by"`
	Document    map[string]any `json:"document"`
}

// versionPage is one version, and what it would change.
type versionPage struct {
	settingsVersion

	Current bool
	Diff    []diff
	Reports []report
	Wrong   string // why it could not be restored
	Text    string
}

// report is what a part of the box says to a change.
type report struct {
	Applier string   `json:"applier"`
	Steps   []string `json:"steps"`
	Notes   []string `json:"notes"`
}

func (s *Server) settingsRoutes() []Route {
	return []Route{
		{Pattern: "GET /settings", Role: Auditor, Nav: "Settings history", Section: "System", Handle: (*visit).settings},
		{Pattern: "GET /settings/{number}", Role: Auditor, Reads: true, Handle: (*visit).settingsVersion},
		{Pattern: "POST /settings/{number}/restore", Role: Administrator, Fresh: true, Handle: (*visit).restoreSettings},
		{Pattern: "GET /settings/{number}/restore", Role: Administrator, Fresh: true, Reads: true, Handle: (*visit).settingsVersion},
	}
}

func (v *visit) settings() error {
	var all []settingsVersion
	if err := v.call(http.MethodGet, "/v1/settings/versions", nil, &all); err != nil {
		return err
	}

	return v.show("settings", "Settings history", all)
}

func (v *visit) settingsVersion() error {
	d, err := v.oneVersion()
	if err != nil {
		return err
	}

	return v.show("settingsversion", "Version "+strconv.Itoa(d.Number)+" of the settings", d)
}

func (v *visit) oneVersion() (d versionPage, err error) {
	number, err := strconv.Atoi(v.r.PathValue("number"))
	if err != nil {
		return d, errNotFound
	}
	if err := v.call(http.MethodGet, "/v1/settings/versions/"+strconv.Itoa(number), nil, &d.settingsVersion); err != nil {
		return d, err
	}
	var now struct {
		Current settingsVersion `json:"current"`
	}
	if err := v.call(http.MethodGet, "/v1/settings", nil, &now); err != nil {
		return d, err
	}
	if d.Current = now.Current.Number == d.Number; d.Current {
		return d, nil
	}
	var plan struct {
		Diff    []diff   `json:"diff"`
		Reports []report `json:"reports"`
	}
	err = v.call(http.MethodPost, "/v1/settings/plan", d.Document, &plan)
	bad := problems{}
	switch {
	case isCode(err, "unchanged"):
		return d, nil
	case err != nil:
		if err := v.explain(err, bad, nil); err != nil {
			return d, err
		}
	}
	d.Diff, d.Wrong = plan.Diff, bad[""]
	d.Reports = slices.DeleteFunc(plan.Reports, func(r report) bool { return len(r.Steps)+len(r.Notes) == 0 })

	return d, nil
}

func (v *visit) restoreSettings() error {
	number, err := strconv.Atoi(v.r.PathValue("number"))
	if err != nil {
		return errNotFound
	}
	err = v.call(http.MethodPost, "/v1/settings/proposals", map[string]any{"version": number, "why": v.value("why")}, nil)
	if err != nil {
		d, err2 := v.oneVersion()
		if err2 != nil {
			return err2
		}
		bad := problems{}
		if err := v.explain(err, bad, nil); err != nil {
			return err
		}
		return v.again("settingsversion", "Version "+strconv.Itoa(number)+" of the settings", d, bad)
	}
	v.seeOther("/settings")

	return nil
}
