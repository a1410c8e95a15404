package command_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
)

func leaf(c imap.SearchCriteria) *command.SearchKey {
	return &command.SearchKey{Op: command.SearchLeaf, Leaf: c}
}

func node(op command.SearchOp, keys ...*command.SearchKey) *command.SearchKey {
	return &command.SearchKey{Op: op, Keys: keys}
}

func header(key, value string) *command.SearchKey {
	return leaf(imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: key, Value: value}}})
}

func TestSearchKeys(t *testing.T) {
	flag := func(f imap.Flag) *command.SearchKey { return leaf(imap.SearchCriteria{Flag: []imap.Flag{f}}) }
	notFlag := func(f imap.Flag) *command.SearchKey { return leaf(imap.SearchCriteria{NotFlag: []imap.Flag{f}}) }
	day := time.Date(1994, time.February, 1, 0, 0, 0, 0, time.UTC)
	next := day.AddDate(0, 0, 1)
	all := &command.SearchKey{Op: command.SearchAll}

	var cases []goodCase
	for line, key := range map[string]*command.SearchKey{
		"ALL":                    all,
		"answered":               flag(imap.FlagAnswered),
		"UNANSWERED":             notFlag(imap.FlagAnswered),
		"DELETED":                flag(imap.FlagDeleted),
		"UNDELETED":              notFlag(imap.FlagDeleted),
		"DRAFT":                  flag(imap.FlagDraft),
		"UNDRAFT":                notFlag(imap.FlagDraft),
		"FLAGGED":                flag(imap.FlagFlagged),
		"UNFLAGGED":              notFlag(imap.FlagFlagged),
		"SEEN":                   flag(imap.FlagSeen),
		"UNSEEN":                 notFlag(imap.FlagSeen),
		"KEYWORD $Junk":          flag(imap.FlagJunk),
		"UNKEYWORD Foo":          notFlag("Foo"),
		"NEW":                    {Op: command.SearchNew},
		"OLD":                    {Op: command.SearchOld},
		"RECENT":                 {Op: command.SearchRecent},
		"BEFORE 1-Feb-1994":      leaf(imap.SearchCriteria{Before: day}),
		`SINCE "01-feb-1994"`:    leaf(imap.SearchCriteria{Since: day}),
		"SENTBEFORE 1-Feb-1994":  leaf(imap.SearchCriteria{SentBefore: day}),
		"SENTSINCE 1-FEB-1994":   leaf(imap.SearchCriteria{SentSince: day}),
		"ON 1-Feb-1994":          node(command.SearchAnd, leaf(imap.SearchCriteria{Since: day}), leaf(imap.SearchCriteria{Before: next})),
		"SENTON 1-Feb-1994":      node(command.SearchAnd, leaf(imap.SearchCriteria{SentSince: day}), leaf(imap.SearchCriteria{SentBefore: next})),
		"LARGER 5000000000":      leaf(imap.SearchCriteria{Larger: 5000000000}),
		"LARGER 0":               node(command.SearchNot, leaf(imap.SearchCriteria{Smaller: 1})),
		"SMALLER 10":             leaf(imap.SearchCriteria{Smaller: 10}),
		"SMALLER 0":              node(command.SearchNot, all),
		"SAVEDATESUPPORTED":      all,
		"SAVEDBEFORE 1-Feb-1994": {Op: command.SearchSavedBefore, Day: day},
		"SAVEDSINCE 1-Feb-1994":  {Op: command.SearchSavedSince, Day: day},
		"SAVEDON 1-Feb-1994": node(command.SearchAnd,
			&command.SearchKey{Op: command.SearchSavedSince, Day: day}, &command.SearchKey{Op: command.SearchSavedBefore, Day: next}),
		"EMAILID M6d99ac3275bb4e": {Op: command.SearchEmailID, ID: "M6d99ac3275bb4e"},
		`THREADID "T-_9"`:         {Op: command.SearchThreadID, ID: "T-_9"},
		"OLDER 60":                {Op: command.SearchOlder, Age: time.Minute},
		"YOUNGER 4294967295":      {Op: command.SearchYounger, Age: 4294967295 * time.Second},
		"FROM Smith":              header("From", "Smith"),
		`TO ""`:                   header("To", ""),
		"CC x":                    header("Cc", "x"),
		"BCC {3+}\r\na b":         header("Bcc", "a b"),
		`SUBJECT "afternoon q"`:   header("Subject", "afternoon q"),
		`HEADER Message-ID "<a>"`: header("Message-ID", "<a>"),
		`HEADER "subject" x`:      header("Subject", "x"),
		"BODY x]":                 leaf(imap.SearchCriteria{Body: []string{"x]"}}),
		"TEXT {5+}\r\ngrün":       leaf(imap.SearchCriteria{Text: []string{"grün"}}),
		"1,3:5":                   {Op: command.SearchSet, Set: imap.SeqSet{{Start: 1, Stop: 1}, {Start: 3, Stop: 5}}},
		"*":                       {Op: command.SearchSet, Set: imap.SeqSet{{}}},
		"$":                       {Op: command.SearchSet, Set: imap.SearchRes()},
		"UID 7:*":                 {Op: command.SearchSet, Set: imap.UIDSet{{Start: 7}}},
		"UID $":                   {Op: command.SearchSet, Set: imap.SearchRes()},
		"MODSEQ 620162338":        leaf(imap.SearchCriteria{ModSeq: &imap.SearchCriteriaModSeq{ModSeq: 620162338}}),
		`MODSEQ "/flags/\\draft" all 620`: leaf(imap.SearchCriteria{ModSeq: &imap.SearchCriteriaModSeq{
			ModSeq: 620, MetadataName: `/flags/\draft`, MetadataType: imap.SearchCriteriaMetadataAll,
		}}),
		"NOT SEEN":            node(command.SearchNot, flag(imap.FlagSeen)),
		"OR SEEN NOT FLAGGED": node(command.SearchOr, flag(imap.FlagSeen), node(command.SearchNot, flag(imap.FlagFlagged))),
		"(SEEN)":              flag(imap.FlagSeen),
		"OR (SEEN 1) OR ALL NEW": node(command.SearchOr,
			node(command.SearchAnd, flag(imap.FlagSeen), &command.SearchKey{Op: command.SearchSet, Set: imap.SeqSet{{Start: 1, Stop: 1}}}),
			node(command.SearchOr, all, &command.SearchKey{Op: command.SearchNew})),
		"FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"": node(command.SearchAnd,
			flag(imap.FlagFlagged), leaf(imap.SearchCriteria{Since: day}), node(command.SearchNot, header("From", "Smith"))),
		strings.Repeat("(", 50) + "ALL" + strings.Repeat(")", 50): all,
	} {
		cases = append(cases, goodCase{line, "SEARCH " + line, &command.Search{Key: key}})
	}
	testGood(t, "SEARCH", cases)
	testBad(t, "SEARCH", []badCase{
		{"nothing", "SEARCH", "expected a space"},
		{"an unknown key", "SEARCH UNSEEN FOO", `unknown search key "FOO"`},
		{"empty parentheses", "SEARCH ()", "expected a word"},
		{"parentheses without end", "SEARCH (ALL", "expected a space"},
		{"NOT without key", "SEARCH NOT", "expected a space"},
		{"OR with one key", "SEARCH OR SEEN", "expected a space"},
		{"a day that does not exist", "SEARCH ON 31-Feb-1994", "no such date"},
		{"a month that does not exist", "SEARCH ON 1-Foo-1994", "expected a month"},
		{"a short year", "SEARCH ON 1-Feb-94", "expected a digit"},
		{"a date without end", `SEARCH ON "1-Feb-1994`, `expected '"'`},
		{"an object identifier with other characters", "SEARCH EMAILID M.1", "not an object identifier"},
		{"an empty object identifier", `SEARCH THREADID ""`, "not an object identifier"},
		{"a long object identifier", "SEARCH EMAILID " + strings.Repeat("M", 256), "not an object identifier"},
		{"a saved day that does not exist", "SEARCH SAVEDON 31-Feb-1994", "no such date"},
		{"OLDER 0", "SEARCH OLDER 0", "above zero"},
		{"a negative size", "SEARCH LARGER -1", "expected a number"},
		{"a size beyond 63 bits", "SEARCH LARGER 9223372036854775808", "too large"},
		{"\\Recent as a keyword", `SEARCH KEYWORD \Recent`, "expected a keyword"},
		{"nested too deep in parentheses", "SEARCH " + strings.Repeat("(", 51) + "ALL" + strings.Repeat(")", 51), "deeper than 50"},
		{"nested too deep by NOT", "SEARCH " + strings.Repeat("NOT ", 51) + "ALL", "deeper than 50"},
		{"nested too deep by OR", "SEARCH " + strings.Repeat("OR ALL ", 51) + "ALL", "deeper than 50"},
		{"too many keys", "SEARCH" + strings.Repeat(" ALL", 1001), "more than 1000"},
		{"too many keys in parentheses", "SEARCH (" + strings.Repeat("1 ", 1001) + ")", "more than 1000"},
		{"an unknown entry type", `SEARCH MODSEQ "/flags/\\seen" foo 1`, `unknown entry type "FOO"`},
		{"a charset twice", "SEARCH CHARSET UTF-8 CHARSET UTF-8 ALL", `unknown search key "CHARSET"`},
		{"options after a charset", "SEARCH CHARSET UTF-8 RETURN (ALL) ALL", `unknown search key "RETURN"`},
	})
}

func TestSearchOptions(t *testing.T) {
	all := &command.SearchKey{Op: command.SearchAll}
	testGood(t, "SEARCH", []goodCase{
		{"every option", "SEARCH RETURN (MIN MAX all COUNT SAVE) ALL", &command.Search{Extended: true, Key: all, Return: imap.SearchOptions{
			ReturnMin: true, ReturnMax: true, ReturnAll: true, ReturnCount: true, ReturnSave: true,
		}}},
		{"no option", "SEARCH RETURN () ALL", &command.Search{Extended: true, Key: all, Return: imap.SearchOptions{ReturnAll: true}}},
		{"SAVE alone", "SEARCH RETURN (SAVE) ALL", &command.Search{Extended: true, Key: all, Return: imap.SearchOptions{ReturnSave: true}}},
		{"options and a charset", "SEARCH RETURN (COUNT) CHARSET utf-8 ALL", &command.Search{Extended: true, Charset: "UTF-8", Key: all, Return: imap.SearchOptions{ReturnCount: true}}},
	})
	testGood(t, "UID SEARCH", []goodCase{
		{"plain", "UID SEARCH ALL", &command.Search{UID: true, Key: all}},
	})
	testBad(t, "SEARCH", []badCase{
		{"an unknown option", "SEARCH RETURN (PARTIAL 1:2) ALL", `unknown return option "PARTIAL"`},
		{"no key", "SEARCH RETURN ()", "expected a space"},
	})
}

func TestSearchCharsets(t *testing.T) {
	search := func(charset, value string) *command.Search {
		return &command.Search{Charset: charset, Key: header("Subject", value)}
	}
	testGood(t, "SEARCH", []goodCase{
		{"US-ASCII", "SEARCH CHARSET US-ASCII SUBJECT a", search("US-ASCII", "a")},
		{"UTF-8", "SEARCH CHARSET UTF-8 SUBJECT {6+}\r\nтри", search("UTF-8", "три")},
		{"ISO-8859-1", "SEARCH CHARSET iso-8859-1 SUBJECT {4+}\r\ngr\xfcn", search("ISO-8859-1", "grün")},
		{"ISO-8859-1 between quotes", "SEARCH CHARSET ISO-8859-1 SUBJECT \"gr\xfcn\"", search("ISO-8859-1", "grün")},
		{"KOI8-R", "SEARCH CHARSET \"KOI8-R\" SUBJECT {3+}\r\n\xd4\xd2\xc9", search("KOI8-R", "три")},
		{"ISO-2022-JP", "SEARCH CHARSET ISO-2022-JP SUBJECT {10+}\r\n\x1b$BF|K\\\x1b(B", search("ISO-2022-JP", "日本")},
	})
	for _, name := range []string{"X-UNKNOWN", "ISO-2022-KR", `""`, "x-user-defined"} {
		_, err := readOne(t, "SEARCH CHARSET "+name+" SUBJECT {10+}\r\nq LOGOUT\r\n", false)
		var bad *command.Error
		if !errors.As(err, &bad) || bad.Tag != "a" || bad.Name != "SEARCH" || bad.Type != imap.StatusResponseTypeNo || bad.Code != "BADCHARSET (US-ASCII UTF-8)" {
			t.Errorf("%s: got %#v", name, err)
		}
	}
}
