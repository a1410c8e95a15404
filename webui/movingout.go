package webui

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// movingOut is mail that moves out.
type movingOut struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	By      string    `json:"by"`
	To      struct {
		Kind   string `json:"kind"` // imap, maildir, mbox
		Dir    string `json:"dir"`
		Server *struct {
			Host  string `json:"host"`
			Port  int    `json:"port"`
			Admin string `json:"admin"`
		} `json:"server"`
	} `json:"to"`
	State   string   `json:"state"` // running, paused, locked, ended, cancelled
	Warning string   `json:"warning"`
	People  []leaver `json:"people"`
}

// leaver is one whose mail moves out.
type leaver struct {
	Account  string     `json:"account"`
	User     string     `json:"user"`
	Stage    string     `json:"stage"`
	Error    string     `json:"error"`
	Next     time.Time  `json:"next"`
	Total    leftCounts `json:"total"`
	OK       *bool      `json:"ok"`
	Progress *struct {
		Mailbox     string  `json:"mailbox"`
		Done        int64   `json:"done"`
		Total       int64   `json:"total"`
		BytesPerSec float64 `json:"bytes_per_second"`
		SecondsLeft int64   `json:"seconds_left"`
	} `json:"progress"`
}

type leftCounts struct {
	Listed   int64 `json:"listed"`
	Put      int64 `json:"put"`
	Known    int64 `json:"known"`
	Refused  int64 `json:"refused"`
	Left     int64 `json:"left"`
	Verified int64 `json:"verified"`
}

// Where returns to where mail moves.
func (m *movingOut) Where() string {
	switch {
	case m.To.Server == nil:
		return m.To.Dir
	case m.To.Server.Port == 0:
		return m.To.Server.Host
	}

	return m.To.Server.Host + ", port " + strconv.Itoa(m.To.Server.Port)
}

// Over tells whether a move is at its end.
func (m *movingOut) Over() bool { return m.State == "ended" || m.State == "cancelled" }

// Again tells whether something of one that has ended is not there.
func (m *movingOut) Again() bool { return m.State == "ended" && m.Done() < len(m.People) }

// Done returns how many people's mail is there.
func (m *movingOut) Done() (n int) {
	for _, p := range m.People {
		if p.Stage == "done" {
			n++
		}
	}

	return n
}

// Percent returns how far a person's move is.
func (p leaver) Percent() int64 {
	switch {
	case p.Stage == "done":
		return 100
	case p.Progress == nil || p.Progress.Total == 0:
		return 0
	}

	return min(100, 100*p.Progress.Done/p.Progress.Total)
}

// There returns how many messages are there.
func (p leaver) There() int64 {
	if p.Progress != nil {
		return p.Progress.Done
	}

	return max(0, p.Total.Listed-p.Total.Refused)
}

// Of returns how many the box has.
func (p leaver) Of() int64 {
	if p.Progress != nil {
		return p.Progress.Total
	}

	return p.Total.Listed
}

// Rate returns octets a second, 0 if that is not known.
func (p leaver) Rate() int64 {
	if p.Progress == nil {
		return 0
	}

	return int64(p.Progress.BytesPerSec)
}

// LeftTime returns how long it still takes, "" if that is not known.
func (p leaver) LeftTime() string {
	if p.Progress == nil || p.Progress.SecondsLeft <= 0 {
		return ""
	}

	return span(time.Duration(p.Progress.SecondsLeft) * time.Second)
}

// Same tells whether what is there was found to be what is here.
func (p leaver) Same() bool { return p.OK != nil && *p.OK }

// Differs tells whether it was not.
func (p leaver) Differs() bool { return p.OK != nil && !*p.OK }

// State returns how far a person's move is, in words.
func (p leaver) State() string {
	return map[string]string{
		"pending": "waits for its turn", "moving": "moving", "retrying": "tries again", "done": "done",
		"failed": "failed", "locked": "password refused",
	}[p.Stage]
}

// leftReport tells of a person's last run.
type leftReport struct {
	Account   string    `json:"account"`
	Target    string    `json:"target"`
	Started   time.Time `json:"started"`
	Ended     time.Time `json:"ended"`
	Mailboxes []struct {
		Name string `json:"name"`
		To   string `json:"to"`

		leftCounts
	} `json:"mailboxes"`
	Total leftCounts `json:"total"`
	Bad   []struct {
		Mailbox string `json:"mailbox"`
		UID     uint32 `json:"uid"`
		Size    int64  `json:"size"`
		Reason  string `json:"reason"`
	} `json:"bad"`
	Remarks     []string `json:"remarks"`
	Differences []string `json:"differences"`
}

// outForm is what is typed for a move out; the administrator's password is not
// kept.
type outForm struct {
	moveForm

	All, VerifyAll    bool
	Kind, Dir, Prefix string
}

type movedOutPage struct {
	Job    movingOut
	Report *leftReport
}

func (s *Server) movingOutRoutes() []Route {
	return []Route{
		{Pattern: "GET /moving-out", Role: Auditor, Nav: "Moving out", Section: "Mail", Handle: (*visit).movingOut},
		{Pattern: "GET /moving-out/new", Role: Administrator, Fresh: true, Handle: (*visit).newMoveOut},
		{Pattern: "POST /moving-out/new", Role: Administrator, MaxBody: 1 << 20, Fresh: true, Handle: (*visit).beginMoveOut},
		{Pattern: "GET /moving-out/{id}", Role: Auditor, Handle: (*visit).oneMoveOut},
		{Pattern: "GET /live/moving-out/{id}", Role: Auditor, Stream: true, Handle: (*visit).moveOutLive},
		{Pattern: "GET /moving-out/{id}/report", Role: Auditor, Handle: (*visit).moveOutReport},
		{Pattern: "POST /moving-out/{id}/act", Role: Administrator, MaxBody: 1 << 20, Handle: (*visit).actOnMoveOut},
	}
}

func (v *visit) movingOut() error {
	var all []movingOut
	if err := v.call(http.MethodGet, "/v1/exports", nil, &all); err != nil {
		return err
	}

	return v.show("movingout", "Moving out", all)
}

func (v *visit) newMoveOut() error {
	return v.show("moveoutnew", "Move mail out", &outForm{Kind: "imap", moveForm: moveForm{Security: "tls"}})
}

func (v *visit) beginMoveOut() error {
	f := outForm{
		moveForm: moveForm{
			Host: v.value("host"), Port: v.value("port"), Security: v.value("security"), Fingerprint: v.value("fingerprint"),
			Admin: v.value("admin"), AdminBy: v.value("admin_by"), People: v.r.PostFormValue("people"), KeepSecrets: v.value("keep_secrets") == "yes",
		},
		All: v.value("all") == "yes", VerifyAll: v.value("verify_all") == "yes",
		Kind: v.value("kind"), Dir: v.value("dir"), Prefix: v.value("prefix"),
	}
	bad := problems{}
	move, err := v.moveOut(&f, v.r.PostFormValue("secret"), bad)
	if err != nil {
		return err
	}
	if len(bad) == 0 {
		v.deadline(longAnswer)
		var begun movingOut
		err := v.call(http.MethodPost, "/v1/exports", move, &begun)
		if err == nil {
			v.seeOther("/moving-out/" + url.PathEscape(begun.ID))
			return nil
		}
		fields := map[string]string{"import-trust": "fingerprint", "import-login": "people", "import-busy": "host", "export": "host", "no-account": "people"}
		if f.Admin != "" {
			fields["import-login"] = "secret"
		}
		if f.Kind != "imap" {
			fields["export"], fields["request"] = "dir", "dir"
		}
		if err := v.explain(err, bad, fields); err != nil {
			return err
		}
	}

	return v.again("moveoutnew", "Move mail out", &f, bad)
}

// moveOut makes of what was typed what the exporter is asked.
func (v *visit) moveOut(f *outForm, secret string, bad problems) (map[string]any, error) {
	to := map[string]any{"kind": f.Kind, "verify_all": f.VerifyAll}
	switch f.Kind {
	case "imap":
		to["server"], to["prefix"] = f.server(secret, "Say to which server.", bad), f.Prefix
	case "maildir", "mbox":
		if to["dir"] = f.Dir; !strings.HasPrefix(f.Dir, "/") {
			bad.add("dir", "Name the folder on the box by its whole path, which begins with a slash.")
		}
	default:
		bad.add("kind", "Say where the mail goes.")
	}
	people, err := v.leaving(f, bad)

	return map[string]any{
		"to": to, "people": people, "secret": secret, "apart": f.Kind != "imap", "keep_secrets": f.KeepSecrets,
	}, err
}

// leaving are whose mail goes: everybody's, or a line each with the address
// here, the name there and the password there.
func (v *visit) leaving(f *outForm, bad problems) (all []login, err error) {
	if f.All {
		if f.Kind == "imap" && f.Admin == "" {
			bad.add("admin", "For everybody at once an administrator of that server has to sign in: nobody knows all passwords.")
		}
		var people []person
		if err := v.call(http.MethodGet, "/v1/accounts", nil, &people); err != nil {
			return nil, err
		}
		for _, p := range people {
			all = append(all, login{Account: p.Address})
		}
		return all, nil
	}
	lines := f.moveForm
	if f.Kind != "imap" {
		lines.Admin = "nobody" // no passwords are wanted
	}
	for _, l := range lines.logins(bad) {
		l.User, l.Account = l.Account, l.User
		if f.Kind != "imap" {
			l.User, l.Secret = "", ""
		}
		all = append(all, l)
	}

	return all, nil
}

func (v *visit) findMoveOut() (m movingOut, err error) {
	return m, v.call(http.MethodGet, "/v1/exports/"+url.PathEscape(v.r.PathValue("id")), nil, &m)
}

func (v *visit) oneMoveOut() error {
	m, err := v.findMoveOut()
	if err != nil {
		return err
	}

	return v.show("moveout", "Moving out to "+m.Where(), &movedOutPage{Job: m})
}

func (v *visit) moveOutLive() error {
	return v.stream(time.Second, func() (string, error) {
		m, err := v.findMoveOut()
		if err != nil {
			return "", err
		}
		return v.piece("moveout", "people", &m)
	})
}

func (v *visit) moveOutReport() error {
	m, err := v.findMoveOut()
	if err != nil {
		return err
	}
	d := movedOutPage{Job: m, Report: &leftReport{}}
	person, _ := strconv.Atoi(v.r.URL.Query().Get("person")) // the first if it is none
	path := "/v1/exports/" + url.PathEscape(m.ID) + "/report?person=" + strconv.Itoa(max(0, person))
	if err := v.call(http.MethodGet, path, nil, d.Report); err != nil {
		return err
	}

	return v.show("moveoutreport", "What moved out", &d)
}

func (v *visit) actOnMoveOut() error {
	m, err := v.findMoveOut()
	if err != nil {
		return err
	}
	id := url.PathEscape(v.r.PathValue("id"))
	method, path, to := http.MethodPost, "/v1/exports/"+id+"/", "/moving-out/"+id
	var in any
	bad := problems{}
	done := ""
	switch v.value("act") {
	case "pause":
		path, done = path+"pause", "The move is paused. What is there stays there."
	case "cancel":
		path, done = path+"cancel", "The move is cancelled. What is there stays there."
	case "resume":
		path, done = path+"resume", "The move goes on."
		f := moveForm{Admin: "nobody", People: v.r.PostFormValue("people")}
		more := map[string]any{"secret": v.r.PostFormValue("secret")}
		if strings.TrimSpace(f.People) != "" {
			var people []login
			for _, l := range f.logins(bad) {
				people = append(people, login{User: l.Account, Account: l.User, Secret: l.Secret})
			}
			more["people"] = people
		}
		in = more
	case "remove":
		method, path, to, done = http.MethodDelete, "/v1/exports/"+id, "/moving-out", "It is off the list. The mail stays where it is."
	default:
		return errNotFound
	}
	if len(bad) == 0 {
		err := v.call(method, path, in, nil)
		if err == nil {
			v.flash("ok", done)
			v.seeOther(to)
			return nil
		}
		if err := v.explain(err, bad, nil); err != nil {
			return err
		}
	}

	return v.again("moveout", "Moving out to "+m.Where(), &movedOutPage{Job: m}, bad)
}
