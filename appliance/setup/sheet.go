package setup

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"net/url"
	"strings"
	"time"

	"github.com/skip2/go-qrcode"
)

//go:embed sheet.html
var sheetText string

// contentPolicy lets a page bring nothing from elsewhere and run nothing.
const contentPolicy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// sheet is what a page is made of.
type sheet struct {
	*Facts

	Person *Person // nil where it is for anybody
	Online bool    // it is on the device itself, so that links work
	Secure bool    // and came by HTTPS
	Made   time.Time
	Link   string        // of the page on the device; "" where there is none
	Code   template.HTML // that link as a QR code
}

// Sheet returns a page for a person, to be printed: how to connect each kind of
// device. It is one file of HTML that needs nothing else. An error wraps
// ErrNobody where there is no such person.
func (s *Service) Sheet(ctx context.Context, address string) ([]byte, error) {
	person, err := s.office.Person(ctx, address)
	if err != nil {
		return nil, err
	}
	f, err := s.Facts(ctx)
	if err != nil {
		return nil, err
	}
	page := sheet{Facts: f, Person: person, Made: s.now(), Link: f.link(person.Address)}
	if page.Link != "" {
		if page.Code, err = code(page.Link); err != nil {
			return nil, err
		}
	}

	return page.write()
}

// link is where a device finds the page for an address. By plain HTTP: it does
// not trust the box yet, and compares the fingerprint.
func (f *Facts) link(address string) string {
	if f.HTTP == 0 {
		return ""
	}
	u := url.URL{Scheme: "http", Host: hostPort(f.IMAP.Host, f.HTTP, portHTTP), Path: pathConnect}
	if address != "" {
		u.RawQuery = url.Values{"emailaddress": {address}}.Encode()
	}

	return u.String()
}

// connectPage is the page on a device; p is nil until an address is known. It
// shows no fingerprint: that must come another way.
func connectPage(q *question, p *Person) ([]byte, error) {
	page := sheet{Facts: q.Facts, Person: p, Online: true, Secure: q.secure}

	return page.write()
}

func (s *sheet) write() ([]byte, error) {
	t, err := template.New("sheet").Parse(sheetText)
	if err != nil {
		return nil, fmt.Errorf("read the page's form: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, s); err != nil {
		return nil, fmt.Errorf("write the page: %w", err)
	}

	return b.Bytes(), nil
}

// Query is the address as a part of links.
func (s *sheet) Query() string { return url.Values{"emailaddress": {s.Person.Address}}.Encode() }

// Passwords tells whether people sign in by a password.
func (s *sheet) Passwords() bool {
	return s.has("PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS")
}

// Plain tells whether a program that knows PLAIN and LOGIN alone gets in.
func (s *sheet) Plain() bool { return s.plain() }

// Tokens tells whether people sign in by the office's provider.
func (s *sheet) Tokens() bool { return s.Provider != "" && s.has("OAUTHBEARER", "XOAUTH2") }

// Certificates tells whether a device can sign in by a certificate.
func (s *sheet) Certificates() bool { return s.has("EXTERNAL") }

// Unset is the outgoing server that programs are told of where there is none.
func (s *sheet) Unset() *Server { return s.unset() }

// OutgoingOwn tells whether sending asks for another name and password.
func (s *sheet) OutgoingOwn() bool { return s.Outgoing.Login == OwnLogin }

// OutgoingOpen tells whether sending asks for none.
func (s *sheet) OutgoingOpen() bool { return s.Outgoing.Login == NoLogin }

// Words returns how a program's menu calls it.
func (s Security) Words() string {
	if s == STARTTLS {
		return "STARTTLS"
	}

	return "SSL/TLS"
}

// Pairs is the fingerprint with blanks, where a line may end.
func (s *sheet) Pairs() string { return strings.ReplaceAll(s.Fingerprint, ":", " ") }

// code draws a QR code.
func code(text string) (template.HTML, error) {
	q, err := qrcode.New(text, qrcode.Medium)
	if err != nil {
		return "", fmt.Errorf("make the code: %w", err)
	}
	rows := q.Bitmap()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg role="img" aria-label="QR code with the link below" viewBox="0 0 %d %[1]d" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%[1]dv%[1]dH0z"/><path d="`, len(rows))
	for y, row := range rows {
		for x, black := range row {
			if black {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x, y)
			}
		}
	}
	b.WriteString(`"/></svg>`)

	return template.HTML(b.String()), nil // of numbers alone
}
