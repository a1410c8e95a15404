package webui

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// change is a change of the settings that is on its way.
type change struct {
	ID     string    `json:"id"`
	State  string    `json:"state"` // "waiting", "applying", "applied"
	By     string    `json:"by"`
	Why    string    `json:"why"`
	Begins time.Time `json:"begins"`
	Ends   time.Time `json:"ends"`
	Diff   []diff    `json:"diff"`
	Notes  []string  `json:"notes"`

	Left int `json:"-"` // seconds
}

// diff is one thing that a change changes.
type diff struct {
	Path   string `json:"path"`
	Label  string `json:"label"`
	Before string `json:"before"` // as JSON; "" where there was nothing
	After  string `json:"after"`
}

// change returns what is on its way, nil if nothing is or it cannot be told.
func (v *visit) change() *change {
	var s struct {
		Pending *change `json:"pending"`
	}
	if err := v.call(http.MethodGet, "/v1/settings", nil, &s); err != nil || s.Pending == nil {
		return nil
	}
	s.Pending.Left = max(0, int(s.Pending.Ends.Sub(v.s.now())/time.Second))
	// An old connection lives on through any firewall and shows nothing: what
	// comes next, such as the confirmation, is to come by a new one.
	v.w.Header().Set("Connection", "close")

	return s.Pending
}

func (s *Server) stagedRoutes() []Route {
	return []Route{
		{Pattern: "POST /change/keep", Role: Operator, Handle: (*visit).keepChange},
		{Pattern: "POST /change/take-back", Role: Operator, Handle: (*visit).takeBackChange},
	}
}

// maxConnections is how many a browser may have had open when the change came.
const maxConnections = 12

// keepChange confirms. It must come by a connection that began after the change;
// a browser that took an old one is sent round again, by another.
func (v *visit) keepChange() error {
	err := v.call(http.MethodPost, "/v1/settings/confirm", map[string]string{"id": v.value("id")}, nil)
	if isCode(err, "proof") {
		tries, _ := strconv.Atoi(v.r.URL.Query().Get("try")) // 0 if it is none
		if tries < maxConnections {
			v.w.Header().Set("Connection", "close")
			http.Redirect(v.w, v.r, "/change/keep?try="+strconv.Itoa(tries+1), http.StatusTemporaryRedirect)
			return nil
		}
	}
	v.ended(err, "The change is kept.")

	return notForPeople(err)
}

func (v *visit) takeBackChange() error {
	err := v.call(http.MethodPost, "/v1/settings/revert", map[string]string{"id": v.value("id")}, nil)
	v.ended(err, "The change was taken back. What was confirmed before holds again.")

	return notForPeople(err)
}

// ended leads back with what came of it.
func (v *visit) ended(err error, text string) {
	var api *APIError
	switch {
	case err == nil:
		v.flash("ok", text)
	case errors.As(err, &api) && api.Status < http.StatusInternalServerError:
		v.flash("error", sentence(api.Message))
	default:
		return
	}
	v.seeOther(v.back())
}

// notForPeople keeps those errors that no page has told yet.
func notForPeople(err error) error {
	var api *APIError
	if errors.As(err, &api) && api.Status < http.StatusInternalServerError {
		return nil
	}

	return err
}
