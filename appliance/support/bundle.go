package support

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// MaxPart bounds a part, in octets; of a longer one the end is left off.
const MaxPart = 8 << 20

// Part is a file of a bundle.
type Part struct {
	Name  string `json:"name"`  // of the file
	Title string `json:"title"` // what it is, for people
	// Binary is not redacted: it holds no text of anybody's.
	Binary bool `json:"-"`
	// Write writes it. What it writes beyond MaxPart is not kept.
	Write func(ctx context.Context, w io.Writer) error `json:"-"`
}

// Write writes a bundle: a ZIP archive of all parts, with a page that explains
// them. A part that cannot be had says why in its place.
func Write(ctx context.Context, w io.Writer, about string, now time.Time, parts []Part, r *Redactor) error {
	z := zip.NewWriter(w)
	var failed []string
	for i := range parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		body, why := parts[i].make(ctx, r)
		if why != "" {
			failed = append(failed, parts[i].Name+": "+why)
		}
		if err := put(z, parts[i].Name, now, body); err != nil {
			return err
		}
	}
	if err := put(z, "README.txt", now, readme(about, now, parts, failed, r)); err != nil {
		return err
	}

	return z.Close()
}

func put(z *zip.Writer, name string, now time.Time, body []byte) error {
	f, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: now})
	if err != nil {
		return fmt.Errorf("begin %s: %w", name, err)
	}
	if _, err := f.Write(body); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}

	return nil
}

// make makes a part; why says what is missing of it.
func (p *Part) make(ctx context.Context, r *Redactor) (body []byte, why string) {
	b := bounded{most: MaxPart}
	if err := p.Write(ctx, &b); err != nil {
		why = r.Text(err.Error())
	}
	if b.cut {
		why = fmt.Sprintf("it is longer than %d MB, and ends there", MaxPart>>20)
	}
	body = b.Bytes()
	if !p.Binary {
		body = []byte(r.Text(string(body)))
	}
	if len(body) == 0 && why != "" {
		body = []byte(why + "\n")
	}

	return body, why
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	bytes.Buffer

	most int
	cut  bool
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if room := b.most - b.Len(); len(p) > room {
		b.cut = true
		_, _ = b.Buffer.Write(p[:room]) // it never fails
		return len(p), nil
	}

	return b.Buffer.Write(p)
}

func readme(about string, now time.Time, parts []Part, failed []string, r *Redactor) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "Support bundle of %s, made %s\r\n\r\n", about, now.UTC().Format("2 January 2006, 15:04 UTC"))
	b.WriteString("It is for somebody who helps you with this box. Look through it before you send it:\r\nevery file opens in a text editor, but those that end in .pprof.\r\n\r\n")
	b.WriteString("Passwords, keys and tokens were taken out (" + Removed + "). No mail is in it.\r\n")
	if r.keep {
		b.WriteString("Names and addresses are in it, as you wanted: send it to nobody whom that does not concern.\r\n")
	} else {
		b.WriteString("Names and addresses were replaced: the same person is the same person-… throughout this\r\nbundle, and another one in the next. lan-… is an address of your network, net-… one outside.\r\n")
	}
	b.WriteString("\r\n")
	for i := range parts {
		fmt.Fprintf(&b, "%-20s %s\r\n", parts[i].Name, parts[i].Title)
	}
	if len(failed) > 0 {
		b.WriteString("\r\nNot there, or not whole:\r\n")
		for _, f := range failed {
			fmt.Fprintf(&b, "%s\r\n", f)
		}
	}

	return []byte(b.String())
}
