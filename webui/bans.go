package webui

import (
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// ban is who may not connect.
type ban struct {
	Network  string    `json:"network"`
	Account  string    `json:"account"`
	Reason   string    `json:"reason"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
	Times    int       `json:"times"`
	Manual   bool      `json:"manual"`
	Attempts int       `json:"attempts"`
	Tried    []string  `json:"tried"`
	Refused  int64     `json:"refused"`
}

// bansPage is who is kept out, and who never is.
type bansPage struct {
	Bans    []ban
	Allowed []struct {
		Network string    `json:"network"`
		Note    string    `json:"note"`
		Since   time.Time `json:"since"`
	}
	// What was typed.
	Network, Reason, Days, Spare, Note string
	Me                                 string // the address from which the page is seen
}

func (s *Server) banRoutes() []Route {
	return []Route{
		{Pattern: "GET /bans", Role: Auditor, Nav: "Bans", Section: "Security", Handle: (*visit).bans},
		{Pattern: "POST /bans/add", Role: Operator, Handle: (*visit).addBan},
		{Pattern: "POST /bans/lift", Role: Operator, Handle: (*visit).liftBan},
		{Pattern: "POST /bans/allow", Role: Operator, Handle: (*visit).allowNetwork},
		{Pattern: "POST /bans/disallow", Role: Operator, Handle: (*visit).disallowNetwork},
	}
}

func (v *visit) bansData() (d bansPage, err error) {
	d = bansPage{
		Network: v.value("network"), Reason: v.value("reason"), Days: v.value("days"), Spare: v.value("spare"), Note: v.value("note"),
		Me: remoteOf(v.r).String(),
	}
	if err := v.call(http.MethodGet, "/v1/bans", nil, &d.Bans); err != nil {
		return d, err
	}

	return d, v.call(http.MethodGet, "/v1/allowed", nil, &d.Allowed)
}

func (v *visit) bans() error {
	d, err := v.bansData()
	if err != nil {
		return err
	}

	return v.show("bans", "Bans", d)
}

// bansAgain shows the forms with what was wrong, or the page anew.
func (v *visit) bansAgain(err error, fields map[string]string, done string) error {
	if err == nil {
		v.flash("ok", done)
		v.seeOther("/bans")
		return nil
	}
	bad := problems{}
	if err := v.explain(err, bad, fields); err != nil {
		return err
	}
	d, err := v.bansData()
	if err != nil {
		return err
	}

	return v.again("bans", "Bans", d, bad)
}

func (v *visit) addBan() error {
	hours := map[string]int64{"hour": 1, "day": 24, "week": 7 * 24, "month": 30 * 24}[v.value("days")]
	if hours == 0 {
		hours = 24
	}
	err := v.call(http.MethodPost, "/v1/bans", map[string]any{
		"network": v.value("network"), "reason": v.value("reason"), "seconds": hours * 3600,
	}, nil)

	return v.bansAgain(err, map[string]string{"network": "network", "spared": "network", "request": "network"},
		v.value("network")+" is kept out now.")
}

func (v *visit) liftBan() error {
	q := url.Values{"network": {v.value("network")}}
	if a := v.value("account"); a != "" {
		q.Set("account", a)
	}
	var lifted []ban
	err := v.call(http.MethodDelete, "/v1/bans?"+q.Encode(), nil, &lifted)

	return v.bansAgain(err, nil, v.value("network")+" may connect again ("+strconv.Itoa(len(lifted))+" lifted).")
}

func (v *visit) allowNetwork() error {
	err := v.call(http.MethodPost, "/v1/allowed", map[string]any{"network": v.value("spare"), "note": v.value("note")}, nil)

	return v.bansAgain(err, map[string]string{"network": "spare", "request": "spare", "too-many": "spare"},
		v.value("spare")+" is never banned now.")
}

func (v *visit) disallowNetwork() error {
	err := v.call(http.MethodDelete, "/v1/allowed?"+url.Values{"network": {v.value("network")}}.Encode(), nil, nil)

	return v.bansAgain(err, nil, v.value("network")+" can be banned again.")
}
