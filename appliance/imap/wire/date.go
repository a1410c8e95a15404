package wire

import (
	"strings"
	"time"
)

// Date takes a date such as 1-Feb-1994, quoted or not; it is midnight UTC.
func (d *Decoder) Date() time.Time {
	quoted := d.Take('"')
	year, month, day := d.dayMonthYear()
	if quoted {
		d.Want('"')
	}
	return d.date(year, month, day, 0, 0, 0, time.UTC)
}

// DateTime takes a quoted date-time such as "17-Jul-1996 02:44:25 -0700".
func (d *Decoder) DateTime() time.Time {
	d.Want('"')
	d.Spaces() // RFC 9051, section 9: date-day-fixed
	year, month, day := d.dayMonthYear()
	d.Want(' ')
	hour := d.digits(2)
	d.Want(':')
	minute := d.digits(2)
	d.Want(':')
	second := d.digits(2)
	d.Want(' ')
	sign := 1
	if d.Take('-') {
		sign = -1
	} else {
		d.Want('+')
	}
	zoneHour, zoneMinute := d.digits(2), d.digits(2)
	d.Want('"')
	if zoneHour > 23 || zoneMinute > 59 {
		d.Fail("there is no such time zone")
	}
	if d.err != nil {
		return time.Time{}
	}
	offset := sign * (zoneHour*60 + zoneMinute) * 60
	zone := time.UTC
	if offset != 0 {
		zone = time.FixedZone("", offset)
	}
	return d.date(year, month, day, hour, minute, second, zone)
}

func (d *Decoder) dayMonthYear() (year int, month time.Month, day int) {
	day = d.digits(1)
	if isDigit(d.Peek()) {
		day = 10*day + d.digits(1)
	}
	d.Want('-')
	month = d.month()
	d.Want('-')
	return d.digits(4), month, day
}

func (d *Decoder) month() time.Month {
	if len(d.line)-d.pos < 3 {
		d.Fail("expected a month%s", d.found())
		return 0
	}
	name := string(d.line[d.pos : d.pos+3])
	for m := range len(months) / 3 {
		if strings.EqualFold(name, months[3*m:3*m+3]) {
			d.pos += 3
			return time.Month(m + 1)
		}
	}
	d.Fail("expected a month%s", d.found())
	return 0
}

func (d *Decoder) digits(n int) int {
	v := 0
	for range n {
		c := d.Peek()
		if !isDigit(c) {
			d.Fail("expected a digit%s", d.found())
			return 0
		}
		v = v*10 + int(c-'0')
		d.pos++
	}
	return v
}

func (d *Decoder) date(year int, month time.Month, day, hour, minute, second int, zone *time.Location) time.Time {
	if d.err != nil {
		return time.Time{}
	}
	if time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Day() != day || year == 0 || hour > 23 || minute > 59 || second > 60 {
		d.Fail("there is no such date")
		return time.Time{}
	}
	return time.Date(year, month, day, hour, minute, second, 0, zone)
}
