package wire_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/imap/wire"
)

// take reads one token of a line and says whether it took all of it.
func take[T any](t *testing.T, line string, token func(*wire.Decoder) T) (T, error) {
	t.Helper()
	d := newDecoder(t, wire.Limits{}, line+"\r\n")
	if err := d.Begin(); err != nil {
		var zero T
		return zero, err
	}
	v := token(d)
	d.End()
	return v, d.Err()
}

type tokenCase[T any] struct {
	line string
	want T
	bad  bool
}

func testToken[T any](t *testing.T, token func(*wire.Decoder) T, cases []tokenCase[T]) {
	t.Helper()
	for _, c := range cases {
		t.Run(fmt.Sprintf("%.40q", c.line), func(t *testing.T) {
			got, err := take(t, c.line, token)
			if c.bad {
				if err == nil {
					t.Errorf("got %v without an error", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestStrings(t *testing.T) {
	testToken(t, (*wire.Decoder).AString, []tokenCase[string]{
		{line: "a", want: "a"}, {line: "a]", want: "a]"}, {line: "NIL", want: "NIL"}, {line: `""`, want: ""},
		{line: `"a\"b\\"`, want: `a"b\`}, {line: "{0+}\r\n", want: ""}, {line: "{3}\r\na\r\n", want: "a\r\n"},
		{line: "\"\xff\"", want: "\xff"}, {line: "\"\t\"", want: "\t"},
		{line: "", bad: true}, {line: "a b", bad: true}, {line: "a{", bad: true}, {line: `"a`, bad: true},
		{line: "{3", bad: true}, {line: "{3}x", bad: true}, {line: "{}", bad: true}, {line: "grün", bad: true}, {line: "\x7f", bad: true},
	})
	type nstring struct {
		S  string
		OK bool
	}
	testToken(t, func(d *wire.Decoder) nstring { s, ok := d.NString(); return nstring{s, ok} }, []tokenCase[nstring]{
		{line: "NIL"}, {line: "nil"}, {line: `"NIL"`, want: nstring{"NIL", true}}, {line: "NILS", bad: true}, {line: "NI", bad: true},
	})
}

func TestNumbers(t *testing.T) {
	testToken(t, (*wire.Decoder).Number, []tokenCase[uint32]{
		{line: "0"}, {line: "4294967295", want: 4294967295}, {line: "007", want: 7},
		{line: "4294967296", bad: true}, {line: "-1", bad: true}, {line: "", bad: true}, {line: "1a", bad: true},
	})
	testToken(t, (*wire.Decoder).Number64, []tokenCase[uint64]{
		{line: "9223372036854775807", want: 9223372036854775807}, {line: "9223372036854775808", bad: true},
		{line: "99999999999999999999999999", bad: true},
	})
	testToken(t, (*wire.Decoder).PositiveNumber, []tokenCase[uint32]{{line: "1", want: 1}, {line: "0", bad: true}})
}

func TestSets(t *testing.T) {
	testToken(t, (*wire.Decoder).UIDSet, []tokenCase[imap.UIDSet]{
		{line: "1", want: imap.UIDSet{{Start: 1, Stop: 1}}},
		{line: "1:5,7", want: imap.UIDSet{{Start: 1, Stop: 5}, {Start: 7, Stop: 7}}},
		{line: "7,5:1", want: imap.UIDSet{{Start: 1, Stop: 5}, {Start: 7, Stop: 7}}},
		{line: "1,2,3", want: imap.UIDSet{{Start: 1, Stop: 3}}},
		{line: "1:10,3:4,2", want: imap.UIDSet{{Start: 1, Stop: 10}}},
		{line: "*", want: imap.UIDSet{{}}},
		{line: "*:*", want: imap.UIDSet{{}}},
		{line: "*:4", want: imap.UIDSet{{Start: 4}}},
		{line: "4:*,*", want: imap.UIDSet{{Start: 4}}},
		{line: "9,4:*,2", want: imap.UIDSet{{Start: 2, Stop: 2}, {Start: 4}}},
		{line: "3,4:*", want: imap.UIDSet{{Start: 3}}},
		{line: "*,1", want: imap.UIDSet{{Start: 1, Stop: 1}, {}}},
		{line: "4294967295,4294967294", want: imap.UIDSet{{Start: 4294967294, Stop: 4294967295}}},
		{line: "4294967295,*", want: imap.UIDSet{{Start: 4294967295, Stop: 4294967295}, {}}},
		{line: "4294967295,4294967295", want: imap.UIDSet{{Start: 4294967295, Stop: 4294967295}}},
		{line: "0", bad: true}, {line: "1:0", bad: true}, {line: "1,", bad: true}, {line: ",1", bad: true}, {line: "1::2", bad: true},
		{line: "1:2:3", bad: true}, {line: "4294967296", bad: true}, {line: "", bad: true}, {line: "**", bad: true}, {line: "$,1", bad: true},
	})
}

func TestSetsAgreeWithTheLibrary(t *testing.T) {
	for _, line := range []string{"1:5,7", "7,5:1", "9,4:*,2", "*,1", "1:3,5:7,2:6,11", "4294967295,*", "2:4294967295,1"} {
		var want imap.SeqSet
		got, err := take(t, line, func(d *wire.Decoder) imap.NumSet { return d.NumSet(false) })
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range got.(imap.SeqSet) {
			want.AddRange(r.Start, r.Stop)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: the library would have it as (-want +got):\n%s", line, diff)
		}
	}
}

func TestFlags(t *testing.T) {
	testToken(t, (*wire.Decoder).FlagList, []tokenCase[[]imap.Flag]{
		{line: "()", want: []imap.Flag{}},
		{line: `(\SEEN  \answered $Label1 )`, want: []imap.Flag{imap.FlagSeen, imap.FlagAnswered, "$Label1"}},
		{line: `(\recent)`, want: []imap.Flag{}},
		{line: "(", bad: true}, {line: `(\)`, bad: true}, {line: `(\*)`, bad: true}, {line: "(a(b))", bad: true}, {line: "a", bad: true}, {line: "(a]b)", bad: true},
	})
}

func TestDates(t *testing.T) {
	day := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }
	testToken(t, (*wire.Decoder).Date, []tokenCase[time.Time]{
		{line: "1-Feb-1994", want: day(1994, 2, 1)}, {line: `"29-feb-2000"`, want: day(2000, 2, 29)}, {line: "31-DEC-9999", want: day(9999, 12, 31)},
		{line: "29-Feb-1900", bad: true}, {line: "0-Jan-2000", bad: true}, {line: "1-Jan-0000", bad: true}, {line: "1-1-2000", bad: true}, {line: "100-Jan-2000", bad: true},
		{line: "1-Ja", bad: true}, {line: "", bad: true}, {line: `"1-Feb-1994`, bad: true},
	})
	at := func(zone int, y int, m time.Month, d, h, min, s int) time.Time {
		return time.Date(y, m, d, h, min, s, 0, time.FixedZone("", zone))
	}
	testToken(t, (*wire.Decoder).DateTime, []tokenCase[time.Time]{
		{line: `"17-Jul-1996 02:44:25 -0700"`, want: at(-7*3600, 1996, 7, 17, 2, 44, 25)},
		{line: `" 7-jul-1996 23:59:59 +0530"`, want: at(5*3600+1800, 1996, 7, 7, 23, 59, 59)},
		{line: `"31-Dec-2016 23:59:60 +0000"`, want: at(0, 2017, 1, 1, 0, 0, 0)},
		{line: `"17-Jul-1996 02:44:25"`, bad: true}, {line: `"17-Jul-1996 2:44:25 -0700"`, bad: true}, {line: `"30-Feb-1996 02:44:25 -0700"`, bad: true},
		{line: `"17-Jul-1996 02:60:25 -0700"`, bad: true}, {line: `"17-Jul-1996 02:44:25 GMT"`, bad: true}, {line: `17-Jul-1996`, bad: true}, {line: `"17-Jul-1996 02:44:25 -0760"`, bad: true},
	})
}

func TestPrintableHidesWhatIsNot(t *testing.T) {
	if got, want := wire.Printable("a\r\n\x00\"\\é"+string(make([]byte, 100))), `"a?????????????????????????????????????????..."`; len(got) > 60 || got[:10] != want[:10] {
		t.Errorf("got %s", got)
	}
}
