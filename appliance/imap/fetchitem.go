package imap

import (
	"pillarbox/appliance/imap/wire"
	"pillarbox/storage"
	"pillarbox/storage/message"
)

// appendItems appends the start of a FETCH response with all items that need
// no body. d is nil if none of them needs it.
func (f *fetcher) appendItems(b []byte, x fetched, d *storage.Data) []byte {
	items := &f.c.Items
	b = append(b, "* "...)
	b = wire.AppendUint(b, f.s.sel.seq(x.pos))
	b = append(b, " FETCH ("...)
	start := len(b)
	// RFC 9051, section 6.4.5: a \Seen that this command sets is told of, and
	// with the UID where CONDSTORE is on (RFC 7162, section 3.2.4).
	marked := len(f.marked.spans) > 0 && f.marked.contains(x.pos)
	if items.UID || f.c.UID || marked && f.s.enabled.condstore {
		b = append(b, "UID "...)
		b = wire.AppendUint(b, x.m.UID)
	}
	if items.Flags || marked {
		b = f.s.appendFlags(next(b, start), x.m)
	}
	if f.modSeq || marked && f.s.enabled.condstore {
		b = appendModSeq(next(b, start), x.m)
	}
	if items.InternalDate {
		b = append(next(b, start), "INTERNALDATE "...)
		b = wire.AppendUnixDate(b, x.m.InternalDate, int(x.m.Zone))
	}
	if items.RFC822Size {
		b = append(next(b, start), "RFC822.SIZE "...)
		b = wire.AppendInt(b, x.m.Size)
	}
	if f.c.SaveDate { // RFC 8514, section 4.2
		b = append(next(b, start), "SAVEDATE "...)
		b = wire.AppendUnixDate(b, x.m.SaveDate, 0)
	}
	if f.c.EmailID {
		b = append(next(b, start), "EMAILID ("...)
		b = append(f.s.appendEmailID(b, x.m.Data), ')')
	}
	if d != nil {
		b = f.appendStored(b, start, x.m.Data, d)
	}
	f.bare = len(b) == start
	return b
}

// appendStored appends the items that stand in the stored parse as they are sent.
func (f *fetcher) appendStored(b []byte, start int, id storage.DataID, d *storage.Data) []byte {
	items := &f.c.Items
	if f.c.ThreadID {
		b = append(next(b, start), "THREADID ("...)
		b = append(f.s.appendThreadID(b, id, d.Record.Fields()), ')')
	}
	if items.Envelope {
		b = append(next(b, start), "ENVELOPE "...)
		b = append(b, d.Record.Envelope()...)
	}
	if bs := items.BodyStructure; bs != nil {
		if bs.Extended {
			b = append(next(b, start), "BODYSTRUCTURE "...)
			b = append(b, d.Record.Structure()...)
		}
		if !bs.Extended || f.c.BothStructures {
			b = append(next(b, start), "BODY "...)
			b = d.Record.AppendBody(b)
		}
	}
	for i := range f.listed {
		b = f.appendListed(next(b, start), &f.listed[i], d)
	}
	return b
}

// next puts a space between two items.
func next(b []byte, start int) []byte {
	if len(b) > start {
		b = append(b, ' ')
	}
	return b
}

// appendListed appends a HEADER.FIELDS item from the stored fields, after
// those of the prefix, which stand in front of them in the message too.
func (f *fetcher) appendListed(b []byte, sec *section, d *storage.Data) []byte {
	f.scratch = f.scratch[:0]
	if len(d.Prefix) > 0 {
		f.scratch = message.AppendFields(f.scratch, d.Prefix, sec.names, false)
		f.scratch = f.scratch[:len(f.scratch)-len("\r\n")]
	}
	f.scratch = message.AppendFields(f.scratch, d.Record.Fields(), sec.names, false)
	return appendOctets(b, sec, f.scratch)
}

// appendOctets appends a section whose octets are at hand.
func appendOctets(b []byte, sec *section, data []byte) []byte {
	e := extent{0, int64(len(data))}.cut(sec.partial)
	b = append(b, sec.label...)
	b = wire.AppendLiteral(append(b, ' '), e.len())
	return append(b, data[e.start:e.end]...)
}
