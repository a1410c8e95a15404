package message

// maxEnvelope is where an envelope stops taking in addresses, in octets. The
// text of a list can be ten times what stands in the header.
const maxEnvelope = 512 << 10

// The address lists of an envelope in the order in which they are sent.
const (
	listFrom = iota
	listSender
	listReplyTo
	listTo
	listCc
	listBcc
	numLists
)

// envelope holds the fields of one header that an envelope is made of, as
// they stand. Of those that may stand there once, the first counts; addresses
// are taken from all.
type envelope struct {
	date, subject, inReplyTo, messageID []byte
	lists                               [numLists][][]byte
}

func (e *envelope) reset() {
	e.date, e.subject, e.inReplyTo, e.messageID = nil, nil, nil, nil
	for i := range e.lists {
		e.lists[i] = e.lists[i][:0]
	}
}

// take notes a field if it belongs into an envelope.
func (e *envelope) take(f *Field) {
	switch list, ok := addressList(f.Name); {
	case ok:
		e.lists[list] = append(e.lists[list], f.Value)
	case equalFold(f.Name, "date"):
		setFirst(&e.date, f.Value)
	case equalFold(f.Name, "subject"):
		setFirst(&e.subject, f.Value)
	case equalFold(f.Name, "in-reply-to"):
		setFirst(&e.inReplyTo, f.Value)
	case equalFold(f.Name, "message-id"):
		setFirst(&e.messageID, f.Value)
	}
}

func addressList(name []byte) (list int, ok bool) {
	switch {
	case equalFold(name, "from"):
		return listFrom, true
	case equalFold(name, "sender"):
		return listSender, true
	case equalFold(name, "reply-to"):
		return listReplyTo, true
	case equalFold(name, "to"):
		return listTo, true
	case equalFold(name, "cc"):
		return listCc, true
	case equalFold(name, "bcc"):
		return listBcc, true
	}
	return 0, false
}

func setFirst(p *[]byte, value []byte) {
	if *p == nil {
		*p = unfold(value)
	}
}

// append writes the envelope. No address is begun where b is longer than max,
// and texts are NIL there.
func (e *envelope) append(b []byte, ap *addressParser, max int) []byte {
	b = append(b, '(')
	b = appendWithin(b, e.date, max)
	b = append(b, ' ')
	b = appendWithin(b, e.subject, max)
	var from Span
	for list := range numLists {
		b = append(b, ' ')
		start := len(b)
		b = append(b, '(')
		for _, value := range e.lists[list] {
			b = ap.appendAddresses(b, unfold(value), max)
		}
		b = append(b, ')')
		if len(b) == start+len("()") {
			b = b[:start]
			// RFC 9051, section 7.5.2: the server defaults Sender and
			// Reply-To from the From field.
			if (list == listSender || list == listReplyTo) && from.End > from.Start {
				b = append(b, b[from.Start:from.End]...)
			} else {
				b = append(b, "NIL"...)
			}
		} else if list == listFrom {
			from = Span{start, len(b)}
		}
	}
	b = append(b, ' ')
	b = appendWithin(b, e.inReplyTo, max)
	b = append(b, ' ')
	b = appendWithin(b, e.messageID, max)
	return append(b, ')')
}

// appendWithin appends an nstring, or NIL where it would not end within max.
func appendWithin(b, s []byte, max int) []byte {
	if len(b)+len(s) > max {
		s = nil
	}
	return appendNString(b, s)
}
