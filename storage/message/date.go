package message

import (
	"strconv"
	"strings"
	"time"
)

// ParseDate reads a Date field's value (unfolded or not) as mail has it: with
// obsolete zones or none, without seconds, with years of two digits, with a
// weekday that is wrong or in another language. ok is false where no date can
// be made out.
func ParseDate(s string) (t time.Time, ok bool) {
	const longest = 200
	if len(s) > longest {
		s = s[:longest]
	}
	s = strings.TrimSpace(s)
	if s == "" {
		return time.Time{}, false
	}
	if t, ok = parseWords(s); !ok {
		var err error
		if t, err = time.Parse(time.RFC3339, s); err != nil {
			return time.Time{}, false
		}
	}
	if _, zone := t.Zone(); t.Year() < 1900 || t.Year() > 9999 || zone/60 < -maxZone || zone/60 > maxZone {
		return time.Time{}, false
	}
	return t, true
}

// parseWords picks day, month, year, time and zone out of the words.
func parseWords(s string) (time.Time, bool) {
	var (
		day, year = -1, -1
		month     time.Month
		clock     []int
		zone      = time.UTC
	)
	if word, rest, ok := strings.Cut(s, ","); ok && !strings.ContainsAny(word, " \t0123456789") {
		s = rest // a weekday; "mar" is a Tuesday here and there
	}
	words := strings.FieldsFunc(stripComments(s), func(r rune) bool {
		return r == ' ' || r == '\t' || r == ',' || r == '\r' || r == '\n'
	})
	var split []string
	for _, w := range words {
		// 21-Nov-1997
		if parts := strings.Split(w, "-"); len(parts) == 3 && parts[0] != "" {
			split = append(split, parts...)
			continue
		}
		split = append(split, w)
	}
	for _, w := range split {
		if z, ok := parseZone(w); ok && clock != nil {
			zone = z
			continue
		}
		if c, ok := parseClock(w); ok && clock == nil {
			clock = c
			continue
		}
		if m, ok := parseMonth(w); ok && month == 0 {
			month = m
			continue
		}
		n, err := strconv.Atoi(strings.TrimRight(w, "."))
		switch {
		case err != nil || n < 0:
		case day < 0 && n >= 1 && n <= 31 && len(w) <= 3:
			day = n
		case year < 0:
			year = fullYear(n, len(w))
		}
	}
	if day < 0 || month == 0 || year < 0 {
		return time.Time{}, false
	}
	if clock == nil {
		clock = []int{0, 0, 0}
	}
	return time.Date(year, month, day, clock[0], clock[1], clock[2], 0, zone), true
}

func stripComments(s string) string {
	var b strings.Builder
	depth := 0
	for _, r := range s {
		switch {
		case r == '(':
			depth++
		case r == ')' && depth > 0:
			depth--
			b.WriteByte(' ')
		case depth == 0:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// fullYear completes a year of two or three digits (RFC 5322, section 4.3).
func fullYear(n, digits int) int {
	switch {
	case digits <= 2 && n < 50:
		return n + 2000
	case digits <= 3:
		return n + 1900
	}
	return n
}

func parseClock(w string) ([]int, bool) {
	if strings.Count(w, ":") == 0 {
		return nil, false
	}
	clock := []int{0, 0, 0}
	for i, part := range strings.Split(w, ":") {
		part, _, _ = strings.Cut(part, ".")
		n, err := strconv.Atoi(part)
		limit := 60
		if i == 0 {
			limit = 24
		}
		if err != nil || i > 2 || n < 0 || n > limit || i < 2 && n == limit {
			return nil, false
		}
		clock[i] = n
	}
	return clock, true
}

func parseMonth(w string) (time.Month, bool) {
	if len(w) < 3 {
		return 0, false
	}
	for m := time.January; m <= time.December; m++ {
		if name := m.String(); len(w) <= len(name)+1 && strings.EqualFold(w[:3], name[:3]) {
			return m, true
		}
	}
	return 0, false
}

// parseZone reads "+0100", "+01:00", "GMT", the zones of RFC 822 and a few
// that are common.
func parseZone(w string) (*time.Location, bool) {
	sign := 1
	switch {
	case strings.HasPrefix(w, "-"):
		sign = -1
	case strings.HasPrefix(w, "+"):
	default:
		minutes, ok := zoneMinutes(strings.ToUpper(w))
		return time.FixedZone("", minutes*60), ok
	}
	digits := strings.ReplaceAll(w[1:], ":", "")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || len(digits) != 4 || n%100 >= 60 || n/100 >= 24 {
		return nil, false
	}
	return time.FixedZone("", sign*(n/100*60+n%100)*60), true
}

func zoneMinutes(name string) (int, bool) {
	const hour = 60
	switch name {
	case "UT", "UTC", "GMT", "Z", "WET":
		return 0, true
	case "EST", "CDT":
		return -5 * hour, true
	case "EDT", "AST":
		return -4 * hour, true
	case "CST", "MDT":
		return -6 * hour, true
	case "MST", "PDT":
		return -7 * hour, true
	case "PST":
		return -8 * hour, true
	case "CET", "MET", "MEZ", "BST":
		return 1 * hour, true
	case "CEST", "MEST", "MESZ", "EET":
		return 2 * hour, true
	case "EEST", "MSK":
		return 3 * hour, true
	case "IST":
		return 5*hour + 30, true
	case "HKT", "SGT":
		return 8 * hour, true
	case "JST", "KST":
		return 9 * hour, true
	}
	return 0, false
}
