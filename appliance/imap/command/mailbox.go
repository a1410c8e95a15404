package command

// mailbox takes a space and a mailbox name.
func (r *Reader) mailbox() string {
	r.dec.Space()
	return r.dec.Mailbox(r.utf8)
}

func (r *Reader) selectBox() Args { return r.open(false) }

func (r *Reader) examine() Args { return r.open(true) }

func (r *Reader) open(readOnly bool) Args {
	s := &Select{Mailbox: r.mailbox(), ReadOnly: readOnly}
	if r.dec.More() {
		r.list1(maxListItems, false, func() { r.selectParam(s) })
	}
	return s
}

func (r *Reader) selectParam(s *Select) {
	switch w := r.word(); w {
	case "CONDSTORE": // RFC 7162, section 3.1.8
		s.CondStore = true
	case "QRESYNC": // RFC 7162, section 3.2.5
		r.dec.Fail("QRESYNC has not been enabled")
	default:
		r.unknown("parameter", w)
	}
}

func (r *Reader) create() Args {
	c := &Create{Mailbox: r.mailbox()}
	if r.dec.More() {
		r.list1(maxListItems, false, func() {
			if w := r.word(); w != "USE" { // RFC 6154, section 3
				r.unknown("parameter", w)
			}
			r.dec.Space()
			r.list1(maxListItems, true, func() { c.SpecialUse = append(c.SpecialUse, r.useAttr()) })
		})
	}
	return c
}

func (r *Reader) copyTo(uid, move bool) Args {
	r.dec.Space()
	set := r.dec.NumSet(uid)
	return &Copy{Set: set, UID: uid, Move: move, Mailbox: r.mailbox()}
}

func (r *Reader) uidExpunge() Args {
	r.dec.Space()
	return &Expunge{UIDs: r.dec.UIDSet()}
}
