package importer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

const (
	maxForeignName = 1000     // octets of a mailbox's name
	listOctets     = 32 << 20 // of all that LIST and STATUS may answer
	statusAtOnce   = 32       // STATUS and GETACL that are on their way together
	maxRights      = 200      // identifiers of one mailbox that are reported
)

// Mailboxes implements Source.
func (s *IMAP) Mailboxes(ctx context.Context) ([]Mailbox, error) {
	var list []Mailbox
	err := s.with(ctx, func(c *Session) error {
		var err error
		list, err = listMailboxes(c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list mailboxes: %w", err)
	}
	return list, nil
}

func listMailboxes(c *Session) ([]Mailbox, error) {
	caps := c.Caps()
	c.wire.allow(listOctets)
	spaces := &imap.NamespaceData{}
	known := caps.Has(imap.CapNamespace) || caps.Has(imap.CapIMAP4rev2)
	if known {
		var err error
		if spaces, err = c.Namespace().Wait(); err != nil {
			known = false
		}
	}
	extended := caps.Has(imap.CapListExtended) || caps.Has(imap.CapIMAP4rev2)
	var options *imap.ListOptions
	if extended {
		options = &imap.ListOptions{ReturnSubscribed: true, ReturnSpecialUse: caps.Has(imap.CapSpecialUse)}
	}
	cmd := c.List("", "*", options)
	var found []*imap.ListData
	for d := cmd.Next(); d != nil; d = cmd.Next() {
		if len(found) <= MaxMailboxes {
			found = append(found, d)
		}
	}
	if err := cmd.Close(); err != nil {
		return nil, err
	}
	if len(found) > MaxMailboxes {
		return nil, fmt.Errorf("%w: it lists more than %d mailboxes", ErrRefused, MaxMailboxes)
	}
	if !known {
		spaces.Personal = guessNamespace(found)
	}
	var subscribed map[string]bool
	if !extended {
		var err error
		if subscribed, err = listSubscribed(c); err != nil {
			return nil, err
		}
	}
	// What can be read keeps its name where the readable form of another is the same.
	slices.SortStableFunc(found, func(a, b *imap.ListData) int {
		_, aOdd := octetsOf(a.Mailbox)
		_, bOdd := octetsOf(b.Mailbox)
		switch {
		case aOdd == bOdd:
			return 0
		case bOdd:
			return -1
		}
		return 1
	})
	boxes := map[string]*Mailbox{}
	for _, d := range found {
		mb := describe(d, spaces)
		if len(mb.name()) > maxForeignName {
			sum := sha256.Sum256([]byte(mb.name()))
			mb.ID = fmt.Sprintf("%s… (%x)", cut(mb.ID, 200), sum[:4])
			mb.Unfit = fmt.Sprintf("its name has more than %d octets; rename it there", maxForeignName)
		}
		if !extended {
			mb.Subscribed = subscribed == nil || subscribed[d.Mailbox]
		}
		id := mb.ID
		for n := 2; boxes[mb.ID] != nil && boxes[mb.ID].name() != d.Mailbox; n++ { // some servers list one twice
			mb.ID = fmt.Sprintf("%s (%d)", id, n)
		}
		boxes[mb.ID] = mb
	}
	list := slices.SortedFunc(maps.Values(boxes), func(a, b *Mailbox) int {
		if (a.ID == "INBOX") != (b.ID == "INBOX") {
			if a.ID == "INBOX" {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), slices.Compare(a.Path, b.Path), cmp.Compare(a.ID, b.ID))
	})
	if err := measure(c, list, caps); err != nil {
		return nil, err
	}
	out := make([]Mailbox, len(list))
	for i, mb := range list {
		out[i] = *mb
	}
	return out, nil
}

// listSubscribed asks by LSUB (RFC 3501, section 6.3.9) what is subscribed. It
// returns nil where that is not known: the server does not tell, or nothing but
// INBOX is, as where people read by programs of another kind; to have nothing
// subscribed then would be to have everything out of many programs' sight.
func listSubscribed(c *Session) (map[string]bool, error) {
	c.wire.speller.lsub.Store(true)
	defer c.wire.speller.lsub.Store(false)
	list, err := c.List("", "*", nil).Collect()
	if err := onlyAnswers(err); err != nil {
		return nil, err
	}
	if err != nil || len(list) > 2*MaxMailboxes {
		return nil, nil
	}
	out := make(map[string]bool, len(list))
	used := false
	for _, d := range list {
		if slices.Contains(d.Attrs, imap.MailboxAttrNoSelect) { // it only has subscribed ones below it
			continue
		}
		out[d.Mailbox] = true
		used = used || !strings.EqualFold(d.Mailbox, "INBOX")
	}
	if !used {
		return nil, nil
	}
	return out, nil
}

// guessNamespace finds that all mailboxes lie below INBOX, as Courier and
// Cyrus have them, where the server does not say.
func guessNamespace(found []*imap.ListData) []imap.NamespaceDescriptor {
	below := 0
	var delim rune
	for _, d := range found {
		switch prefix := "INBOX" + string(d.Delim); {
		case strings.EqualFold(d.Mailbox, "INBOX"):
		case d.Delim != 0 && len(d.Mailbox) > len(prefix) && strings.EqualFold(d.Mailbox[:len(prefix)], prefix):
			below, delim = below+1, d.Delim
		default:
			return nil
		}
	}
	if below == 0 {
		return nil
	}
	return []imap.NamespaceDescriptor{{Prefix: "INBOX" + string(delim), Delim: delim}}
}

// describe finds out what a mailbox is.
func describe(d *imap.ListData, spaces *imap.NamespaceData) *Mailbox {
	mb := &Mailbox{ID: d.Mailbox, Messages: -1, Bytes: -1}
	for _, a := range d.Attrs {
		switch a {
		case imap.MailboxAttrNoSelect, imap.MailboxAttrNonExistent:
			mb.NoSelect = true
		case imap.MailboxAttrSubscribed:
			mb.Subscribed = true
		case imap.MailboxAttrAll, imap.MailboxAttrArchive, imap.MailboxAttrDrafts, imap.MailboxAttrFlagged,
			imap.MailboxAttrJunk, imap.MailboxAttrSent, imap.MailboxAttrTrash:
			mb.SpecialUse = a
		}
	}
	name := d.Mailbox
	if octets, odd := octetsOf(name); odd {
		mb.spelled, name = name, oneLine(readable(octets))
		mb.ID = name
		if strings.ContainsAny(octets, "\x00\r\n") {
			mb.Unfit = "its name has a line end in it; rename it there"
		}
	}
	if strings.EqualFold(name, "INBOX") && mb.spelled == "" {
		mb.Path = []string{"INBOX"}
		return mb
	}
	best := -1
	for _, kind := range []struct {
		namespace Namespace
		list      []imap.NamespaceDescriptor
	}{{Personal, spaces.Personal}, {Others, spaces.Other}, {Shared, spaces.Shared}} {
		for _, n := range kind.list {
			bare := n.Delim != 0 && name+string(n.Delim) == n.Prefix
			if len(n.Prefix) > best && (strings.HasPrefix(name, n.Prefix) || bare) {
				best = len(n.Prefix)
				mb.Namespace = kind.namespace
				mb.NoSelect = mb.NoSelect || bare && kind.namespace != Personal
			}
		}
	}
	rest := name
	if best > 0 && len(name) > best {
		rest = name[best:]
	}
	if d.Delim == 0 {
		mb.Path = []string{rest}
	} else {
		mb.Path = strings.Split(rest, string(d.Delim))
	}
	return mb
}

// measure asks how much is in the mailboxes, and who may use them.
func measure(c *Session, list []*Mailbox, caps imap.CapSet) error {
	o := &imap.StatusOptions{
		NumMessages: true, UIDNext: true, UIDValidity: true,
		Size:          caps.Has(imap.CapStatusSize) || caps.Has(imap.CapIMAP4rev2),
		HighestModSeq: caps.Has(imap.CapCondStore),
	}
	for some := range slices.Chunk(list, statusAtOnce) {
		status := make([]*imapclient.StatusCommand, len(some))
		rights := make([]*imapclient.GetACLCommand, len(some))
		for i, mb := range some {
			if mb.NoSelect || mb.Unfit != "" {
				continue
			}
			status[i] = c.Status(mb.name(), o)
			if caps.Has(imap.CapACL) {
				rights[i] = c.GetACL(mb.name())
			}
		}
		for i, mb := range some {
			if status[i] == nil {
				continue
			}
			data, err := status[i].Wait()
			if err := onlyAnswers(err); err != nil {
				return err
			}
			if err == nil {
				mb.take(data)
			}
			if rights[i] == nil {
				continue
			}
			acl, err := rights[i].Wait()
			if err := onlyAnswers(err); err != nil {
				return err
			}
			if err == nil {
				mb.grant(acl)
			}
		}
	}
	return nil
}

// onlyAnswers passes over what a server says of one mailbox.
func onlyAnswers(err error) error {
	if _, ok := err.(*imap.Error); ok {
		if busy := asBusy(err); busy != err {
			return busy
		}
		return nil
	}
	return err
}

func (mb *Mailbox) take(d *imap.StatusData) {
	if d.NumMessages != nil {
		mb.Messages = int64(*d.NumMessages)
	}
	if d.Size != nil {
		mb.Bytes = *d.Size
	}
	mb.UIDValidity, mb.UIDNext, mb.ModSeq = d.UIDValidity, d.UIDNext, d.HighestModSeq
	mb.mark()
}

// mark sets the mark from the rest. Without mod-sequences flags may change and
// nothing shows it.
func (mb *Mailbox) mark() {
	mb.Mark = ""
	if mb.UIDValidity != 0 && mb.UIDNext != 0 && mb.ModSeq > 1 && mb.Messages >= 0 {
		mb.Mark = fmt.Sprintf("%d %d %d %d", mb.UIDValidity, mb.UIDNext, mb.Messages, mb.ModSeq)
	}
}

func (mb *Mailbox) grant(d *imapclient.GetACLData) {
	mb.ACL = map[string]string{}
	for who, what := range d.Rights {
		if len(mb.ACL) < maxRights {
			mb.ACL[plainText(string(who))] = plainText(string(what))
		}
	}
}
