package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/audit"
	"pillarbox/storage"
)

// progressEvery is the time between two findings that tell how far a check is.
const progressEvery = 500 * time.Millisecond

// Finding is a line of a check's answer; one field is set.
type Finding struct {
	Problem  *Problem  `json:"problem,omitempty"`
	Mended   *Problem  `json:"mended,omitempty"`   // what a repair did
	Progress *Progress `json:"progress,omitempty"` // now and then
	Report   *Report   `json:"report,omitempty"`   // the check is done
	Error    *Error    `json:"error,omitempty"`    // the check could not go on
}

// Problem is something in the data folder that does not fit together. Fields
// are empty where it is not of one account, mailbox or message.
type Problem struct {
	Account string   `json:"account,omitempty"`
	Mailbox string   `json:"mailbox,omitempty"`
	UID     imap.UID `json:"uid,omitempty"`
	Text    string   `json:"text"`
}

// Progress tells how many messages have been read.
type Progress struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
}

// Report counts what was read.
type Report struct {
	Accounts  int   `json:"accounts"`
	Mailboxes int   `json:"mailboxes"`
	Messages  int64 `json:"messages"`
	Bytes     int64 `json:"bytes"`
	Problems  int   `json:"problems"`
	Repaired  int   `json:"repaired"` // accounts whose mail was mended
	System    bool  `json:"system"`   // what the server knows of its accounts was mended
	Left      int   `json:"left"`     // problems that a repair did not mend; all where there was none
}

// check sends what it finds as it finds it: a big office takes a while.
func (h *Handler) check(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	addresses, err := h.addresses(ctx)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	rc := http.NewResponseController(w)
	send := func(f Finding) {
		// A client that has gone away ends the check by its context.
		if err := errors.Join(enc.Encode(f), rc.Flush()); err != nil {
			h.log.DebugContext(ctx, "finding not sent", "err", err)
		}
	}
	next := time.Now().Add(progressEvery)
	named := func(p storage.Problem) *Problem {
		return &Problem{
			Account: cmp.Or(addresses[p.Account], string(p.Account)), Mailbox: p.Mailbox, UID: p.UID, Text: p.Text,
		}
	}
	options := storage.CheckOptions{
		Bodies: true,
		Found:  func(p storage.Problem) { send(Finding{Problem: named(p)}) },
		Progress: func(done, total int64) {
			if now := time.Now(); now.After(next) {
				next = now.Add(progressEvery)
				send(Finding{Progress: &Progress{Done: done, Total: total}})
			}
		},
	}
	done := audit.StorageChecked
	if r.URL.Query().Get("repair") != "" {
		done = audit.StorageRepaired
		options.Mended = func(p storage.Problem) { send(Finding{Mended: named(p)}) }
	}
	report, err := h.store.Check(ctx, options)
	if err != nil {
		send(Finding{Error: asError(err)})
		return nil
	}
	if err := h.checkDirectory(ctx, &report, options.Found, options.Mended); err != nil {
		send(Finding{Error: asError(err)})
		return nil
	}
	if err := h.record(ctx, audit.Event{Kind: done, More: map[string]string{
		"problems": strconv.Itoa(report.Problems), "repaired": strconv.Itoa(report.Repaired), "left": strconv.Itoa(report.Left),
	}}); err != nil {
		send(Finding{Error: asError(err)})
		return nil
	}
	send(Finding{Report: &Report{
		Accounts: report.Accounts, Mailboxes: report.Mailboxes, Messages: report.Messages,
		Bytes: report.Bytes, Problems: report.Problems, Repaired: report.Repaired, System: report.System, Left: report.Left,
	}})

	return nil
}

// checkDirectory adds what is wrong with the accounts themselves to a report.
func (h *Handler) checkDirectory(ctx context.Context, report *storage.CheckReport, found, mended func(storage.Problem)) error {
	problems := 0
	left, err := h.directory.Check(ctx, func(p storage.Problem) { problems++; found(p) }, mended)
	if err != nil {
		return err
	}
	report.Problems += problems
	report.Left += left
	report.System = report.System || left < problems

	return nil
}

// addresses returns the address of each account.
func (h *Handler) addresses(ctx context.Context) (map[storage.AccountID]string, error) {
	accounts, err := h.directory.List(ctx)
	if err != nil {
		return nil, err
	}
	byID := make(map[storage.AccountID]string, len(accounts))
	for _, a := range accounts {
		byID[a.ID] = a.Address
	}

	return byID, nil
}

// Check reads all mail and tells each finding.
func (c *Client) Check(ctx context.Context, found func(Finding)) (Report, error) {
	return c.check(ctx, "/v1/check", found)
}

// Repair is Check, and mends what it finds.
func (c *Client) Repair(ctx context.Context, found func(Finding)) (Report, error) {
	return c.check(ctx, "/v1/check?repair=1", found)
}

func (c *Client) check(ctx context.Context, path string, found func(Finding)) (Report, error) {
	res, err := c.do(ctx, http.MethodPost, path, nil)
	if err != nil {
		return Report{}, err
	}
	defer res.Body.Close()
	dec := json.NewDecoder(res.Body)
	for {
		var f Finding
		if err := dec.Decode(&f); err != nil {
			return Report{}, fmt.Errorf("read findings: %w", err)
		}
		switch {
		case f.Report != nil:
			return *f.Report, nil
		case f.Error != nil:
			return Report{}, f.Error
		}
		found(f)
	}
}
