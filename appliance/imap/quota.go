package imap

import (
	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
)

// The account as a whole is the one quota root, and its name is "".
const quotaRoot = ""

// getQuota is GETQUOTA (RFC 9208, section 4.1.2).
func (s *session) getQuota(a *command.GetQuota) error {
	if a.Root != quotaRoot {
		return no(imap.ResponseCodeNonExistent, "No such quota root")
	}
	s.writeQuota()
	return nil
}

// getQuotaRoot is GETQUOTAROOT (RFC 9208, section 4.1.3). A mailbox that does
// not exist yet would have the same root.
func (s *session) getQuotaRoot(a *command.GetQuotaRoot) error {
	b := append(s.out.Buf, "* QUOTAROOT "...)
	b = wire.AppendMailbox(b, a.Mailbox, s.utf8Names())
	s.out.Buf = append(b, ` ""`+"\r\n"...)
	s.writeQuota()
	return nil
}

// writeQuota writes the QUOTA response. Without a limit the list is empty:
// RFC 9208, section 5.1 has no number for "unlimited".
func (s *session) writeQuota() {
	q := s.acct.Quota()
	b := append(s.out.Buf, `* QUOTA "" (`...)
	if q.LimitBytes > 0 {
		// RFC 9208, section 5.1: STORAGE counts units of 1024 octets.
		b = wire.AppendInt(append(b, "STORAGE "...), (q.UsedBytes+1023)/1024)
		b = wire.AppendInt(append(b, ' '), max(q.LimitBytes/1024, 1))
	}
	s.out.Buf = append(b, ")\r\n"...)
}
