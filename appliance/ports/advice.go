package ports

import (
	"fmt"
	"strings"
	"time"
)

// advice tells what to do about a client before the change.
func (f *Forecast) advice(c *Client, closed *side) string {
	switch f.Scenario.Change {
	case TLS13:
		return "Update the program or its system (Windows 11, macOS 10.14, iOS 12.2, Android 10, OpenSSL 1.1.1 or newer), or leave TLS 1.2 on."
	case NoPlain:
		if closed.better {
			return "Choose “encrypted password” (SCRAM) in the program, if it has that; else give the device a certificate, or another program."
		}
		return "Nothing else was offered to it so far. Offer SCRAM or certificates first and look again: a program that knows SCRAM takes it by itself."
	}
	to := "993"
	if f.Scenario.Port == IMAPS {
		to = "990"
	}
	where := "on the machine " + c.Name()
	switch c.Name() {
	case c.Credential.Device:
		where = fmt.Sprintf("on the device %q", c.Credential.Device)
	case c.Program:
		where = "in " + c.Program
	}
	return fmt.Sprintf("Set the port of incoming mail to %s %s, with SSL/TLS; name and password stay as they are.", to, where)
}

// summarize says the most important in one sentence or two.
func (f *Forecast) summarize() string {
	change := map[What]string{
		Close:   "Closing " + portName(f.Scenario.Port),
		TLS13:   "TLS 1.3 alone",
		NoPlain: "Closing PLAIN and LOGIN",
	}[f.Scenario.Change]
	if f.Scenario.Change != Close && f.Scenario.Port != "" {
		change += " on " + portName(f.Scenario.Port)
	}
	would := change + " would have cut off"
	if len(f.Affected) == 0 {
		text := would + " nobody who was seen since " + f.From.Format(time.DateOnly) + "."
		if len(f.Moved) > 0 {
			text += fmt.Sprintf(" %s moved before.", count(len(f.Moved), "client"))
		}
		return text
	}
	text := fmt.Sprintf("%s %s of %s since %s", would, count(len(f.Affected), "client"), people(f.People), f.From.Format(time.DateOnly))
	if f.CutOff > 0 {
		text += fmt.Sprintf("; %d of them had no other way in", f.CutOff)
	}
	text += "."
	if len(f.Moved) > 0 {
		text += fmt.Sprintf(" %s moved already.", count(len(f.Moved), "client"))
	}
	return text
}

// unknown tells what the counts cannot.
func (f *Forecast) unknown(inv *Inventory) []string {
	var all []string
	if days := int(f.To.Sub(f.From).Hours() / 24); days < window-1 {
		all = append(all, fmt.Sprintf("There are records of %s only, from %s on. Look again when there are %d days.",
			count(days+1, "day"), f.From.Format("2006-01-02 15:04 UTC"), window))
	}
	if n := inv.quiet(f.From, f.To); n > 0 {
		all = append(all, fmt.Sprintf("On %s of these nobody came by any port: if the box was off or its clock was wrong, nobody could be seen.", count(n, "day")))
	}
	if dropped := inv.lost(); dropped.After(f.From) {
		all = append(all, fmt.Sprintf("There were more clients than are kept: some that were last seen before %s are forgotten.", dropped.Format("2006-01-02 15:04 UTC")))
	}
	all = append(all,
		fmt.Sprintf("What signs in less often than every %d days (a yearly report, a device in a drawer) was not seen.", window),
		"Clients that come from outside with the same password and say the same of themselves, or share an address in the office (with IPv6 a network), are counted as one.",
		"After a crash of the box or a power cut the last quarter of an hour is missing.",
	)
	switch f.Scenario.Change {
	case Close:
		all = append(all, "A program that finds the port closed may try another by itself: some do, and none says so beforehand.")
	case TLS13:
		all = append(all, "A client that knows TLS 1.3 uses it here. Where a security program or a proxy on the way breaks TLS up, it is that one's version that was seen.")
	case NoPlain:
		offered := 0
		for _, a := range f.Affected {
			for _, u := range a.Client.Uses {
				if isPlain(u.Mechanism) && u.Better {
					offered++
					break
				}
			}
		}
		all = append(all, fmt.Sprintf("No program says which mechanisms it knows. %d of %d were offered one that does not send the password and took another: "+
			"these do not know it, or are set to “normal password”.", offered, len(f.Affected)))
	}
	return all
}

// quiet counts the days between two times, but the first and the last, on which
// nobody came.
func (inv *Inventory) quiet(from, to time.Time) (n int) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	seen := map[int]bool{}
	for _, t := range inv.ports {
		for _, d := range t.days {
			seen[d.Day] = true
		}
	}
	for day := dayOf(from) + 1; day < dayOf(to); day++ {
		if !seen[day] {
			n++
		}
	}
	return n
}

// lost tells when a client was last seen that was forgotten to make room.
func (inv *Inventory) lost() time.Time {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return time.Unix(inv.dropped, 0).UTC()
}

// portName names a listener as people do.
func portName(name string) string {
	switch name {
	case IMAPS:
		return "port 993"
	case Legacy:
		return "port 990"
	}
	return "the port " + name
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, strings.TrimSpace(what))
}

func people(n int) string {
	if n == 1 {
		return "1 person"
	}
	return fmt.Sprintf("%d people", n)
}
