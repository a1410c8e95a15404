package message_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAddresses(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"bare", "a@b.test", `(NIL NIL "a" "b.test")`},
		{"name", "Ann Smith <a@b.test>", `("Ann Smith" NIL "a" "b.test")`},
		{"quoted name with specials", `"Smith, \"Ann\" <x@y>" <a@b.test>`, `("Smith, \"Ann\" <x@y>" NIL "a" "b.test")`},
		{"comment as name", "a@b.test (Ann (the) Smith)", `("Ann (the) Smith" NIL "a" "b.test")`},
		{"name wins over comment", "Ann <a@b.test> (Smith)", `("Ann" NIL "a" "b.test")`},
		{"comments everywhere", "(c) a (c) @ (c) b.test (last)", `("last" NIL "a" "b.test")`},
		{"address as its own name", "a@b.test <a@b.test>", `("a@b.test" NIL "a" "b.test")`},
		{"name behind", "<a@b.test> Ann", `("Ann" NIL "a" "b.test")`},
		{"name before without brackets", "Ann Smith a@b.test", `("Ann Smith" NIL "a" "b.test")`},
		{"dots in the name", "Ann Q. Smith <a@b.test>", `("Ann Q. Smith" NIL "a" "b.test")`},
		{"route", "<@x.test, @y.test : a@b.test>", `(NIL "@x.test,@y.test" "a" "b.test")`},
		{"quoted local part", `"a b"@c.test`, `(NIL NIL "a b" "c.test")`},
		{"quoted local part in brackets", `<"a b"@c.test>`, `(NIL NIL "a b" "c.test")`},
		{"IPv6 literal", "a@[IPv6:2001:db8::1]", `(NIL NIL "a" "[IPv6:2001:db8::1]")`},
		{"two at signs", "a@b@c.test", `(NIL NIL "a@b" "c.test")`},
		{"semicolons as commas", "a@b.test; c@d.test", `(NIL NIL "a" "b.test")(NIL NIL "c" "d.test")`},
		{"comma missing between brackets", "<a@b.test> <c@d.test>", `(NIL NIL "a" "b.test")(NIL NIL "c" "d.test")`},
		{"group", "Team: a@b.test, Bob <c@d.test>;, e@f.test", `(NIL NIL "Team" NIL)(NIL NIL "a" "b.test")("Bob" NIL "c" "d.test")(NIL NIL NIL NIL)(NIL NIL "e" "f.test")`},
		{"group without name", ":a@b.test;", `(NIL NIL "" NIL)(NIL NIL "a" "b.test")(NIL NIL NIL NIL)`},
		{"group without end", "Team: a@b.test", `(NIL NIL "Team" NIL)(NIL NIL "a" "b.test")(NIL NIL NIL NIL)`},
		{"group in a group", "A: B: a@b.test;;", `(NIL NIL "A" NIL)("B:" NIL "a" "b.test")(NIL NIL NIL NIL)`},
		{"empty brackets", "<>", `(NIL NIL "" "")`},
		{"no closing bracket", "Ann <a@b.test, c@d.test", `("Ann" NIL "a" "b.test")(NIL NIL "c" "d.test")`},
		{"no closing quote", `"Ann <a@b.test>, c@d.test`, `("Ann" NIL "a" "b.test")(NIL NIL "c" "d.test")`},
		{"no closing comment", "a@b.test (Ann", `("Ann" NIL "a" "b.test")`},
		{"no address", "undisclosed recipients", `(NIL NIL "undisclosed recipients" "")`},
		{"only commas", ", ,,", ``},
		{"encoded word with specials", "=?utf-8?q?A,_B_(c)_<d@e>?= <a@b.test>", `("=?utf-8?q?A,_B_(c)_<d@e>?=" NIL "a" "b.test")`},
		{"raw octets", "J\xf6rg <j@b.test>", "({4}\r\nJ\xf6rg NIL \"j\" \"b.test\")"},
		{"NUL", "A\x00nn <a\x00@b.test>", `("Ann" NIL "a" "b.test")`},
		{"nothing but an at sign", "@", `(NIL NIL "" "")`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := parse(t, []byte("To: "+tt.in+"\r\n\r\n"))
			got := strings.TrimPrefix(string(m.Envelope), "(NIL NIL NIL NIL NIL ")
			got = strings.TrimSuffix(got, " NIL NIL NIL NIL)")
			want := "(" + tt.want + ")"
			if tt.want == "" {
				want = "NIL"
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.in, diff)
			}
		})
	}
}
