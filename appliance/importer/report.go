package importer

import "time"

// Report tells what became of one person's mail. It is what the
// administrator reads at the end, and holds no secrets.
type Report struct {
	Source  string    `json:"source"`  // Source.Origin
	Account string    `json:"account"` // the address here
	Dry     bool      `json:"dry,omitempty"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
	Facts   Facts     `json:"facts"`

	Mailboxes []MailboxReport `json:"mailboxes"`
	Total     Counts          `json:"total"`
	// Bad lists the messages that were quarantined, MaxListed at most; all are
	// counted in Total.
	Bad []Bad `json:"bad"`
	// Remarks are what an administrator should know, in sentences: a mailbox
	// that got another name, keywords that were left off.
	Remarks []string `json:"remarks"`

	Estimate *Estimate `json:"estimate,omitempty"` // of a dry run
	// Verified is nil until what is here was compared with what is there.
	Verified *Verification `json:"verified,omitempty"`
}

// MaxListed bounds the lists of a report.
const MaxListed = 1000

// Counts counts messages of the source.
type Counts struct {
	Listed      int64 `json:"listed"`      // that the source has
	Bytes       int64 `json:"bytes"`       // of those, as far as it says
	Taken       int64 `json:"taken"`       // in this run
	TakenBytes  int64 `json:"taken_bytes"` // in this run
	Claimed     int64 `json:"claimed"`     // were there already, and are known from this run on
	Flagged     int64 `json:"flagged"`     // whose flags changed
	Expunged    int64 `json:"expunged"`    // here, because they are gone there
	Known       int64 `json:"known"`       // were taken in an earlier run
	Quarantined int64 `json:"quarantined"` // in this or an earlier run
	Gone        int64 `json:"gone"`        // at the source, after it had listed them
	// Damaged are those taken in this run that were not as the source had noted.
	Damaged int64 `json:"damaged,omitempty"`
}

// add adds counts.
func (c *Counts) add(o Counts) {
	c.Listed += o.Listed
	c.Bytes += o.Bytes
	c.Taken += o.Taken
	c.TakenBytes += o.TakenBytes
	c.Claimed += o.Claimed
	c.Flagged += o.Flagged
	c.Expunged += o.Expunged
	c.Known += o.Known
	c.Quarantined += o.Quarantined
	c.Gone += o.Gone
	c.Damaged += o.Damaged
}

// MailboxReport tells of one mailbox.
type MailboxReport struct {
	From      string    `json:"from"` // as the source calls it
	To        string    `json:"to"`   // its name here
	Namespace Namespace `json:"namespace,omitempty"`
	KeptUIDs  bool      `json:"kept_uids,omitempty"`
	Skipped   string    `json:"skipped,omitempty"` // why it was left out
	Unchanged bool      `json:"unchanged,omitempty"`

	Counts
	ACL map[string]string `json:"acl,omitempty"`
}

// Bad is a message that was quarantined.
type Bad struct {
	Mailbox string `json:"mailbox"` // the source's
	Message string `json:"message"` // UID, or where it stands
	Size    int64  `json:"size"`    // -1 if not known
	Reason  string `json:"reason"`
	File    string `json:"file,omitempty"` // in the data folder, with its octets
}

// Verification compares what is here with what the source lists.
type Verification struct {
	When time.Time `json:"when"`
	OK   bool      `json:"ok"`
	// Messages and Bytes were compared by their size and the hash of what came
	// from the source.
	Messages int64 `json:"messages"`
	Bytes    int64 `json:"bytes"`
	// Left is how many were deleted or moved here since they came.
	Left int64 `json:"left"`
	// Sizes is how many the source announced with another size than they have,
	// as servers do that estimate it.
	Sizes       int64    `json:"sizes"`
	Differences []string `json:"differences"` // MaxListed at most; empty if OK
}
