package message

import (
	"bytes"
	"strings"
)

// maxToken bounds type, subtype, encoding and parameter names, in octets.
const maxToken = 80

// maxParams bounds the parameters of one field.
const maxParams = 64

// param is a parameter of a MIME field. Its name is lower case, and ends with
// "*" if the value is in the extended form of RFC 2231 (charset'language'text).
type param struct{ name, value []byte }

// parseToken reads a token (RFC 2045, section 5.1) in lower case, after
// blanks and comments, and returns what follows it.
func parseToken(s []byte) (token, rest []byte) {
	s = skipComments(s)
	n := 0
	for n < len(s) && isToken(s[n]) {
		n++
	}
	return bytes.ToLower(s[:n]), s[n:]
}

// parseMediaType reads a Content-Type. Type and subtype are empty where there
// is none that can be read.
func parseMediaType(s []byte) (typ, subtype string, params []param) {
	t, rest := parseToken(s)
	rest = skipComments(rest)
	var sub []byte
	if len(rest) > 0 && rest[0] == '/' {
		sub, rest = parseToken(rest[1:])
	}
	if len(t) > maxToken || len(sub) > maxToken {
		return "", "", nil
	}
	return string(t), string(sub), parseParams(rest)
}

// parseParams reads parameters as they come: separated by semicolons or only
// by blanks, values quoted or not, quotes left open.
func parseParams(s []byte) []param {
	var params []param
	for len(params) < maxParams {
		s = bytes.TrimLeft(skipComments(s), "; \t,")
		s = skipComments(s)
		if len(s) == 0 {
			break
		}
		var name, value []byte
		name, s = parseToken(s)
		s = skipComments(s)
		if len(name) == 0 || len(s) == 0 || s[0] != '=' {
			// No parameter: go on behind the next semicolon.
			i := bytes.IndexByte(s, ';')
			if i < 0 {
				break
			}
			s = s[i+1:]
			continue
		}
		value, s = parseValue(s[1:])
		if len(name) <= maxToken {
			params = append(params, param{name, value})
		}
	}
	return joinParams(params)
}

func parseValue(s []byte) (value, rest []byte) {
	s = bytes.TrimLeft(s, " \t")
	if len(s) > 0 && s[0] == '"' {
		return unquote(s)
	}
	end := bytes.IndexByte(s, ';')
	if end < 0 {
		end = len(s)
	}
	// Blanks belong to an unquoted file name, unless a comment or another
	// parameter follows them.
	for i := 0; i < end; i++ {
		if !isWSP(s[i]) {
			continue
		}
		next := bytes.TrimLeft(s[i:end], " \t")
		if len(next) == 0 || next[0] == '(' || beginsParam(next) {
			end = i
			break
		}
		i = end - len(next)
	}
	return s[:end], s[end:]
}

// beginsParam tells whether s begins with a parameter's name and "=".
func beginsParam(s []byte) bool {
	n := 0
	for n < len(s) && isToken(s[n]) {
		n++
	}
	rest := bytes.TrimLeft(s[n:], " \t")
	return n > 0 && len(rest) > 0 && rest[0] == '='
}

func unquote(s []byte) (value, rest []byte) {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return appendUnescaped(nil, s[1:i]), s[i+1:]
		case '\\':
			i++
		}
	}
	return appendUnescaped(nil, s[1:]), nil
}

// appendUnescaped undoes quoted pairs. Other backslashes stay: some senders
// put a whole Windows path into a file name.
func appendUnescaped(b, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
			i++
		}
		b = append(b, s[i])
	}
	return b
}

// joinParams puts continuations together (RFC 2231, section 3): "name*0",
// "name*1*", … become "name" or, if one of them is extended, "name*". Of
// several parameters of one name the first stays.
func joinParams(params []param) []param {
	var out []param
	for i, p := range params {
		base, section, _, ok := splitName(p.name)
		if !ok {
			if findParam(out, p.name) == nil {
				out = append(out, p)
			}
			continue
		}
		if section != 0 && hasSection(params, base, 0) || hasSection(params[:i], base, section) {
			continue // read together with section 0, or there twice
		}
		if joined := joinSections(params, base, section); findParam(out, joined.name) == nil {
			out = append(out, joined)
		}
	}
	return out
}

// splitName splits "filename*1*" into "filename", 1, true. ok is false for a
// name that is not part of a continuation.
func splitName(name []byte) (base []byte, section int, extended, ok bool) {
	base, rest, found := bytes.Cut(name, []byte("*"))
	if !found {
		return name, 0, false, false
	}
	digits := bytes.TrimSuffix(rest, []byte("*"))
	if len(base) == 0 || len(digits) == 0 || len(digits) > 3 {
		return name, 0, false, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return name, 0, false, false
		}
		section = section*10 + int(c-'0')
	}
	return base, section, len(digits) < len(rest), true
}

func hasSection(params []param, base []byte, section int) bool {
	_, ok := findSection(params, base, section)
	return ok
}

func findSection(params []param, base []byte, section int) (int, bool) {
	for i, p := range params {
		if b, s, _, ok := splitName(p.name); ok && s == section && bytes.Equal(b, base) {
			return i, true
		}
	}
	return 0, false
}

func joinSections(params []param, base []byte, first int) param {
	anyExtended := false
	last := first
	for ; ; last++ {
		i, ok := findSection(params, base, last)
		if !ok {
			break
		}
		_, _, extended, _ := splitName(params[i].name)
		anyExtended = anyExtended || extended
	}
	var value []byte
	for s := first; s < last; s++ {
		i, _ := findSection(params, base, s)
		_, _, extended, _ := splitName(params[i].name)
		if anyExtended && !extended {
			if s == first {
				value = append(value, "''"...)
			}
			value = appendPercent(value, params[i].value)
			continue
		}
		value = append(value, params[i].value...)
	}
	name := bytes.Clone(base)
	if anyExtended {
		name = append(name, '*')
	}
	return param{name, value}
}

// appendPercent writes a value in the extended form of RFC 2231.
func appendPercent(b, s []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range s {
		if isToken(c) && c != '%' && c != '\'' && c != '*' {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

// findParam returns the value of a parameter, nil if it is not there.
func findParam(params []param, name []byte) []byte {
	for _, p := range params {
		if bytes.Equal(p.name, name) {
			if p.value == nil {
				return []byte{}
			}
			return p.value
		}
	}
	return nil
}

// plainParam returns the value of a parameter in either form as text.
func plainParam(params []param, name string) string {
	if v := findParam(params, []byte(name)); v != nil {
		return string(v)
	}
	v := findParam(params, []byte(name+"*"))
	if i := bytes.LastIndexByte(v, '\''); i >= 0 {
		v = v[i+1:]
	}
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if v[i] == '%' && i+2 < len(v) {
			if hi, lo := unhex[v[i+1]], unhex[v[i+2]]; hi|lo < 16 {
				b.WriteByte(hi<<4 | lo)
				i += 2
				continue
			}
		}
		b.WriteByte(v[i])
	}
	return b.String()
}

// skipComments goes past blanks and comments.
func skipComments(s []byte) []byte {
	for {
		s = bytes.TrimLeft(s, " \t")
		if len(s) == 0 || s[0] != '(' {
			return s
		}
		s = s[commentLen(s):]
	}
}

func commentLen(s []byte) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			depth--
			if depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// isToken tells whether c may stand in a token (RFC 2045, section 5.1).
func isToken(c byte) bool {
	if c <= ' ' || c >= 0x7f {
		return false
	}
	switch c {
	case '(', ')', '<', '>', '@', ',', ';', ':', '\\', '"', '/', '[', ']', '?', '=':
		return false
	}
	return true
}

// unhex maps a hexadecimal digit to its value, all else to 0xff.
var unhex = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for c := byte('0'); c <= '9'; c++ {
		t[c] = c - '0'
	}
	for c := byte('a'); c <= 'f'; c++ {
		t[c] = c - 'a' + 10
		t[c-'a'+'A'] = c - 'a' + 10
	}
	return t
}()
