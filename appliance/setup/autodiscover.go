package setup

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Autodiscover in plain XML (POX), as [MS-OXDSCLI] has it. Of its schemas
// Outlook's is answered with an IMAP account; that of ActiveSync (mobilesync) is
// not spoken.
const (
	schemaOutlook    = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
	schemaMobile     = "http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006"
	schemaResponse   = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
	maxPOX           = 16 << 10 // octets; Outlook's requests have about 400
	maxElements      = 64
	maxText          = 1 << 10
	codeNoAddress    = 500 // for an address that is not served, whoever's it is
	codeInvalid      = 600
	codeNoProvider   = 601
	autodiscoverTime = "15:04:05.0000000"
)

// autodiscoverRequest is what is asked.
type autodiscoverRequest struct {
	address string
	schema  string // of the answer that is wanted
}

// errRequest says that a request has not the form of one.
var errRequest = errors.New("not a request of autodiscover")

// parseAutodiscover reads a request, of at most maxPOX octets. Elements are known
// by their names alone: clients do not agree on the namespaces.
func parseAutodiscover(r io.Reader) (q autodiscoverRequest, err error) {
	text, err := io.ReadAll(io.LimitReader(r, maxPOX+1))
	if err != nil {
		return q, fmt.Errorf("read the request: %w", err)
	}
	if len(text) > maxPOX {
		return q, fmt.Errorf("%w: it is longer than %d octets", errRequest, maxPOX)
	}
	d := xml.NewDecoder(bytes.NewReader(text))
	d.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		if strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "us-ascii") {
			return in, nil
		}
		return nil, fmt.Errorf("%w: its character set is %q", errRequest, charset)
	}
	var path []string
	for elements := 0; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return q, fmt.Errorf("%w: %w", errRequest, err)
		}
		switch token := token.(type) {
		case xml.Directive: // a document type: nobody needs entities of its own
			return q, fmt.Errorf("%w: it has a document type", errRequest)
		case xml.StartElement:
			if elements++; elements > maxElements {
				return q, fmt.Errorf("%w: it has too many elements", errRequest)
			}
			path = append(path, token.Name.Local)
		case xml.EndElement:
			path = path[:len(path)-1] // the decoder has seen that they match
		case xml.CharData:
			switch strings.Join(path, "/") {
			case "Autodiscover/Request/EMailAddress":
				q.address += string(token)
			case "Autodiscover/Request/AcceptableResponseSchema":
				q.schema += string(token)
			}
			if len(q.address) > maxText || len(q.schema) > maxText {
				return q, fmt.Errorf("%w: a text in it is too long", errRequest)
			}
		}
	}
	q.address, q.schema = strings.TrimSpace(q.address), strings.TrimSpace(q.schema)
	if q.address == "" || q.schema == "" {
		return q, fmt.Errorf("%w: it lacks EMailAddress or AcceptableResponseSchema", errRequest)
	}

	return q, nil
}

type poxAnswer struct {
	XMLName  xml.Name `xml:"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006 Autodiscover"`
	Response poxResponse
}

type poxResponse struct {
	XMLName xml.Name
	Account *poxAccount `xml:"Account,omitempty"`
	Error   *poxError   `xml:"Error,omitempty"`
}

type poxAccount struct {
	Type      string        `xml:"AccountType"`
	Action    string        `xml:"Action"`
	Protocols []poxProtocol `xml:"Protocol"`
}

type poxProtocol struct {
	Type           string `xml:"Type"`
	Server         string `xml:"Server"`
	Port           uint16 `xml:"Port"`
	DomainRequired string `xml:"DomainRequired"`
	LoginName      string `xml:"LoginName,omitempty"`
	SPA            string `xml:"SPA"` // "on" where it is missing
	SSL            string `xml:"SSL"`
	Encryption     string `xml:"Encryption,omitempty"` // of SMTP, in place of SSL
	AuthRequired   string `xml:"AuthRequired"`
	UsePOPAuth     string `xml:"UsePOPAuth,omitempty"` // SMTP has the same name and password
	SMTPLast       string `xml:"SMTPLast,omitempty"`
}

type poxError struct {
	Time    string `xml:"Time,attr"`
	ID      string `xml:"Id,attr"`
	Code    int    `xml:"ErrorCode"`
	Message string `xml:"Message"`
	Debug   string `xml:"DebugData"`
}

// autodiscover answers a request: always with a document, as clients want it.
func (f *Facts) autodiscover(q autodiscoverRequest, wrong error, now time.Time) ([]byte, error) {
	answer := poxAnswer{Response: poxResponse{XMLName: xml.Name{Space: schemaOutlook, Local: "Response"}}}
	refuse := func(code int, message string) {
		answer.Response.Error = &poxError{Time: now.UTC().Format(autodiscoverTime), ID: "0", Code: code, Message: message}
	}
	_, served := f.domain(q.address)
	switch {
	case wrong != nil:
		answer.Response.XMLName.Space = schemaResponse
		refuse(codeInvalid, "Invalid Request")
	case q.schema != schemaOutlook:
		answer.Response.XMLName.Space = schemaResponse
		if q.schema == schemaMobile {
			answer.Response.XMLName.Space = schemaMobile
		}
		refuse(codeNoProvider, "Provider is not available: this server speaks IMAP")
	case !served:
		refuse(codeNoAddress, "The email address can't be found.")
	case !f.plain():
		refuse(codeNoAddress, "This server takes no password by PLAIN or LOGIN, and Outlook knows nothing else.")
	default:
		answer.Response.Account = &poxAccount{Type: "email", Action: "settings", Protocols: f.protocols(q.address)}
	}
	text, err := xml.MarshalIndent(answer, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write autodiscover: %w", err)
	}

	return append([]byte(xml.Header), append(text, '\n')...), nil
}

func (f *Facts) protocols(address string) []poxProtocol {
	all := []poxProtocol{{
		Type: "IMAP", Server: f.IMAP.Host, Port: f.IMAP.Port, DomainRequired: "off", LoginName: address,
		SPA: "off", SSL: "on", AuthRequired: "on",
	}}
	out := f.shared()
	if out == nil {
		return all
	}
	p := poxProtocol{
		Type: "SMTP", Server: out.Host, Port: out.Port, DomainRequired: "off", LoginName: address,
		SPA: "off", SSL: "on", Encryption: "SSL", AuthRequired: "on", UsePOPAuth: "on", SMTPLast: "off",
	}
	if out.Security == STARTTLS {
		p.Encryption = "TLS" // by which they mean STARTTLS
	}
	if out.Login == NoLogin {
		p.LoginName, p.AuthRequired, p.UsePOPAuth = "", "off", "off"
	}

	return append(all, p)
}
