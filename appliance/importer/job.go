package importer

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"pillarbox/storage"
)

// From says where the mail of a job is: on an IMAP server, or in files of this
// machine. Exactly one of IMAP, Path and Upload is set.
type From struct {
	// IMAP is the server; its User is each person's own.
	IMAP *Server `json:"imap,omitempty"`
	// Path is a Maildir, an mbox or a folder of such; User of a person then
	// chooses whose mail of several.
	Path string `json:"path,omitempty"`
	// Upload is what was uploaded for the job, as its owner calls it; only Jobs.Upload
	// sets it.
	Upload string `json:"upload,omitempty"`
	// Owner chooses whose mail where one person's moves; "" means that nobody
	// else's is there.
	Owner string `json:"owner,omitempty"`
}

// withoutUser returns a copy that names nobody.
func (f From) withoutUser() From {
	if f.IMAP != nil {
		s := *f.IMAP
		s.User, s.Secret = "", ""
		f.IMAP = &s
	}
	return f
}

// NewJob asks for a job.
type NewJob struct {
	From    From    `json:"from"`
	People  []Login `json:"people"`
	Secret  Secret  `json:"secret,omitempty"` // the administrator's at the source
	Options Options `json:"options"`
	// Follow goes on taking what is new until the cut-over.
	Follow bool `json:"follow,omitempty"`
	// PollSeconds is how long nobody looks at a source that tells of nothing by
	// itself; 0 means 60.
	PollSeconds int64 `json:"poll_seconds,omitempty"`
	// KeepSecrets keeps the passwords in the data folder until the job ends, so
	// that it goes on by itself after a restart.
	KeepSecrets bool `json:"keep_secrets,omitempty"`
	// Together is how many people's mail moves at the same time; 0 means 2.
	Together int `json:"together,omitempty"`
}

// State is that of a job.
type State string

// The states.
const (
	Running   State = "running"
	Paused    State = "paused"
	Locked    State = "locked" // it needs a password, see Jobs.Resume
	Ended     State = "ended"
	Cancelled State = "cancelled"
)

// Stage says how far a person's move is.
type Stage string

// The stages.
const (
	StagePending   Stage = "pending"
	StageMoving    Stage = "moving"
	StageFollowing Stage = "following"
	StageRetrying  Stage = "retrying" // at Person.Next
	StageDone      Stage = "done"
	StageFailed    Stage = "failed"
	StageLocked    Stage = "locked" // the source refuses the password
)

// Person is one of a job.
type Person struct {
	User    string `json:"user"`
	Account string `json:"account"`
	// AccountID is the account that had the address when the job began; "" in jobs
	// of older versions.
	AccountID storage.AccountID `json:"account_id,omitempty"`

	Stage Stage     `json:"stage"`
	Error string    `json:"error,omitempty"`
	Runs  int       `json:"runs"`
	Next  time.Time `json:"next,omitzero"` // with StageRetrying
	Total Counts    `json:"total"`         // of the last run, with what all runs took
	Bad   int64     `json:"bad"`           // quarantined, as far as known
	OK    *bool     `json:"ok,omitempty"`  // what the verification says; nil: there was none

	Progress *Snapshot `json:"progress,omitempty"` // while it moves
}

// Job is a move, as it is now.
type Job struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	By      string    `json:"by"`
	Changed time.Time `json:"changed"`

	From        From     `json:"from"`
	Options     Options  `json:"options"`
	Follow      bool     `json:"follow,omitempty"`
	CutOver     bool     `json:"cut_over,omitempty"` // the last run is asked for
	PollSeconds int64    `json:"poll_seconds,omitempty"`
	KeepSecrets bool     `json:"keep_secrets,omitempty"`
	Together    int      `json:"together,omitempty"`
	State       State    `json:"state"`
	Warning     string   `json:"warning,omitempty"`
	People      []Person `json:"people"`

	Version int64 `json:"version"` // grows with each change, also of progress
}

const (
	usualTogether = 2
	maxTogether   = 16
	usualPoll     = time.Minute
	minPoll       = 10
	maxPoll       = 24 * 3600
)

// Validate returns all that is wrong.
func (n *NewJob) Validate() error {
	var errs []error
	switch {
	case n.From.Upload != "":
		errs = append(errs, errors.New("from: a file is uploaded by another request"))
	case (n.From.IMAP == nil) == (n.From.Path == ""):
		errs = append(errs, errors.New("from: either a server or a path is wanted"))
	case n.From.Path != "" && !filepath.IsAbs(n.From.Path):
		errs = append(errs, errors.New("from: the whole path is wanted, from / on"))
	case n.From.Owner != "" && (n.From.IMAP != nil || len(n.People) != 1):
		errs = append(errs, errors.New("from: an owner is named where one person's mail moves out of files; of several each user is one"))
	case n.From.IMAP != nil:
		s := *n.From.IMAP
		s.User = "anybody"
		errs = append(errs, s.Validate())
	}
	if len(n.People) == 0 || len(n.People) > MaxPeople {
		errs = append(errs, fmt.Errorf("people: at least one and at most %d are wanted", MaxPeople))
	}
	errs = append(errs, n.validateSecrets())
	if n.PollSeconds != 0 && (n.PollSeconds < minPoll || n.PollSeconds > maxPoll) {
		errs = append(errs, fmt.Errorf("poll_seconds: a number from %d to %d is wanted", minPoll, maxPoll))
	}
	if n.Together < 0 || n.Together > maxTogether {
		errs = append(errs, fmt.Errorf("together: a number from 1 to %d is wanted", maxTogether))
	}
	errs = append(errs, n.Options.Validate())
	return errors.Join(errs...)
}

// validateSecrets looks whether everybody can sign in.
func (n *NewJob) validateSecrets() error {
	if n.From.IMAP == nil {
		return nil
	}
	var errs []error
	common, own := n.Secret != "", "password"
	if n.From.IMAP.SignIn == ByXOAUTH2 {
		switch o := n.From.IMAP.OAuth; {
		case o == nil && len(n.People) > 1 && common:
			errs = append(errs, errors.New("secret: a token is one person's"))
		case o != nil && o.Grant == ByRefreshToken:
			common, own = false, "refresh token"
		case o != nil && !common:
			return errors.New("secret: the application's is wanted")
		}
	}
	for _, p := range n.People {
		if p.Secret == "" && !common && len(errs) < maxProblems {
			errs = append(errs, fmt.Errorf("people: there is no %s for %q", own, p.User))
		}
	}
	return errors.Join(errs...)
}

// same fails where a person's address belongs to another account by now.
func (p *Person) same(a *storage.Account) error {
	if p.AccountID != "" && p.AccountID != a.ID() {
		return fmt.Errorf("%s is another account than the one for which this began; begin anew for it", p.Account)
	}
	return nil
}

func (j *Job) poll() time.Duration {
	if j.PollSeconds == 0 {
		return usualPoll
	}
	return time.Duration(j.PollSeconds) * time.Second
}

func (j *Job) together() int {
	if j.Together == 0 {
		return usualTogether
	}
	return j.Together
}
