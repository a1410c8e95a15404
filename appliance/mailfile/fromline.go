package mailfile

import (
	"bytes"
	"strings"
	"time"
)

// parseFromLine reads the line that begins a message:
//
//	From sender@example.org Thu Jan  1 00:00:00 1970
//
// The sender may be missing or hold spaces, and a zone may stand before or
// after the year. Some programs write the date as a header field has it, or as
// ISO 8601 does; such a line is believed only where nothing else is on it.
func parseFromLine(line []byte) (time.Time, bool) {
	rest, ok := bytes.CutPrefix(line, []byte("From "))
	if !ok || len(rest) > 1000 {
		return time.Time{}, false
	}
	f := strings.Fields(string(rest))
	for i := 0; i+4 < len(f); i++ {
		if !isWeekday(f[i]) {
			continue
		}
		if t, ok := parseASCTime(f[i+1:]); ok {
			return t, true
		}
	}

	return parseOtherForm(f)
}

func isWeekday(s string) bool {
	switch strings.TrimSuffix(s, ",") {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun":
		return true
	}

	return false
}

// parseASCTime reads "Jan 2 15:04:05 2006" with the zone in any place after the time.
func parseASCTime(f []string) (time.Time, bool) {
	year, zone := f[3], "+0000"
	if len(f) > 4 {
		switch {
		case len(f[3]) != 4 || strings.ContainsAny(f[3][:1], "+-") || f[3][0] > '9':
			zone, year = f[3], f[4]
		default:
			zone = f[4]
		}
	}
	clock := f[2]
	if strings.Count(clock, ":") == 1 {
		clock += ":00"
	}
	stamp := strings.Join([]string{f[0], f[1], clock, year}, " ")
	if t, err := time.Parse("Jan 2 15:04:05 2006 -0700", stamp+" "+zone); err == nil {
		return t, true
	}
	t, err := time.Parse("Jan 2 15:04:05 2006", stamp)

	return t, err == nil
}

// Layouts of dates that are not asctime's. A fraction of a second may follow
// the seconds.
var (
	fieldDates = []string{"2 Jan 2006 15:04:05", "2 Jan 2006 15:04"}
	otherDates = []string{
		"2-Jan-2006 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04",
	}
	zones = []string{"", " -0700", "-0700", "Z07:00", " Z07:00", " MST"}
)

// parseOtherForm reads one word for the sender and a date up to the line's end.
func parseOtherForm(f []string) (time.Time, bool) {
	if len(f) < 2 || len(f) > 8 {
		return time.Time{}, false
	}
	sender, date := f[0], f[1:]
	if last := date[len(date)-1]; len(date) > 1 && strings.HasPrefix(last, "(") && strings.HasSuffix(last, ")") {
		date = date[:len(date)-1] // a zone's name as a comment
	}
	weekday := isWeekday(date[0])
	if weekday {
		date = date[1:]
	}
	// Without a weekday a line of text could look so: "From Monday 2026-01-05 10:00".
	if !weekday && sender != "-" && sender != "MAILER-DAEMON" && !strings.Contains(sender, "@") {
		return time.Time{}, false
	}
	layouts := fieldDates
	if len(date) > 0 && strings.Contains(date[0], "-") {
		layouts = otherDates
	}
	stamp := strings.Join(date, " ")
	for _, layout := range layouts {
		for _, zone := range zones {
			if t, err := time.Parse(layout+zone, stamp); err == nil {
				return t, true
			}
		}
	}

	return time.Time{}, false
}
