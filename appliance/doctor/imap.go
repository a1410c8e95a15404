package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// slow is what nobody waits for: other servers answer in milliseconds.
	slow = 5 * time.Second
	// noticeTime is how long a server may take to tell of a new message;
	// Dovecot looks every half minute where the file system does not tell it.
	noticeTime = 35 * time.Second
	// maxRead bounds the message that is read whole, in octets.
	maxRead = 8 << 20
)

// greetIMAP reads the greeting and the capabilities, in capitals.
func (x *examination) greetIMAP(s *secured, t *talk) ([]string, bool) {
	begun := time.Now()
	t.within(conversationTime)
	line, err := t.line()
	if err != nil {
		x.find("greeting-fails", s.String(), "the server does not greet: "+refusal(err), s.at())
		return nil, false
	}
	x.swift(s, "IMAP greeting", begun)
	status, text, _ := strings.Cut(strings.TrimPrefix(line, "* "), " ")
	switch {
	case !strings.HasPrefix(line, "* ") || !slices.Contains([]string{"OK", "PREAUTH", "BYE"}, strings.ToUpper(status)):
		x.find("greeting-fails", s.String(), "the server greets with "+quote(line)+", which is not IMAP", s.at())
		return nil, false
	case strings.EqualFold(status, "BYE"):
		x.find("greeting-fails", s.String(), "the server turns connections away: "+quote(text), s.at())
		return nil, false
	case strings.EqualFold(status, "PREAUTH"):
		x.find("imap-preauth", s.String(), "the server lets everybody in without a password", s.at())
	}
	a, err := t.command("CAPABILITY")
	if err != nil || !a.ok() {
		x.find("imap-fails", s.String(), "the server does not say what it can: "+explain(a, err), s.at())
		return nil, false
	}
	all, _ := a.find("CAPABILITY")

	return strings.Fields(strings.ToUpper(all)), true
}

// swift notes how long a step took, and complains if too long.
func (x *examination) swift(s *secured, what string, begun time.Time) {
	if took := x.time(what+" "+s.String(), begun); took > slow {
		x.find("slow", s.String(), fmt.Sprintf("%s takes %.1f s", what, took.Seconds()), s.at())
	}
}

func explain(a *answer, err error) string {
	if err != nil {
		return refusal(err)
	}

	return quote(a.status + " " + a.text)
}

// imap examines IMAP within TLS.
func (x *examination) imap(ctx context.Context, s *secured) bool {
	t, _, err := x.secure(ctx, s.port)
	if err != nil {
		x.find("greeting-fails", s.String(), "a further connection fails: "+refusal(err), s.at())
		return false
	}
	defer t.close()
	var capabilities []string
	if s.service == IMAP { // which greets once only, before TLS
		a, err := t.command("CAPABILITY")
		if err != nil || !a.ok() {
			x.find("imap-fails", s.String(), "the server does not say what it can: "+explain(a, err), s.at())
			return false
		}
		all, _ := a.find("CAPABILITY")
		capabilities = strings.Fields(strings.ToUpper(all))
	} else {
		var ok bool
		if capabilities, ok = x.greetIMAP(s, t); !ok {
			return false
		}
	}
	has := func(c string) bool { return slices.Contains(capabilities, c) }
	if !has("IMAP4REV1") && !has("IMAP4REV2") {
		x.find("imap-fails", s.String(), "the server names neither IMAP4rev1 nor IMAP4rev2 among what it can", s.at())
		return false
	}
	if has("LOGINDISABLED") && !slices.ContainsFunc(capabilities, func(c string) bool { return strings.HasPrefix(c, "AUTH=") }) {
		x.find("no-login", s.String(), "the server offers no way to log in, though the connection is encrypted", s.at())
		return false
	}
	if !x.mayLogIn(s, "IMAP") {
		_, _ = t.command("LOGOUT")
		return true
	}

	return x.session(ctx, s, t, capabilities)
}

// mayLogIn tells whether a password may be sent.
func (x *examination) mayLogIn(s *secured, what string) bool {
	what = fmt.Sprintf("logging in by %s on port %s", what, s)
	switch {
	case x.User == "":
		x.skip(what, "no user was named")
	case x.refused:
		x.skip(what, "the password was refused already, and more failures may lock the account")
	case !s.trusted:
		x.skip(what, "the certificate cannot be trusted, and a password is not sent to just anybody")
	default:
		return true
	}

	return false
}

// session examines what somebody who logs in gets.
func (x *examination) session(ctx context.Context, s *secured, t *talk, capabilities []string) bool {
	begun := time.Now()
	a, err := t.logIn(x.User, string(x.Password))
	if err != nil || !a.ok() {
		id := "login-refused"
		if err != nil || strings.Contains(strings.ToUpper(a.text), "[UNAVAILABLE]") {
			id = "login-fails"
		}
		x.refused = true
		x.find(id, s.String(), fmt.Sprintf("IMAP does not let %s in: %s", clean(x.User), explain(a, err)), s.at())
		return false
	}
	x.swift(s, "IMAP log-in", begun)
	if a, err := t.command("CAPABILITY"); err == nil && a.ok() {
		all, _ := a.find("CAPABILITY")
		capabilities = strings.Fields(strings.ToUpper(all))
	}
	listed, ok := x.list(s, t)
	opened := false
	if ok {
		opened, ok = x.inbox(s, t)
	}
	if opened && !listed {
		x.find("imap-no-inbox", s.String(), "LIST names no INBOX, though it can be opened", s.at())
	}
	switch {
	case !ok:
	case !slices.Contains(capabilities, "IDLE"):
		x.find("idle-missing", s.String(), "the server does not know IDLE", s.at())
	default:
		ok = x.idle(s, t)
	}
	if ok && x.Write {
		ok = x.arrival(ctx, s, t)
	} else if ok {
		x.skip("how fast a new message is told on port "+s.String(), "it takes writing to a mailbox, which was not allowed")
	}
	_, _ = t.command("LOGOUT")

	return ok
}

// logIn sends LOGIN with literals, which hold every character.
func (t *talk) logIn(user, password string) (*answer, error) {
	tag := t.next()
	for _, part := range []string{
		fmt.Sprintf("%s LOGIN {%d}\r\n", tag, len(user)), fmt.Sprintf("%s {%d}\r\n", user, len(password)),
	} {
		if err := t.write(part); err != nil {
			return nil, err
		}
		if err := t.continuation(tag); err != nil {
			return nil, err
		}
	}
	if err := t.write(password + "\r\n"); err != nil {
		return nil, err
	}

	return t.finish(tag)
}

// list tells whether INBOX is listed, and whether the session can go on.
func (x *examination) list(s *secured, t *talk) (listed, ok bool) {
	begun := time.Now()
	a, err := t.command(`LIST "" "*"`)
	if err != nil || !a.ok() {
		x.find("imap-fails", s.String(), "LIST fails: "+explain(a, err), s.at())
		return true, err == nil
	}
	x.swift(s, "IMAP LIST", begun)

	return slices.ContainsFunc(a.untagged, func(u string) bool {
		u = strings.ToUpper(u)
		return strings.HasPrefix(u, "LIST ") && (strings.HasSuffix(u, " INBOX") || strings.HasSuffix(u, ` "INBOX"`))
	}), true
}

// inbox opens INBOX without changing it and reads the newest message.
func (x *examination) inbox(s *secured, t *talk) (opened, ok bool) {
	begun := time.Now()
	a, err := t.command("EXAMINE INBOX")
	if err != nil || !a.ok() {
		x.find("imap-no-inbox", s.String(), "INBOX cannot be opened: "+explain(a, err), s.at())
		return false, err == nil
	}
	x.swift(s, "IMAP SELECT", begun)
	count := 0
	for _, u := range a.untagged {
		if n, ok := strings.CutSuffix(strings.ToUpper(u), " EXISTS"); ok {
			count, _ = strconv.Atoi(n)
		}
	}
	if !slices.ContainsFunc(a.untagged, func(u string) bool { return strings.Contains(strings.ToUpper(u), "[UIDVALIDITY ") }) {
		x.find("imap-fails", s.String(), "INBOX has no UIDVALIDITY: mail programs cannot keep what they have read", s.at())
	}
	if count == 0 {
		x.skip("FETCH on port "+s.String(), "INBOX holds no message")
		return true, true
	}

	return true, x.fetch(s, t, count)
}

func (x *examination) fetch(s *secured, t *talk, count int) bool {
	begun := time.Now()
	a, err := t.command(fmt.Sprintf("FETCH %d (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)", count))
	if err != nil || !a.ok() {
		x.find("fetch-fails", s.String(), "FETCH of the newest message in INBOX fails: "+explain(a, err), s.at())
		return err == nil
	}
	x.swift(s, "IMAP FETCH", begun)
	size := -1
	for _, u := range a.untagged {
		if _, rest, ok := strings.Cut(strings.ToUpper(u), "RFC822.SIZE "); ok {
			digits, _, _ := strings.Cut(strings.TrimRight(rest, ")"), " ")
			if n, err := strconv.Atoi(digits); err == nil {
				size = n
			}
		}
	}
	switch {
	case size < 0:
		x.find("fetch-fails", s.String(), "FETCH tells nothing of the newest message in INBOX, which is said to exist", s.at())
		return true
	case size > maxRead:
		x.skip("FETCH of a whole message on port "+s.String(), fmt.Sprintf("the newest one has %d octets", size))
		return true
	}
	begun = time.Now()
	a, err = t.command(fmt.Sprintf("FETCH %d BODY.PEEK[]", count))
	switch {
	case err != nil || !a.ok():
		x.find("fetch-fails", s.String(), "the newest message in INBOX cannot be read: "+explain(a, err), s.at())
		return err == nil
	case size > 0 && (len(a.literals) != 1 || len(a.literals[0]) != size):
		got := 0
		for _, l := range a.literals {
			got += len(l)
		}
		x.find("fetch-fails", s.String(), fmt.Sprintf("the newest message in INBOX is said to have %d octets and has %d", size, got), s.at())
	}
	x.swift(s, "IMAP FETCH of a message", begun)

	return true
}

// idle begins IDLE and ends it.
func (x *examination) idle(s *secured, t *talk) bool {
	begun := time.Now()
	tag := t.next()
	err := t.write(tag + " IDLE\r\n")
	if err == nil {
		err = t.continuation(tag)
	}
	var a *answer
	if err == nil {
		if err = t.write("DONE\r\n"); err == nil {
			a, err = t.finish(tag)
		}
	}
	if err != nil || !a.ok() {
		x.find("idle-fails", s.String(), "IDLE fails: "+explain(a, err), s.at())
		return err == nil
	}
	x.swift(s, "IMAP IDLE", begun)

	return true
}

// arrival puts a message into a mailbox of its own and measures how soon
// another session that waits there hears of it.
func (x *examination) arrival(ctx context.Context, s *secured, t *talk) bool {
	mailbox := "Doctor-" + strings.ToLower(rand.Text()[:8])
	if a, err := t.command("CREATE " + mailbox); err != nil || !a.ok() {
		x.find("append-fails", s.String(), "no mailbox can be made: "+explain(a, err), s.at())
		return err == nil
	}
	defer func() {
		if a, err := t.command("DELETE " + mailbox); err != nil || !a.ok() {
			x.find("append-fails", s.String(), fmt.Sprintf("the mailbox %s, made for this examination, cannot be removed again: %s", mailbox, explain(a, err)), s.at())
		}
	}()
	w, _, err := x.secure(ctx, s.port)
	if err != nil {
		x.find("login-fails", s.String(), "a second session is not taken: "+refusal(err), s.at())
		return true
	}
	defer w.close()
	if s.service == IMAPS {
		w.within(conversationTime)
		_, err = w.line()
	}
	tag := ""
	for _, do := range []func() (*answer, error){
		func() (*answer, error) { return w.logIn(x.User, string(x.Password)) },
		func() (*answer, error) { return w.command("SELECT " + mailbox) },
		func() (*answer, error) {
			tag = w.next()
			if err := w.write(tag + " IDLE\r\n"); err != nil {
				return nil, err
			}
			return &answer{status: "OK"}, w.continuation(tag)
		},
	} {
		var a *answer
		if err == nil {
			a, err = do()
		}
		if err != nil || !a.ok() {
			x.find("login-fails", s.String(), "a second session of the same account fails: "+explain(a, err), s.at())
			return true
		}
	}
	text := fmt.Sprintf("From: <doctor@localhost>\r\nSubject: Examination %s\r\nDate: %s\r\nMessage-ID: <%s@localhost>\r\n\r\nThis can be deleted.\r\n",
		mailbox, x.now().Format(time.RFC1123Z), mailbox)
	begun := time.Now()
	appending := t.next()
	err = t.write(fmt.Sprintf("%s APPEND %s {%d}\r\n", appending, mailbox, len(text)))
	if err == nil {
		if err = t.continuation(appending); err == nil {
			err = t.write(text + "\r\n")
		}
	}
	var a *answer
	if err == nil {
		a, err = t.finish(appending)
	}
	if err != nil || !a.ok() {
		x.find("append-fails", s.String(), "a message cannot be put into a mailbox: "+explain(a, err), s.at())
		return err == nil
	}
	x.swift(s, "IMAP APPEND", begun)
	x.await(s, w, begun)
	a, err = t.command("EXAMINE " + mailbox)
	if err == nil && a.ok() {
		a, err = t.command("FETCH 1 BODY.PEEK[]")
	}
	if err != nil || !a.ok() || len(a.literals) != 1 || !bytes.Equal(a.literals[0], []byte(text)) {
		x.find("fetch-fails", s.String(), "a message comes back from the server other than it went in", s.at())
	}
	if err == nil {
		_, err = t.command("UNSELECT")
	}

	return err == nil
}

// await waits for EXISTS in IDLE.
func (x *examination) await(s *secured, w *talk, begun time.Time) {
	w.within(noticeTime)
	for range maxResponses {
		line, _, err := w.response()
		if err != nil {
			x.find("idle-silent", s.String(), fmt.Sprintf("a program that waits by IDLE is not told of a new message within %d s", int(noticeTime.Seconds())), s.at())
			return
		}
		if strings.HasSuffix(strings.ToUpper(line), " EXISTS") {
			x.time("IMAP delivery to IDLE notice "+s.String(), begun)
			return
		}
	}
}
