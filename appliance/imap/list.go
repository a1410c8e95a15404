package imap

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
	"pillarbox/storage"
)

// folder is a name that LIST may show: a mailbox, a subscription, or what
// lies above one.
type folder struct {
	name            string
	box             *storage.Mailbox // nil if there is no such mailbox
	subscribed      bool
	hasChildren     bool // a mailbox lies below it
	childSubscribed bool // a subscribed name lies below it, at any depth
}

// list is LIST, LSUB and XLIST (RFC 9051, section 6.3.9; RFC 3501, section
// 6.3.9; RFC 5258).
func (s *session) list(ctx context.Context, a *command.List) error {
	if a.Form != command.ListExtended && len(a.Patterns) == 1 && a.Patterns[0] == "" {
		s.out.Buf = append(s.out.Buf, "* "+listName(a.Form)+` (\Noselect) "/" ""`+"\r\n"...)
		return nil
	}
	o := &a.Options
	m := newMatcher(a.Reference, a.Patterns)
	percent := slices.ContainsFunc(a.Patterns, func(p string) bool {
		return strings.Contains(p, "%") && !strings.Contains(p, "*")
	})
	folders := s.folders()
	above := unlisted(folders, m, o)
	for _, f := range folders {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if !m.match(f.name) {
			continue
		}
		chosen := f.chosen(a, percent)
		if !chosen && !above[f.name] {
			continue
		}
		s.writeList(a, f)
		// RFC 5819, section 2: of what the selection options choose.
		if o.ReturnStatus != nil && chosen && f.box != nil {
			if err := s.writeStatus(ctx, f.name, f.box, o.ReturnStatus, a.MailboxID); err != nil {
				return err
			}
		}
		if err := s.out.Spill(); err != nil {
			return err
		}
	}
	return nil
}

// chosen tells whether a LIST's selection options choose the folder; percent
// tells that only "%" can have matched.
func (f *folder) chosen(a *command.List, percent bool) bool {
	if a.Form == command.LSub {
		// RFC 3501, section 6.3.9: "%" also shows what lies above a
		// subscribed name.
		return f.subscribed || f.childSubscribed && percent
	}
	return f.selected(&a.Options)
}

// selected tells whether the folder itself is what the options select.
func (f *folder) selected(o *imap.ListOptions) bool {
	if o.SelectSpecialUse && (f.box == nil || f.box.SpecialUse == "") {
		return false
	}
	if o.SelectSubscribed {
		return f.subscribed
	}
	return f.box != nil
}

// unlisted returns the names that RECURSIVEMATCH adds to a LIST: those above a
// folder that is selected but not matched. Above one that is listed itself
// they would tell nothing new (RFC 5258, section 3.5).
func unlisted(folders []*folder, m *matcher, o *imap.ListOptions) map[string]bool {
	if !o.SelectRecursiveMatch {
		return nil
	}
	above := map[string]bool{}
	for _, f := range folders {
		if f.selected(o) && !m.match(f.name) {
			for name := range parents(f.name) {
				above[name] = true
			}
		}
	}
	return above
}

// folders returns all names that may be listed, sorted, INBOX first.
func (s *session) folders() []*folder {
	all := map[string]*folder{}
	find := func(name string) *folder {
		f := all[name]
		if f == nil {
			f = &folder{name: name}
			all[name] = f
		}
		return f
	}
	for _, box := range s.acct.Mailboxes() {
		find(box.Name).box = box
		for name := range parents(box.Name) {
			find(name).hasChildren = true
		}
	}
	for _, name := range s.acct.Subscriptions() {
		find(name).subscribed = true
		for name := range parents(name) {
			find(name).childSubscribed = true
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b *folder) int {
		switch {
		case a.name == storage.Inbox:
			return -1
		case b.name == storage.Inbox:
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
}

// writeList writes one LIST, LSUB or XLIST response.
func (s *session) writeList(a *command.List, f *folder) {
	b := append(s.out.Buf, "* "...)
	b = append(b, listName(a.Form)...)
	b = append(b, ' ')
	b = wire.AppendFlags(b, f.attributes(a))
	b = append(b, ` "/" `...)
	b = wire.AppendMailbox(b, f.name, s.utf8Names())
	if a.Options.SelectRecursiveMatch && f.childSubscribed {
		b = append(b, ` ("CHILDINFO" ("SUBSCRIBED"))`...)
	}
	s.out.Buf = append(b, "\r\n"...)
}

// xlistUse are the names that XLIST, Google's forerunner of SPECIAL-USE, has
// for some uses.
var xlistUse = map[imap.MailboxAttr]imap.MailboxAttr{
	imap.MailboxAttrAll:     `\AllMail`,
	imap.MailboxAttrFlagged: `\Starred`,
	imap.MailboxAttrJunk:    `\Spam`,
}

// attributes returns what a LIST response says of a folder.
func (f *folder) attributes(a *command.List) []imap.MailboxAttr {
	var attrs []imap.MailboxAttr
	switch {
	case f.box == nil && a.Form == command.ListExtended:
		attrs = append(attrs, imap.MailboxAttrNonExistent)
	case f.box == nil, a.Form == command.LSub && !f.subscribed:
		attrs = append(attrs, imap.MailboxAttrNoSelect)
	}
	if f.hasChildren {
		attrs = append(attrs, imap.MailboxAttrHasChildren)
	} else {
		attrs = append(attrs, imap.MailboxAttrHasNoChildren)
	}
	if f.subscribed && (a.Options.SelectSubscribed || a.Options.ReturnSubscribed) {
		attrs = append(attrs, imap.MailboxAttrSubscribed)
	}
	if f.box == nil {
		return attrs
	}
	if a.Form == command.XList && f.name == storage.Inbox {
		attrs = append(attrs, `\Inbox`)
	}
	if use := f.box.SpecialUse; use != "" {
		if x := xlistUse[use]; x != "" && a.Form == command.XList {
			attrs = append(attrs, x)
		} else {
			attrs = append(attrs, use)
		}
	}
	return attrs
}

func listName(form command.ListForm) string {
	switch form {
	case command.LSub:
		return "LSUB"
	case command.XList:
		return "XLIST"
	}
	return "LIST"
}
