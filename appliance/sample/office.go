package sample

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
)

// bigScan is the attachment of the largest letter in octets; in base64 the
// letter has 20 MB.
const bigScan = 14_700_000

// Person is somebody who works in the sample office.
type Person struct {
	Address string
	Name    string
}

// Letter is a message and where it lies.
type Letter struct {
	Mailbox string
	Flags   []imap.Flag
	Date    time.Time
	Body    []byte
}

// People returns who works in the office.
func People() []Person {
	return []Person{
		{Address: "anna@office.example", Name: "Anna Berg"},
		{Address: "ben@office.example", Name: "Ben Okafor"},
	}
}

// Letters yields the mail of person i of People, as it would lie there at a
// moment: a mailbox's letters one after the other, oldest first.
func Letters(i int, now time.Time) iter.Seq[Letter] {
	o := &owner{
		writer: newWriter(uint64(i) + 2026),
		me:     person{People()[i].Name, People()[i].Address},
		other:  person{People()[1-i].Name, People()[1-i].Address},
		now:    now.Truncate(time.Second),
	}

	return func(yield func(Letter) bool) {
		for _, part := range []func(func(Letter) bool) bool{
			o.inbox, o.roof, o.folders, o.sent, o.others, o.brokenMail,
		} {
			if !part(yield) {
				return
			}
		}
	}
}

// owner makes one person's mail.
type owner struct {
	*writer

	me, other person
	now       time.Time
	count     int
}

// letter completes a message and files it.
func (o *owner) letter(m *message, mailbox string, ago time.Duration, flags ...imap.Flag) Letter {
	o.count++
	m.date = o.now.Add(-ago)
	if m.id == "" {
		m.id = fmt.Sprintf("%d.%d@%s", m.date.Unix(), o.count, domainOf(m.from))
	}
	if m.to == nil {
		m.to = []person{o.me}
	}
	if m.text == nil {
		m.text = append([]string{"Hello,"}, o.paragraphs(300+o.rnd.IntN(1500))...)
	}
	m.text = append(m.text, "Kind regards\r\n"+m.from.name)

	return Letter{Mailbox: mailbox, Flags: flags, Date: m.date, Body: m.bytes()}
}

const day = 24 * time.Hour

func (o *owner) inbox(yield func(Letter) bool) bool {
	for i := range 36 {
		m := &message{from: pick(o.writer, correspondents), subject: o.subject(), html: i%3 > 0}
		var flags []imap.Flag
		if i < 30 {
			flags = append(flags, imap.FlagSeen)
		}
		switch i % 9 {
		case 2:
			m.files = []file{paper(fmt.Sprintf("Angebot für Büro %d.pdf", i), "Offer", fmt.Sprintf("Total: %d.00 EUR", 100*i))}
		case 4:
			m.files = []file{picture(i), picture(i + 1)}
			m.cc = []person{o.other}
		case 6:
			flags = append(flags, imap.FlagAnswered)
		case 7:
			flags = append(flags, imap.FlagFlagged, "$Important")
		}
		if !yield(o.letter(m, "INBOX", time.Duration(40-i)*30*time.Hour, flags...)) {
			return false
		}
	}
	meeting := &message{from: o.other, subject: "Site meeting with the roofers", html: true}
	meeting.files = []file{invitation(meeting.subject, o.other, o.me, o.now.Add(3*day))}
	inner := &message{from: correspondents[1], to: []person{o.other}, subject: "御見積書 – 屋根工事", text: []string{"お世話になっております。"}, html: true,
		id: "inner.1@seisakusho.example", date: o.now.Add(-9 * time.Hour), files: []file{paper("見積書.pdf", "Estimate", "1 200 000 JPY")}}
	forward := &message{from: o.other, subject: "Fwd: 御見積書 – 屋根工事", files: []file{forwarded(inner.bytes())}}
	big := &message{from: correspondents[6], subject: "Scans of all drawings (20 MB)", files: []file{
		{name: "drawings.tiff", contentType: "image/tiff", data: o.octets(bigScan)},
	}}

	return yield(o.letter(big, "INBOX", 20*time.Hour, imap.FlagSeen)) &&
		yield(o.letter(forward, "INBOX", 8*time.Hour)) &&
		yield(o.letter(meeting, "INBOX", 5*time.Hour)) &&
		yield(o.letter(&message{from: correspondents[8], subject: "Permit 2026/117 has been granted"}, "INBOX", 40*time.Minute))
}

// roof is a thread about one thing.
func (o *owner) roof(yield func(Letter) bool) bool {
	var thread []string
	subject := "Roof of the east wing"
	who := []person{correspondents[7], o.other, correspondents[4]}
	for i := range 12 {
		m := &message{from: who[i%3], cc: []person{who[(i+1)%3]}, subject: subject, replyTo: thread, html: i%2 == 0}
		if i == 3 {
			m.files = []file{paper("roof-plan.pdf", "Roof plan, east wing", "Scale 1:50"), picture(3)}
		}
		l := o.letter(m, "Projects/2026/Roof", time.Duration(60-4*i)*day, imap.FlagSeen)
		thread = append(thread[:len(thread):len(thread)], m.id)
		subject = "Re: " + strings.TrimPrefix(subject, "Re: ")
		if !yield(l) {
			return false
		}
	}

	return true
}

func (o *owner) folders(yield func(Letter) bool) bool {
	for _, f := range []struct {
		name  string
		count int
		from  person
	}{
		{"Projects/2026/Website", 6, correspondents[2]},
		{"Projects/2025/Move", 9, correspondents[6]},
		{"Kunden/Müller & Söhne", 8, correspondents[0]},
		{"Kunden/山田製作所", 5, correspondents[1]},
		{"Newsletters", 14, correspondents[9]},
	} {
		for i := range f.count {
			m := &message{from: f.from, subject: o.subject(), html: true}
			if !yield(o.letter(m, f.name, time.Duration(200-10*i)*day, imap.FlagSeen)) {
				return false
			}
		}
	}

	return true
}

func (o *owner) sent(yield func(Letter) bool) bool {
	for i := range 15 {
		to := pick(o.writer, correspondents)
		m := &message{from: o.me, to: []person{to}, subject: "Re: " + o.subject()}
		if i%4 == 1 {
			m.cc = []person{o.other}
			m.html = true
		}
		if !yield(o.letter(m, "Sent", time.Duration(90-6*i)*day, imap.FlagSeen)) {
			return false
		}
	}

	return true
}

func (o *owner) others(yield func(Letter) bool) bool {
	draft := &message{from: o.me, to: []person{correspondents[5]}, subject: "Not finished yet"}
	if !yield(o.letter(draft, "Drafts", 2*day, imap.FlagDraft, imap.FlagSeen)) {
		return false
	}
	for i := range 4 {
		m := &message{from: person{"Prize Office", "winner@lottery.example"}, subject: "YOU WON 🎉 1,000,000 !!!", html: true}
		if !yield(o.letter(m, "Junk", time.Duration(30-7*i)*day, imap.FlagJunk)) {
			return false
		}
	}
	for i := range 3 {
		m := &message{from: o.other, subject: "Old: " + o.subject()}
		if !yield(o.letter(m, "Trash", time.Duration(20-5*i)*day, imap.FlagSeen)) {
			return false
		}
	}
	for i := range 60 {
		m := &message{from: pick(o.writer, correspondents), subject: o.subject(), html: i%2 == 0}
		if !yield(o.letter(m, "Archive", time.Duration(400-3*i)*day, imap.FlagSeen)) {
			return false
		}
	}

	return true
}

func (o *owner) brokenMail(yield func(Letter) bool) bool {
	for i, b := range broken() {
		head := fmt.Sprintf("From: %s\r\nSubject: %s\r\n", correspondents[i%len(correspondents)], b.what)
		date := o.now.Add(-time.Duration(100-i) * day)
		if !yield(Letter{Mailbox: "Broken", Date: date, Body: []byte(head + b.body)}) {
			return false
		}
	}

	return true
}
