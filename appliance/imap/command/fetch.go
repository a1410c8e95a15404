package command

import (
	"strings"

	"github.com/emersion/go-imap/v2"
)

const (
	maxSections     = 256 // sections of one FETCH, each of which may be a whole message
	maxHeaderFields = 256 // names of one list of header fields
	maxPartDepth    = 100 // numbers of one part, "1.2.3…"
	maxFetchItems   = 512
)

func (r *Reader) fetch(uid bool) Args {
	r.dec.Space()
	f := &Fetch{Set: r.dec.NumSet(uid), UID: uid}
	r.dec.Space()
	if r.dec.Peek() == '(' {
		r.list1(maxFetchItems, false, func() { r.fetchItem(f, r.word()) })
	} else {
		r.fetchMacro(f)
	}
	changedSince := false
	if r.dec.More() {
		r.list1(maxListItems, false, func() { r.fetchModifier(f, &changedSince) })
	}
	if f.Vanished && (!uid || !changedSince) {
		r.dec.Fail("VANISHED belongs to UID FETCH with CHANGEDSINCE")
	}
	if uid {
		f.Items.UID = true
	}
	return f
}

// fetchMacro takes one item without parentheses, which may be a macro.
func (r *Reader) fetchMacro(f *Fetch) {
	o := &f.Items
	switch w := r.word(); w {
	case "ALL":
		o.Flags, o.InternalDate, o.RFC822Size, o.Envelope = true, true, true, true
	case "FAST":
		o.Flags, o.InternalDate, o.RFC822Size = true, true, true
	case "FULL":
		o.Flags, o.InternalDate, o.RFC822Size, o.Envelope = true, true, true, true
		o.BodyStructure = &imap.FetchItemBodyStructure{}
	default:
		r.fetchItem(f, w)
	}
}

func (r *Reader) fetchItem(f *Fetch, word string) {
	o := &f.Items
	switch word {
	case "FLAGS":
		o.Flags = true
	case "UID":
		o.UID = true
	case "INTERNALDATE":
		o.InternalDate = true
	case "ENVELOPE":
		o.Envelope = true
	case "MODSEQ":
		o.ModSeq = true
	case "SAVEDATE":
		f.SaveDate = true
	case "EMAILID":
		f.EmailID = true
	case "THREADID":
		f.ThreadID = true
	case "RFC822.SIZE":
		o.RFC822Size = true
	case "RFC822":
		f.RFC822 = true
	case "RFC822.HEADER":
		f.RFC822Header = true
	case "RFC822.TEXT":
		f.RFC822Text = true
	case "RFC822.PEEK":
		f.RFC822Peek = true
	case "BODYSTRUCTURE":
		f.addStructure(true)
	case "BODY":
		if r.dec.Peek() == '[' {
			r.bodySection(f, false)
		} else {
			f.addStructure(false)
		}
	case "BODY.PEEK":
		r.bodySection(f, true)
	case "BINARY":
		r.binarySection(f, false)
	case "BINARY.PEEK":
		r.binarySection(f, true)
	case "BINARY.SIZE":
		part := r.binaryPart()
		r.checkSections(f)
		o.BinarySectionSize = append(o.BinarySectionSize, &imap.FetchItemBinarySectionSize{Part: part})
	default:
		r.unknown("fetch item", word)
	}
}

func (f *Fetch) addStructure(extended bool) {
	if s := f.Items.BodyStructure; s != nil && s.Extended != extended {
		f.BothStructures = true
		extended = true
	}
	f.Items.BodyStructure = &imap.FetchItemBodyStructure{Extended: extended}
}

// checkSections bounds what one FETCH can make the server send.
func (r *Reader) checkSections(f *Fetch) {
	o := &f.Items
	if len(o.BodySection)+len(o.BinarySection)+len(o.BinarySectionSize) >= maxSections {
		r.dec.Fail("more than %d sections", maxSections)
	}
}

func (r *Reader) bodySection(f *Fetch, peek bool) {
	s := &imap.FetchItemBodySection{Peek: peek}
	r.checkSections(f)
	r.dec.Want('[')
	r.dec.Spaces()
	var dot bool
	s.Part, dot = r.part()
	if c := r.dec.Peek(); dot || c != ']' && len(s.Part) == 0 {
		r.sectionText(s)
	}
	r.dec.Spaces()
	r.dec.Want(']')
	s.Partial = r.partial()
	f.Items.BodySection = append(f.Items.BodySection, s)
}

// part takes the numbers of a part; dot tells that one follows the last.
func (r *Reader) part() (part []int, dot bool) {
	for c := r.dec.Peek(); '0' <= c && c <= '9'; c = r.dec.Peek() {
		if len(part) == maxPartDepth {
			r.dec.Fail("a part of more than %d numbers", maxPartDepth)
			return nil, false
		}
		part = append(part, int(r.dec.PositiveNumber()))
		if !r.dec.Take('.') {
			return part, false
		}
		dot = true
	}
	return part, dot
}

func (r *Reader) sectionText(s *imap.FetchItemBodySection) {
	switch w := r.word(); w {
	case "HEADER":
		s.Specifier = imap.PartSpecifierHeader
	case "HEADER.FIELDS":
		s.Specifier = imap.PartSpecifierHeader
		s.HeaderFields = r.headerFields()
	case "HEADER.FIELDS.NOT":
		s.Specifier = imap.PartSpecifierHeader
		s.HeaderFieldsNot = r.headerFields()
	case "TEXT":
		s.Specifier = imap.PartSpecifierText
	case "MIME":
		s.Specifier = imap.PartSpecifierMIME
		if len(s.Part) == 0 {
			r.dec.Fail("MIME needs a part")
		}
	default:
		r.unknown("section", strings.TrimSuffix(w, "]"))
	}
}

func (r *Reader) headerFields() []string {
	var names []string
	r.dec.Space()
	r.list1(maxHeaderFields, false, func() { names = append(names, r.dec.AString()) })
	return names
}

func (r *Reader) binarySection(f *Fetch, peek bool) {
	s := &imap.FetchItemBinarySection{Part: r.binaryPart(), Peek: peek}
	r.checkSections(f)
	s.Partial = r.partial()
	f.Items.BinarySection = append(f.Items.BinarySection, s)
}

// binaryPart: RFC 3516, section 6, section-binary.
func (r *Reader) binaryPart() []int {
	r.dec.Want('[')
	part, dot := r.part()
	if dot {
		r.dec.Fail("expected the number of a part")
	}
	r.dec.Want(']')
	return part
}

// partial takes "<offset.size>" if it is next.
func (r *Reader) partial() *imap.SectionPartial {
	if !r.dec.Take('<') {
		return nil
	}
	p := &imap.SectionPartial{Offset: int64(r.dec.Number64())}
	r.dec.Want('.')
	p.Size = int64(r.dec.Number64())
	if p.Size == 0 {
		r.dec.Fail("a partial of no octets")
	}
	r.dec.Want('>')
	return p
}

// fetchModifier: RFC 7162, sections 3.1.4.1 and 3.2.6.
func (r *Reader) fetchModifier(f *Fetch, changedSince *bool) {
	switch w := r.word(); w {
	case "VANISHED":
		f.Vanished = true
	case "CHANGEDSINCE":
		*changedSince = true
		r.dec.Space()
		// iOS sends 0, which the grammar has not: everything has changed since.
		f.Items.ChangedSince = r.dec.Number64()
		f.Items.ModSeq = true
	default:
		r.unknown("modifier", w)
	}
}
