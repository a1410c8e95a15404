package wire

import (
	"errors"
	"unicode/utf16"
	"unicode/utf8"
)

// Modified UTF-7 of mailbox names (RFC 3501, section 5.1.3).

var errUTF7 = errors.New("not modified UTF-7")

const utf7Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,"

// AppendUTF7 appends s in modified UTF-7. Octets that are not UTF-8 become
// U+FFFD.
func AppendUTF7(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c == '&' {
			b = append(b, '&', '-')
			i++
			continue
		}
		if ' ' <= c && c <= '~' {
			b = append(b, c)
			i++
			continue
		}
		b = append(b, '&')
		var bits uint32
		var n uint
		for i < len(s) && (s[i] < ' ' || s[i] > '~') {
			r, size := utf8.DecodeRuneInString(s[i:])
			i += size
			units := [2]rune{r}
			k := 1
			if r > 0xffff {
				units[0], units[1] = utf16.EncodeRune(r)
				k = 2
			}
			for _, u := range units[:k] {
				bits = bits<<16 | uint32(u)
				for n += 16; n >= 6; {
					n -= 6
					b = append(b, utf7Digits[bits>>n&63])
				}
			}
		}
		if n > 0 {
			b = append(b, utf7Digits[bits<<(6-n)&63])
		}
		b = append(b, '-')
	}
	return b
}

// DecodeUTF7 returns the UTF-8 of a name in modified UTF-7. It takes what
// clients get wrong without a second meaning: raw UTF-8, printable characters
// that were encoded, two runs of base64 in a row, padding bits. It fails for
// anything else, such as an "&" that begins no run: a name must not be
// taken for another.
func DecodeUTF7(s string) (string, error) {
	if isPlainName(s) {
		return s, nil
	}
	b := make([]byte, 0, len(s)+8)
	for i := 0; i < len(s); {
		if s[i] != '&' {
			b = append(b, s[i])
			i++
			continue
		}
		i++
		start := i
		for i < len(s) && utf7Value(s[i]) >= 0 {
			i++
		}
		if i == len(s) || s[i] != '-' {
			return "", errUTF7
		}
		run := s[start:i]
		i++
		if run == "" {
			b = append(b, '&')
			continue
		}
		var err error
		if b, err = appendUTF7Run(b, run); err != nil {
			return "", err
		}
	}
	if !utf8.Valid(b) {
		return "", errUTF7
	}
	return string(b), nil
}

func appendUTF7Run(b []byte, run string) ([]byte, error) {
	var bits uint32
	var n uint
	high := rune(-1)
	for i := 0; i < len(run); i++ {
		bits = bits<<6 | uint32(utf7Value(run[i]))
		if n += 6; n < 16 {
			continue
		}
		n -= 16
		r := rune(bits >> n & 0xffff)
		switch {
		case high >= 0:
			r = utf16.DecodeRune(high, r)
			if r == utf8.RuneError {
				return nil, errUTF7
			}
			high = -1
		case 0xd800 <= r && r < 0xdc00:
			high = r
			continue
		case 0xdc00 <= r && r < 0xe000:
			return nil, errUTF7
		}
		b = utf8.AppendRune(b, r)
	}
	if high >= 0 || n >= 6 {
		return nil, errUTF7
	}
	return b, nil
}

// utf7Value returns the six bits that a digit stands for, or -1.
func utf7Value(c byte) int {
	switch {
	case 'A' <= c && c <= 'Z':
		return int(c - 'A')
	case 'a' <= c && c <= 'z':
		return int(c-'a') + 26
	case '0' <= c && c <= '9':
		return int(c-'0') + 52
	case c == '+':
		return 62
	case c == ',':
		return 63
	}
	return -1
}
