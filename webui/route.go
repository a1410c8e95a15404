package webui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Route is a page, or what a form of it does.
type Route struct {
	Pattern string // METHOD and path, as http.ServeMux has them
	Role    Role
	// Fresh wants who comes to have shown lately who they are.
	Fresh bool
	// MaxBody bounds what is sent, in octets; 0 means 64 KiB.
	MaxBody int64
	// Stream is for answers without an end.
	Stream bool
	// Reads says that a POST changes nothing, or that a GET asks the box by a
	// request that is none; the test of roles wants to know.
	Reads bool
	// Nav is what the menu calls it, "" if it is not there; Section is under which
	// heading.
	Nav, Section string

	Handle func(v *visit) error
}

// Routes returns all pages.
func (s *Server) Routes() []Route { return slices.Clone(s.routes) }

// navTitle is what the menu calls the page at a path.
func (s *Server) navTitle(path string) string {
	for _, route := range s.menu {
		if route.Pattern == "GET "+path {
			return route.Nav
		}
	}

	return path
}

const usualBody = 64 << 10

// register makes the mux of all routes.
func (s *Server) register() {
	s.mux = http.NewServeMux()
	s.routes = s.allRoutes()
	for _, route := range s.routes {
		s.mux.Handle(route.Pattern, s.serve(route))
		if route.Nav != "" {
			s.menu = append(s.menu, route)
		}
	}
	s.mux.Handle("GET /static/{name}", s.assets)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.serve(Route{Handle: func(*visit) error { return errNotFound }}).ServeHTTP(w, r)
	})
}

// serve finds out who comes, and whether they may.
func (s *Server) serve(route Route) http.Handler {
	most := route.MaxBody
	if most == 0 {
		most = usualBody
	}

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, most)
		v := &visit{w: w, r: r, s: s, conn: s.connOf(r), route: &route}
		if err := v.enter(); err != nil {
			v.fail(err)
			return
		}
		if v.done {
			return
		}
		// What cannot be read is no form without fields: without a session's name
		// one ends all, without a quota there is none.
		if err := r.ParseForm(); err != nil && r.Method == http.MethodPost {
			v.fail(fmt.Errorf("%w: %w", errForm, err))
			return
		}
		if err := route.Handle(v); err != nil {
			v.fail(err)
		}
	})
}

// visit is one request.
type visit struct {
	w     http.ResponseWriter
	r     *http.Request
	s     *Server
	conn  *handed
	route *Route
	who   *session // nil for who is not signed in
	done  bool     // it is answered
}

func (v *visit) ctx() context.Context { return v.r.Context() }

func (v *visit) may(role Role) bool {
	return role == Anyone || v.who != nil && v.who.Role >= role
}

// enter finds out who comes and answers those who may not.
func (v *visit) enter() error {
	if c, err := v.r.Cookie(sessionCookie); err == nil && v.conn.secure {
		v.who = v.s.sessions.find(c.Value, !v.route.Stream)
	}
	if v.who != nil {
		// Another role ends sessions; one that begins in that moment has it, too.
		v.who.Role = v.s.users.get(v.who.User).role()
	}
	claimed, err := v.s.conf.Gate.Claimed()
	if err != nil {
		return err
	}
	if !claimed && v.route.Role > Anyone {
		v.seeOther("/claim")
		return nil
	}
	switch {
	case v.route.Role == Anyone:
	case v.who == nil:
		v.seeOther("/signin?" + url.Values{"next": {v.back()}}.Encode())
	case v.who.Role < v.route.Role && v.r.URL.Path == "/":
		v.seeOther("/me") // whoever types the box's name comes to what is theirs
	case v.who.Role < v.route.Role:
		return errForbidden
	case v.route.Fresh && !v.fresh():
		v.seeOther("/prove?" + url.Values{"next": {v.back()}}.Encode())
	}
	if v.who != nil && v.who.Role == Administrator && !v.done && !v.route.Stream {
		v.s.conf.Gate.Exempt(remoteOf(v.r))
	}

	return nil
}

// fresh tells whether who comes has shown lately who they are.
func (v *visit) fresh() bool {
	lately := freshPage
	if v.r.Method != http.MethodGet {
		lately = freshAct
	}

	return v.s.now().Sub(v.who.Proved) < lately
}

// back returns where somebody who has to sign in wanted to go.
func (v *visit) back() string {
	if v.r.Method == http.MethodGet && !v.route.Stream {
		return v.r.URL.RequestURI()
	}
	// The page on which the form was, as far as the browser tells.
	if u, err := url.Parse(v.r.Referer()); err == nil && u.Host == v.r.Host {
		return u.RequestURI()
	}

	return "/"
}

// local makes a path of ours of what a form says; "/" of what leads elsewhere.
func local(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(path, "/") ||
		strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}

	return path
}

// seeOther ends a request by leading to another page.
func (v *visit) seeOther(path string) {
	v.done = true
	http.Redirect(v.w, v.r, path, http.StatusSeeOther)
}

// flash keeps a message for the next page.
func (v *visit) flash(kind, text string) {
	if v.who != nil {
		v.s.sessions.flash(v.who.ID, flash{Kind: kind, Text: text})
	}
}

// undoable says that something was done, and offers to take it back: by a form
// that sends pairs of names and values to a path.
func (v *visit) undoable(text, path string, pairs ...string) {
	f := flash{Kind: "ok", Text: text, Undo: path, Fields: map[string]string{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Fields[pairs[i]] = pairs[i+1]
	}
	if v.who != nil {
		v.s.sessions.flash(v.who.ID, f)
	}
}

// actor is how the audit record calls who comes.
func (v *visit) actor() string {
	name := "nobody"
	if v.who != nil {
		name = v.who.User
		if v.who.Address != "" {
			name = v.who.Address
		}
	}

	return name + ", web page, " + remoteOf(v.r).String()
}

// record writes down what was done.
func (v *visit) record(kind, account string, more map[string]string) error {
	return v.s.conf.Record(v.ctx(), Act{
		Kind: kind, Actor: v.actor(), Account: account, Remote: remoteOf(v.r), Secure: v.conn.secure, More: more,
	})
}

// value returns a field of a form, without spaces around it.
func (v *visit) value(name string) string { return strings.TrimSpace(v.r.PostFormValue(name)) }

// Errors that are pages.
var (
	errNotFound  = errors.New("there is no such page")
	errForbidden = errors.New("your role does not allow this")
	errForm      = errors.New("the form cannot be read")
)

// fail shows what went wrong.
func (v *visit) fail(err error) {
	status, title := http.StatusInternalServerError, "Something went wrong"
	text := "The box could not do this. Try again; if it stays so, the log says why."
	var (
		api *APIError
		big *http.MaxBytesError
	)
	switch {
	case errors.Is(err, errNotFound):
		status, title, text = http.StatusNotFound, "There is no such page", "It may have been removed or renamed."
	case errors.Is(err, errForbidden):
		status, title, text = http.StatusForbidden, "You may not open this", "Your role does not allow it. Ask the administrator of the box."
	case errors.As(err, &big):
		status, title, text = http.StatusRequestEntityTooLarge, "That is too long", "The box does not take so much at once. Shorten it, or send it in parts."
	case errors.Is(err, errForm):
		status, title, text = http.StatusBadRequest, "That could not be read", "Nothing was done. Go back, and send the form again."
	case errors.As(err, &api) && api.Status < http.StatusInternalServerError:
		status, title, text = api.Status, "That cannot be done", sentence(api.Message)
	case errors.Is(err, context.Canceled):
		return
	default:
		v.s.log.ErrorContext(v.ctx(), "web page failed", "method", v.r.Method, "path", v.r.URL.Path, "err", err)
	}
	if err := v.showStatus(status, "failed", title, text); err != nil {
		v.s.log.ErrorContext(v.ctx(), "web page failed", "path", v.r.URL.Path, "err", err)
		http.Error(v.w, text, status)
	}
}

// capital gives a text its capital.
func capital(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return text
	}

	return string(unicode.ToUpper(first)) + text[size:]
}

// sentence makes what a room says into one: with a capital and a point.
func sentence(text string) string {
	text = capital(strings.TrimSpace(text))
	if text == "" {
		return text
	}
	if !strings.ContainsAny(text[len(text)-1:], ".!?)") {
		text += "."
	}

	return text
}

// section is a part of the menu.
type section struct {
	Title string
	Items []item
}

type item struct {
	Title, Path string
	Here        bool
}

// menuFor returns what somebody may open.
func (v *visit) menuFor() []section {
	if v.who == nil {
		return nil
	}
	var all []section
	for _, r := range v.s.menu {
		if !v.may(r.Role) {
			continue
		}
		path := strings.TrimSuffix(strings.TrimPrefix(r.Pattern, "GET "), "{$}")
		here := v.r.URL.Path == path || path != "/" && strings.HasPrefix(v.r.URL.Path, path+"/")
		i := slices.IndexFunc(all, func(s section) bool { return s.Title == r.Section })
		if i < 0 {
			all = append(all, section{Title: r.Section})
			i = len(all) - 1
		}
		all[i].Items = append(all[i].Items, item{r.Nav, path, here})
	}

	return all
}

// deadline gives a long answer more time.
func (v *visit) deadline(d time.Duration) {
	_ = http.NewResponseController(v.w).SetWriteDeadline(time.Now().Add(d)) // it is a bound, no promise
}
