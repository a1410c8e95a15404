package doctor

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

// greetSMTP reads the greeting and what EHLO or LHLO answers, after its first line.
func (x *examination) greetSMTP(s *secured, t *talk, hello string) ([]string, bool) {
	begun := time.Now()
	r, err := t.reply()
	switch {
	case err != nil:
		x.find("greeting-fails", s.String(), "the server does not greet: "+refusal(err), s.at())
		return nil, false
	case r.code != 220:
		x.find("greeting-fails", s.String(), "the server turns connections away: "+quote(r.String()), s.at())
		return nil, false
	}
	x.swift(s, "SMTP greeting", begun)

	return x.hello(s, t, hello)
}

func (x *examination) hello(s *secured, t *talk, hello string) ([]string, bool) {
	r, err := t.ask(hello + " " + t.literal())
	if err != nil || r.code != 250 {
		x.find("smtp-fails", s.String(), fmt.Sprintf("the server does not take %s: %s", hello, refused(r, err)), s.at())
		return nil, false
	}

	return r.lines[1:], true
}

func refused(r *reply, err error) string {
	if err != nil {
		return refusal(err)
	}

	return quote(r.String())
}

// smtp examines SMTP within TLS.
func (x *examination) smtp(ctx context.Context, s *secured) bool {
	t, _, err := x.secure(ctx, s.port)
	if err != nil {
		x.find("greeting-fails", s.String(), "a further connection fails: "+refusal(err), s.at())
		return false
	}
	defer t.close()
	var words []string
	var ok bool
	if s.service.implicit() {
		words, ok = x.greetSMTP(s, t, "EHLO")
	} else {
		words, ok = x.hello(s, t, "EHLO")
	}
	if !ok {
		return false
	}
	if s.service == SMTP {
		return x.transaction(s, t, "")
	}
	mechanisms := authMechanisms(words)
	if len(mechanisms) == 0 {
		x.find("no-login", s.String(), "the server offers no way to log in for sending, though the connection is encrypted", s.at())
		return false
	}
	if !x.mayLogIn(s, "SMTP") {
		_, _ = t.ask("QUIT")
		return true
	}
	if !x.authenticate(s, t, mechanisms) {
		return false
	}
	from := ""
	if strings.Contains(x.User, "@") {
		from = x.User
	}

	return x.transaction(s, t, from)
}

// authMechanisms returns what AUTH offers (RFC 4954, section 3).
func authMechanisms(lines []string) []string {
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(strings.ToUpper(line), "AUTH "); ok {
			return strings.Fields(rest)
		}
	}

	return nil
}

func (x *examination) authenticate(s *secured, t *talk, mechanisms []string) bool {
	code := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	begun := time.Now()
	var r *reply
	var err error
	switch {
	case slices.Contains(mechanisms, "PLAIN"):
		r, err = t.ask("AUTH PLAIN " + code("\x00"+x.User+"\x00"+string(x.Password)))
	case slices.Contains(mechanisms, "LOGIN"):
		// A reply of 3xx asks for more.
		if r, err = t.ask("AUTH LOGIN"); err == nil && r.code == 334 {
			if r, err = t.ask(code(x.User)); err == nil && r.code == 334 {
				r, err = t.ask(code(string(x.Password)))
			}
		}
	default:
		x.skip("logging in by SMTP on port "+s.String(), "the server offers only "+strings.Join(mechanisms, ", "))
		return true
	}
	if err != nil || r.code != 235 {
		id := "login-refused"
		if err != nil || r.code < 500 {
			id = "login-fails"
		}
		x.refused = true
		x.find(id, s.String(), fmt.Sprintf("SMTP does not let %s in: %s", clean(x.User), refused(r, err)), s.at())
		return false
	}
	x.swift(s, "SMTP log-in", begun)

	return true
}

// transaction begins to hand over a message to the user, and takes it back.
func (x *examination) transaction(s *secured, t *talk, from string) bool {
	what := fmt.Sprintf("whether port %s takes mail for somebody", s)
	if !strings.Contains(x.User, "@") || !mailPath(x.User) {
		x.skip(what, "no user was named by an address")
		_, _ = t.ask("QUIT")
		return true
	}
	begun := time.Now()
	r, err := t.ask("MAIL FROM:<" + from + ">")
	if err == nil && r.good() {
		r, err = t.ask("RCPT TO:<" + x.User + ">")
	}
	if err != nil || !r.good() {
		id := "rcpt-refused"
		if err == nil && r.code < 500 {
			id = "rcpt-later" // greylisting answers the first time so
		}
		x.find(id, s.String(), fmt.Sprintf("the server takes no mail for %s: %s", clean(x.User), refused(r, err)), s.at())
		return false
	}
	x.swift(s, "SMTP recipient", begun)
	_, _ = t.ask("RSET")
	_, _ = t.ask("QUIT")

	return true
}

// mailPath tells whether an address can stand between angle brackets as it is.
func mailPath(a string) bool {
	return len(a) <= 254 && !strings.ContainsFunc(a, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`<>"\,:;()`, r) })
}

// lmtp examines LMTP (RFC 2033), which is for the mail server beside.
func (x *examination) lmtp(ctx context.Context, s *secured) bool {
	conn, err := dial(ctx, s.addr)
	if err != nil {
		x.find("greeting-fails", s.String(), "a further connection fails: "+refusal(err), s.at())
		return false
	}
	t := newTalk(conn)
	defer t.close()
	words, ok := x.greetSMTP(s, t, "LHLO")
	if !ok {
		return false
	}
	keys := keywords(words)
	for _, needed := range []string{"PIPELINING", "ENHANCEDSTATUSCODES"} { // RFC 2033, section 5
		if !slices.Contains(keys, needed) {
			x.find("lmtp-lacks", s.String(), "LMTP does not offer "+needed, s.at())
		}
	}
	if a := s.addr.Addr(); !a.IsLoopback() && !a.IsPrivate() {
		x.find("lmtp-public", s.String(), fmt.Sprintf("LMTP answers at %s, where everybody may put mail into mailboxes, past every filter", a), s.at())
	}

	return x.transaction(s, t, "")
}
