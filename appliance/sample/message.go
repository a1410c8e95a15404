package sample

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
)

// message is what a letter is made from.
type message struct {
	from    person
	to      []person
	cc      []person
	subject string
	date    time.Time
	id      string // without the angle brackets
	replyTo []string
	text    []string // paragraphs
	html    bool     // the text also as HTML
	files   []file
}

// file is an attachment.
type file struct {
	name        string
	contentType string
	disposition string // "" means attachment
	data        []byte
	identity    bool // not in base64: a text or a message
}

// bytes writes the message with CRLF line ends.
func (m *message) bytes() []byte {
	var b bytes.Buffer
	b.Grow(4096)
	m.header(&b)
	boundary := "=_" + strings.Map(alphanumeric, m.id)
	if len(m.files) == 0 {
		m.body(&b, boundary)
		return b.Bytes()
	}
	fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n", boundary)
	b.WriteString("This is a message in several parts.\r\n")
	fmt.Fprintf(&b, "--%s\r\n", boundary)
	m.body(&b, boundary+"a")
	for _, f := range m.files {
		fmt.Fprintf(&b, "\r\n--%s\r\n", boundary)
		f.write(&b)
	}
	fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)

	return b.Bytes()
}

func (m *message) header(b *bytes.Buffer) {
	_, domain, _ := strings.Cut(m.from.address, "@")
	fmt.Fprintf(b, "Received: from mx.%s (mx.%s [192.0.2.%d])\r\n\tby mail.office.example with ESMTPS id %s;\r\n\t%s\r\n",
		domain, domain, 1+len(m.id)%250, strings.Map(alphanumeric, m.id), m.date.Add(3*time.Second).Format(time.RFC1123Z))
	fmt.Fprintf(b, "Date: %s\r\n", m.date.Format(time.RFC1123Z))
	fmt.Fprintf(b, "From: %s\r\n", m.from)
	people(b, "To", m.to)
	people(b, "Cc", m.cc)
	fmt.Fprintf(b, "Subject: %s\r\n", encodeWords(m.subject))
	fmt.Fprintf(b, "Message-ID: <%s>\r\n", m.id)
	if n := len(m.replyTo); n > 0 {
		fmt.Fprintf(b, "In-Reply-To: <%s>\r\n", m.replyTo[n-1])
		fmt.Fprintf(b, "References: <%s>\r\n", strings.Join(m.replyTo, ">\r\n <"))
	}
	b.WriteString("User-Agent: Pillarbox sample\r\nMIME-Version: 1.0\r\n")
}

// body writes the text with the fields that describe it.
func (m *message) body(b *bytes.Buffer, boundary string) {
	if !m.html {
		m.plain(b)
		return
	}
	fmt.Fprintf(b, "Content-Type: multipart/alternative; boundary=\"%s\"\r\n\r\n--%s\r\n", boundary, boundary)
	m.plain(b)
	fmt.Fprintf(b, "\r\n--%s\r\n", boundary)
	b.WriteString("Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	var h strings.Builder
	fmt.Fprintf(&h, "<!DOCTYPE html>\r\n<html><head><title>%s</title></head><body>\r\n", html.EscapeString(m.subject))
	for _, p := range m.text {
		fmt.Fprintf(&h, "<p>%s</p>\r\n", html.EscapeString(p))
	}
	h.WriteString("</body></html>\r\n")
	quoted(b, h.String())
	fmt.Fprintf(b, "\r\n--%s--\r\n", boundary)
}

func (m *message) plain(b *bytes.Buffer) {
	b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	quoted(b, strings.Join(m.text, "\r\n\r\n")+"\r\n")
}

func (f *file) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "Content-Type: %s", f.contentType)
	if f.name != "" {
		fmt.Fprintf(b, ";\r\n\tname=\"%s\"", encodeWords(f.name))
	}
	disposition := f.disposition
	if disposition == "" {
		disposition = "attachment"
	}
	fmt.Fprintf(b, "\r\nContent-Disposition: %s\r\n", mime.FormatMediaType(disposition, map[string]string{"filename": f.name}))
	if f.identity {
		b.WriteString("\r\n")
		b.Write(f.data)
		return
	}
	b.WriteString("Content-Transfer-Encoding: base64\r\n\r\n")
	writeBase64(b, f.data)
}

// writeBase64 writes lines of 76 characters (RFC 2045, section 6.8).
func writeBase64(b *bytes.Buffer, data []byte) {
	const perLine = 57
	b.Grow(len(data)*78/perLine + 80)
	var line [76]byte
	for len(data) > 0 {
		n := min(len(data), perLine)
		base64.StdEncoding.Encode(line[:], data[:n])
		b.Write(line[:base64.StdEncoding.EncodedLen(n)])
		b.WriteString("\r\n")
		data = data[n:]
	}
}

func quoted(b *bytes.Buffer, text string) {
	w := quotedprintable.NewWriter(b)
	// Neither fails on a buffer.
	_, _ = w.Write([]byte(text))
	_ = w.Close()
}

// String writes a mailbox as it stands in a header.
func (p person) String() string {
	if p.name == "" {
		return p.address
	}
	if name := encodeWords(p.name); name != p.name {
		return name + " <" + p.address + ">"
	}

	return `"` + p.name + `" <` + p.address + ">"
}

func people(b *bytes.Buffer, field string, list []person) {
	for i, p := range list {
		if i == 0 {
			fmt.Fprintf(b, "%s: %s", field, p)
		} else {
			fmt.Fprintf(b, ",\r\n\t%s", p)
		}
	}
	if len(list) > 0 {
		b.WriteString("\r\n")
	}
}

func encodeWords(s string) string {
	return strings.ReplaceAll(mime.BEncoding.Encode("utf-8", s), "?= =?", "?=\r\n =?")
}

func alphanumeric(r rune) rune {
	if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
		return r
	}

	return -1
}
