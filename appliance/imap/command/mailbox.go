package command

import "github.com/emersion/go-imap/v2"

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
	case "QRESYNC":
		r.dec.Space()
		s.QResync = r.qresync()
	default:
		r.unknown("parameter", w)
	}
}

// qresync: RFC 7162, section 7, select-param. A mod-sequence of 0, which the
// grammar has not, is taken as in CHANGEDSINCE.
func (r *Reader) qresync() *QResync {
	r.dec.Want('(')
	r.dec.Spaces()
	q := &QResync{UIDValidity: r.dec.PositiveNumber()}
	r.dec.Space()
	q.ModSeq = r.dec.Number64()
	more := r.dec.Spaces() && r.dec.Peek() != ')'
	if more && r.dec.Peek() != '(' {
		q.Known = r.knownUIDs()
		more = r.dec.Spaces() && r.dec.Peek() != ')'
	}
	if more {
		r.matchData(q)
		r.dec.Spaces()
	}
	r.dec.Want(')')
	return q
}

// matchData: RFC 7162, section 3.2.5.2.
func (r *Reader) matchData(q *QResync) {
	r.dec.Want('(')
	q.Match, _ = r.dec.NumSet(false).(imap.SeqSet)
	if q.Match == nil || q.Match.Dynamic() {
		r.dec.Fail("the sequence numbers known must be numbers")
	}
	r.dec.Space()
	q.MatchUIDs = r.knownUIDs()
	var seqs, uids uint64
	for _, m := range q.Match {
		seqs += uint64(m.Stop-m.Start) + 1
	}
	for _, m := range q.MatchUIDs {
		uids += uint64(m.Stop-m.Start) + 1
	}
	if seqs != uids {
		r.dec.Fail("there must be as many UIDs as sequence numbers")
	}
	r.dec.Spaces()
	r.dec.Want(')')
}

// knownUIDs takes a set without "*" and "$".
func (r *Reader) knownUIDs() imap.UIDSet {
	if r.dec.Peek() == '$' {
		r.dec.Fail("the UIDs known must be numbers")
		return nil
	}
	set := r.dec.UIDSet()
	if set.Dynamic() {
		r.dec.Fail("the UIDs known must be numbers")
	}
	return set
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
