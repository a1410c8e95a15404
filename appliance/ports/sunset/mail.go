package sunset

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"slices"
	"strings"
	"time"
)

// maxMails bounds how many are delivered in one tick.
const maxMails = 20

// mails tells people by mail that they still come by the old way.
func (p *Planner) mails(ctx context.Context, plan *Plan, now time.Time) error {
	if p.conf.Mailer == nil || plan.NoMail || !plan.announced() || plan.Hold != nil || plan.farewell() {
		return nil
	}
	devices := map[string][]Use{}
	for _, u := range p.concerned(plan, now) {
		name := strings.ToLower(u.Account)
		devices[name] = append(devices[name], u)
	}
	people, sent := p.persons(plan.Kind), 0
	for _, name := range sorted(devices) {
		person := people[name]
		since := now.Sub(person.Mailing)
		if !person.Mailing.IsZero() && since < time.Duration(plan.MailEach) && since >= 0 {
			continue
		}
		if sent++; sent > maxMails {
			return nil
		}
		// Noted and durable before it is delivered: never more often than set.
		if err := p.mailed(ctx, plan.Kind, name, now, false); err != nil {
			return err
		}
		subject := plan.said(plan.Words.Subject, p.conf.Server(), p.zone())
		err := p.conf.Mailer.Deliver(ctx, name, p.letter(name, subject, p.instructions(plan, devices[name]), now))
		if err != nil {
			p.log.WarnContext(ctx, "somebody could not be told by mail; it is tried again", "account", name, "err", err)
			err = p.mailed(ctx, plan.Kind, name, again(now, plan.MailEach), false)
		} else {
			err = p.mailed(ctx, plan.Kind, name, now, true)
		}
		if err != nil {
			return err
		}
	}

	return nil
}

// again is what is noted of a mail that was not delivered: it is tried again in an
// hour, and not at each tick.
func again(now time.Time, each Span) time.Time {
	return now.Add(-time.Duration(each)).Add(min(time.Hour, time.Duration(each)))
}

func sorted[T any](m map[string]T) []string {
	all := make([]string, 0, len(m))
	for name := range m {
		all = append(all, name)
	}
	slices.Sort(all)

	return all
}

// mailed notes durably that somebody is told by mail, or was.
func (p *Planner) mailed(ctx context.Context, k Kind, name string, at time.Time, done bool) error {
	p.mu.Lock()
	all := p.of(k)
	if all[name] == nil {
		all[name] = &Person{Account: name}
	}
	if all[name].Mailing = at; done {
		all[name].Mailed = at
	}
	p.dirty[k][name], p.urgent = true, true
	p.mu.Unlock()

	return p.flush(ctx, false)
}

// instructions is what somebody is told to do, with their own devices.
func (p *Planner) instructions(plan *Plan, uses []Use) string {
	about := plan.Kind.words()
	slices.SortFunc(uses, func(a, b Use) int { return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.described(), b.described())) })
	var b strings.Builder
	fmt.Fprintf(&b, "Hello,\n\n%s\n\nWhat still comes that way:\n\n", plan.said(plan.Words.Mail, p.conf.Server(), p.zone()))
	for i, u := range uses {
		if i == 20 {
			fmt.Fprintf(&b, "  and %d more\n", len(uses)-i)
			break
		}
		fmt.Fprintf(&b, "  - %s, last seen %s\n", cmp.Or(u.described(), "a device that does not say what it is"), u.Last.In(p.zone()).Format("2 January 2006 15:04"))
	}
	fmt.Fprintf(&b, "\nWhat to do, on each of them: %s.\n", about.change)
	if about.other != "" {
		port := map[string]string{IMAPS: "993", Legacy: "990"}[about.other]
		fmt.Fprintf(&b, "\n  Server:      %s\n  Port:        %s\n  Encryption:  SSL/TLS (not STARTTLS)\n  User name:   %s\n  Password:    as before\n", p.conf.Server(), port, uses[0].Account)
	}
	fmt.Fprintf(&b, "\n%s\n\nWhoever looks after your mail server can tell you more. This mail was written by\nthe server itself; answers to it reach nobody.\n", about.rest)

	return b.String()
}

// letter makes a message of plain text.
func (p *Planner) letter(to, subject, text string, now time.Time) []byte {
	var b bytes.Buffer
	host := cmp.Or(p.conf.Server(), "localhost")
	fmt.Fprintf(&b, "From: Pillarbox <postmaster@%s>\r\n", host)
	fmt.Fprintf(&b, "To: <%s>\r\n", to)
	fmt.Fprintf(&b, "Subject: %s\r\n", mime.QEncoding.Encode("utf-8", clean(subject)))
	fmt.Fprintf(&b, "Date: %s\r\n", now.In(p.zone()).Format(time.RFC1123Z))
	fmt.Fprintf(&b, "Message-ID: <%s@%s>\r\n", rand.Text(), host)
	// RFC 3834, section 5: no vacation notice answers it.
	b.WriteString("Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n")
	b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n"))) // into memory
	_ = w.Close()

	return b.Bytes()
}
