package imap

import (
	"strings"

	"pillarbox/appliance/imap/command"
)

// enable is ENABLE (RFC 9051, section 6.3.1): what is not known is passed
// over, and what this command turned on is told.
func (s *session) enable(a *command.Enable) error {
	told := "ENABLED"
	before := s.enabled
	for _, c := range a.Caps {
		name, on := "", false
		switch strings.ToUpper(string(c)) {
		case "CONDSTORE":
			name, on = "CONDSTORE", before.condstore
			s.enabled.condstore = true
		case "QRESYNC":
			name, on = "QRESYNC", before.qresync
			s.enabled.condstore, s.enabled.qresync = true, true
		case "UTF8=ACCEPT":
			name, on = "UTF8=ACCEPT", before.utf8
			s.enabled.utf8 = true
		case "IMAP4REV2":
			name, on = "IMAP4rev2", before.rev2
			s.enabled.rev2 = true
		}
		if name != "" && !on && !strings.Contains(told+" ", " "+name+" ") {
			told += " " + name
		}
	}
	s.in.SetUTF8(s.utf8Names())
	s.untagged(told)
	return nil
}
