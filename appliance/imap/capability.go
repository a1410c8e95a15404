package imap

import (
	"slices"
	"strconv"
)

// What is served before and after log-in. RFC 7888, section 5: a server
// tells of LITERAL+ or of LITERAL-, never of both. LITERAL+ promises all that
// LITERAL- does, and a client of IMAP4rev2, which includes LITERAL-, needs no
// word of it; so LITERAL+ it is.
const (
	capsAlways = "IMAP4rev1 IMAP4rev2 LITERAL+ ID ENABLE SASL-IR"

	capsMember = capsAlways +
		" IDLE NAMESPACE UIDPLUS MOVE UNSELECT CHILDREN" +
		" LIST-EXTENDED LIST-STATUS STATUS=SIZE SPECIAL-USE CREATE-SPECIAL-USE XLIST" +
		" ESEARCH SEARCHRES WITHIN BINARY UTF8=ACCEPT MULTIAPPEND" +
		" QUOTA QUOTA=RES-STORAGE CONDSTORE QRESYNC OBJECTID SAVEDATE APPENDLIMIT="
)

// capability is CAPABILITY (RFC 9051, section 6.1.1).
func (s *session) capability() error {
	s.untagged("CAPABILITY " + s.capabilities())
	return nil
}

// capabilities lists what the client can use now.
func (s *session) capabilities() string {
	if s.acct == nil {
		caps, all := capsAlways, s.mechanisms()
		if !slices.Contains(all, mechanismLogin) {
			caps += " LOGINDISABLED"
		}
		for _, mechanism := range all {
			caps += " AUTH=" + mechanism
		}
		return caps
	}
	return capsMember + strconv.FormatInt(s.srv.limits.AppendSize, 10)
}
