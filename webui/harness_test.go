package webui_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pillarbox/webui"
)

const (
	adminPassword = "correct horse battery"
	annaPassword  = "long enough for anna"
)

// memory keeps records as the database does.
type memory struct {
	mu  sync.Mutex
	all map[string]map[string][]byte
}

func (m *memory) All(section string, f func(string, []byte) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(m.all[section])) {
		if err := f(key, m.all[section][key]); err != nil {
			return err
		}
	}

	return nil
}

func (m *memory) Save(_ context.Context, _ bool, records ...webui.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range records {
		if m.all[r.Section] == nil {
			m.all[r.Section] = map[string][]byte{}
		}
		if r.Value == nil {
			delete(m.all[r.Section], r.Key)
		} else {
			m.all[r.Section][r.Key] = slices.Clone(r.Value)
		}
	}

	return nil
}

// text returns all that is kept, or that of some sections.
func (m *memory) text(sections ...string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for _, section := range slices.Sorted(maps.Keys(m.all)) {
		if len(sections) > 0 && !slices.Contains(sections, section) {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(m.all[section])) {
			b.WriteString(key + " " + string(m.all[section][key]) + "\n")
		}
	}

	return b.String()
}

// gate knows the administrator and anna.
type gate struct {
	mu        sync.Mutex
	password  string        // of the administrator; "" before the box is claimed
	slow      bool          // everybody is to wait
	suspended bool          // anna is
	guessing  chan struct{} // unless nil, who guesses wrong waits until it is closed
	exempt    map[netip.Addr]bool
}

func (g *gate) Claimed() (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()

	return g.password != "", nil
}

func (g *gate) Claim(_ context.Context, password string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.password != "" {
		return webui.ErrClaimed
	}
	g.password = password

	return nil
}

func (g *gate) check(ok bool) error {
	switch {
	case g.slow:
		return &webui.Refusal{Text: "Too many tries."}
	case !ok:
		return webui.ErrWrong
	}

	return nil
}

func (g *gate) Administrator(_ context.Context, password string, _ net.Addr) error {
	g.mu.Lock()
	defer g.mu.Unlock()

	return g.check(g.password != "" && password == g.password)
}

func (g *gate) Person(_ context.Context, login, password string, _ net.Addr) (webui.Known, error) {
	g.mu.Lock()
	defer g.mu.Unlock()

	return webui.Known{ID: "id-anna", Address: "anna@office.example", Name: "Anna"},
		g.check(login == "anna@office.example" && password == annaPassword)
}

func (g *gate) Weigh(_ context.Context, _, _ string, _ net.Addr, verify func() bool) error {
	g.mu.Lock()
	slow := g.slow
	g.mu.Unlock()
	if slow {
		return &webui.Refusal{Text: "Too many tries."}
	}
	if !verify() {
		if g.guessing != nil {
			<-g.guessing
		}
		return webui.ErrWrong
	}

	return nil
}

func (g *gate) Active(_ context.Context, id string) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()

	return id == "id-anna" && !g.suspended, nil
}

func (g *gate) Exempt(a netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.exempt == nil {
		g.exempt = map[netip.Addr]bool{}
	}
	g.exempt[a] = true
}

// call is what the API was asked.
type call struct {
	Method, Path, By, Body string
	Began                  time.Time
}

// api answers with what a test has put there, and remembers what it was asked.
type api struct {
	mu      sync.Mutex
	calls   []call
	answers map[string]func(w http.ResponseWriter, r *http.Request) // by "METHOD path"
	streams map[string]func(w http.ResponseWriter, r *http.Request) // of those that read what is sent themselves
	book    *webui.Book                                             // of the box, for what the API does to it
}

// answerBook does what the API does to the pages' own book, so that tests can
// see what comes of it; false for other requests.
func (a *api) answerBook(w http.ResponseWriter, r *http.Request, body []byte) bool {
	ctx, in := r.Context(), struct {
		Name, Role string
		Days       int
	}{}
	_ = json.Unmarshal(body, &in)
	var (
		out any
		err error
	)
	switch what := r.Method + " " + r.URL.Path; {
	case what == "PUT /v1/accounts/anna@office.example/role":
		_, err = a.book.SetRole(ctx, "id-anna", "anna@office.example", in.Role)
	case what == "DELETE /v1/accounts/anna@office.example/factor":
		var had bool
		had, err = a.book.ResetFactor(ctx, "id-anna")
		out = map[string]bool{"had": had}
	case what == "DELETE /v1/accounts/anna@office.example/sessions":
		var n int
		n, err = a.book.EndSessions(ctx, "id-anna", r.URL.Query().Get("session"))
		out = map[string]int{"ended": n}
	case what == "POST /v1/tokens":
		var secret string
		_, secret, err = a.book.AddToken(ctx, in.Name, in.Role, in.Days, "a test")
		out = map[string]string{"secret": secret}
	case strings.HasPrefix(what, "DELETE /v1/tokens/"):
		var t webui.TokenState
		t, _, err = a.book.RevokeToken(ctx, strings.TrimPrefix(r.URL.Path, "/v1/tokens/"))
		out = map[string]string{"name": t.Name}
	default:
		return false
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		out = map[string]string{"code": "token", "message": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(out)

	return true
}

func (a *api) Answer(w http.ResponseWriter, r *http.Request, by webui.Caller) {
	a.mu.Lock()
	stream := a.streams[r.Method+" "+r.URL.Path]
	a.mu.Unlock()
	if stream != nil {
		stream(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	if w.Header().Set("Content-Type", "application/json"); a.answerBook(w, r, body) {
		return
	}
	a.mu.Lock()
	a.calls = append(a.calls, call{r.Method, r.URL.RequestURI(), by.Name, string(body), by.Began})
	f := a.answers[r.Method+" "+r.URL.Path]
	a.mu.Unlock()
	if f != nil {
		f(w, r)
		return
	}
	_, _ = io.WriteString(w, "null")
}

func (a *api) Routes() map[string]string {
	return map[string]string{
		"GET /v1/status": "auditor", "POST /v1/accounts": "operator", "PUT /v1/admin/password": "administrator",
		"PUT /v1/accounts/{address}/password": "operator", "GET /v1/accounts/{address}/devices": "auditor", "POST /v1/accounts/{address}/devices/certificate": "operator",
	}
}

func (a *api) OpenAPI() []byte { return []byte(`{"openapi":"3.1.0"}`) }

func (a *api) changed() []call {
	a.mu.Lock()
	defer a.mu.Unlock()

	return slices.DeleteFunc(slices.Clone(a.calls), func(c call) bool { return c.Method == http.MethodGet })
}

func (a *api) stream(what string, f func(http.ResponseWriter, *http.Request)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.streams = map[string]func(http.ResponseWriter, *http.Request){what: f}
}

func (a *api) say(what string, v any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[what] = func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(v) }
}

// box is a server of pages with what is around it, all in memory but the network.
type box struct {
	*webui.Server
	t     testing.TB
	store *memory
	gate  *gate
	api   *api
	clock *clock
	acts  []webui.Act
	mu    sync.Mutex

	plain, secure string // where it listens
}

type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()

	return time.Now().Add(c.ahead)
}

func (c *clock) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// newBox opens one; with claimed it has an administrator.
func newBox(t testing.TB, claimed bool) *box {
	t.Helper()
	b := &box{t: t, store: &memory{all: map[string]map[string][]byte{}}, gate: &gate{}, api: &api{answers: map[string]func(http.ResponseWriter, *http.Request){}}, clock: &clock{}}
	if claimed {
		b.gate.password = adminPassword
	}
	anna := map[string]any{"id": "id-anna", "address": "anna@office.example", "name": "Anna", "created": time.Now()}
	b.api.say("GET /v1/accounts", []any{anna})
	b.open()

	return b
}

// open serves the box at two ports of this machine; what it keeps stays.
func (b *box) open() {
	b.t.Helper()
	listen := func() net.Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.t.Fatal(err)
		}
		return ln
	}
	plain, secure := listen(), listen()
	b.plain, b.secure = plain.Addr().String(), secure.Addr().String()
	port := func(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }
	log := slog.New(slog.NewTextHandler(b.t.Output(), nil))
	book, err := webui.OpenBook(b.store, log, b.clock.now)
	if err != nil {
		b.t.Fatal(err)
	}
	b.api.book = book
	s, err := webui.New(&webui.Config{
		Logger: log, Version: "test", Store: b.store, Book: book, Gate: b.gate, API: b.api, Now: b.clock.now,
		Record: func(_ context.Context, a webui.Act) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.acts = append(b.acts, a)
			return nil
		},
		Office: func() webui.Office { return webui.Office{} },
		Names:  func() []string { return []string{"mail.office.example", "box"} },
		Power:  true,
		Inside: func(a netip.Addr) bool { return a.IsLoopback() },
		Ports:  func() (int, int) { return port(plain), port(secure) },
		Proof:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "proof") }), ProofPath: "/.well-known/acme-challenge/",
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.Server = s
	ctx, cancel := context.WithCancel(b.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); !errors.Is(err, context.Canceled) {
			b.t.Errorf("Run: %v", err)
		}
	})
	serve := func(ln net.Listener, isSecure bool) {
		wg.Go(func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				go s.ServeConn(ctx, c, isSecure)
			}
		})
	}
	serve(plain, false)
	serve(secure, true)
	b.t.Cleanup(func() {
		cancel()
		plain.Close()
		secure.Close()
		wg.Wait()
	})
}

// browser has cookies, and takes secure ones though the tests' connections are
// only said to be secure.
type browser struct {
	*http.Client
	t    testing.TB
	host string
}

// browse returns one for the port of HTTPS that follows no redirect.
func (b *box) browse() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	secure := b.secure

	return &browser{t: b.t, host: "127.0.0.1", Client: &http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, network, secure)
			},
			DisableKeepAlives: true,
		},
	}}
}

// page is an answer that was read.
type page struct {
	status int
	header http.Header
	text   string
}

func (w *browser) do(method, path string, form url.Values, change ...func(*http.Request)) page {
	w.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, "https://"+w.host+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if method != http.MethodGet {
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, f := range change {
		f(r)
	}
	res, err := w.Do(r)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}

	return page{res.StatusCode, res.Header, string(text)}
}

func (w *browser) get(path string) page { w.t.Helper(); return w.do(http.MethodGet, path, nil) }

func (w *browser) post(path string, pairs ...string) page {
	w.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}

	return w.do(http.MethodPost, path, form)
}

// leads fails the test unless an answer leads to a path.
func (p page) leads(t testing.TB, to string) {
	t.Helper()
	if got := p.header.Get("Location"); p.status != http.StatusSeeOther || got != to {
		t.Fatalf("status %d to %q, want 303 to %q\n%s", p.status, got, to, p.text)
	}
}

// as returns a browser in which somebody is signed in with a role.
func (b *box) as(role webui.Role) *browser {
	b.t.Helper()
	w := b.browse()
	switch role {
	case webui.Anyone:
	case webui.Administrator:
		w.post("/signin", "login", "admin", "password", adminPassword).leads(b.t, "/")
	default:
		b.as(webui.Administrator).post("/people/anna@office.example/role", "role", role.String()).leads(b.t, "/people/anna@office.example")
		to := "/"
		if role == webui.Person {
			to = "/me"
		}
		w.post("/signin", "login", "anna@office.example", "password", annaPassword).leads(b.t, to)
	}

	return w
}
