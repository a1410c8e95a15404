package profile

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ContentType is what a profile is served as, signed or not.
const ContentType = "application/x-apple-aspen-config"

// Profile is a configuration profile. No field may be empty.
type Profile struct {
	Name, Description string
	Organization      string // whose it is; may be empty
	ID                string // in ASCII letters, digits, dots and hyphens
	UUID              string // see UUID
	Payloads          []Payload
}

// Payload is one thing that a profile brings.
type Payload struct {
	Type, Name, ID, UUID string
	// Keys are those of the type: string, int, bool or []byte.
	Keys map[string]any
}

// Encode returns the property list. The same profile is always the same octets.
func (p *Profile) Encode() []byte {
	var payloads []any
	for _, load := range p.Payloads {
		payloads = append(payloads, load.dict())
	}
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
`)
	all := map[string]any{
		"PayloadContent": payloads, "PayloadDescription": p.Description, "PayloadDisplayName": p.Name,
		"PayloadIdentifier": p.ID, "PayloadRemovalDisallowed": false, "PayloadType": "Configuration",
		"PayloadUUID": p.UUID, "PayloadVersion": 1,
	}
	if p.Organization != "" {
		all["PayloadOrganization"] = p.Organization
	}
	write(&b, "", all)
	b.WriteString("</plist>\n")

	return b.Bytes()
}

func (p *Payload) dict() map[string]any {
	all := maps.Clone(p.Keys)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, map[string]any{
		"PayloadDisplayName": p.Name, "PayloadIdentifier": p.ID, "PayloadType": p.Type, "PayloadUUID": p.UUID, "PayloadVersion": 1,
	})

	return all
}

// write writes a value, a dictionary's keys in their order.
func write(b *bytes.Buffer, indent string, v any) {
	switch v := v.(type) {
	case map[string]any:
		b.WriteString(indent + "<dict>\n")
		for _, key := range slices.Sorted(maps.Keys(v)) {
			fmt.Fprintf(b, "%s\t<key>%s</key>\n", indent, escape(key))
			write(b, indent+"\t", v[key])
		}
		b.WriteString(indent + "</dict>\n")
	case []any:
		b.WriteString(indent + "<array>\n")
		for _, each := range v {
			write(b, indent+"\t", each)
		}
		b.WriteString(indent + "</array>\n")
	case bool:
		fmt.Fprintf(b, "%s<%t/>\n", indent, v)
	case int:
		fmt.Fprintf(b, "%s<integer>%d</integer>\n", indent, v)
	case []byte:
		b.WriteString(indent + "<data>\n")
		for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(v)), 64) {
			fmt.Fprintf(b, "%s%s\n", indent, line)
		}
		b.WriteString(indent + "</data>\n")
	default:
		fmt.Fprintf(b, "%s<string>%s</string>\n", indent, escape(fmt.Sprint(v)))
	}
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes all

	return b.String()
}

// UUID makes one from data (RFC 9562, section 5.8). Different purposes give
// different ones.
func UUID(data []byte, purpose string) string {
	sum := sha256.Sum256(append([]byte(purpose), data...))
	id := sum[:16]
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	h := strings.ToUpper(hex.EncodeToString(id))

	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
