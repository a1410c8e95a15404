package imap

import (
	"math"
	"testing"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage/message"
)

func TestExtentCut(t *testing.T) {
	e := extent{10, 20}
	for _, tc := range []struct {
		name         string
		offset, size int64
		want         extent
	}{
		{"the beginning", 0, 3, extent{10, 13}},
		{"the middle", 4, 3, extent{14, 17}},
		{"all", 0, 10, extent{10, 20}},
		{"beyond the end", 8, 100, extent{18, 20}},
		{"at the end", 10, 1, extent{20, 20}},
		{"behind the end", 11, 1, extent{20, 20}},
		{"as far as numbers go", math.MaxInt64, math.MaxInt64, extent{20, 20}},
		{"from the start, as many as numbers go", 0, math.MaxInt64, extent{10, 20}},
		{"negative numbers", -1, -1, extent{10, 10}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := e.cut(&imap.SectionPartial{Offset: tc.offset, Size: tc.size}); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
	if got := e.cut(nil); got != e {
		t.Errorf("no partial: got %v, want %v", got, e)
	}
}

// FuzzSectionLocate gives the arithmetic parts that a damaged record might
// hold. Whatever it is given, nothing outside the message may be read.
func FuzzSectionLocate(f *testing.F) {
	f.Add(int64(10), int64(100), int64(40), int64(40), int64(60), int64(80), uint8(2), uint8(1), 1, int64(3), int64(5))
	f.Add(int64(0), int64(0), int64(0), int64(0), int64(0), int64(0), uint8(0), uint8(0), 0, int64(0), int64(1))
	f.Add(int64(5), int64(7), int64(math.MaxInt64), int64(-1), int64(math.MinInt64), int64(math.MaxInt64), uint8(1), uint8(3), 2, int64(math.MaxInt64), int64(math.MaxInt64))
	specs := []imap.PartSpecifier{imap.PartSpecifierNone, imap.PartSpecifierHeader, imap.PartSpecifierMIME, imap.PartSpecifierText}
	f.Fuzz(func(t *testing.T, prefix, size, header, start, body, end int64, kind, spec uint8, number int, offset, count int64) {
		if prefix < 0 || size < prefix {
			t.Skip("a body has no negative size")
		}
		l := layout{prefix: prefix, size: size, header: header, parts: []message.Part{
			{Parent: -1, BodyStart: header, End: size - prefix, Kind: message.Kind(kind % 3)},
			{Parent: 0, HeaderStart: start, BodyStart: body, End: end, Kind: message.Kind(kind / 3 % 3)},
			{Parent: 1, HeaderStart: body, BodyStart: start, End: end},
		}}
		for _, part := range [][]int{nil, {number}, {1, number}, {1, 1, number}} {
			sec := section{part: part, spec: specs[int(spec)%len(specs)]}
			e, ok := sec.locate(&l)
			if !ok {
				continue
			}
			cut := e.cut(&imap.SectionPartial{Offset: offset, Size: count})
			for _, x := range []extent{e, cut} {
				if x.start < 0 || x.end < x.start || x.end > size {
					t.Fatalf("%v of %+v is %v, outside the message", part, l, x)
				}
			}
			if count >= 0 && cut.len() > count {
				t.Fatalf("asked for %d octets, got %d", count, cut.len())
			}
		}
	})
}
