package message

import (
	"bytes"
	"io"
	"strings"
)

// maxCharset bounds the charset of an encoded word, in octets.
const maxCharset = 64

// DecodeHeader undoes RFC 2047 encoded words, whatever their charset, into
// UTF-8. s is an unfolded value. Words that cannot be decoded stay as they
// are; octets outside of words that are not UTF-8 are taken as Windows-1252.
func DecodeHeader(s string) string {
	if !strings.Contains(s, "=?") {
		return string(toUTF8("", []byte(s)))
	}
	var d wordDecoder
	rest := []byte(s)
	for {
		i := bytes.Index(rest, []byte("=?"))
		if i < 0 {
			break
		}
		n := encodedWordLen(rest[i:])
		if n == 0 {
			d.plain(rest[:i+len("=?")])
			rest = rest[i+len("=?"):]
			continue
		}
		d.plain(rest[:i])
		d.word(rest[i : i+n])
		rest = rest[i+n:]
	}
	d.plain(rest)
	d.flush()
	return string(d.out)
}

// wordDecoder gathers what neighbouring words of one charset hold before it
// decodes it, since some senders split a character between two words.
type wordDecoder struct {
	out     []byte
	charset string
	pending []byte // octets of charset
	blanks  []byte // seen after a word; they count only if no word follows
	inWords bool
}

func (d *wordDecoder) plain(s []byte) {
	if len(s) == 0 {
		return
	}
	if d.inWords && len(bytes.TrimLeft(s, " \t\r\n")) == 0 {
		d.blanks = append(d.blanks, s...)
		return
	}
	d.flush()
	d.out = append(d.out, toUTF8("", s)...)
}

func (d *wordDecoder) word(w []byte) {
	charset, code, text := splitWord(w)
	d.blanks = d.blanks[:0] // RFC 2047, section 6.2: not shown between words
	if charset != d.charset {
		d.flush()
	}
	d.charset, d.inWords = charset, true
	if lower(code) == 'b' {
		d.pending = appendBase64(d.pending, text)
	} else {
		d.pending = appendQ(d.pending, text)
	}
}

func (d *wordDecoder) flush() {
	d.out = append(d.out, toUTF8(d.charset, d.pending)...)
	d.out = append(d.out, d.blanks...)
	d.pending, d.blanks, d.inWords = d.pending[:0], d.blanks[:0], false
	d.charset = ""
}

// encodedWordLen returns the length of the encoded word with which s begins,
// 0 if it does not begin with one. Blanks in its text, which are an error,
// are let through. It looks no further than the fourth "?".
func encodedWordLen(s []byte) int {
	if len(s) < len("=?c?q??=") || s[0] != '=' || s[1] != '?' {
		return 0
	}
	n := bytes.IndexByte(s[2:min(len(s), 2+maxCharset)], '?')
	if n <= 0 {
		return 0
	}
	for _, c := range s[2 : 2+n] {
		if c <= ' ' || c >= 0x7f {
			return 0
		}
	}
	code := 2 + n + 1
	if code+2 >= len(s) || s[code+1] != '?' {
		return 0
	}
	if c := lower(s[code]); c != 'b' && c != 'q' {
		return 0
	}
	text := code + 2
	end := bytes.IndexByte(s[text:], '?')
	if end < 0 || text+end+1 >= len(s) || s[text+end+1] != '=' {
		return 0
	}
	return text + end + len("?=")
}

// splitWord splits an encoded word. RFC 2231, section 5 lets a language stand
// behind the charset.
func splitWord(w []byte) (charset string, code byte, text []byte) {
	w = w[len("=?") : len(w)-len("?=")]
	name, rest, _ := bytes.Cut(w, []byte{'?'})
	name, _, _ = bytes.Cut(name, []byte{'*'})
	return strings.ToLower(string(name)), rest[0], rest[2:]
}

func appendBase64(b, text []byte) []byte {
	r := base64Reader{in: source{buf: text, end: len(text), err: io.EOF}}
	start := len(b)
	b = append(b, make([]byte, len(text))...)
	n := start
	for {
		got, err := r.Read(b[n:])
		n += got
		if err != nil || n == len(b) {
			return b[:n]
		}
	}
}

func appendQ(b, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '_':
			c = ' '
		case c == '=' && i+2 < len(text):
			if hi, lo := unhex[text[i+1]], unhex[text[i+2]]; hi|lo < 16 {
				c = hi<<4 | lo
				i += 2
			}
		}
		b = append(b, c)
	}
	return b
}
