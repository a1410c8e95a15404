package imap

import (
	"strings"

	"pillarbox/appliance/imap/command"
)

// enable is ENABLE (RFC 9051, section 6.3.1): what is not known is passed
// over, and what this command turned on is told.
func (s *session) enable(a *command.Enable) error {
	told := "ENABLED"
	for _, c := range a.Caps {
		before := s.enabled
		name := ""
		switch strings.ToUpper(string(c)) {
		case "CONDSTORE":
			name = "CONDSTORE"
			s.enabled.condstore = true
		case "UTF8=ACCEPT":
			name = "UTF8=ACCEPT"
			s.enabled.utf8 = true
		case "IMAP4REV2":
			name = "IMAP4rev2"
			s.enabled.rev2 = true
		}
		if s.enabled != before {
			told += " " + name
		}
	}
	s.in.SetUTF8(s.utf8Names())
	s.untagged(told)
	return nil
}
