package wire_test

import (
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/wire"
)

func TestAppendStrings(t *testing.T) {
	long := strings.Repeat("x", 1001)
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"quoted", wire.AppendString(nil, "a b", false), `"a b"`},
		{"empty", wire.AppendString(nil, "", false), `""`},
		{"escaped", wire.AppendString(nil, `"\a"`, false), `"\"\\a\""`},
		{"with a line end", wire.AppendString(nil, "a\r\n", false), "{3}\r\na\r\n"},
		{"with a NUL", wire.AppendString([]byte("\x00"), "a\x00b", false), "\x00{3}\r\na\x80b"},
		{"long", wire.AppendString(nil, long, false), "{1001}\r\n" + long},
		{"UTF-8 not enabled", wire.AppendString(nil, "ü", false), "{2}\r\nü"},
		{"UTF-8 enabled", wire.AppendString(nil, "ü", true), `"ü"`},
		{"broken UTF-8", wire.AppendString(nil, "\xff", true), "{1}\r\n\xff"},
		{"atom", wire.AppendAString(nil, "a.b/c", false), "a.b/c"},
		{"no atom", wire.AppendAString(nil, "a b", false), `"a b"`},
		{"empty astring", wire.AppendAString(nil, "", false), `""`},
		{"NIL is quoted", wire.AppendAString(nil, "nil", false), `"nil"`},
		{"binary literal", wire.AppendLiteral8(nil, 7), "~{7}\r\n"},
		{"mailbox", wire.AppendMailbox(nil, "INBOX", false), "INBOX"},
		{"mailbox with a space", wire.AppendMailbox(nil, "Sent Items", false), `"Sent Items"`},
		{"mailbox in UTF-7", wire.AppendMailbox(nil, "台北/R&D \"x\\", false), `"&U,BTFw-/R&-D \"x\\"`},
		{"mailbox in UTF-8", wire.AppendMailbox(nil, "台北 & mehr", true), `"台北 & mehr"`},
		{"mailbox with an ampersand in UTF-8", wire.AppendMailbox(nil, "R&D", true), `R&D`},
		{"mailbox with a line end", wire.AppendMailbox(nil, "a\n", false), `"a&AAo-"`},
		{"flags", wire.AppendFlags([]byte("FLAGS "), []imap.Flag{imap.FlagSeen, "a"}), `FLAGS (\Seen a)`},
		{"no flags", wire.AppendFlags[imap.Flag](nil, nil), `()`},
		{"a number", wire.AppendUint(nil, imap.UID(4294967295)), `4294967295`},
		{"UIDs", wire.AppendNums(nil, []imap.UID{1, 2, 3, 5, 7, 8, 4294967295}), `1:3,5,7:8,4294967295`},
		{"no UIDs", wire.AppendNums[imap.UID](nil, nil), ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			if string(c.got) != c.want {
				t.Errorf("got %.80q, want %.80q", c.got, c.want)
			}
		})
	}
}

func TestAppendUnixDateAgreesWithTheTimePackage(t *testing.T) {
	const layout = `"_2-Jan-2006 15:04:05 -0700"`
	for _, offset := range []int{0, 3600, -8 * 3600, 5*3600 + 1800, -(3*3600 + 1800), 14 * 3600} {
		zone := time.FixedZone("", offset)
		for _, at := range []time.Time{
			time.Date(1996, 7, 17, 2, 44, 25, 0, zone),
			time.Date(1969, 12, 31, 23, 59, 59, 0, zone),
			time.Date(2000, 2, 29, 0, 0, 0, 0, zone),
			time.Date(1, 1, 2, 3, 4, 5, 0, zone),
			time.Date(9999, 12, 30, 23, 0, 0, 0, zone),
		} {
			want := at.Format(layout)
			if got := string(wire.AppendUnixDate(nil, at.Unix(), offset/60)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			back, err := take(t, want, (*wire.Decoder).DateTime)
			if err != nil || !back.Equal(at) {
				t.Errorf("%s was read as %v, %v", want, back, err)
			}
		}
	}
}

func TestAppendingDoesNotAllocate(t *testing.T) {
	b := make([]byte, 0, 4096)
	uids := []imap.UID{1, 2, 3, 9}
	flags := []imap.Flag{imap.FlagSeen, "x"}
	if n := testing.AllocsPerRun(100, func() {
		b = b[:0]
		b = wire.AppendUint(b, uint32(7))
		b = wire.AppendString(b, `a "quoted" name`, false)
		b = wire.AppendString(b, "a\r\n\x00", false)
		b = wire.AppendMailbox(b, "Entwürfe/\"x\"", false)
		b = wire.AppendNums(b, uids)
		b = wire.AppendFlags(b, flags)
		b = wire.AppendUnixDate(b, 12345678, -90)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
