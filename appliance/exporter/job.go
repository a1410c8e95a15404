package exporter

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"pillarbox/appliance/importer"
	"pillarbox/storage"
)

// NewMove asks for mail to move out in the background.
type NewMove struct {
	// To says where everybody's mail goes, and which of it; its Account, its
	// Secret and the User of its Server are each person's own.
	To Request `json:"to"`
	// People are whose mail goes. User is the name at another IMAP server, ""
	// means that it is the account's address.
	People []importer.Login `json:"people"`
	Secret importer.Secret  `json:"secret,omitempty"` // the administrator's at the target
	// Apart gives each person a folder of their own in To.Dir.
	Apart bool `json:"apart,omitempty"`
	// KeepSecrets keeps the passwords in the data folder until the move ends, so
	// that it goes on by itself after a restart.
	KeepSecrets bool `json:"keep_secrets,omitempty"`
	// Together is how many people's mail moves at the same time; 0 means 2.
	Together int `json:"together,omitempty"`
}

// Mover is one whose mail moves out. Its stages are those of an import, less the
// one that follows.
type Mover struct {
	Account string `json:"account"`
	// AccountID is the account that had the address when the export began.
	AccountID storage.AccountID `json:"account_id,omitempty"`

	User  string         `json:"user,omitempty"` // at the target; "" for files
	Where string         `json:"where"`          // for people
	Stage importer.Stage `json:"stage"`
	Error string         `json:"error,omitempty"`
	Runs  int            `json:"runs"`
	Next  time.Time      `json:"next,omitzero"` // with importer.StageRetrying
	Total Counts         `json:"total"`         // of the last run, with what all runs put there
	OK    *bool          `json:"ok,omitempty"`  // whether everything is there, and the same; nil: not known yet

	Progress *Pace `json:"progress,omitempty"` // while it moves
}

// Move is mail that moves out, as it is now.
type Move struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	By      string    `json:"by"`
	Changed time.Time `json:"changed"`

	To          Request        `json:"to"`
	Apart       bool           `json:"apart,omitempty"`
	KeepSecrets bool           `json:"keep_secrets,omitempty"`
	Together    int            `json:"together,omitempty"`
	State       importer.State `json:"state"`
	Warning     string         `json:"warning,omitempty"`
	People      []Mover        `json:"people"`

	Version int64 `json:"version"` // grows with each change, also of progress
}

const (
	usualTogether = 2
	maxTogether   = 16
)

// Validate returns all that is wrong.
func (n *NewMove) Validate() error {
	var errs []error
	if n.To.Account != "" || n.To.Secret != "" {
		errs = append(errs, errors.New("to: whose mail it is, and the passwords, stand in people"))
	}
	if _, err := n.To.Target(nil); err != nil {
		errs = append(errs, err)
	}
	if len(n.People) == 0 || len(n.People) > importer.MaxPeople {
		errs = append(errs, fmt.Errorf("people: at least one and at most %d are wanted", importer.MaxPeople))
	}
	if len(n.People) > 1 && n.To.Kind != KindIMAP && !n.Apart {
		errs = append(errs, errors.New("apart: a folder holds the mail of one person"))
	}
	if n.Together < 0 || n.Together > maxTogether {
		errs = append(errs, fmt.Errorf("together: a number from 1 to %d is wanted", maxTogether))
	}
	seen, where := map[string]bool{}, map[string]bool{}
	for _, p := range n.People {
		user := orElse(p.User, p.Account)
		switch {
		case len(errs) >= 20: // more would not be read
		case p.Account == "":
			errs = append(errs, errors.New("people: an account is wanted"))
		case seen[p.Account]:
			errs = append(errs, fmt.Errorf("people: %s is there twice", p.Account))
		case n.To.Kind == KindIMAP && where[user]:
			errs = append(errs, fmt.Errorf("people: two people's mail would go to %s", user))
		case n.To.Kind == KindIMAP && p.Secret == "" && n.Secret == "":
			errs = append(errs, fmt.Errorf("people: there is no password for %s", user))
		}
		seen[p.Account], where[user] = true, true
	}
	if s := n.To.Server; s != nil {
		s := *s
		s.User = "anybody"
		errs = append(errs, s.Validate())
	}

	return errors.Join(errs...)
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}

	return s
}

// request is what is asked for one person.
func (m *Move) request(i int, keys secrets) *Request {
	p := &m.People[i]
	r := m.To
	r.Account = p.Account
	if r.Kind != KindIMAP {
		if m.Apart {
			r.Dir = filepath.Join(r.Dir, strings.ReplaceAll(p.Account, string(filepath.Separator), "_"))
		}
		return &r
	}
	server := *r.Server
	server.User = p.User
	r.Server = &server
	if r.Secret = keys[p.User]; r.Secret == "" || server.Admin != "" {
		r.Secret = keys[""]
	}

	return &r
}

func (m *Move) together() int {
	if m.Together == 0 {
		return usualTogether
	}

	return m.Together
}

// over tells whether nothing happens any more.
func (m *Move) over() bool {
	return m.State == importer.Ended || m.State == importer.Cancelled
}

// describe says for the record what a move does.
func (m *Move) describe() string {
	text := fmt.Sprintf("%d people to %s", len(m.People), m.To.Where())
	if len(m.People) == 1 {
		text = m.People[0].Account + " to " + m.People[0].Where
	}
	if m.KeepSecrets {
		text += ", with the passwords kept until it ends"
	}

	return text
}
