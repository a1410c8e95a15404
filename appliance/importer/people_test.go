package importer_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/importer"
)

func TestAListOfPeople(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []importer.Login
		wrong      string
	}{
		{"without a head", "ada,ada@office.example,secret\nbob,,other\n", []importer.Login{
			{User: "ada", Account: "ada@office.example", Secret: "secret"}, {User: "bob", Account: "bob", Secret: "other"},
		}, ""},
		{"with a head in another order, as Excel writes it", "\ufeffPassword;E-Mail;User\r\n\"a;b\"\"c\";ada@office.example;ada\r\n", []importer.Login{
			{User: "ada", Account: "ada@office.example", Secret: `a;b"c`},
		}, ""},
		{"addresses alone", "# for the administrator\naccount\nada@office.example\n", []importer.Login{{User: "ada@office.example", Account: "ada@office.example"}}, ""},
		{"tabs", "ada\tada@office.example\n", []importer.Login{{User: "ada", Account: "ada@office.example"}}, ""},
		{"nobody", "user,account\n", nil, "nobody"},
		{"an empty file", "", nil, "nobody"},
		{"twice the same", "ada,a@office.example\nbob\nADA,A@office.example\n", nil, "line 3: line 1 names the same"},
		{"too many columns", "ada,a@office.example,secret,more\n", nil, "line 1: it has 4 columns"},
		{"an unknown column", "user,account,shoe size\nada,a,44\n", nil, "line 1: it names a column that is not known"},
		{"a column twice", "user,login\nada,a\n", nil, "line 1: it names a column twice"},
		{"an open quote", "ada,\"a@office.example\n", nil, "line"},
		{"Latin-1", "ada,m\xfcller@office.example\n", nil, "UTF-8"},
		{"a NUL", "ada,a@office.example,se\x00cret\n", nil, "NUL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := importer.ParsePeople(strings.NewReader(tt.text))
			if tt.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wrong) || strings.Contains(err.Error(), "secret") {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || !cmp.Equal(tt.want, got) {
				t.Error(err, cmp.Diff(tt.want, got))
			}
		})
	}
}

func FuzzParsePeople(f *testing.F) {
	f.Add("user;account\nada;ada@office.example\n")
	f.Add("ada,\"a\nb\",c")
	f.Add("\ufeff#x\n\n,,\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := importer.ParsePeople(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, l := range list {
			if l.User == "" || l.Account == "" || strings.ContainsAny(l.User+l.Account+string(l.Secret), "\x00\r\n") {
				t.Fatalf("%q has %q", text, []string{l.User, l.Account, string(l.Secret)})
			}
		}
		if len(list) == 0 {
			t.Fatal("a list of nobody is no error")
		}
	})
}
