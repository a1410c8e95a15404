package directory_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/directory"
)

func TestParseAddress(t *testing.T) {
	long := strings.Repeat("a", 64)
	label := strings.Repeat("b", 63)
	tests := []struct{ name, in, want string }{ // want "" where it is refused
		{"plain", "anna@office.example", "anna@office.example"},
		{"capitals", "Anna.Gruber@OFFICE.Example", "anna.gruber@office.example"},
		{"all of atext", "!#$%&'*+-/=?^_`{|}~@office.example", "!#$%&'*+-/=?^_`{|}~@office.example"},
		{"a domain of one label", "anna@localhost", "anna@localhost"},
		{"international domain", "anna@BÜRO.example", "anna@xn--bro-hoa.example"},
		{"ideographic dot", "anna@office。example", "anna@office.example"},
		{"international local part, decomposed", "JU\u0308RGEN@office.example", "j\u00fcrgen@office.example"},
		{"longest local part", long + "@office.example", long + "@office.example"},
		{"local part too long", long + "a@office.example", ""},
		{"label too long", "anna@" + label + "b.example", ""},
		{"address too long", long + "@" + label + "." + label + "." + label + ".example", ""},
		{"nothing", "", ""},
		{"no @", "anna", ""},
		{"no local part", "@office.example", ""},
		{"no domain", "anna@", ""},
		{"two @", "anna@home@office.example", ""},
		{"quoted", `"anna"@office.example`, ""},
		{"angle brackets", "<anna@office.example>", ""},
		{"space", "anna gruber@office.example", ""},
		{"line feed", "anna\r\nRCPT@office.example", ""},
		{"NUL", "anna\x00@office.example", ""},
		{"no-break space", "anna\u00a0gruber@office.example", ""},
		{"right-to-left override", "anna\u202egruber@office.example", ""},
		{"not UTF-8", "ann\xff@office.example", ""},
		{"dot in front", ".anna@office.example", ""},
		{"dot at the end", "anna.@office.example", ""},
		{"two dots", "anna..gruber@office.example", ""},
		{"domain ends with a dot", "anna@office.example.", ""},
		{"domain with two dots", "anna@office..example", ""},
		{"domain with a slash", "anna@office/example", ""},
		{"domain with a hyphen in front", "anna@-office.example", ""},
		{"broken punycode", "anna@xn--a-.example", ""},
		{"address literal", "anna@[192.0.2.1]", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := directory.ParseAddress(tt.in)
			if (tt.want == "") != errors.Is(err, directory.ErrAddress) {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(tt.want, got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{
		"anna@office.example", "Anna+x@BÜRO.example", "a@b@c", "@", "ju\u0308rgen@xn--bro-hoa.example",
		"\u0130@\u0130.example", "ß@ß.example", "a@。", "ſ@ſ.example", "\u1e9e@x", "a@xn--", "x@١.example",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := directory.ParseAddress(s)
		if err != nil {
			if !errors.Is(err, directory.ErrAddress) || a != (directory.Address{}) {
				t.Fatalf("%q: %v, %v", s, a, err)
			}
			return
		}
		c := a.String()
		if len(c) > 254 || !utf8.ValidString(c) || strings.ContainsAny(c, " \r\n\t\x00<>\"") || strings.Count(c, "@") != 1 {
			t.Errorf("%q became %q", s, c)
		}
		again, err := directory.ParseAddress(c)
		if err != nil || again != a {
			t.Errorf("%q became %q and that %q, %v", s, c, again.String(), err)
		}
	})
}
