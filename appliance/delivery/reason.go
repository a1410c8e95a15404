package delivery

import (
	"errors"

	"pillarbox/storage"
)

// Errors that callers tell apart, beside those of storage.
var (
	ErrUnknownRecipient = errors.New("no such recipient")
	ErrNotAdmitted      = errors.New("the sender may not write to this address")
	ErrLoop             = errors.New("the message goes in circles")
)

// Reason classes an error of a delivery by what its sender is to be told. Its
// text is stable, for logs and scripts.
type Reason string

// The reasons. All but DiskFull and Temporary are final.
const (
	Delivered        Reason = ""
	UnknownRecipient Reason = "unknown-recipient"
	NotAdmitted      Reason = "not-admitted"
	OverQuota        Reason = "over-quota"
	TooBig           Reason = "too-big"
	Loop             Reason = "loop"
	BadMailbox       Reason = "bad-mailbox"
	DiskFull         Reason = "disk-full"
	Temporary        Reason = "temporary"
)

// ReasonOf classes an error. Where several were joined, one that may pass wins,
// so that the sender tries again.
func ReasonOf(err error) Reason {
	if err == nil {
		return Delivered
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		reason := Delivered
		for _, e := range joined.Unwrap() {
			if r := ReasonOf(e); reason == Delivered || r == DiskFull || r == Temporary {
				reason = r
			}
		}

		return reason
	}
	for _, known := range []struct {
		err    error
		reason Reason
	}{
		{ErrUnknownRecipient, UnknownRecipient},
		{ErrNotAdmitted, NotAdmitted},
		{storage.ErrOverQuota, OverQuota},
		{storage.ErrTooBig, TooBig},
		{ErrLoop, Loop},
		{storage.ErrMailboxName, BadMailbox},
		{storage.ErrTooManyMailboxes, BadMailbox},
		{storage.ErrDiskFull, DiskFull},
	} {
		if errors.Is(err, known.err) {
			return known.reason
		}
	}

	return Temporary
}
