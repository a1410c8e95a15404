package scram

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// Bounds of what a client sends, in octets. A name is a mail address, a nonce
// two dozen characters.
const (
	maxMessage = 4096
	maxName    = 512
	maxNonce   = 1024
)

// clientFirst is the first message (RFC 5802, section 7: client-first-message).
type clientFirst struct {
	flag   byte   // 'n', 'y' or 'p'
	kind   string // of channel binding, with 'p'
	header string // gs2-header
	as     string
	bare   string
	name   string
	nonce  string
}

func parseFirst(message []byte) (*clientFirst, error) {
	if len(message) > maxMessage || !utf8.Valid(message) {
		return nil, ErrMessage
	}
	m := &clientFirst{}
	text := string(message)
	flag, rest, ok1 := strings.Cut(text, ",")
	as, bare, ok2 := strings.Cut(rest, ",")
	if !ok1 || !ok2 {
		return nil, ErrMessage
	}
	m.header, m.bare = text[:len(text)-len(bare)], bare
	switch kind, bound := strings.CutPrefix(flag, "p="); {
	case bound && kind != "" && len(kind) <= 64:
		m.flag, m.kind = 'p', kind
	case flag == "n" || flag == "y":
		m.flag = flag[0]
	default:
		return nil, ErrMessage
	}
	if as != "" {
		value, ok := strings.CutPrefix(as, "a=")
		if m.as, ok = saslName(value, ok); !ok {
			return nil, ErrMessage
		}
	}
	// An "m=" in front is an extension that a server must understand; there is none.
	name, rest, ok := strings.Cut(bare, ",")
	if !ok {
		return nil, ErrMessage
	}
	value, ok := strings.CutPrefix(name, "n=")
	if m.name, ok = saslName(value, ok); !ok {
		return nil, ErrMessage
	}
	nonce, extensions, more := strings.Cut(rest, ",")
	if m.nonce, ok = parseNonce(nonce); !ok || more && !validExtensions(extensions) {
		return nil, ErrMessage
	}

	return m, nil
}

// clientFinal is the final message (RFC 5802, section 7: client-final-message).
type clientFinal struct {
	bound   []byte
	nonce   string
	without string // client-final-message-without-proof
	proof   [keySize]byte
}

func parseFinal(message []byte) (*clientFinal, error) {
	if len(message) > maxMessage || !utf8.Valid(message) {
		return nil, ErrMessage
	}
	text := string(message)
	end := strings.LastIndex(text, ",p=")
	if end < 0 {
		return nil, ErrMessage
	}
	m := &clientFinal{without: text[:end]}
	proof, err := base64.StdEncoding.Strict().DecodeString(text[end+len(",p="):])
	if err != nil || len(proof) != len(m.proof) {
		return nil, ErrMessage
	}
	copy(m.proof[:], proof)
	bound, rest, ok := strings.Cut(m.without, ",")
	value, named := strings.CutPrefix(bound, "c=")
	if !ok || !named {
		return nil, ErrMessage
	}
	if m.bound, err = base64.StdEncoding.Strict().DecodeString(value); err != nil {
		return nil, ErrMessage
	}
	nonce, extensions, more := strings.Cut(rest, ",")
	if m.nonce, ok = parseNonce(nonce); !ok || more && !validExtensions(extensions) {
		return nil, ErrMessage
	}

	return m, nil
}

// saslName undoes the escapes of a name.
func saslName(s string, ok bool) (string, bool) {
	if !ok || s == "" || len(s) > maxName || strings.ContainsRune(s, 0) {
		return "", false
	}
	var b strings.Builder
	for {
		before, after, escaped := strings.Cut(s, "=")
		b.WriteString(before)
		if !escaped {
			return b.String(), true
		}
		switch {
		case strings.HasPrefix(after, "2C"):
			b.WriteByte(',')
		case strings.HasPrefix(after, "3D"):
			b.WriteByte('=')
		default:
			return "", false
		}
		s = after[2:]
	}
}

func parseNonce(s string) (string, bool) {
	s, ok := strings.CutPrefix(s, "r=")
	if !ok || s == "" || len(s) > maxNonce {
		return "", false
	}
	for _, c := range []byte(s) {
		if c < 0x21 || c > 0x7E {
			return "", false
		}
	}

	return s, true
}

// validExtensions tells whether what follows is a row of attributes. They are
// passed over, as RFC 5802, section 5.1 has it.
func validExtensions(s string) bool {
	for a := range strings.SplitSeq(s, ",") {
		if len(a) < 3 || a[1] != '=' || a[0]|0x20 < 'a' || a[0]|0x20 > 'z' {
			return false
		}
	}

	return true
}
