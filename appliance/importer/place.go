package importer

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// Where what others share is put.
const (
	othersName = "Other Users"
	sharedName = "Shared"
)

// place says where the mail of a mailbox goes.
type place struct {
	from    Mailbox
	to      string // canonical name; not yet looked up as that of a special mailbox
	use     imap.MailboxAttr
	skipped string
	alone   bool // nothing else goes there
	remark  string
}

// notMail are folders in which Exchange keeps what is no mail, in the languages
// of the special names that storage knows best.
var notMail = []string{
	"calendar", "contacts", "tasks", "notes", "journal", "outbox", "sync issues", "rss feeds", "rss subscriptions",
	"conversation action settings", "quick step settings", "suggested contacts",
	"kalender", "kontakte", "aufgaben", "notizen", "postausgang", "synchronisierungsprobleme", "rss-feeds",
	"calendrier", "tâches", "boîte d'envoi", "problèmes de synchronisation", "calendario", "contactos", "tareas", "notas", "diario", "bandeja de salida",
	"contatti", "attività", "note", "posta in uscita", "agenda", "contactpersonen", "taken", "notities", "logboek", "postvak uit",
}

// places decides where each mailbox goes.
func places(boxes []Mailbox, o *Options, exchange bool) []*place {
	out := make([]*place, len(boxes))
	used := map[string]*place{}
	hasUse := map[imap.MailboxAttr]bool{}
	for _, mb := range boxes {
		hasUse[mb.SpecialUse] = true
	}
	for i, mb := range boxes {
		p := &place{from: mb}
		out[i] = p
		switch {
		case mb.NoSelect:
			p.skipped = "it holds no messages"
		case !o.wants(mb.Path):
			p.skipped = "it was not asked for"
		case mb.Namespace != Personal && !o.Shared:
			p.skipped = "it is shared by others; ask for it with --shared"
		case mb.Unfit != "":
			p.skipped = mb.Unfit
		case mb.SpecialUse == imap.MailboxAttrAll, mb.SpecialUse == imap.MailboxAttrFlagged:
			p.skipped = "it only shows what other mailboxes hold"
		case exchange && mb.Namespace == Personal && slices.Contains(notMail, strings.ToLower(mb.Path[0])):
			p.skipped = "Exchange keeps other things than mail in it"
		}
		if p.skipped != "" {
			continue
		}
		p.name(o, hasUse)
		if other := used[p.to]; other != nil {
			// Two names of the source that are one here: what differs only in
			// characters that cannot be, or in the case of INBOX.
			name := p.to
			for n := 2; used[p.to] != nil; n++ {
				p.to = fmt.Sprintf("%s (%d)", cut(name, 990), n)
			}
			p.remark = fmt.Sprintf("%q went to %q, since %q goes to %q.", mb.ID, p.to, other.from.ID, name)
		}
		used[p.to] = p
		if mb.spelled != "" && p.remark == "" {
			p.remark = fmt.Sprintf("The name of %q is not in the alphabet of IMAP (modified UTF-7) there; the mailbox was taken to be called so, and went to %q.", mb.ID, p.to)
		}
	}
	return out
}

// name finds a name for a mailbox, and what it is for.
func (p *place) name(o *Options, hasUse map[imap.MailboxAttr]bool) {
	levels := make([]string, 0, len(p.from.Path)+2)
	if o.Into != "" {
		levels = append(levels, strings.Split(o.Into, string(storage.Delimiter))...)
	}
	switch p.from.Namespace {
	case Others:
		levels = append(levels, othersName)
	case Shared:
		levels = append(levels, sharedName)
	}
	for _, l := range p.from.Path {
		levels = append(levels, level(l))
	}
	if len(levels) > 50 {
		levels = append(levels[:49], cut(strings.Join(levels[49:], "_"), 200))
	}
	name, err := storage.CanonicalName(strings.Join(levels, string(storage.Delimiter)))
	if err != nil { // it is too long
		name = cut(strings.Join(levels, "_"), 900)
	}
	p.to = name
	if o.Into != "" || p.from.Namespace != Personal || len(p.from.Path) != 1 {
		return
	}
	p.use = p.from.SpecialUse
	if guess := storage.SpecialUseOf(p.from.Path[0]); p.use == "" && !hasUse[guess] {
		p.use = guess
	}
}

// level makes a level of a name one that can be here.
func level(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == storage.Delimiter || unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(s, "_"))
	switch s {
	case "", ".", "..":
		return "_" + s
	}
	return s
}

// find returns the mailbox of a place, nil if there is none yet.
func (p *place) find(a *storage.Account) *storage.Mailbox {
	if p.use != "" {
		for _, mb := range a.Mailboxes() {
			if mb.SpecialUse == p.use {
				return mb
			}
		}
	}
	return a.Mailbox(p.to)
}
