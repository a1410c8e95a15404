package imap

import (
	"context"
	"fmt"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
	"pillarbox/storage"
)

// search is SEARCH and UID SEARCH. tag goes into the ESEARCH response.
func (s *session) search(ctx context.Context, tag string, c *command.Search) error {
	if err := s.refresh(ctx); err != nil {
		return err
	}
	found, err := s.find(ctx, c)
	if err != nil {
		if c.Return.ReturnSave {
			s.sel.saved = nil // RFC 5182, section 2.1
		}
		return err
	}
	if c.Return.ReturnSave {
		s.sel.saved = s.sel.uidSet(messages{spans: found.saved(&c.Return)})
	}
	switch {
	case c.Extended && onlySave(&c.Return):
		return nil // RFC 5182, section 2.1: no ESEARCH for SAVE alone
	case c.Extended || s.enabled.rev2:
		ret := c.Return
		if !c.Extended {
			ret.ReturnAll = true
		}
		return s.tellExtended(tag, c.UID, &ret, found)
	}
	return s.tellPlain(c.UID, found)
}

func onlySave(o *imap.SearchOptions) bool {
	return o.ReturnSave && !o.ReturnAll && !o.ReturnMin && !o.ReturnMax && !o.ReturnCount
}

// found is what a search found.
type found struct {
	messages
	modSeq storage.ModSeq // the highest of them, where asked for
}

// first and last are the ends of what was found; there must be any.
func (f *found) first() int { return f.spans[0].lo }
func (f *found) last() int  { return f.spans[len(f.spans)-1].hi - 1 }

// saved returns what "$" stands for after the search: with MIN or MAX and
// nothing else, only these messages (RFC 5182, section 2.4).
func (f *found) saved(o *imap.SearchOptions) []span {
	if len(f.spans) == 0 || o.ReturnAll || o.ReturnCount || !o.ReturnMin && !o.ReturnMax {
		return f.spans
	}
	var out []span
	if o.ReturnMin {
		out = append(out, span{f.first(), f.first() + 1})
	}
	if o.ReturnMax && (!o.ReturnMin || f.last() != f.first()) {
		out = append(out, span{f.last(), f.last() + 1})
	}
	return out
}

// find carries the search out, no further than the answer needs.
func (s *session) find(ctx context.Context, c *command.Search) (*found, error) {
	p := newProgram(s, c.Key)
	if p.modSeq {
		s.enabled.condstore = true // RFC 7162, section 3.1
	}
	out := &found{}
	o := &c.Return
	var err error
	if c.Extended && !o.ReturnAll && !o.ReturnCount && (o.ReturnMin || o.ReturnMax) {
		err = p.ends(ctx, o, out)
	} else {
		err = p.run(ctx, false, func(pos int) bool { out.push(pos); return true })
	}
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	if p.modSeq {
		for _, sp := range out.spans {
			for pos, m := range s.sel.snap.All(sp.lo) {
				if pos >= sp.hi {
					break
				}
				out.modSeq = max(out.modSeq, m.ModSeq)
			}
		}
	}
	return out, nil
}

// ends looks only for the first message, the last, or both.
func (p *program) ends(ctx context.Context, o *imap.SearchOptions, out *found) error {
	if o.ReturnMin {
		err := p.run(ctx, false, func(pos int) bool { out.push(pos); return false })
		if err != nil || len(out.spans) == 0 {
			return err
		}
	}
	if !o.ReturnMax {
		return nil
	}
	return p.run(ctx, true, func(pos int) bool {
		if len(out.spans) == 0 || out.last() < pos {
			out.push(pos)
		}
		return false
	})
}

// tellPlain sends the SEARCH response of RFC 3501.
func (s *session) tellPlain(uid bool, f *found) error {
	s.out.Buf = append(s.out.Buf, "* SEARCH"...)
	for _, sp := range f.spans {
		for pos := sp.lo; pos < sp.hi; pos++ {
			s.out.Buf = append(s.out.Buf, ' ')
			s.out.Buf = wire.AppendUint(s.out.Buf, s.number(pos, uid))
			if err := s.out.Spill(); err != nil {
				return err
			}
		}
	}
	// RFC 7162, section 3.1.5.
	if f.modSeq > 0 {
		s.out.Buf = append(s.out.Buf, " (MODSEQ "...)
		s.out.Buf = append(wire.AppendUint(s.out.Buf, f.modSeq), ')')
	}
	s.out.Buf = append(s.out.Buf, "\r\n"...)
	return s.out.Spill()
}

// tellExtended sends the ESEARCH response (RFC 9051, section 7.3.4). What
// was not asked for is not said: iOS fails on a COUNT it does not expect.
func (s *session) tellExtended(tag string, uid bool, o *imap.SearchOptions, f *found) error {
	b := append(s.out.Buf, "* ESEARCH (TAG "...)
	b = append(wire.AppendQuoted(b, tag), ')')
	if uid {
		b = append(b, " UID"...)
	}
	if len(f.spans) > 0 {
		if o.ReturnMin {
			b = wire.AppendUint(append(b, " MIN "...), s.number(f.first(), uid))
		}
		if o.ReturnMax {
			b = wire.AppendUint(append(b, " MAX "...), s.number(f.last(), uid))
		}
		if o.ReturnAll {
			s.out.Buf = append(b, " ALL "...)
			if err := s.tellSet(uid, f.spans); err != nil {
				return err
			}
			b = s.out.Buf
		}
	}
	if o.ReturnCount {
		b = wire.AppendInt(append(b, " COUNT "...), f.count())
	}
	if f.modSeq > 0 {
		b = wire.AppendUint(append(b, " MODSEQ "...), f.modSeq)
	}
	s.out.Buf = append(b, "\r\n"...)
	return s.out.Spill()
}

// tellSet sends messages as a set. A range never covers a number that was not
// found, even one that no message has: clients take the set for a list.
func (s *session) tellSet(uid bool, spans []span) error {
	var lo, hi uint32 // the range not yet sent
	first := true
	send := func() error {
		b := s.out.Buf
		if !first {
			b = append(b, ',')
		}
		first = false
		b = wire.AppendUint(b, lo)
		if hi > lo {
			b = wire.AppendUint(append(b, ':'), hi)
		}
		s.out.Buf = b
		return s.out.Spill()
	}
	for _, sp := range spans {
		for pos := sp.lo; pos < sp.hi; pos++ {
			n := s.number(pos, uid)
			if lo > 0 && n == hi+1 {
				hi = n
				continue
			}
			if lo > 0 {
				if err := send(); err != nil {
					return err
				}
			}
			lo, hi = n, n
		}
	}
	return send()
}

// number returns a message's UID or sequence number.
func (s *session) number(pos int, uid bool) uint32 {
	if uid {
		return uint32(s.sel.base.At(pos).UID)
	}
	return s.sel.seq(pos)
}
