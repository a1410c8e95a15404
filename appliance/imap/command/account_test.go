package command_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
)

func TestLogin(t *testing.T) {
	testGood(t, "LOGIN", []goodCase{
		{"atoms", "LOGIN SMITH SESAME", &command.Login{Username: "SMITH", Password: "SESAME"}},
		{"quoted", `login "a b" "q\"\\"`, &command.Login{Username: "a b", Password: `q"\`}},
		{"literals", "LOGIN {11+}\r\nFRED FOOBAR {7+}\r\nfat man", &command.Login{Username: "FRED FOOBAR", Password: "fat man"}},
		{"an empty password", `LOGIN a ""`, &command.Login{Username: "a"}},
		{"an empty literal", "LOGIN a {0+}\r\n", &command.Login{Username: "a"}},
		{"UTF-8", `LOGIN a "grün"`, &command.Login{Username: "a", Password: "grün"}},
		{"a literal with line ends", "LOGIN a {8+}\r\nq\r\nw\r\n{}", &command.Login{Username: "a", Password: "q\r\nw\r\n{}"}},
		{"a bracket in an atom", "LOGIN a b]c", &command.Login{Username: "a", Password: "b]c"}},
	})
	testBad(t, "LOGIN", []badCase{
		{"nothing", "LOGIN", "expected a space"},
		{"one argument", "LOGIN a", "expected a space"},
		{"three arguments", "LOGIN a b c", "expected the end"},
		{"a quoted string without end", `LOGIN a "b`, "has no end"},
		{"a quoted string that ends in a backslash", `LOGIN a "b\`, `may follow a \`},
		{"an escape of another character", `LOGIN a "b\n"`, `may follow a \`},
		{"a binary literal", "LOGIN a ~{1+}\r\nb", "expected the end"},
		{"a NUL in a literal", "LOGIN a {3+}\r\nb\x00c", "NUL"},
		{"parentheses", "LOGIN (a b)", "expected a string"},
		{"text after a string", `LOGIN "a""b"`, "expected a space"},
		{"a literal within quotes", "LOGIN a \"{11+}\r\nq LOGOUT \r\n", "has no end"},
	})
}

func TestAuthenticate(t *testing.T) {
	testGood(t, "AUTHENTICATE", []goodCase{
		{"without initial response", "AUTHENTICATE plain", &command.Authenticate{Mechanism: "PLAIN"}},
		{"with an initial response", "AUTHENTICATE PLAIN AGEAYg==", &command.Authenticate{Mechanism: "PLAIN", Initial: []byte("\x00a\x00b")}},
		{"with an empty one", "AUTHENTICATE EXTERNAL =", &command.Authenticate{Mechanism: "EXTERNAL", Initial: []byte{}}},
		{"a long token", "AUTHENTICATE XOAUTH2 " + strings.Repeat("QUJD", 4000), &command.Authenticate{Mechanism: "XOAUTH2", Initial: []byte(strings.Repeat("ABC", 4000))}},
	})
	testBad(t, "AUTHENTICATE", []badCase{
		{"no mechanism", "AUTHENTICATE", "expected a space"},
		{"no base64", "AUTHENTICATE PLAIN a-b", "not base64"},
		{"a literal", "AUTHENTICATE PLAIN {4+}\r\nAAAA", "expected an atom"},
	})
}

func TestEnable(t *testing.T) {
	testGood(t, "ENABLE", []goodCase{
		{"one", "ENABLE CONDSTORE", &command.Enable{Caps: []imap.Cap{imap.CapCondStore}}},
		{"several in lower case", "enable imap4rev2 utf8=accept x-good-idea", &command.Enable{Caps: []imap.Cap{imap.CapIMAP4rev2, imap.CapUTF8Accept, "X-GOOD-IDEA"}}},
		{"the old revision", "ENABLE IMAP4rev1", &command.Enable{Caps: []imap.Cap{imap.CapIMAP4rev1}}},
	})
	testBad(t, "ENABLE", []badCase{
		{"nothing", "ENABLE", "expected a space"},
		{"a list", "ENABLE (CONDSTORE)", "expected a word"},
		{"too many", "ENABLE" + strings.Repeat(" X", 65), "more than 64"},
	})
}

func TestID(t *testing.T) {
	testGood(t, "ID", []goodCase{
		{"nothing told", "ID NIL", &command.ID{}},
		{"an empty list", "ID ()", &command.ID{Params: map[string]string{}}},
		{"the RFC's example", `ID ("name" "sodr" "version" "19.34" "vendor" "Pink Floyd Music Limited")`, &command.ID{Params: map[string]string{
			"name": "sodr", "version": "19.34", "vendor": "Pink Floyd Music Limited",
		}}},
		{"NIL and literals", "ID (\"Name\" NIL {2+}\r\nos {3+}\r\na\"b)", &command.ID{Params: map[string]string{"name": "", "os": `a"b`}}},
	})
	testBad(t, "ID", []badCase{
		{"nothing", "ID", "expected a space"},
		{"an atom", "ID name", `expected '('`},
		{"an odd number", `ID ("name")`, "expected a space"},
		{"no end", `ID ("name" "x"`, "expected a space"},
		{"too many fields", "ID (" + strings.Repeat(`"a" "b" `, 65) + ")", "more than 64"},
	})
}

func TestQuotaCommands(t *testing.T) {
	testGood(t, "GETQUOTA", []goodCase{{"the root without name", `GETQUOTA ""`, &command.GetQuota{}}})
	testGood(t, "GETQUOTAROOT", []goodCase{{"a mailbox", "GETQUOTAROOT inbox", &command.GetQuotaRoot{Mailbox: "INBOX"}}})
	testGood(t, "SETQUOTA", []goodCase{
		{"a limit", `SETQUOTA "" (STORAGE 512)`, &command.SetQuota{}},
		{"two limits", `SETQUOTA x (STORAGE 512 MESSAGE 1)`, &command.SetQuota{Root: "x"}},
		{"none", `SETQUOTA x ()`, &command.SetQuota{Root: "x"}},
	})
	testBad(t, "SETQUOTA", []badCase{{"no list", `SETQUOTA x`, "expected a space"}, {"no number", `SETQUOTA x (STORAGE)`, "expected a space"}})
	testBad(t, "GETQUOTA", []badCase{{"nothing", "GETQUOTA", "expected a space"}})
}

func TestErrorOfAWrongCommandNamesNoSecret(t *testing.T) {
	_, err := readOne(t, `LOGIN smith "sesame" open`, false)
	var bad *command.Error
	if !errors.As(err, &bad) || strings.Contains(bad.Text, "sesame") {
		t.Errorf("got %v", err)
	}
}
