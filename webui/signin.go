package webui

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// halfCookie is of somebody whose password was right and who has another factor.
const (
	halfCookie = "__Host-pillarbox-half"
	halfLasts  = 5 * time.Minute
	maxHalves  = 200
	maxTries   = 5 // of a code
)

// halves are those whose second factor is waited for. Its methods may be called at
// once.
type halves struct {
	now func() time.Time

	mu  sync.Mutex
	all map[string]*half
}

type half struct {
	who   session
	ends  time.Time
	tries int
	next  string
	fresh string // the session that is proved anew; "" for a sign-in
}

func (h *halves) begin(x half) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[string]*half{}
	}
	for id, old := range h.all {
		if !h.now().Before(old.ends) || len(h.all) >= maxHalves {
			delete(h.all, id)
		}
	}
	cookie := newSecret()
	x.ends = h.now().Add(halfLasts)
	h.all[hashOf(cookie)] = &x

	return cookie
}

// try returns a half session and counts the try; nil if there is none any more.
func (h *halves) try(cookie string, count bool) *half {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.all[hashOf(cookie)]
	if x == nil || !h.now().Before(x.ends) {
		return nil
	}
	if count {
		if x.tries++; x.tries > maxTries {
			delete(h.all, hashOf(cookie))
			return nil
		}
	}
	copied := *x

	return &copied
}

func (h *halves) end(cookie string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.all, hashOf(cookie))
}

// endOf ends those of a user: they have another role or password, or none.
func (h *halves) endOf(user string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.all, func(_ string, x *half) bool { return x.who.User == user })
}

// signInForm is what is typed, without the password.
type signInForm struct {
	Login, Next string
	Passkeys    bool // the page is open by a name, where they can work
}

func (s *Server) signInRoutes() []Route {
	return []Route{
		{Pattern: "GET /signin", Handle: (*visit).showSignIn},
		{Pattern: "POST /signin", Handle: (*visit).signIn},
		{Pattern: "GET /signin/code", Handle: (*visit).showCode},
		{Pattern: "POST /signin/code", Handle: (*visit).signInByCode},
		{Pattern: "POST /signout", Handle: (*visit).signOut},
		{Pattern: "GET /prove", Role: Person, Handle: (*visit).showProve},
		{Pattern: "POST /prove", Role: Person, Handle: (*visit).prove},
	}
}

func (v *visit) showSignIn() error {
	if claimed, err := v.s.conf.Gate.Claimed(); err != nil || !claimed {
		if err == nil {
			v.seeOther("/claim")
		}
		return err
	}
	next := local(v.r.URL.Query().Get("next"))
	if v.who != nil {
		v.seeOther(next)
		return nil
	}

	return v.show("signin", "Sign in", signInForm{Next: next, Passkeys: v.passkeysWork()})
}

// remote is where a connection comes from, as the throttle knows it.
func (h *handed) remote() net.Addr {
	if h.Conn == nil {
		return &net.TCPAddr{}
	}

	return h.RemoteAddr()
}

func (v *visit) signIn() error {
	form := signInForm{Login: v.value("login"), Next: local(v.value("next")), Passkeys: v.passkeysWork()}
	password, bad := v.r.PostFormValue("password"), problems{}
	if form.Login == "" {
		bad.add("login", "Type your address, or admin for the administrator of the box.")
	}
	if password == "" {
		bad.add("password", "Type your password.")
	}
	if len(bad) > 0 {
		return v.again("signin", "Sign in", form, bad)
	}
	who, err := v.verify(v.ctx(), form.Login, password)
	if text, ok := refused(err); ok {
		bad.add("", text)
		if err := v.noteSignIn(form.Login, "password", text); err != nil {
			return err
		}
		return v.again("signin", "Sign in", form, bad)
	}
	if err != nil {
		return err
	}
	if v.s.users.get(who.User).hasFactor() {
		cookie := v.s.halves.begin(half{who: *who, next: form.Next})
		http.SetCookie(v.w, cookieFor(halfCookie, cookie, halfLasts))
		v.seeOther("/signin/code")
		return nil
	}
	if err := v.noteSignIn(who.account(), "password", ""); err != nil {
		return err
	}

	return v.begin(*who, "password", v.s.now(), form.Next)
}

// account is how a user is called in the record.
func (s *session) account() string {
	if s.Address != "" {
		return s.Address
	}

	return s.User
}

// refused returns the words for who is not let in.
func refused(err error) (string, bool) {
	var slow *Refusal
	switch {
	case errors.Is(err, ErrWrong):
		return "The name or the password is wrong. Capital letters count in the password.", true
	case errors.As(err, &slow):
		return slow.Text, true
	}

	return "", false
}

// verify finds out whose password it is.
func (v *visit) verify(ctx context.Context, login, password string) (*session, error) {
	if login == admin {
		if err := v.s.conf.Gate.Administrator(ctx, password, v.conn.remote()); err != nil {
			return nil, err
		}
		return &session{User: admin, Name: "Administrator", Role: Administrator}, nil
	}
	k, err := v.s.conf.Gate.Person(ctx, login, password, v.conn.remote())
	if err != nil {
		return nil, err
	}
	name := k.Name
	if name == "" {
		name = k.Address
	}

	return &session{User: k.ID, Name: name, Address: k.Address, Role: v.s.users.get(k.ID).role()}, nil
}

// noteSignIn writes down a sign-in; a reason says why it was refused.
func (v *visit) noteSignIn(account, means, reason string) error {
	kind, more := "signin.ok", map[string]string{"mechanism": "web, " + means}
	if reason != "" {
		kind, more["reason"] = "signin.failed", reason
	}

	return v.s.conf.Record(v.ctx(), Act{Kind: kind, Account: account, Remote: remoteOf(v.r), Secure: v.conn.secure, More: more})
}

// begin signs somebody in and leads on. Proved is when they showed who they are
// by all that they have to.
func (v *visit) begin(who session, means string, proved time.Time, next string) error {
	cookie, err := v.signedIn(who, means, proved)
	if err != nil {
		return err
	}
	http.SetCookie(v.w, cookie)
	http.SetCookie(v.w, cookieFor(halfCookie, "", 0))
	if next == "/" && who.Role == Person {
		next = "/me"
	}
	v.seeOther(next)

	return nil
}

// signedIn begins a session that is new, whatever cookie was there before.
func (v *visit) signedIn(who session, means string, proved time.Time) (*http.Cookie, error) {
	if c, err := v.r.Cookie(sessionCookie); err == nil {
		old := hashOf(c.Value)
		if err := v.s.sessions.end(v.ctx(), func(x *session) bool { return x.ID == old }); err != nil {
			return nil, err
		}
	}
	agent := v.r.UserAgent()
	who.Remote, who.Agent, who.Means, who.Proved = remoteOf(v.r).String(), agent[:min(len(agent), 200)], means, proved
	cookie, err := v.s.sessions.begin(v.ctx(), who)
	if err != nil {
		return nil, err
	}
	lasts := personLasts
	if who.Role > Person {
		lasts = staffLasts
	}

	return cookieFor(sessionCookie, cookie, lasts), nil
}

func (v *visit) half(count bool) (*half, string) {
	c, err := v.r.Cookie(halfCookie)
	if err != nil || !v.conn.secure {
		return nil, ""
	}

	return v.s.halves.try(c.Value, count), c.Value
}

func (v *visit) showCode() error {
	if h, _ := v.half(false); h == nil {
		v.seeOther("/signin")
		return nil
	}

	return v.show("code", "One more step", nil)
}

func (v *visit) signInByCode() error {
	h, cookie := v.half(true)
	if h == nil || h.fresh != "" && (v.who == nil || v.who.ID != h.fresh) {
		// The code proves only the session that asked for it, not another one
		// whose cookie comes along.
		v.seeOther("/signin")
		return nil
	}
	code, bad := v.value("code"), problems{}
	means, err := v.s.checkFactor(v.ctx(), h.who.User, h.who.account(), code, v.conn.remote())
	if errors.Is(err, ErrWrong) {
		err = &Refusal{"That code is wrong or was used already. Wait for the next one that your app shows, or use a recovery code."}
	}
	if text, ok := refused(err); ok {
		bad.add("code", text)
		if err := v.noteSignIn(h.who.account(), "code", text); err != nil {
			return err
		}
		return v.again("code", "One more step", nil, bad)
	}
	if err != nil {
		return err
	}
	v.s.halves.end(cookie)
	if h.fresh != "" {
		return v.proved(h.next, "password and "+means)
	}
	if err := v.noteSignIn(h.who.account(), "password and "+means, ""); err != nil {
		return err
	}

	return v.begin(h.who, "password and "+means, v.s.now(), h.next)
}

func (v *visit) signOut() error {
	if v.who != nil {
		id := v.who.ID
		if err := v.s.sessions.end(v.ctx(), func(x *session) bool { return x.ID == id }); err != nil {
			return err
		}
	}
	http.SetCookie(v.w, cookieFor(sessionCookie, "", 0))
	v.seeOther("/signin")

	return nil
}

func (v *visit) showProve() error {
	return v.show("prove", "Is it still you?", signInForm{Next: local(v.r.URL.Query().Get("next")), Passkeys: v.passkeysWork()})
}

// prove asks for the password again before something dangerous.
func (v *visit) prove() error {
	next, bad := local(v.value("next")), problems{}
	login := v.who.Address
	if v.who.User == admin {
		login = admin
	}
	who, err := v.verify(v.ctx(), login, v.r.PostFormValue("password"))
	if text, ok := refused(err); ok {
		bad.add("password", text)
		if err := v.noteSignIn(v.who.account(), "password", text); err != nil {
			return err
		}
		return v.again("prove", "Is it still you?", signInForm{Next: next, Passkeys: v.passkeysWork()}, bad)
	}
	if err != nil {
		return err
	}
	if who.User != v.who.User {
		return errForbidden
	}
	if v.s.users.get(who.User).hasFactor() {
		cookie := v.s.halves.begin(half{who: *v.who, next: next, fresh: v.who.ID})
		http.SetCookie(v.w, cookieFor(halfCookie, cookie, halfLasts))
		v.seeOther("/signin/code?" + url.Values{"next": {next}}.Encode())
		return nil
	}

	return v.proved(next, "password")
}

// proved begins the session anew for who has shown who they are.
func (v *visit) proved(next, means string) error {
	return v.begin(*v.who, means, v.s.now(), next)
}
