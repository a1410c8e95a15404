package exporter

import (
	"time"

	"github.com/emersion/go-imap/v2"
)

// Report tells what became of one person's mail.
type Report struct {
	Account string    `json:"account"`
	Target  string    `json:"target"` // what kind, and where
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`

	Mailboxes []MailboxReport `json:"mailboxes"`
	Total     Counts          `json:"total"`

	// Bad lists messages that are not at the target, MaxListed at most; all are
	// counted in Total.Refused.
	Bad []Bad `json:"bad"`
	// Remarks are what an administrator should know, in sentences.
	Remarks []string `json:"remarks"`
	// Differences are what the comparison at the end found; empty if what is
	// there is what is here, but for Bad.
	Differences []string `json:"differences"`
}

// MaxListed bounds the lists of a report.
const MaxListed = 1000

// OK tells that all mail is at the target, and was found to be the same.
func (r *Report) OK() bool { return r.Total.Refused == 0 && len(r.Differences) == 0 }

// Counts counts messages of the box.
type Counts struct {
	Listed   int64 `json:"listed"`
	Bytes    int64 `json:"bytes"`
	Put      int64 `json:"put"` // in this run
	PutBytes int64 `json:"put_bytes"`
	Known    int64 `json:"known"`    // were there already
	Flagged  int64 `json:"flagged"`  // were there, with other flags
	Removed  int64 `json:"removed"`  // at the target, because they are gone here
	Left     int64 `json:"left"`     // are at the target and not, or not any more, here
	Refused  int64 `json:"refused"`  // could not be put there
	Verified int64 `json:"verified"` // were read back and compared by their hash
}

func (c *Counts) add(o *Counts) {
	c.Listed += o.Listed
	c.Bytes += o.Bytes
	c.Put += o.Put
	c.PutBytes += o.PutBytes
	c.Known += o.Known
	c.Flagged += o.Flagged
	c.Removed += o.Removed
	c.Left += o.Left
	c.Refused += o.Refused
	c.Verified += o.Verified
}

// MailboxReport tells of one mailbox.
type MailboxReport struct {
	Name string `json:"name"`
	To   string `json:"to"` // its name or path at the target
	Counts
}

// Bad is a message that could not be exported.
type Bad struct {
	Mailbox string   `json:"mailbox"`
	UID     imap.UID `json:"uid"`
	Size    int64    `json:"size"`
	Reason  string   `json:"reason"`
}

// Progress tells how far a run is. What is counted as done is durable.
type Progress struct {
	Mailbox    string `json:"mailbox"`
	Done       int64  `json:"done"`
	Total      int64  `json:"total"`
	DoneBytes  int64  `json:"done_bytes"`
	TotalBytes int64  `json:"total_bytes"`
}
