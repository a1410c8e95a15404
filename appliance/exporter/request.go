package exporter

import (
	"path/filepath"
	"strings"

	"pillarbox/appliance/importer"
	"pillarbox/appliance/mailfile"
)

// The kinds of target.
const (
	KindIMAP    = "imap"
	KindMaildir = "maildir"
	KindMbox    = "mbox"
)

// Request asks for an export of one account.
type Request struct {
	Account string `json:"account"`
	Kind    string `json:"kind"` // KindIMAP, KindMaildir or KindMbox

	Dir    string           `json:"dir,omitempty"`    // of files; must be absolute
	Layout mailfile.Layout  `json:"layout,omitempty"` // of a Maildir; "" means mailfile.LayoutMaildirPlus
	Server *importer.Server `json:"server,omitempty"` // of IMAP
	Secret string           `json:"secret,omitempty"` // the password or token for Server; it is kept nowhere
	Prefix string           `json:"prefix,omitempty"` // of IMAP: a mailbox there below which everything goes

	Mailboxes []string `json:"mailboxes,omitempty"` // by name; none means all
	Expunge   bool     `json:"expunge,omitempty"`
	VerifyAll bool     `json:"verify_all,omitempty"`
}

// Target makes the target that is asked for.
func (r *Request) Target(way *importer.Way) (Target, error) {
	switch r.Kind {
	case KindMaildir, KindMbox:
		if !filepath.IsAbs(r.Dir) {
			return nil, refuse("a folder is wanted, by its whole path")
		}
	case KindIMAP:
		if r.Server == nil {
			return nil, refuse("a server is wanted")
		}
		if r.Expunge {
			return nil, refuse("nothing is removed from another server: what there came from here and what did not cannot be told apart for certain")
		}
	default:
		return nil, refuse("the kind %q is not known: imap, maildir or mbox is wanted", r.Kind)
	}
	switch r.Kind {
	case KindMaildir:
		return NewMaildir(filepath.Clean(r.Dir), r.Layout), nil
	case KindMbox:
		return NewMbox(filepath.Clean(r.Dir)), nil
	}
	server := *r.Server
	server.Secret = importer.Secret(r.Secret)

	return NewIMAP(&server, way, r.Prefix), nil
}

// Where tells a person where the mail goes, without secrets.
func (r *Request) Where() string {
	if r.Kind == KindIMAP && r.Server != nil {
		return strings.Join([]string{r.Kind, r.Server.User + "@" + r.Server.Host}, " ")
	}

	return r.Kind + " " + r.Dir
}

// Options are those of a run.
func (r *Request) Options() *Options {
	o := &Options{Account: r.Account, Expunge: r.Expunge, VerifyAll: r.VerifyAll}
	if len(r.Mailboxes) > 0 {
		o.Mailboxes = r.Mailboxes
	}

	return o
}
