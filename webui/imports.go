package webui

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// moving is mail that moves in.
type moving struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	By      string    `json:"by"`
	From    struct {
		IMAP *struct {
			Host  string `json:"host"`
			Port  int    `json:"port"`
			Admin string `json:"admin"`
		} `json:"imap"`
		Path   string `json:"path"`
		Upload string `json:"upload"`
	} `json:"from"`
	Follow  bool    `json:"follow"`
	CutOver bool    `json:"cut_over"`
	State   string  `json:"state"` // running, paused, locked, ended, cancelled
	Warning string  `json:"warning"`
	People  []mover `json:"people"`
}

// mover is one whose mail moves.
type mover struct {
	User     string      `json:"user"`
	Account  string      `json:"account"`
	Stage    string      `json:"stage"`
	Error    string      `json:"error"`
	Next     time.Time   `json:"next"`
	Total    movedCounts `json:"total"`
	Bad      int64       `json:"bad"`
	OK       *bool       `json:"ok"`
	Progress *struct {
		Phase       string `json:"phase"`
		Note        string `json:"note"`
		Mailbox     string `json:"mailbox"`
		Messages    int64  `json:"messages"`
		MessagesIn  int64  `json:"messages_done"`
		SecondsLeft int64  `json:"seconds_left"`
	} `json:"progress"`
}

type movedCounts struct {
	Listed      int64 `json:"listed"`
	Taken       int64 `json:"taken"`
	Known       int64 `json:"known"`
	Claimed     int64 `json:"claimed"`
	Quarantined int64 `json:"quarantined"`
}

// Where returns from where mail moves.
func (m *moving) Where() string {
	switch {
	case m.From.Upload != "":
		return m.From.Upload
	case m.From.IMAP == nil:
		return m.From.Path
	case m.From.IMAP.Port == 0:
		return m.From.IMAP.Host
	}

	return m.From.IMAP.Host + ", port " + strconv.Itoa(m.From.IMAP.Port)
}

// Over tells whether a job is at its end.
func (m *moving) Over() bool { return m.State == "ended" || m.State == "cancelled" }

// Done returns how many people's mail is there.
func (m *moving) Done() (n int) {
	for _, p := range m.People {
		if p.Stage == "done" || p.Stage == "following" {
			n++
		}
	}

	return n
}

// Percent returns how far a person's move is.
func (p mover) Percent() int64 {
	switch {
	case p.Stage == "done" || p.Stage == "following":
		return 100
	case p.Progress == nil || p.Progress.Messages == 0:
		return 0
	}

	return min(100, 100*p.Progress.MessagesIn/p.Progress.Messages)
}

// In returns how many messages are here.
func (p mover) In() int64 {
	if p.Progress != nil {
		return p.Progress.MessagesIn
	}

	return min(p.Of(), p.Total.Taken+p.Total.Known+p.Total.Claimed) // of the last run alone it is less
}

// Of returns how many the source has.
func (p mover) Of() int64 {
	if p.Progress != nil {
		return p.Progress.Messages
	}

	return p.Total.Listed
}

// Left returns how long it still takes, "" if that is not known.
func (p mover) Left() string {
	if p.Progress == nil || p.Progress.SecondsLeft <= 0 {
		return ""
	}

	return span(time.Duration(p.Progress.SecondsLeft) * time.Second)
}

// Same tells whether what is here was compared with the source, and is the same.
func (p mover) Same() bool { return p.OK != nil && *p.OK }

// Differs tells whether it was, and is not.
func (p mover) Differs() bool { return p.OK != nil && !*p.OK }

// State returns how far a person's move is, in words.
func (p mover) State() string {
	return map[string]string{
		"pending": "waits for its turn", "moving": "moving", "following": "here; new mail follows", "retrying": "tries again", "done": "done",
		"failed": "failed", "locked": "password refused",
	}[p.Stage]
}

// movedReport tells of a person's last run.
type movedReport struct {
	Account   string    `json:"account"`
	Started   time.Time `json:"started"`
	Ended     time.Time `json:"ended"`
	Mailboxes []struct {
		From    string `json:"from"`
		To      string `json:"to"`
		Skipped string `json:"skipped"`

		movedCounts
	} `json:"mailboxes"`
	Total movedCounts `json:"total"`
	Bad   []struct {
		Mailbox string `json:"mailbox"`
		Message string `json:"message"`
		Size    int64  `json:"size"`
		Reason  string `json:"reason"`
		File    string `json:"file"`
	} `json:"bad"`
	Remarks  []string `json:"remarks"`
	Estimate *struct {
		Messages int64 `json:"messages"`
		Bytes    int64 `json:"bytes"`
		TooBig   int64 `json:"too_big"`
		Seconds  int64 `json:"seconds"`
	} `json:"estimate"`
	Verified *struct {
		OK          bool     `json:"ok"`
		Messages    int64    `json:"messages"`
		Left        int64    `json:"left"`
		Differences []string `json:"differences"`
	} `json:"verified"`
}

// Lasts returns how long it is thought to take.
func (r *movedReport) Lasts() string {
	if r.Estimate == nil {
		return ""
	}

	return span(time.Duration(r.Estimate.Seconds) * time.Second)
}

// moveForm is what is typed for a move; the administrator's password is not kept.
type moveForm struct {
	Host, Port, Security, Fingerprint, Admin, AdminBy, People string
	KeepUIDs, Follow, KeepSecrets                             bool

	Path, Account string // of files on the box
	UploadAccount string // of a file that is uploaded
}

type movingPage struct {
	Jobs  []moving
	Form  moveForm
	Tried *movedReport
}

type movedPage struct {
	Job    moving
	Report *movedReport
	Person int
	Now    bool // it was compared just now
}

func (s *Server) movingRoutes() []Route {
	return []Route{
		{Pattern: "GET /moving", Role: Auditor, Nav: "Moving in", Section: "Mail", Handle: (*visit).moving},
		{Pattern: "POST /moving", Role: Administrator, MaxBody: 1 << 20, Handle: (*visit).beginMove},
		{Pattern: "GET /moving/{id}", Role: Auditor, Handle: (*visit).oneMove},
		{Pattern: "GET /live/moving/{id}", Role: Auditor, Stream: true, Handle: (*visit).moveLive},
		{Pattern: "GET /moving/{id}/report", Role: Auditor, Handle: (*visit).moveReport},
		{Pattern: "POST /moving/files", Role: Administrator, Handle: (*visit).beginFiles},
		{Pattern: "POST /moving/upload", Role: Administrator, MaxBody: maxUpload + usualBody, Handle: (*visit).uploadMove},
		{Pattern: "POST /moving/{id}/verify", Role: Administrator, Reads: true, Handle: (*visit).verifyMove},
		{Pattern: "POST /moving/{id}/bad", Role: Administrator, Reads: true, Handle: (*visit).downloadBad},
		{Pattern: "POST /moving/{id}/act", Role: Administrator, MaxBody: 1 << 20, Handle: (*visit).actOnMove},
	}
}

func (v *visit) moving() error {
	d := movingPage{Form: moveForm{Security: "tls", KeepUIDs: true}}
	if err := v.call(http.MethodGet, "/v1/imports", nil, &d.Jobs); err != nil {
		return err
	}

	return v.show("moving", "Moving in", &d)
}

// beginMove begins a move, or with the button "try" tells what would move.
func (v *visit) beginMove() error {
	f := moveForm{
		Host: v.value("host"), Port: v.value("port"), Security: v.value("security"), Fingerprint: v.value("fingerprint"),
		Admin: v.value("admin"), AdminBy: v.value("admin_by"), People: v.r.PostFormValue("people"),
		KeepUIDs: v.value("keep_uids") == "yes", Follow: v.value("follow") == "yes", KeepSecrets: v.value("keep_secrets") == "yes",
	}
	bad := problems{}
	job := f.job(v.r.PostFormValue("secret"), bad)
	d := movingPage{Form: f}
	v.deadline(longAnswer)
	fields := map[string]string{"import-trust": "fingerprint", "import-login": "people", "import-busy": "host"}
	if f.Admin != "" {
		fields["import-login"] = "secret"
	}
	switch {
	case len(bad) > 0:
	case v.value("do") == "try":
		d.Tried = &movedReport{}
		if err := v.call(http.MethodPost, "/v1/imports/try", job, d.Tried); err != nil {
			d.Tried = nil
			if err := v.explain(err, bad, fields); err != nil {
				return err
			}
		}
	default:
		var begun moving
		err := v.call(http.MethodPost, "/v1/imports", job, &begun)
		if err == nil {
			v.seeOther("/moving/" + url.PathEscape(begun.ID))
			return nil
		}
		if err := v.explain(err, bad, fields); err != nil {
			return err
		}
	}
	if err := v.call(http.MethodGet, "/v1/imports", nil, &d.Jobs); err != nil {
		return err
	}
	if len(bad) > 0 {
		return v.again("moving", "Moving in", &d, bad)
	}

	return v.show("moving", "Moving in", &d)
}

// server makes of what was typed how a server is reached.
func (f *moveForm) server(secret, missing string, bad problems) map[string]any {
	server := map[string]any{"host": f.Host, "security": orElse(f.Security, "tls")}
	if f.Host == "" {
		bad.add("host", missing)
	}
	if f.Port != "" {
		n, err := strconv.ParseUint(f.Port, 10, 16)
		if err != nil || n == 0 {
			bad.add("port", "A port is a number from 1 to 65535. Leave it empty for the usual one.")
		}
		server["port"] = n
	}
	if f.Fingerprint != "" {
		server["fingerprint"] = f.Fingerprint
	}
	if f.Admin != "" {
		server["admin"], server["admin_by"] = f.Admin, f.AdminBy
		if secret == "" {
			bad.add("secret", "Type the administrator's password.")
		}
	}

	return server
}

// job makes of what was typed what the importer is asked.
func (f *moveForm) job(secret string, bad problems) map[string]any {
	return map[string]any{
		"from": map[string]any{"imap": f.server(secret, "Say from which server.", bad)}, "people": f.logins(bad), "secret": secret,
		"options": map[string]any{"keep_uids": f.KeepUIDs}, "follow": f.Follow, "keep_secrets": f.KeepSecrets,
	}
}

// login is a person at the source.
type login struct {
	User    string `json:"user"`
	Account string `json:"account"`
	Secret  string `json:"secret,omitempty"`
}

// logins reads a line each: the name there, the address here, the password.
func (f *moveForm) logins(bad problems) (all []login) {
	r := csv.NewReader(strings.NewReader(f.People))
	r.FieldsPerRecord, r.TrimLeadingSpace = -1, true
	first, _, _ := strings.Cut(strings.TrimSpace(f.People), "\n")
	if i := strings.IndexAny(first, ",;\t"); i >= 0 {
		r.Comma = rune(first[i])
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var wrong *csv.ParseError
		if errors.As(err, &wrong) {
			bad.add("people", fmt.Sprintf("Line %d cannot be read. Put what has a comma or a quote in it between quotes.", wrong.StartLine))
			return nil
		}
		line, _ := r.FieldPos(0)
		one := login{User: strings.TrimSpace(row[0])}
		if one.Account = one.User; len(row) > 1 && strings.TrimSpace(row[1]) != "" {
			one.Account = strings.TrimSpace(row[1])
		}
		if len(row) > 2 {
			one.Secret = row[2]
		}
		switch {
		case one.User == "":
			bad.add("people", fmt.Sprintf("Line %d says nobody's name.", line))
		case one.Secret == "" && f.Admin == "":
			bad.add("people", fmt.Sprintf("Line %d has no password. Without one, an administrator of that server has to sign in.", line))
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		bad.add("people", "Say whose mail is to move.")
	}

	return all
}

// beginFiles begins a move from files of the box.
func (v *visit) beginFiles() error {
	f := moveForm{Security: "tls", KeepUIDs: true, Path: v.value("path"), Account: v.value("account")}
	bad := problems{}
	if !strings.HasPrefix(f.Path, "/") {
		bad.add("path", "Name the file or folder by its whole path, which begins with a slash.")
	}
	if f.Account == "" {
		bad.add("account", "Say whose mail it becomes.")
	}
	if len(bad) == 0 {
		v.deadline(longAnswer)
		var begun moving
		err := v.call(http.MethodPost, "/v1/imports", map[string]any{
			"from": map[string]any{"path": f.Path}, "people": []login{{User: f.Account, Account: f.Account}},
			"options": map[string]any{"keep_uids": true},
		}, &begun)
		if err == nil {
			v.seeOther("/moving/" + url.PathEscape(begun.ID))
			return nil
		}
		if err := v.explain(err, bad, map[string]string{"no-account": "account", "import": "path", "import-busy": "path"}); err != nil {
			return err
		}
	}
	d := movingPage{Form: f}
	if err := v.call(http.MethodGet, "/v1/imports", nil, &d.Jobs); err != nil {
		return err
	}

	return v.again("moving", "Moving in", &d, bad)
}

func (v *visit) findMove() (m moving, err error) {
	return m, v.call(http.MethodGet, "/v1/imports/"+url.PathEscape(v.r.PathValue("id")), nil, &m)
}

func (v *visit) oneMove() error {
	m, err := v.findMove()
	if err != nil {
		return err
	}

	return v.show("move", "Moving in from "+m.Where(), &movedPage{Job: m})
}

func (v *visit) moveLive() error {
	return v.stream(time.Second, func() (string, error) {
		m, err := v.findMove()
		if err != nil {
			return "", err
		}
		return v.piece("move", "people", &m)
	})
}

// oneReport finds the report of the person that is asked for, the first if it is
// none.
func (v *visit) oneReport(person string) (d movedPage, err error) {
	if d.Job, err = v.findMove(); err != nil {
		return d, err
	}
	d.Report = &movedReport{}
	d.Person, _ = strconv.Atoi(person)
	d.Person = max(0, d.Person)

	return d, v.call(http.MethodGet, "/v1/imports/"+url.PathEscape(d.Job.ID)+"/report?person="+strconv.Itoa(d.Person), nil, d.Report)
}

func (v *visit) moveReport() error {
	d, err := v.oneReport(v.r.URL.Query().Get("person"))
	if err != nil {
		return err
	}

	return v.show("movereport", "What moved in", &d)
}

// verifyMove compares a person's mail with the source now.
func (v *visit) verifyMove() error {
	d, err := v.oneReport(v.value("person"))
	if err != nil {
		return err
	}
	ask := map[string]any{"person": d.Person}
	if secret := v.r.PostFormValue("secret"); secret != "" && d.Person < len(d.Job.People) {
		p := d.Job.People[d.Person]
		if ask["secret"] = secret; d.Job.From.IMAP != nil && d.Job.From.IMAP.Admin == "" {
			ask["people"] = []login{{User: p.User, Account: p.Account, Secret: secret}}
			delete(ask, "secret")
		}
	}
	v.deadline(longAnswer)
	bad := problems{}
	now := &movedReport{}
	err = v.call(http.MethodPost, "/v1/imports/"+url.PathEscape(d.Job.ID)+"/verify", ask, now)
	if err != nil {
		fields := map[string]string{"import-login": "secret", "import": "secret", "import-busy": "", "import-trust": ""}
		if err := v.explain(err, bad, fields); err != nil {
			return err
		}
		return v.again("movereport", "What moved in", &d, bad)
	}
	d.Report.Verified, d.Now = now.Verified, true

	return v.show("movereport", "What moved in", &d)
}

// downloadBad hands a message that could not be taken to the browser.
func (v *visit) downloadBad() error {
	d, err := v.oneReport(v.value("person"))
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(v.value("message"))
	if err != nil || n < 0 {
		return errNotFound
	}
	bad := problems{}
	path := fmt.Sprintf("/v1/imports/%s/bad?person=%d&message=%d", url.PathEscape(d.Job.ID), d.Person, n)
	if err := v.pass(http.MethodPost, path, nil, fmt.Sprintf("message-%d.eml", n+1)); err != nil {
		if err := v.explain(err, bad, nil); err != nil {
			return err
		}
		return v.again("movereport", "What moved in", &d, bad)
	}

	return nil
}

func (v *visit) actOnMove() error {
	m, err := v.findMove()
	if err != nil {
		return err
	}
	id := url.PathEscape(v.r.PathValue("id"))
	method, path, to := http.MethodPost, "/v1/imports/"+id+"/", "/moving/"+id
	var in any
	bad := problems{}
	done := ""
	switch v.value("act") {
	case "pause":
		path, done = path+"pause", "The move is paused. What is here stays here."
	case "cancel":
		path, done = path+"cancel", "The move is cancelled. What is here stays here."
	case "cut-over":
		path, done = path+"cut-over", "The last run is under way; then the move ends."
	case "resume":
		path, done = path+"resume", "The move goes on."
		f := moveForm{Admin: "nobody", People: v.r.PostFormValue("people")}
		more := map[string]any{"secret": v.r.PostFormValue("secret")}
		if strings.TrimSpace(f.People) != "" {
			more["people"] = f.logins(bad)
		}
		in = more
	case "remove":
		method, path, to, done = http.MethodDelete, "/v1/imports/"+id, "/moving", "It is off the list. The mail stays."
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

	return v.again("move", "Moving in from "+m.Where(), &movedPage{Job: m}, bad)
}
