package webui

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"
)

// ParsePeople reads the lines of a list of people, and returns their addresses
// and names, and what is wrong with others.
func ParsePeople(text, domain string) (all [][2]string, wrong []string, err error) {
	rows, lines, err := parsePeople(text, domain)
	for _, n := range rows {
		all = append(all, [2]string{n.Address, n.Name})
	}
	for _, l := range lines {
		wrong = append(wrong, fmt.Sprintf("%d %s: %s", l.Line, l.Who, l.Why))
	}

	return all, wrong, err
}

// MailAddresses splits what was typed.
func MailAddresses(text, domain string) []string { return mailAddresses(text, domain) }

// NewPassword makes one as people get it.
func NewPassword() string { return newPassword() }

// Event writes a text as a live part sends it.
func Event(text string) string { return event(text) }

// Ceremonies are passkeys that are being used.
type Ceremonies struct{ all ceremonies }

// Begin keeps one that an address began.
func (c *Ceremonies) Begin(challenge string, remote netip.Addr, now time.Time) {
	c.all.begin(ceremony{data: webauthn.SessionData{Challenge: challenge}, remote: remote}, now)
}

// End tells whether one was still waited for.
func (c *Ceremonies) End(challenge string, now time.Time) bool {
	_, ok := c.all.end(challenge, "", now)

	return ok
}
