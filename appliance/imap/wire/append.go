package wire

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxQuoted is the length in octets up to which a string is sent quoted;
// some clients read quoted strings into a buffer of fixed size.
const maxQuoted = 1000

// AppendUint appends a number.
func AppendUint[N ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64](b []byte, n N) []byte {
	return strconv.AppendUint(b, uint64(n), 10)
}

// AppendInt appends a number that is not negative, such as a size.
func AppendInt[N ~int | ~int32 | ~int64](b []byte, n N) []byte {
	return strconv.AppendInt(b, int64(n), 10)
}

// AppendQuoted appends s, which must hold neither NUL, CR nor LF, as a quoted
// string.
func AppendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for {
		i := strings.IndexAny(s, `"\`)
		if i < 0 {
			break
		}
		b = append(b, s[:i]...)
		b = append(b, '\\', s[i])
		s = s[i+1:]
	}
	b = append(b, s...)
	return append(b, '"')
}

// AppendString appends s as a quoted string where the client can read one,
// else as a literal. utf8 tells that the client has enabled UTF8=ACCEPT or
// IMAP4rev2, which allow UTF-8 between quotes.
func AppendString(b []byte, s string, utf8 bool) []byte {
	if quotable(s, utf8) {
		return AppendQuoted(b, s)
	}
	b = AppendLiteral(b, int64(len(s)))
	start := len(b)
	b = append(b, s...)
	// RFC 9051, section 9: a literal holds no NUL. As other servers do, an
	// octet of no meaning stands in for it and keeps the length.
	if strings.IndexByte(s, 0) >= 0 {
		for i := start; i < len(b); i++ {
			if b[i] == 0 {
				b[i] = 0x80
			}
		}
	}
	return b
}

// AppendLiteral appends the announcement of a literal of n octets, with its
// line end; the octets follow.
func AppendLiteral(b []byte, n int64) []byte {
	b = append(b, '{')
	b = strconv.AppendInt(b, n, 10)
	return append(b, "}\r\n"...)
}

// AppendLiteral8 appends the announcement of a literal that may hold NUL
// (RFC 3516).
func AppendLiteral8(b []byte, n int64) []byte {
	return AppendLiteral(append(b, '~'), n)
}

// AppendAString appends s as an atom if it is one, else as a string.
func AppendAString(b []byte, s string, utf8 bool) []byte {
	if s == "" || strings.EqualFold(s, "NIL") {
		return AppendQuoted(b, s)
	}
	for i := 0; i < len(s); i++ {
		if !isAtomChar(s[i]) {
			return AppendString(b, s, utf8)
		}
	}
	return append(b, s...)
}

// AppendMailbox appends a mailbox name given in UTF-8: as it is if the client
// has enabled UTF-8, else in modified UTF-7.
func AppendMailbox(b []byte, name string, utf8 bool) []byte {
	if utf8 || isPlainName(name) {
		return AppendAString(b, name, utf8)
	}
	// What encoding makes is printable US-ASCII, so it can be quoted.
	b = append(b, '"')
	start := len(b)
	b = AppendUTF7(b, name)
	for i := start; i < len(b); i++ {
		if b[i] == '"' || b[i] == '\\' {
			b = append(b, 0)
			copy(b[i+1:], b[i:])
			b[i] = '\\'
			i++
		}
	}
	return append(b, '"')
}

// AppendFlags appends a parenthesised list of flags or attributes.
func AppendFlags[F ~string](b []byte, flags []F) []byte {
	b = append(b, '(')
	for i, f := range flags {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, f...)
	}
	return append(b, ')')
}

// AppendNums appends UIDs or sequence numbers, which ascend, as a sequence
// set with neighbours joined to ranges. An empty slice appends nothing.
func AppendNums[N ~uint32](b []byte, nums []N) []byte {
	for i := 0; i < len(nums); {
		j := i + 1
		for j < len(nums) && nums[j] == nums[j-1]+1 {
			j++
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(nums[i]), 10)
		if j > i+1 {
			b = append(b, ':')
			b = strconv.AppendUint(b, uint64(nums[j-1]), 10)
		}
		i = j
	}
	return b
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// AppendUnixDate appends the quoted date-time of an internal date, a moment
// given in Unix seconds in a zone given in minutes east of UTC.
func AppendUnixDate(b []byte, sec int64, zone int) []byte {
	t := time.Unix(sec+int64(zone)*60, 0).UTC()
	year, month, day := t.Date()
	year = min(max(year, 0), 9999) // the grammar has four digits
	hour, minute, second := t.Clock()

	b = append(b, '"')
	if day < 10 {
		b = append(b, ' ', byte('0'+day)) // RFC 9051, section 9: date-day-fixed
	} else {
		b = append2(b, day)
	}
	b = append(b, '-')
	b = append(b, months[3*(month-1):3*month]...)
	b = append(b, '-')
	b = append2(append2(b, year/100), year%100)
	b = append2(append(b, ' '), hour)
	b = append2(append(b, ':'), minute)
	b = append2(append(b, ':'), second)
	sign := byte('+')
	if zone < 0 {
		sign, zone = '-', -zone
	}
	zone %= 100 * 60
	b = append2(append(b, ' ', sign), zone/60)
	return append(append2(b, zone%60), '"')
}

func append2(b []byte, n int) []byte {
	return append(b, byte('0'+n/10), byte('0'+n%10))
}

func quotable(s string, allowUTF8 bool) bool {
	if len(s) > maxQuoted {
		return false
	}
	ascii := true
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == 0 || c == '\r' || c == '\n':
			return false
		case c >= 0x80:
			ascii = false
		}
	}
	return ascii || allowUTF8 && utf8.ValidString(s)
}

// isPlainName tells that modified UTF-7 leaves s alone.
func isPlainName(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' || s[i] == '&' {
			return false
		}
	}
	return true
}

// isAtomChar: RFC 9051, section 9, ATOM-CHAR.
func isAtomChar(c byte) bool {
	if c <= ' ' || c >= 0x7f {
		return false
	}
	switch c {
	case '(', ')', '{', '%', '*', '"', '\\', ']':
		return false
	}
	return true
}
