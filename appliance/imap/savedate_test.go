package imap_test

import (
	"regexp"
	"testing"
	"time"
)

// saved returns the save date of a message.
func (c *client) saved(uid string) time.Time {
	c.t.Helper()
	lines, _ := c.run("UID FETCH " + uid + " SAVEDATE")
	if len(lines) != 1 {
		c.t.Fatalf("%q", lines)
	}
	m := regexp.MustCompile(`^\* \d+ FETCH \(UID \d+ SAVEDATE "([^"]+)"\)$`).FindStringSubmatch(lines[0])
	if m == nil {
		c.t.Fatalf("no SAVEDATE in %q", lines[0])
	}
	when, err := time.Parse("_2-Jan-2006 15:04:05 -0700", m[1])
	if err != nil {
		c.t.Fatal(err)
	}
	return when
}

// TestSaveDate: RFC 8514, section 3: it tells when a message came into its
// mailbox, whatever its internal date, so a copy and a moved message have one
// of their own.
func TestSaveDate(t *testing.T) {
	o := newOffice(t)
	c := o.login()
	c.quiet(`APPEND INBOX " 7-Feb-1994 21:52:25 -0800" {` + "40+}\r\nSubject: old\r\n\r\n012345678901234567890123")
	c.quiet("SELECT INBOX")
	first := c.saved("1")
	if d := time.Since(first); d < -time.Minute || d > time.Hour {
		t.Errorf("saved at %v", first)
	}
	c.do("FETCH 1 (SAVEDATE INTERNALDATE)", `* 1 FETCH (INTERNALDATE " 7-Feb-1994 21:52:25 -0800" SAVEDATE "…")`, "OK FETCH completed")
	// Save dates are in seconds: wait for the clock to show another one.
	for end := first.Add(time.Second); time.Now().Before(end); {
		time.Sleep(time.Until(end))
	}
	c.quiet("COPY 1 Archive")
	c.quiet("UID MOVE 1 Trash")
	for _, mailbox := range []string{"Archive", "Trash"} {
		c.quiet("SELECT " + mailbox)
		if got := c.saved("1"); !got.After(first) {
			t.Errorf("in %s saved at %v, before that at %v", mailbox, got, first)
		}
	}
	kept := c.saved("1")
	c.quiet(`STORE 1 +FLAGS (\Seen)`)
	c.quiet("RENAME Trash Bin")
	if got := c.saved("1"); !got.Equal(kept) {
		t.Errorf("a flag and a new name changed the save date from %v to %v", kept, got)
	}
}

// TestSearchSaved: RFC 8514, section 4.3: by the day, disregarding time and zone.
func TestSearchSaved(t *testing.T) {
	o := newOffice(t)
	c := o.login()
	c.quiet(`APPEND INBOX " 7-Feb-1994 21:52:25 -0800" {` + "40+}\r\nSubject: old\r\n\r\n012345678901234567890123")
	c.quiet("SELECT INBOX")
	day := c.saved("1")
	date := func(days int) string { return day.AddDate(0, 0, days).Format("2-Jan-2006") }
	yes, no := "* SEARCH 1", "* SEARCH"
	for key, want := range map[string]string{
		"SAVEDATESUPPORTED": yes, "NOT SAVEDATESUPPORTED": no,
		"SAVEDON " + date(0): yes, "SAVEDON " + date(-1): no, "SAVEDON " + date(1): no,
		"SAVEDSINCE " + date(0): yes, "SAVEDSINCE " + date(-1): yes, "SAVEDSINCE " + date(1): no,
		"SAVEDBEFORE " + date(0): no, "SAVEDBEFORE " + date(-1): no, "SAVEDBEFORE " + date(1): yes,
		"OR SAVEDON 7-Feb-1994 NOT SAVEDON " + date(0): no, "ON 7-Feb-1994 SAVEDON " + date(0): yes,
	} {
		c.do("SEARCH "+key, want, "OK SEARCH completed")
	}
}
