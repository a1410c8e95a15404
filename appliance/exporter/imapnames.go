package exporter

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/importer"
	"pillarbox/storage"
)

// Bounds of what a server may list, in mailboxes and in octets.
const (
	maxMailboxes = 20_000
	maxListing   = 32 << 20
)

// imapNames says which mailbox of ours is which there.
type imapNames struct {
	delimiter string // "" where there are no levels
	prefix    string // of the person's own mailboxes, with the delimiter
	there     map[string]bool
	uses      map[imap.MailboxAttr]string
	createUse bool
	below     bool // everything goes below a mailbox that was named

	to      map[string]string   // by our name
	remarks map[string][]string // by our name
	taken   map[string]string   // by theirs
}

// lookAround asks the server what it has.
func lookAround(c *importer.Session, below string) (*imapNames, error) {
	n := &imapNames{
		there: map[string]bool{}, uses: map[imap.MailboxAttr]string{},
		to: map[string]string{}, remarks: map[string][]string{}, taken: map[string]string{},
	}
	caps := c.Caps()
	n.createUse = caps.Has(imap.CapCreateSpecialUse)
	c.Allow(maxListing)
	if caps.Has(imap.CapNamespace) || caps.Has(imap.CapIMAP4rev2) {
		ns, err := c.Namespace().Wait()
		if err != nil {
			return nil, fmt.Errorf("ask for namespaces: %w", err)
		}
		if len(ns.Personal) > 0 {
			n.prefix, n.delimiter = ns.Personal[0].Prefix, delimiterOf(ns.Personal[0].Delim)
		}
	}
	var options *imap.ListOptions
	if caps.Has(imap.CapSpecialUse) && caps.Has(imap.CapListExtended) {
		options = &imap.ListOptions{ReturnSpecialUse: true}
	}
	list := c.List("", "*", options)
	count := 0
	for {
		data := list.Next()
		if data == nil {
			break
		}
		if count++; count > maxMailboxes {
			return nil, refuse("the server lists more than %d mailboxes", maxMailboxes)
		}
		n.add(data)
	}
	if err := list.Close(); err != nil {
		return nil, fmt.Errorf("list mailboxes: %w", err)
	}
	n.guessUses()
	if n.below = below != ""; n.below {
		n.prefix += strings.ReplaceAll(below, "/", n.delimiter) + n.delimiter
		n.uses = map[imap.MailboxAttr]string{} // those are not below
	}

	return n, nil
}

func delimiterOf(r rune) string {
	if r == 0 {
		return ""
	}

	return string(r)
}

func (n *imapNames) add(data *imap.ListData) {
	if n.delimiter == "" {
		n.delimiter = delimiterOf(data.Delim)
	}
	if slices.Contains(data.Attrs, imap.MailboxAttrNonExistent) {
		return
	}
	n.there[data.Mailbox] = !slices.Contains(data.Attrs, imap.MailboxAttrNoSelect)
	for _, attr := range data.Attrs {
		switch attr {
		case imap.MailboxAttrDrafts, imap.MailboxAttrSent, imap.MailboxAttrJunk, imap.MailboxAttrTrash, imap.MailboxAttrArchive:
			if n.uses[attr] == "" {
				n.uses[attr] = data.Mailbox
			}
		}
	}
}

// guessUses finds special mailboxes by their names, where the server says of none
// that it is it.
func (n *imapNames) guessUses() {
	names := make([]string, 0, len(n.there))
	for name := range n.there {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		use := storage.SpecialUseOf(strings.TrimPrefix(name, n.prefix))
		if use != "" && n.uses[use] == "" {
			n.uses[use] = name
		}
	}
}

// resolve names all mailboxes.
func (n *imapNames) resolve(boxes []Mailbox) {
	use := map[string]imap.MailboxAttr{}
	for _, mb := range boxes {
		if mb.SpecialUse != "" {
			use[mb.Name] = mb.SpecialUse
		}
	}
	for _, mb := range boxes {
		n.name(mb.Name, use)
	}
}

// name finds the name of one, by those above it.
func (n *imapNames) name(ours string, use map[string]imap.MailboxAttr) string {
	if theirs, ok := n.to[ours]; ok {
		return theirs
	}
	var theirs string
	above, level := "", ours
	if i := strings.LastIndexByte(ours, '/'); i >= 0 {
		above, level = ours[:i], ours[i+1:]
	}
	clean := level
	if n.delimiter != "" && n.delimiter != "/" {
		clean = strings.ReplaceAll(level, n.delimiter, "_")
	}
	switch {
	case ours == inbox && !n.below:
		theirs = inbox
	case use[ours] != "" && n.uses[use[ours]] != "":
		theirs = n.uses[use[ours]]
	case above == "":
		theirs = n.prefix + clean
	case n.delimiter == "":
		theirs = n.name(above, use) + "-" + clean
	default:
		theirs = n.name(above, use) + n.delimiter + clean
	}
	for n.taken[theirs] != "" && n.taken[theirs] != ours {
		theirs += "_"
	}
	if clean != level {
		n.remarks[ours] = append(n.remarks[ours], fmt.Sprintf("the server separates levels by %q; the mailbox is %q there", n.delimiter, theirs))
	}
	n.to[ours], n.taken[theirs] = theirs, ours

	return theirs
}

// make makes a mailbox that is missing.
func (n *imapNames) make(c *importer.Session, mb *Mailbox) error {
	name := n.to[mb.Name]
	if !n.there[name] && !strings.EqualFold(name, inbox) {
		var options *imap.CreateOptions
		if mb.SpecialUse != "" && n.createUse && n.uses[mb.SpecialUse] == "" {
			options = &imap.CreateOptions{SpecialUse: []imap.MailboxAttr{mb.SpecialUse}}
		}
		err := c.Create(name, options).Wait()
		if err != nil && options != nil { // some know only some of them
			err = c.Create(name, nil).Wait()
		}
		var no *imap.Error
		if errors.As(err, &no) && no.Code == imap.ResponseCodeAlreadyExists {
			err = nil
		}
		if err != nil {
			return fmt.Errorf("make the mailbox %q: %w", name, err)
		}
		n.there[name] = true
	}
	if mb.Subscribed {
		if err := c.Subscribe(name).Wait(); err != nil {
			return fmt.Errorf("subscribe %q: %w", name, err)
		}
	}

	return nil
}
