package webui

import "net/http"

// supportPart is a file of a support bundle, as the API tells it.
type supportPart struct {
	Name  string `json:"name"`
	Title string `json:"title"`
}

func (s *Server) supportRoutes() []Route {
	return []Route{
		{Pattern: "GET /support", Role: Administrator, Nav: "Support bundle", Section: "System", Handle: (*visit).support},
		{Pattern: "POST /support", Role: Administrator, Fresh: true, Reads: true, Handle: (*visit).supportBundle},
	}
}

// support shows what a bundle would hold.
func (v *visit) support() error {
	var parts []supportPart
	if err := v.call(http.MethodGet, "/v1/support", nil, &parts); err != nil {
		return err
	}

	return v.show("support", "Support bundle", parts)
}

// supportBundle sends a bundle.
func (v *visit) supportBundle() error {
	ask := struct {
		KeepNames bool `json:"keep_names"`
	}{v.r.FormValue("keep_names") != ""}
	name := "pillarbox-support-" + v.s.now().UTC().Format("20060102-1504") + ".zip"

	return v.pass(http.MethodPost, "/v1/support", ask, name)
}
