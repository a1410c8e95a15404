package message

import "bytes"

// Field is one header field as it stands. The slices share the header's memory.
type Field struct {
	Raw   []byte // with its name, folding and line ends
	Name  []byte // as written
	Value []byte // after the colon, with its folding and line ends
}

// NextField returns the first field of a header and what follows it. Lines
// that are no fields are passed over; ok is false where no field is left.
func NextField(header []byte) (f Field, rest []byte, ok bool) {
	for len(header) > 0 {
		n := lineLen(header)
		line := header[:n]
		if isBlank(line) {
			return Field{}, nil, false
		}
		for n < len(header) && isWSP(header[n]) {
			n += lineLen(header[n:])
		}
		name, colon := fieldName(line)
		if colon > 0 {
			return Field{Raw: header[:n], Name: name, Value: header[colon+1 : n]}, header[n:], true
		}
		header = header[n:]
	}
	return Field{}, nil, false
}

// AppendFields appends the fields of a header that are named (or, with not,
// those that are not), as they stand, and the closing empty line: what
// BODY[HEADER.FIELDS (…)] and HEADER.FIELDS.NOT answer.
func AppendFields(b, header []byte, names []string, not bool) []byte {
	for {
		f, rest, ok := NextField(header)
		if !ok {
			break
		}
		if isNamed(f.Name, names) != not {
			b = append(b, f.Raw...)
			if f.Raw[len(f.Raw)-1] != '\n' {
				b = append(b, "\r\n"...)
			}
		}
		header = rest
	}
	return append(b, "\r\n"...)
}

func isNamed(name []byte, names []string) bool {
	for _, n := range names {
		if equalFold(name, n) {
			return true
		}
	}
	return false
}

// AppendUnfolded appends a field's value on one line, without the blanks
// around it: a line end and the blanks after it become one space.
func AppendUnfolded(b, value []byte) []byte {
	value = bytes.Trim(value, " \t\r\n")
	for {
		i := bytes.IndexAny(value, "\r\n")
		if i < 0 {
			return append(b, value...)
		}
		b = append(b, bytes.TrimRight(value[:i], " \t")...)
		b = append(b, ' ')
		value = bytes.TrimLeft(value[i:], " \t\r\n")
	}
}

// unfold is AppendUnfolded that copies only what is folded. The result is
// never nil.
func unfold(value []byte) []byte {
	value = bytes.Trim(value, " \t\r\n")
	if len(value) == 0 {
		return []byte{}
	}
	if bytes.IndexByte(value, '\n') < 0 && bytes.IndexByte(value, '\r') < 0 {
		return value[:len(value):len(value)]
	}
	return AppendUnfolded(make([]byte, 0, len(value)), value)
}

// fieldName splits a field's first line: its name, and where the colon
// stands. colon is 0 if the line is no field. Blanks before the colon are
// obsolete syntax (RFC 5322, section 4.5).
func fieldName(line []byte) (name []byte, colon int) {
	i := 0
	for i < len(line) && line[i] > ' ' && line[i] < 0x7f && line[i] != ':' {
		i++
	}
	end := i
	for i < len(line) && isWSP(line[i]) {
		i++
	}
	if end == 0 || i == len(line) || line[i] != ':' {
		return nil, 0
	}
	return line[:end], i
}

// lineLen returns the octets of the first line with its end.
func lineLen(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
}

// isBlank tells whether a line is empty but for its end.
func isBlank(line []byte) bool {
	for i, c := range line {
		if c == '\n' {
			return i == len(line)-1
		}
		if c != '\r' {
			return false
		}
	}
	return false
}

func isWSP(c byte) bool { return c == ' ' || c == '\t' }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// equalFold compares in ASCII without regard to case.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if lower(b[i]) != lower(s[i]) {
			return false
		}
	}
	return true
}
