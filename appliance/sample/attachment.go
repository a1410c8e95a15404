package sample

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"
	"time"
)

// picture returns a PNG of some hills, a different one for each n.
func picture(n int) file {
	const width, height = 160, 100
	img := image.NewPaletted(image.Rect(0, 0, width, height), color.Palette{
		color.RGBA{0x9c, 0xc8, 0xee, 0xff}, color.RGBA{0x3f, 0x7d, 0x3a, 0xff},
		color.RGBA{0x2b, 0x55, 0x2a, 0xff}, color.RGBA{0xf4, 0xd9, 0x5b, 0xff},
	})
	for x := range width {
		far, near := 45+(x*(n+3))%17, 65+(x*(n+5)/3)%23
		for y := range height {
			switch {
			case y > near:
				img.SetColorIndex(x, y, 2)
			case y > far:
				img.SetColorIndex(x, y, 1)
			case (x-130)*(x-130)+(y-18)*(y-18) < 110:
				img.SetColorIndex(x, y, 3)
			}
		}
	}
	var b bytes.Buffer
	_ = png.Encode(&b, img) // does not fail on a buffer

	return file{name: fmt.Sprintf("site-%d.png", n), contentType: "image/png", data: b.Bytes()}
}

// paper returns a PDF of one page with a few lines.
func paper(name string, lines ...string) file {
	var text strings.Builder
	text.WriteString("BT /F1 12 Tf 14 TL 72 770 Td\n")
	escape := strings.NewReplacer(`\`, `\\`, `(`, `\(`, `)`, `\)`)
	for _, l := range lines {
		fmt.Fprintf(&text, "(%s) Tj T*\n", escape.Replace(l))
	}
	text.WriteString("ET")
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", text.Len(), text.String()),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
	}
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	offsets := make([]int, len(objects))
	for i, o := range objects {
		offsets[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)

	return file{name: name, contentType: "application/pdf", data: b.Bytes()}
}

// invitation returns a meeting request (RFC 5546) for a calendar.
func invitation(subject string, from, to person, at time.Time) file {
	const stamp = "20060102T150405Z"
	lines := []string{
		"BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Pillarbox//Sample//EN", "METHOD:REQUEST", "BEGIN:VEVENT",
		"UID:" + at.UTC().Format(stamp) + "@office.example",
		"DTSTAMP:" + at.Add(-72*time.Hour).UTC().Format(stamp),
		"DTSTART:" + at.UTC().Format(stamp),
		"DTEND:" + at.Add(time.Hour).UTC().Format(stamp),
		"SUMMARY:" + subject,
		"ORGANIZER:mailto:" + from.address,
		"ATTENDEE;RSVP=TRUE:mailto:" + to.address,
		"END:VEVENT", "END:VCALENDAR", "",
	}

	return file{
		name:        "invite.ics",
		contentType: "text/calendar; charset=utf-8; method=REQUEST",
		disposition: "inline",
		data:        []byte(strings.Join(lines, "\r\n")),
	}
}

// forwarded returns a message within a message.
func forwarded(body []byte) file {
	return file{name: "forwarded.eml", contentType: "message/rfc822", data: body, identity: true}
}
