package doctor

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// injectTime is how long a server that took a command too early may take to
// answer it.
const injectTime = time.Second

// startTLS checks what a server says and does before TLS.
func (x *examination) startTLS(ctx context.Context, s *secured) bool {
	conn, err := dial(ctx, s.addr)
	if err != nil {
		x.find("greeting-fails", s.String(), "a second connection is not taken: "+refusal(err), s.at())
		return false
	}
	t := newTalk(conn)
	defer t.close()
	var offered, ok bool
	if s.service == IMAP {
		offered, ok = x.clearIMAP(s, t)
	} else {
		offered, ok = x.clearSMTP(s, t)
	}
	if ok && offered {
		x.inject(ctx, s)
	}

	return ok && offered
}

// clearIMAP reads what IMAP offers without TLS.
func (x *examination) clearIMAP(s *secured, t *talk) (offered, ok bool) {
	capabilities, ok := x.greetIMAP(s, t)
	if !ok {
		return false, false
	}
	if !slices.Contains(capabilities, "LOGINDISABLED") && !x.trustedHere(s, t) {
		x.find("plain-login", s.String(), "the server takes passwords without encryption: it does not say LOGINDISABLED before STARTTLS", s.at())
	}
	if slices.Contains(capabilities, "STARTTLS") {
		return true, true
	}
	a, err := t.command("STARTTLS")
	x.judgeMissing(s, err == nil && a.ok(), strings.Join(capabilities, " "))

	return err == nil && a.ok(), true
}

// clearSMTP reads what SMTP offers without TLS.
func (x *examination) clearSMTP(s *secured, t *talk) (offered, ok bool) {
	words, ok := x.greetSMTP(s, t, "EHLO")
	if !ok {
		return false, false
	}
	keys := keywords(words)
	if slices.Contains(keys, "AUTH") && !x.trustedHere(s, t) {
		x.find("plain-login", s.String(), "the server takes passwords without encryption: it offers AUTH before STARTTLS", s.at())
	}
	if slices.Contains(keys, "STARTTLS") {
		return true, true
	}
	r, err := t.ask("STARTTLS")
	x.judgeMissing(s, err == nil && r.code == 220, strings.Join(words, " "))

	return err == nil && r.code == 220, true
}

// trustedHere tells whether server and doctor are on one machine, where servers
// take passwords without encryption that they refuse otherwise.
func (x *examination) trustedHere(s *secured, t *talk) bool {
	ours, ok1 := t.conn.LocalAddr().(*net.TCPAddr)
	theirs, ok2 := t.conn.RemoteAddr().(*net.TCPAddr)
	if !ok1 || !ok2 || !ours.IP.Equal(theirs.IP) {
		return false
	}
	x.skip("passwords without encryption on port "+s.String(), "the server is on this machine, which it may trust: examine it from another one")

	return true
}

// judgeMissing tells apart a server without STARTTLS from one whose offer
// somebody on the way took out: some firewalls write X over it, and the command
// works nevertheless.
func (x *examination) judgeMissing(s *secured, works bool, offered string) {
	overwritten := slices.ContainsFunc(strings.Fields(strings.ToUpper(offered)), func(word string) bool {
		return len(word) == len("STARTTLS") && strings.Count(word, "X") >= len(word)-1
	})
	switch {
	case works:
		x.find("starttls-stripped", s.String(), "the server does not offer STARTTLS, but takes it: something on the way takes the offer out, so that mail goes without encryption", s.at())
	case overwritten:
		x.find("starttls-stripped", s.String(), "where the server should offer STARTTLS stands "+quote(offered)+": something on the way writes over it, so that mail goes without encryption", s.at())
	case s.service == SMTP:
		x.find("starttls-missing-smtp", s.String(), "the server does not offer STARTTLS", s.at())
	default:
		x.find("starttls-missing", s.String(), "the server does not offer STARTTLS", s.at())
	}
}

// inject sends a command together with STARTTLS. A server that answers it
// within TLS takes what an attacker on the way puts in front (CVE-2011-0411).
func (x *examination) inject(ctx context.Context, s *secured) {
	conn, err := dial(ctx, s.addr)
	if err != nil {
		return
	}
	defer conn.Close()
	t := newTalk(conn)
	if s.service == IMAP {
		t.within(conversationTime)
		if _, err = t.line(); err == nil {
			if err = t.write("i1 STARTTLS\r\ni2 NOOP\r\n"); err == nil {
				_, err = t.finish("i1")
			}
		}
	} else {
		if _, err = t.reply(); err == nil {
			if _, err = t.ask("EHLO " + t.literal()); err == nil {
				_, err = t.ask("STARTTLS\r\nNOOP")
			}
		}
	}
	if err != nil || t.r.Buffered() > 0 {
		return // it breaks off, as it may
	}
	secure, err := x.handshake(ctx, conn)
	if err != nil {
		return
	}
	t = newTalk(secure)
	t.within(injectTime)
	if line, err := t.line(); err == nil {
		x.find("starttls-injection", s.String(), fmt.Sprintf("the server carries out a command that was sent before TLS began: it answers %s", quote(line)), s.at())
	}
}

// keywords are the first words of what EHLO answers.
func keywords(lines []string) []string {
	var all []string
	for _, line := range lines {
		word, _, _ := strings.Cut(strings.ToUpper(line), " ")
		if w, _, ok := strings.Cut(word, "="); ok {
			word = w // AUTH=LOGIN, as old programs want it
		}
		all = append(all, word)
	}

	return all
}
