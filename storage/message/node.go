package message

import "strings"

// node is a part with what its body structure consists of. The spans are
// pieces of parser.text; what is sent is put together when the part's size
// is known.
type node struct {
	Part
	depth       int
	children    int
	linesBefore int64 // line ends before BodyStart

	params   Span // of the Content-Type
	basic    Span // " id description encoding"
	md5      Span // " md5"
	tail     Span // " disposition language location"
	envelope Span // of the message itself, or of one within
}

// partFields are the fields of one header that describe a part. The first of
// each counts.
type partFields struct {
	contentType, encoding, id, description []byte
	md5, disposition, language, location   []byte
}

func (f *partFields) take(name, value []byte) {
	const prefix = "content-"
	if len(name) <= len(prefix) || !equalFold(name[:len(prefix)], prefix) {
		return
	}
	switch name = name[len(prefix):]; {
	case equalFold(name, "type"):
		setFirst(&f.contentType, value)
	case equalFold(name, "transfer-encoding"):
		setFirst(&f.encoding, value)
	case equalFold(name, "id"):
		setFirst(&f.id, value)
	case equalFold(name, "description"):
		setFirst(&f.description, value)
	case equalFold(name, "md5"):
		setFirst(&f.md5, value)
	case equalFold(name, "disposition"):
		setFirst(&f.disposition, value)
	case equalFold(name, "language"):
		setFirst(&f.language, value)
	case equalFold(name, "location"):
		setFirst(&f.location, value)
	}
}

// describe turns the header that was read into the node's description, and
// decides what the part holds.
func (p *parser) describe(cur int) {
	n := &p.nodes[cur]
	isMessage := n.Parent < 0 || p.nodes[n.Parent].Kind == Embedded
	var fields partFields
	if isMessage {
		p.envelope.reset()
	}
	for header := p.header; ; {
		f, rest, ok := NextField(header)
		if !ok {
			break
		}
		header = rest
		fields.take(f.Name, f.Value)
		if isMessage {
			p.envelope.take(&f)
		}
		if n.Parent < 0 && listed(f.Name) {
			p.fields = append(p.fields, f.Raw...)
		}
	}
	if isMessage {
		max := maxStructure
		if n.Parent < 0 {
			max = maxEnvelope
			p.date, _ = ParseDate(string(p.envelope.date))
		}
		n.envelope = p.write(func(b []byte) []byte { return p.envelope.append(b, &p.addresses, max) })
	}
	p.classify(n, &fields)
	p.describeFields(n, &fields)
}

// classify sets type, encoding, charset and kind.
func (p *parser) classify(n *node, f *partFields) {
	var encoding string
	n.Encoding, encoding = parseEncoding(f.encoding)
	typ, subtype, params := p.mediaType(n, f)
	n.Type = typ + "/" + subtype
	if charset := strings.TrimSpace(plainParam(params, "charset")); len(charset) <= maxToken {
		n.Charset = strings.ToLower(charset)
	}
	n.basic = p.write(func(b []byte) []byte {
		b = append(b, ' ')
		b = appendWithin(b, f.id, maxStructure)
		b = append(b, ' ')
		b = appendWithin(b, f.description, maxStructure)
		b = append(b, ' ')
		return appendString(b, []byte(encoding))
	})
	n.params = p.write(func(b []byte) []byte { return appendParams(b, params) })

	room := n.depth+1 < p.lim.Depth && len(p.nodes) < p.lim.Parts
	switch {
	case typ == "multipart":
		text := []byte(strings.TrimRight(plainParam(params, "boundary"), " \t"))
		switch {
		case len(text) == 0 || len(text) > maxBoundary:
			n.Type = "text/plain"
		case !room:
			n.Type = "application/octet-stream"
		default:
			n.Kind = Multipart
			p.boundaries = append(p.boundaries, boundary{text, len(p.nodes) - 1})
		}
	case n.Type == "message/rfc822" || n.Type == "message/global":
		if room && n.Encoding != Base64 && n.Encoding != QuotedPrintable {
			n.Kind = Embedded
		} else {
			n.Type = "application/octet-stream"
		}
	}
}

// mediaType reads the Content-Type, or what it is by default.
func (p *parser) mediaType(n *node, f *partFields) (typ, subtype string, params []param) {
	if f.contentType == nil {
		if n.Parent >= 0 && p.nodes[n.Parent].Type == "multipart/digest" {
			return "message", "rfc822", nil // RFC 2046, section 5.1.5
		}
		// RFC 2045, section 5.2
		return "text", "plain", []param{{[]byte("charset"), []byte("us-ascii")}}
	}
	typ, subtype, params = parseMediaType(f.contentType)
	if typ != "" && subtype != "" {
		return typ, subtype, params
	}
	switch typ {
	case "multipart":
		return typ, "mixed", params
	case "application", "image", "audio", "video", "font", "model", "message":
		return "application", "octet-stream", params
	default:
		return "text", "plain", params
	}
}

// parseEncoding reads a Content-Transfer-Encoding, and how it is sent: in
// lower case (Outlook on iOS wants that) and never empty.
func parseEncoding(value []byte) (Encoding, string) {
	token, _ := parseToken(value)
	switch string(token) {
	case "", "7bit", "7-bit":
		return Identity, "7bit"
	case "8bit", "8-bit":
		return Identity, "8bit"
	case "binary":
		return Identity, "binary"
	case "base64":
		return Base64, "base64"
	case "quoted-printable":
		return QuotedPrintable, "quoted-printable"
	}
	return UnknownEncoding, string(token[:min(len(token), maxToken)])
}

// describeFields writes the extension data.
func (p *parser) describeFields(n *node, f *partFields) {
	n.md5 = p.write(func(b []byte) []byte {
		b = append(b, ' ')
		return appendWithin(b, f.md5, maxStructure)
	})
	n.tail = p.write(func(b []byte) []byte {
		b = append(b, ' ')
		b = appendDisposition(b, f.disposition)
		b = append(b, ' ')
		b = appendLanguages(b, f.language)
		b = append(b, ' ')
		return appendWithin(b, f.location, maxStructure)
	})
}

func (p *parser) write(f func(b []byte) []byte) Span {
	start := len(p.text)
	p.text = f(p.text)
	return Span{start, len(p.text)}
}
