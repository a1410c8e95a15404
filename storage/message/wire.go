package message

import "strconv"

// appendNString appends an nstring (RFC 9051, section 9): NIL for a nil slice.
func appendNString(b, s []byte) []byte {
	if s == nil {
		return append(b, "NIL"...)
	}
	return appendString(b, s)
}

// appendString appends a string: quoted where the grammar allows it, as a
// literal where there are octets above 127 or line ends. NULs, which neither
// may hold, are left out.
func appendString(b, s []byte) []byte {
	nuls, escapes, literal := 0, 0, false
	for _, c := range s {
		switch {
		case c == 0:
			nuls++
		case c == '"' || c == '\\':
			escapes++
		case c >= 0x80 || c == '\r' || c == '\n':
			literal = true
		}
	}
	if literal {
		b = append(b, '{')
		b = strconv.AppendInt(b, int64(len(s)-nuls), 10)
		b = append(b, "}\r\n"...)
		return appendWithoutNUL(b, s, nuls)
	}
	b = append(b, '"')
	if escapes == 0 {
		b = appendWithoutNUL(b, s, nuls)
		return append(b, '"')
	}
	for _, c := range s {
		switch c {
		case 0:
		case '"', '\\':
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

func appendWithoutNUL(b, s []byte, nuls int) []byte {
	if nuls == 0 {
		return append(b, s...)
	}
	for _, c := range s {
		if c != 0 {
			b = append(b, c)
		}
	}
	return b
}
