package ports

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Risk is what may be wrong with a client.
type Risk struct {
	Name string `json:"name"` // stable, in kebab-case
	Text string `json:"text"` // what it is
	Do   string `json:"do"`   // what to do about it
}

// The names of risks.
const (
	RiskLegacy   = "only-990"
	RiskOutside  = "outside"
	RiskShared   = "shared-password"
	RiskUnknown  = "unknown-device"
	RiskFailing  = "failing"
	RiskPlain    = "password-sent"
	RiskTLS12    = "tls-1.2"
	RiskNotSeen  = "not-seen"
	failingDays  = 7
	failingTimes = 5
)

// isPlain tells whether a mechanism sends the password itself.
func isPlain(mechanism string) bool {
	return mechanism == "PLAIN" || strings.HasPrefix(mechanism, "LOGIN")
}

// assess finds the risks of the clients of one account.
func assess(all []Client, now time.Time) {
	from := now.Add(-window * daySeconds * time.Second)
	sharing := map[string]int{} // clients by what they share
	for i := range all {
		if !all[i].Last.Before(from) {
			sharing[shared(&all[i])]++
		}
	}
	for i := range all {
		c := &all[i]
		if c.Last.Before(from) {
			// Nothing else matters of what may be gone.
			c.Risks = append(c.Risks, notSeen(c, now))
			continue
		}
		c.Risks = append(c.Risks, risks(c, sharing[shared(c)], from, now)...)
	}
}

// shared is what clients share that use the same password.
func shared(c *Client) string {
	if c.Credential.Kind == Token {
		return c.ID // a token is fetched by each for itself
	}
	return string(c.Credential.Kind) + "\x00" + c.Credential.Device
}

func risks(c *Client, sharing int, from, now time.Time) (found []Risk) {
	add := func(name, do, text string, args ...any) {
		found = append(found, Risk{Name: name, Text: fmt.Sprintf(text, args...), Do: do})
	}
	latest := func(match func(*Use) bool) bool {
		return slices.ContainsFunc(c.Uses, func(u Use) bool { return !u.Last.Before(from) && match(&u) })
	}
	if latest(func(u *Use) bool { return u.Port == Legacy }) && !latest(func(u *Use) bool { return u.Port != Legacy }) {
		add(RiskLegacy, "Set its port to 993, with SSL/TLS; name and password stay as they are.",
			"It comes by port 990 alone, which no standard knows for mail.")
	}
	if c.Outside() {
		add(RiskOutside, "If that is not meant to be, change the password, and let the firewall keep mail to the office.",
			"It was last seen outside the office's networks, at %s.", c.Addresses[0].Addr)
	}
	own := c.Credential.Kind == Password
	if sharing > 1 && own {
		add(RiskShared, "Make a password for each device (pillarbox account device add "+c.Account+" NAME), and then change the person's own.",
			"%d clients use the person's own password: whoever gets at one of them has it, and changing it breaks all.", sharing)
	}
	if sharing > 1 && !own {
		add(RiskShared, "Give each a password or a certificate of its own (pillarbox account device add "+c.Account+" NAME).",
			"%d programs sign in as the one device %q, so that one of them cannot be shut out alone.", sharing, c.Credential.Device)
	}
	if own && c.Program == "" {
		add(RiskUnknown, "Find out by its address what it is, and give it a password of its own (pillarbox account device add "+c.Account+" NAME).",
			"It does not say what it is, and has no password of its own by which one could tell.")
	}
	sessions, failures := 0, 0
	for _, u := range c.Uses {
		for _, d := range u.Days {
			if d.Date.After(now.Add(-failingDays * daySeconds * time.Second)) {
				sessions, failures = sessions+d.Sessions, failures+d.Failures
			}
		}
	}
	if failures >= failingTimes && failures > sessions {
		add(RiskFailing, "Enter the password anew at the device; while it is wrong, each try counts towards a ban.",
			"In %d days %d sign-ins failed and %d succeeded: it, or another program beside it, has an old password.", failingDays, failures, sessions)
	}
	if latest(func(u *Use) bool { return isPlain(u.Mechanism) && u.Better }) {
		add(RiskPlain, "Where the program lets one choose, choose “encrypted password” (SCRAM), or give the device a certificate.",
			"It sends the password itself, within TLS, although it was offered a way that does not.")
	}
	if latest(func(u *Use) bool { return u.TLS == tls12 }) {
		add(RiskTLS12, "Update the program or the system when there is an occasion; until then do not ask for TLS 1.3 alone.",
			"It speaks TLS 1.2. As this box does that it is safe: old ciphers are refused.")
	}
	return found
}

// What TLS versions are called.
const (
	tls12 = "TLS 1.2"
	tls13 = "TLS 1.3"
)

func notSeen(c *Client, now time.Time) Risk {
	r := Risk{
		Name: RiskNotSeen,
		Text: fmt.Sprintf("It was not seen for %d days.", int(now.Sub(c.Last).Hours()/24)),
		Do:   "If the device is gone, change the password that was in it.",
	}
	if c.Credential.Device != "" {
		r.Do = fmt.Sprintf("If the device is gone: pillarbox account device revoke %s %q.", c.Account, c.Credential.Device)
	}
	return r
}
