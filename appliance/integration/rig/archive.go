package rig

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"mime"
	"strings"
	"time"
)

// Archive makes the mail of an office that has worked for years: message i is
// the same bytes on every run. Its sizes are those of the archive that the
// peers were measured with: 24 KB on average, half of them below 6 KB, one in
// twelve with an attachment.
type Archive struct{}

// words make subjects and bodies; the rare ones are what a search looks for.
var words = strings.Fields(`account agreement answer appointment archive area balance board budget
	building call change client colleague contract copy customer delivery department draft
	estimate example figures file floor form garden house invoice kitchen lease letter light
	machine manager market meeting minutes month network notice number offer office opening
	order paper parcel payment phone plan plumber price printer question quarter receipt
	record repair report request roof room sample schedule service shelf signature staff
	station statement storage street supplier table tax team tenant ticket train transfer
	update version visit wall water week window workshop year`)

var people = []string{
	"Ada Byron", "Benoît Lefèvre", "Carla Ortiz", "Dmitri Sokolov", "Eva Müller", "Farid Haddad",
	"Grace Okafor", "Hana Nováková", "Ivo Petrović", "Julia Weiß", "Kenji Sato", "Lena Björk",
}

// Date returns the internal date of message i.
func (Archive) Date(i int) time.Time {
	return time.Date(2019, 1, 7, 8, 0, 0, 0, time.UTC).Add(time.Duration(i) * 37 * time.Minute)
}

// Message returns message i, with CRLF line ends.
func (a Archive) Message(i int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(i)))
	var b bytes.Buffer
	a.header(&b, r, i)
	switch n := r.IntN(100); {
	case n < 50:
		b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
		prose(&b, r, 600+r.IntN(5000))
	case n < 92:
		boundary := fmt.Sprintf("alternative-%d", i)
		fmt.Fprintf(&b, "Content-Type: multipart/alternative; boundary=%q\r\n\r\n", boundary)
		alternative(&b, r, boundary)
	default:
		boundary := fmt.Sprintf("mixed-%d", i)
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=%q\r\n\r\n", boundary)
		inner := fmt.Sprintf("alternative-%d", i)
		fmt.Fprintf(&b, "--%s\r\nContent-Type: multipart/alternative; boundary=%q\r\n\r\n", boundary, inner)
		alternative(&b, r, inner)
		fmt.Fprintf(&b, "--%s\r\n", boundary)
		attachment(&b, r, 20_000+r.IntN(280_000))
		fmt.Fprintf(&b, "--%s--\r\n", boundary)
	}
	return b.Bytes()
}

func (a Archive) header(b *bytes.Buffer, r *rand.Rand, i int) {
	from, to := people[r.IntN(len(people))], people[r.IntN(len(people))]
	date := a.Date(i).Format(time.RFC1123Z)
	for hop := range 3 {
		fmt.Fprintf(b, "Received: from relay%d.example.net (relay%d.example.net [192.0.2.%d])\r\n\tby mx.example.org with ESMTPS id %016x;\r\n\t%s\r\n",
			hop, hop, 1+r.IntN(250), r.Uint64(), date)
	}
	fmt.Fprintf(b, "DKIM-Signature: v=1; a=rsa-sha256; d=example.net; s=mail;\r\n\th=from:to:subject:date; bh=%s;\r\n\tb=%s\r\n",
		base64.StdEncoding.EncodeToString(noise(r, 32)), base64.StdEncoding.EncodeToString(noise(r, 48)))
	subject := sentence(r, 3+r.IntN(6))
	if i%7 == 0 {
		subject = "Größe: " + subject
	}
	fmt.Fprintf(b, "From: %s\r\nTo: %s\r\n", address(from), address(to))
	if r.IntN(3) == 0 {
		fmt.Fprintf(b, "Cc: %s, %s\r\n", address(people[r.IntN(len(people))]), address(people[r.IntN(len(people))]))
	}
	fmt.Fprintf(b, "Subject: %s\r\nDate: %s\r\nMessage-ID: <%d.%x@example.net>\r\n",
		mime.QEncoding.Encode("utf-8", subject), date, i, r.Uint64())
	if i > 0 && r.IntN(2) == 0 {
		fmt.Fprintf(b, "In-Reply-To: <%d@example.net>\r\nReferences: <%d@example.net>\r\n", i-1, i-1)
	}
	b.WriteString("MIME-Version: 1.0\r\n")
}

func address(name string) string {
	local, _, _ := strings.Cut(strings.ToLower(name), " ")
	if local == "benoît" {
		local = "benoit"
	}
	return fmt.Sprintf("%s <%s@example.net>", mime.QEncoding.Encode("utf-8", name), local)
}

func sentence(r *rand.Rand, n int) string {
	picked := make([]string, n)
	for i := range picked {
		picked[i] = words[r.IntN(len(words))]
	}
	return strings.Join(picked, " ")
}

func prose(b *bytes.Buffer, r *rand.Rand, size int) {
	for end := b.Len() + size; b.Len() < end; {
		b.WriteString(sentence(r, 6+r.IntN(6)))
		b.WriteString(".\r\n")
	}
}

func alternative(b *bytes.Buffer, r *rand.Rand, boundary string) {
	fmt.Fprintf(b, "--%s\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", boundary)
	prose(b, r, 500+r.IntN(4000))
	fmt.Fprintf(b, "--%s\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body>\r\n", boundary)
	for end := b.Len() + 1500 + r.IntN(24_000); b.Len() < end; {
		fmt.Fprintf(b, "<p style=\"margin:0 0 1em 0;font-family:sans-serif\">%s</p>\r\n", sentence(r, 8))
	}
	fmt.Fprintf(b, "</body></html>\r\n--%s--\r\n", boundary)
}

func attachment(b *bytes.Buffer, r *rand.Rand, size int) {
	fmt.Fprintf(b, "Content-Type: application/pdf; name=\"%s.pdf\"\r\nContent-Disposition: attachment; filename=\"%s.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n",
		words[r.IntN(len(words))], words[r.IntN(len(words))])
	for end := b.Len() + size; b.Len() < end; {
		b.WriteString(base64.StdEncoding.EncodeToString(noise(r, 57)))
		b.WriteString("\r\n")
	}
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}
