package message_test

import (
	"net/mail"
	"testing"

	"pillarbox/storage/message"
)

func TestParseDate(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"usual", "Fri, 21 Nov 1997 09:55:06 -0600", "1997-11-21 09:55:06 -0600"},
		{"without weekday", "21 Nov 1997 09:55:06 +0100", "1997-11-21 09:55:06 +0100"},
		{"wrong weekday", "Mon, 21 Nov 1997 09:55:06 +0100", "1997-11-21 09:55:06 +0100"},
		{"weekday in German", "Fr, 21 Nov 1997 09:55:06 +0100", "1997-11-21 09:55:06 +0100"},
		{"weekday in French", "mar, 25 Nov 1997 09:55:06 +0100", "1997-11-25 09:55:06 +0100"},
		{"comment", "Fri, 21 Nov 1997 09:55:06 +0100 (CET)", "1997-11-21 09:55:06 +0100"},
		{"folded", "Fri, 21 Nov 1997\r\n 09:55:06 +0100", "1997-11-21 09:55:06 +0100"},
		{"no seconds", "Fri, 21 Nov 1997 09:55 -0600", "1997-11-21 09:55:00 -0600"},
		{"no zone", "Fri, 21 Nov 1997 09:55:06", "1997-11-21 09:55:06 +0000"},
		{"no time", "21 Nov 1997", "1997-11-21 00:00:00 +0000"},
		{"zone by name", "Fri, 21 Nov 1997 09:55:06 EST", "1997-11-21 09:55:06 -0500"},
		{"GMT", "Fri, 21 Nov 1997 09:55:06 GMT", "1997-11-21 09:55:06 +0000"},
		{"GMT and comment without brackets", "Fri, 21 Nov 1997 09:55:06 GMT Standard", "1997-11-21 09:55:06 +0000"},
		{"unknown zone", "Fri, 21 Nov 1997 09:55:06 XYZ", "1997-11-21 09:55:06 +0000"},
		{"year of two digits", "21 Nov 97 09:55:06 GMT", "1997-11-21 09:55:06 +0000"},
		{"year of two digits, this century", "21 Nov 03 09:55:06 GMT", "2003-11-21 09:55:06 +0000"},
		{"year of three digits", "21 Nov 103 09:55:06 GMT", "2003-11-21 09:55:06 +0000"},
		{"ctime", "Fri Nov 21 09:55:06 1997", "1997-11-21 09:55:06 +0000"},
		{"ctime with zone", "Fri Nov 21 09:55:06 PST 1997", "1997-11-21 09:55:06 -0800"},
		{"dashes", "21-Nov-1997 09:55:06 -0600", "1997-11-21 09:55:06 -0600"},
		{"long month", "Friday, 21 November 1997 09:55:06 -0600", "1997-11-21 09:55:06 -0600"},
		{"zone with colon", "Fri, 21 Nov 1997 09:55:06 +01:00", "1997-11-21 09:55:06 +0100"},
		{"ISO 8601", "1997-11-21T09:55:06+01:00", "1997-11-21 09:55:06 +0100"},
		{"no comma", "Fri 21 Nov 1997 09:55:06 -0600", "1997-11-21 09:55:06 -0600"},
		{"fraction", "Fri, 21 Nov 1997 09:55:06.123 -0600", "1997-11-21 09:55:06 -0600"},
		{"American", "Nov 21, 1997 09:55:06 -0600", "1997-11-21 09:55:06 -0600"},
		{"impossible time", "Fri, 21 Nov 1997 25:55:06 -0600", "1997-11-21 00:00:00 +0000"},
		{"leap second", "Sat, 31 Dec 2016 23:59:60 +0000", "2017-01-01 00:00:00 +0000"},
		{"no date", "yesterday", ""},
		{"empty", "", ""},
		{"numbers only", "1 2 3 4 5", ""},
		{"absurd zone", "Fri, 21 Nov 1997 09:55:06 +9999", "1997-11-21 09:55:06 +0000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if d, ok := message.ParseDate(tt.in); ok {
				got = d.Format("2006-01-02 15:04:05 -0700")
			}
			if got != tt.want {
				t.Errorf("ParseDate(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

// TestParseDateAgrees compares with net/mail wherever that reads the date and
// knows the zone.
func TestParseDateAgrees(t *testing.T) {
	for _, weekday := range []string{"", "Fri, ", "fri,"} {
		for _, day := range []string{"1", "01", "21"} {
			for _, year := range []string{"1997", "2026", "97", "03"} {
				for _, clock := range []string{"09:55:06", "9:55:06", "23:59"} {
					for _, zone := range []string{"+0000", "-0600", "+0530", "GMT", "UT", "+0100 (CET)"} {
						in := weekday + day + " Nov " + year + " " + clock + " " + zone
						want, err := mail.ParseDate(in)
						if err != nil {
							continue
						}
						if got, ok := message.ParseDate(in); !ok || !got.Equal(want) {
							t.Errorf("ParseDate(%q) = %v, %v, want %v", in, got, ok, want)
						}
					}
				}
			}
		}
	}
}
