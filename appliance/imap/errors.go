package imap

import (
	"context"
	"errors"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/storage"
)

// ErrCredentials is what an [Authenticator] returns for a wrong name or
// password, alone or wrapped. Every other error is taken for a passing fault.
var ErrCredentials = errors.New("the name or the password is wrong")

// What else an [Exchange] may return, alone or wrapped: ErrMessage is for what
// the client sent and is no message of the mechanism; ErrRefused for one that is
// wrong although no name or password is, and its text goes to the log.
var (
	ErrMessage = errors.New("the message is not valid")
	ErrRefused = errors.New("refused")
)

// errDeadline is the cause of a command context that made no progress in time.
var errDeadline = errors.New("the command took too long")

// failures maps errors of storage to what a client is told. The order is that
// of the search; texts are for people and never show a path.
var failures = []struct {
	err  error
	code imap.ResponseCode
	text string
}{
	{storage.ErrNoMailbox, imap.ResponseCodeNonExistent, "No such mailbox"},
	{storage.ErrMailboxExists, imap.ResponseCodeAlreadyExists, "The mailbox exists already"},
	{storage.ErrMailboxName, imap.ResponseCodeCannot, "The mailbox name is not valid"},
	{storage.ErrInboxImmutable, imap.ResponseCodeCannot, "INBOX cannot be deleted"},
	{storage.ErrHasChildren, imap.ResponseCodeHasChildren, "The mailbox has mailboxes below it; delete them first"},
	{storage.ErrOverQuota, imap.ResponseCodeOverQuota, "The account is over its quota; delete mail or ask for more room"},
	{storage.ErrTooManyKeywords, imap.ResponseCodeLimit, "The mailbox has as many keywords as it can hold"},
	{storage.ErrKeyword, imap.ResponseCodeCannot, "The keyword is not valid"},
	{storage.ErrTooManyMailboxes, imap.ResponseCodeLimit, "The account has as many mailboxes as it can hold"},
	{storage.ErrUIDsExhausted, imap.ResponseCodeLimit, "The mailbox has used up its UIDs; move its messages to a new one"},
	{storage.ErrTooBig, imap.ResponseCodeTooBig, "The message is larger than allowed"},
	{storage.ErrNoMessage, imap.ResponseCodeExpired, "Some of the messages are no longer there"},
	{storage.ErrDiskFull, imap.ResponseCodeUnavailable, "The server's disk is full; the administrator must make room"},
	{storage.ErrCorrupt, imap.ResponseCodeCorruption, "The stored data is damaged; the administrator must look at it"},
	{errDeadline, imap.ResponseCodeUnavailable, "The command took too long and was given up"},
	{context.DeadlineExceeded, imap.ResponseCodeUnavailable, "The command took too long and was given up"},
}

// answer turns what a handler returned into the tagged answer. expected tells
// whether the error is the client's business alone or must be logged too.
func answer(err error) (r *reply, expected bool) {
	if errors.As(err, &r) {
		return r, true
	}
	var refused *command.Error
	if errors.As(err, &refused) {
		return replyTo(refused), true
	}
	for _, f := range failures {
		if errors.Is(err, f.err) {
			r = &reply{Type: imap.StatusResponseTypeNo, Code: string(f.code), Text: f.text}
			return r, !serverFault[f.code]
		}
	}
	return &reply{
		Type: imap.StatusResponseTypeNo,
		Code: string(imap.ResponseCodeServerBug),
		Text: "The server failed; the administrator finds the reason in the log",
	}, false
}

// serverFault lists the codes whose cause lies with the server and belongs
// into its log.
var serverFault = map[imap.ResponseCode]bool{
	imap.ResponseCodeUnavailable: true,
	imap.ResponseCodeCorruption:  true,
}
