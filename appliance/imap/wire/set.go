package wire

import (
	"cmp"
	"slices"

	"github.com/emersion/go-imap/v2"
)

// maxRanges bounds the ranges of one set: more than fit a line of the default
// length in sets that clients send.
const maxRanges = 16 << 10

// UIDSet takes a set of UIDs, or "$" for the saved search result.
func (d *Decoder) UIDSet() imap.UIDSet {
	if d.Take('$') {
		return imap.SearchRes()
	}
	ranges := d.ranges()
	set := make(imap.UIDSet, len(ranges))
	for i, r := range ranges {
		set[i] = imap.UIDRange{Start: imap.UID(r.Start), Stop: imap.UID(r.Stop)}
	}
	return set
}

// NumSet takes a set of UIDs or of sequence numbers; "$" is
// imap.SearchRes() for both. The ranges are sorted and do not overlap; 0
// stands for "*", as in the library.
func (d *Decoder) NumSet(uid bool) imap.NumSet {
	if uid || d.Peek() == '$' {
		return d.UIDSet()
	}
	return imap.SeqSet(d.ranges())
}

func (d *Decoder) ranges() []imap.SeqRange {
	var ranges []imap.SeqRange
	sorted := true
	for {
		r := imap.SeqRange{Start: d.setNumber()}
		r.Stop = r.Start
		if d.Take(':') {
			r.Stop = d.setNumber()
		}
		if d.err != nil {
			return nil
		}
		// RFC 9051, section 9: 2:4 and 4:2 are the same; "*" is the largest.
		if r.Start == 0 || r.Stop != 0 && r.Stop < r.Start {
			r.Start, r.Stop = r.Stop, r.Start
		}
		if n := len(ranges); n == maxRanges {
			d.setErr(&LimitError{Text: "a sequence set has too many ranges"})
			return nil
		} else if n > 0 {
			last := ranges[n-1]
			sorted = sorted && last.Stop != 0 && r.Start > last.Stop+1 && last.Stop+1 != 0
		}
		ranges = append(ranges, r)
		if !d.Take(',') {
			break
		}
	}
	if !sorted {
		ranges = normalise(ranges)
	}
	return ranges
}

// setNumber takes a number above zero, or "*", which is returned as 0.
func (d *Decoder) setNumber() uint32 {
	if d.Take('*') {
		return 0
	}
	if !isDigit(d.Peek()) {
		d.Fail("expected a sequence set%s", d.found())
		return 0
	}
	return d.PositiveNumber()
}

// normalise sorts and joins ranges in the way the library's sets are: "*"
// alone comes last, and "n:*" includes all from n and "*".
func normalise(ranges []imap.SeqRange) []imap.SeqRange {
	star := func(n uint32) uint64 {
		if n == 0 {
			return 1 << 32
		}
		return uint64(n)
	}
	slices.SortFunc(ranges, func(a, b imap.SeqRange) int { return cmp.Compare(star(a.Start), star(b.Start)) })
	out := ranges[:1]
	for _, r := range ranges[1:] {
		last := &out[len(out)-1]
		switch {
		case last.Stop == 0:
			return out // it includes every range that begins later, and "*"
		case r.Start != 0 && uint64(r.Start) <= uint64(last.Stop)+1:
			if star(r.Stop) > star(last.Stop) {
				last.Stop = r.Stop
			}
		default:
			out = append(out, r)
		}
	}
	return out
}
