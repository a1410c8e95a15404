package message_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pillarbox/storage/message"
)

// FuzzParse checks that every message yields a tree that holds together and
// texts that the grammar allows, and no more of them than the limits let.
func FuzzParse(f *testing.F) {
	for _, name := range goldenNames(f) {
		f.Add(readTestdata(f, name+".eml"))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		lim := message.Limits{Depth: 8, Parts: 20, HeaderBytes: 4096, HeaderFields: 50}
		m, err := message.Parse(bytes.NewReader(body), lim)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(m, body); err != nil {
			t.Fatalf("%v\nenvelope:  %q\nstructure: %q", err, m.Envelope, m.Structure)
		}
		if len(m.Parts) > lim.Parts || len(m.Fields) > lim.HeaderBytes+2 {
			t.Fatalf("%d parts and %d octets of fields are more than the limits", len(m.Parts), len(m.Fields))
		}
		// An address of two octets is sent as at most 24, up to three times.
		if n, max := len(m.Envelope)+len(m.Structure), 4096+48*len(body)+400*len(m.Parts); n > max {
			t.Fatalf("%d octets of text for %d octets of message", n, len(body))
		}
		s := message.NewSearcher()
		found := make([]bool, 1)
		ms := []*message.Matcher{message.NewMatcher("ü")}
		if err := s.Search(bytes.NewReader(body), 0, m.Parts, message.ScopeText, ms, found); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzRecord reads damaged records.
func FuzzRecord(f *testing.F) {
	for _, name := range goldenNames(f) {
		f.Add(parse(f, readTestdata(f, name+".eml")).Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		record, err := message.View(b)
		if err != nil {
			return
		}
		body := record.AppendBody(nil)
		if len(body) > len(record.Structure()) {
			t.Fatalf("BODY has %d octets, BODYSTRUCTURE %d", len(body), len(record.Structure()))
		}
		parts, err := record.Parts()
		if err != nil {
			return
		}
		for i, p := range parts {
			if p.HeaderStart < 0 || p.BodyStart < p.HeaderStart || p.End < p.BodyStart || p.End > record.Size() || p.Parent >= i {
				t.Fatalf("part %d has no good bounds: %+v", i, p)
			}
		}
		message.Find(parts, []int{1, 2, 1})
	})
}

// FuzzDecodeHeader checks that what comes out is UTF-8, and that plain text
// stays as it is.
func FuzzDecodeHeader(f *testing.F) {
	f.Add("=?utf-8?Q?Gr=C3=BC=C3=9Fe?= =?iso-8859-1?B?/A==?= x")
	f.Add("=?gb2312?B?1tDOxA==?= =?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=")
	f.Add("=?a?q?=?a?b?\xff?==?=")
	f.Fuzz(func(t *testing.T, s string) {
		got := message.DecodeHeader(s)
		if !utf8.ValidString(got) {
			t.Fatalf("DecodeHeader(%q) = %q, which is not UTF-8", s, got)
		}
		if utf8.ValidString(s) && !strings.Contains(s, "=?") && got != s {
			t.Fatalf("DecodeHeader(%q) = %q, want it unchanged", s, got)
		}
	})
}

// FuzzMatcher compares the search in chunks with the obvious one.
func FuzzMatcher(f *testing.F) {
	f.Add("World", "hello wORLD", uint16(0))
	f.Add("größe", "GRÖßE", uint16(32<<10-3))
	f.Add("σ", "ς", uint16(32<<10-1))
	f.Fuzz(func(t *testing.T, needle, text string, before uint16) {
		if !utf8.ValidString(needle) || !utf8.ValidString(text) {
			return
		}
		want := strings.Contains(strings.Map(fold, text), strings.Map(fold, needle))
		if got := message.NewMatcher(needle).MatchString(text); got != want {
			t.Fatalf("MatchString: %q in %q = %v, want %v", needle, text, got, want)
		}
		// "\x00" keeps the filling from making up a part of the text.
		body := "\r\n" + strings.Repeat("\x00", int(before)) + text
		if strings.Contains(needle, "\x00") {
			return
		}
		parts := []message.Part{{Parent: -1, BodyStart: 2, End: int64(len(body)), Type: "text/plain"}}
		found := make([]bool, 1)
		err := message.NewSearcher().Search(strings.NewReader(body), 0, parts, message.ScopeBody,
			[]*message.Matcher{message.NewMatcher(needle)}, found)
		if err != nil || found[0] != want {
			t.Fatalf("Search: %q in %q = %v, %v, want %v", needle, text, found[0], err, want)
		}
	})
}

// fold maps letters that differ in case only to one, ASCII to ASCII.
func fold(r rune) rune {
	f := unicode.ToLower(unicode.ToUpper(r))
	if (f < utf8.RuneSelf) != (r < utf8.RuneSelf) {
		return r
	}
	return f
}
