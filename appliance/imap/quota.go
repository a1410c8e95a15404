package imap

import (
	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
	"pillarbox/storage"
)

// The account as a whole is the one quota root, and its name is "". Without a
// limit there is none: RFC 9208, section 7 has neither a number for
// "unlimited" nor a QUOTA response of no resource.
const quotaRoot = ""

// getQuota is GETQUOTA (RFC 9208, section 4.1.2).
func (s *session) getQuota(a *command.GetQuota) error {
	q := s.acct.Quota()
	if a.Root != quotaRoot || q.LimitBytes == 0 {
		return no(imap.ResponseCodeNonExistent, "No such quota root")
	}
	s.writeQuota(&q)
	return nil
}

// getQuotaRoot is GETQUOTAROOT (RFC 9208, section 4.1.3). A mailbox that does
// not exist yet would have the same root.
func (s *session) getQuotaRoot(a *command.GetQuotaRoot) error {
	b := append(s.out.Buf, "* QUOTAROOT "...)
	b = wire.AppendMailbox(b, a.Mailbox, s.utf8Names())
	q := s.acct.Quota()
	if q.LimitBytes == 0 {
		s.out.Buf = append(b, "\r\n"...)
		return nil
	}
	s.out.Buf = append(b, ` ""`+"\r\n"...)
	s.writeQuota(&q)
	return nil
}

// writeQuota writes the QUOTA response.
func (s *session) writeQuota(q *storage.Quota) {
	b := append(s.out.Buf, `* QUOTA "" (`...)
	// RFC 9208, section 5.1: STORAGE counts units of 1024 octets.
	b = wire.AppendInt(append(b, "STORAGE "...), (q.UsedBytes+1023)/1024)
	b = wire.AppendInt(append(b, ' '), max(q.LimitBytes/1024, 1))
	s.out.Buf = append(b, ")\r\n"...)
}
