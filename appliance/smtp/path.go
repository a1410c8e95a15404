package smtp

import (
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPath bounds a path with its angle brackets, in octets (RFC 5321, section 4.5.3.1.3).
const maxPath = 256

// path is the argument of MAIL or RCPT.
type path struct {
	address string // "" for <>
	params  []string
}

// parsePath reads "FROM:<address> PARAM…" (RFC 5321, section 4.1.2).
func parsePath(arg, keyword string) (path, error) {
	if len(arg) < len(keyword) || !strings.EqualFold(arg[:len(keyword)], keyword) {
		return path{}, errors.New("expected " + keyword + "<address>")
	}
	rest := strings.TrimLeft(arg[len(keyword):], " ")
	if !strings.HasPrefix(rest, "<") {
		return path{}, errors.New("the address must stand in angle brackets")
	}
	end := closingBracket(rest)
	if end < 0 {
		return path{}, errors.New("the address does not end")
	}
	if end >= maxPath {
		return path{}, errors.New("the address is too long")
	}
	address := rest[1:end]
	// A source route is accepted and ignored (RFC 5321, appendix C).
	if strings.HasPrefix(address, "@") {
		_, after, ok := strings.Cut(address, ":")
		if !ok {
			return path{}, errors.New("the address is not valid")
		}
		address = after
	}
	if !validAddress(address) {
		return path{}, errors.New("the address is not valid")
	}

	return path{address: address, params: strings.Fields(rest[end+1:])}, nil
}

// closingBracket finds the ">" that is not within a quoted local part.
func closingBracket(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '>' && !quoted:
			return i
		}
	}

	return -1
}

// validAddress tells whether an address has the shape of one. Whether it
// leads to somebody is for the directory to say.
func validAddress(s string) bool {
	if s == "" {
		return true
	}
	if at := strings.LastIndexByte(s, '@'); at < 1 && !strings.EqualFold(s, "postmaster") || at == len(s)-1 {
		return false
	}

	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// mailParams are the parameters of MAIL.
type mailParams struct {
	size int64
	utf8 bool
}

func parseMailParams(params []string) (mailParams, *reply) {
	var m mailParams
	for _, p := range params {
		name, value, _ := strings.Cut(p, "=")
		switch strings.ToUpper(name) {
		case "SIZE":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return m, &reply{501, "5.5.4", "SIZE wants a number"}
			}
			m.size = n
		case "BODY":
			if v := strings.ToUpper(value); v != "7BIT" && v != "8BITMIME" {
				return m, &reply{501, "5.5.4", "BODY is 7BIT or 8BITMIME"}
			}
		case "SMTPUTF8":
			m.utf8 = true
		default:
			return m, &reply{555, "5.5.4", "unknown parameter"}
		}
	}

	return m, nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}

	return true
}
