package sample

import (
	"fmt"
	"strings"
)

// broken returns mail that is wrong in ways seen in the wild, without a Date
// or Message-ID unless these belong to what is wrong. Names tell what it is.
func broken() []struct{ what, body string } {
	deep := func(levels int) string {
		var b strings.Builder
		for i := range levels {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
		}
		b.WriteString("Content-Type: text/plain\r\n\r\nat the bottom\r\n")

		return b.String()
	}

	return []struct{ what, body string }{
		{"no final boundary", "Content-Type: multipart/mixed; boundary=abc\r\n\r\n--abc\r\n\r\nthe sender's program died here\r\n--abc\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo"},
		{"multipart without a boundary", "Content-Type: multipart/alternative\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x--\r\n"},
		{"multipart without parts", "Content-Type: multipart/mixed; boundary=nowhere\r\n\r\nnothing here\r\n"},
		{"a line that is no header field", "X-Good: yes\r\nthis line has no colon\r\nX-After: yes\r\n\r\nbody\r\n"},
		{"raw Latin-1 in the header", "X-Name: J\xfcrgen M\xfcller\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xfc\xdfe\r\n"},
		{"an encoded word that does not decode", "X-Word: =?utf-8?B?%%%%?= =?x-klingon?Q?=AA?=\r\n\r\nbody\r\n"},
		{"a charset that nobody knows", "Content-Type: text/plain; charset=x-unknown-8bit\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\x80\x81\xfe\xff\r\n"},
		{"base64 with rubbish in it", "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGVs!!!bG8g\r\n####d29ybGQ\r\n"},
		{"quoted-printable cut short", "Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nends in=\r\nthe middle=3"},
		{"NUL and other control characters", "Content-Type: text/plain\r\n\r\nbefore\x00after\x07\x1b[31mred\r\n"},
		{"line ends of every kind", "X-Odd: yes\r\n\r\none\ntwo\rthree\r\n\r\r\nfour\n\r"},
		{"a line of 100,000 octets", "\r\n" + strings.Repeat("0123456789", 10_000) + "\r\n"},
		{"parts within parts, 60 deep", deep(60)},
		{"addresses that are none", "To: undisclosed recipients, ;, <@>, \"unclosed\r\nCc: a@b@c\r\n\r\nbody\r\n"},
		{"no body at all", "X-End: here\r\n"},
	}
}
