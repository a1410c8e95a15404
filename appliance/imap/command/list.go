package command

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/wire"
)

// maxListItems bounds the lists of which there is no use for more.
const maxListItems = 64

// list1 takes a parenthesised list of items. Spaces too many are forgiven.
func (r *Reader) list1(limit int, mayBeEmpty bool, item func()) {
	r.dec.Want('(')
	r.dec.Spaces()
	if mayBeEmpty && r.dec.Take(')') {
		return
	}
	for n := 1; r.dec.Err() == nil; n++ {
		if n > limit {
			r.dec.Fail("a list has more than %d items", limit)
			return
		}
		item()
		spaces := r.dec.Spaces()
		if r.dec.Take(')') {
			return
		}
		if !spaces {
			r.dec.Space() // for its error
		}
	}
}

// word takes a word of the protocol; unlike the decoder's it stays valid.
func (r *Reader) word() string { return string(r.dec.Word()) }

func (r *Reader) unknown(what, word string) {
	r.dec.Fail("unknown %s %s", what, wire.Printable(word))
}

func (r *Reader) list() Args {
	l := &List{}
	r.dec.Space()
	if r.dec.Peek() == '(' {
		l.Form = ListExtended
		r.list1(maxListItems, true, func() { r.selectOption(&l.Options) })
		// RFC 5258, section 3: it widens another option, and has no meaning alone.
		if l.Options.SelectRecursiveMatch && !l.Options.SelectSubscribed {
			r.dec.Fail("RECURSIVEMATCH needs SUBSCRIBED")
		}
		r.dec.Space()
	}
	l.Reference = r.dec.Mailbox(r.utf8)
	r.dec.Space()
	if r.dec.Peek() == '(' {
		l.Form = ListExtended
		r.list1(maxListItems, false, func() { l.Patterns = append(l.Patterns, r.dec.ListPattern(r.utf8)) })
	} else {
		l.Patterns = []string{r.dec.ListPattern(r.utf8)}
	}
	if !r.dec.More() {
		return l
	}
	if w := r.word(); w != "RETURN" {
		r.unknown("argument", w)
	}
	l.Form = ListExtended
	r.dec.Space()
	r.list1(maxListItems, true, func() { r.returnOption(l) })
	return l
}

// selectOption: RFC 9051, section 6.3.9.1, and RFC 6154, section 2.
func (r *Reader) selectOption(o *imap.ListOptions) {
	switch w := r.word(); w {
	case "SUBSCRIBED":
		o.SelectSubscribed = true
	case "REMOTE":
		o.SelectRemote = true
	case "RECURSIVEMATCH":
		o.SelectRecursiveMatch = true
	case "SPECIAL-USE":
		o.SelectSpecialUse = true
	default:
		r.unknown("selection option", w)
	}
}

// returnOption: RFC 9051, section 6.3.9.2, RFC 5819 and RFC 6154.
func (r *Reader) returnOption(l *List) {
	o := &l.Options
	switch w := r.word(); w {
	case "SUBSCRIBED":
		o.ReturnSubscribed = true
	case "CHILDREN":
		o.ReturnChildren = true
	case "SPECIAL-USE":
		o.ReturnSpecialUse = true
	case "STATUS":
		r.dec.Space()
		o.ReturnStatus = &imap.StatusOptions{}
		r.statusItems(o.ReturnStatus, &l.MailboxID)
	default:
		r.unknown("return option", w)
	}
}

// oldList parses LSUB and XLIST.
func (r *Reader) oldList(form ListForm) Args {
	l := &List{Form: form}
	r.dec.Space()
	l.Reference = r.dec.Mailbox(r.utf8)
	r.dec.Space()
	l.Patterns = []string{r.dec.ListPattern(r.utf8)}
	return l
}

func (r *Reader) status() Args {
	s := &Status{Mailbox: r.mailbox()}
	r.dec.Space()
	r.statusItems(&s.Options, &s.MailboxID)
	return s
}

func (r *Reader) statusItems(o *imap.StatusOptions, mailboxID *bool) {
	r.list1(maxListItems, false, func() {
		switch w := r.word(); w {
		case "MESSAGES":
			o.NumMessages = true
		case "RECENT":
			o.NumRecent = true
		case "UIDNEXT":
			o.UIDNext = true
		case "UIDVALIDITY":
			o.UIDValidity = true
		case "UNSEEN":
			o.NumUnseen = true
		case "DELETED":
			o.NumDeleted = true
		case "SIZE":
			o.Size = true
		case "APPENDLIMIT":
			o.AppendLimit = true
		case "DELETED-STORAGE":
			o.DeletedStorage = true
		case "HIGHESTMODSEQ":
			o.HighestModSeq = true
		case "MAILBOXID":
			*mailboxID = true
		default:
			r.unknown("status item", w)
		}
	})
}

// useAttr takes a special-use attribute and returns it in its usual spelling.
func (r *Reader) useAttr() imap.MailboxAttr {
	r.dec.Want('\\')
	name := r.dec.Atom()
	for _, a := range [...]imap.MailboxAttr{
		imap.MailboxAttrAll, imap.MailboxAttrArchive, imap.MailboxAttrDrafts, imap.MailboxAttrFlagged,
		imap.MailboxAttrJunk, imap.MailboxAttrSent, imap.MailboxAttrTrash, imap.MailboxAttrImportant,
	} {
		if strings.EqualFold(name, string(a[1:])) {
			return a
		}
	}
	return imap.MailboxAttr(`\` + name)
}
