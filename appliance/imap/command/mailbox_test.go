package command_test

import (
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/imap/command"
)

func TestSelect(t *testing.T) {
	testGood(t, "SELECT", []goodCase{
		{"an atom", "SELECT Drafts", &command.Select{Mailbox: "Drafts"}},
		{"INBOX in any case", `select "inBox"`, &command.Select{Mailbox: "INBOX"}},
		{"a literal", "SELECT {5+}\r\nINBOX", &command.Select{Mailbox: "INBOX"}},
		{"modified UTF-7", "SELECT &U,BTFw-", &command.Select{Mailbox: "台北"}},
		{"an ampersand", "SELECT R&-D", &command.Select{Mailbox: "R&D"}},
		{"raw UTF-8 in modified UTF-7", `SELECT "Entwürfe &- mehr"`, &command.Select{Mailbox: "Entwürfe & mehr"}},
		{"CONDSTORE", "SELECT INBOX (CONDSTORE)", &command.Select{Mailbox: "INBOX", CondStore: true}},
		{"QRESYNC", "SELECT x (QRESYNC (67890007 20050715194045000))", &command.Select{
			Mailbox: "x", QResync: &command.QResync{UIDValidity: 67890007, ModSeq: 20050715194045000},
		}},
		{"QRESYNC with UIDs, as eM Client asks", "SELECT x (CONDSTORE QRESYNC (67890007 20050715194045000 41,43:211))", &command.Select{
			Mailbox: "x", CondStore: true, QResync: &command.QResync{
				UIDValidity: 67890007, ModSeq: 20050715194045000, Known: imap.UIDSet{{Start: 41, Stop: 41}, {Start: 43, Stop: 211}},
			},
		}},
		{"QRESYNC with UIDs and a match", "select x (qresync (1 2 1:29 (5,9:10 15,27,30)) condstore)", &command.Select{
			Mailbox: "x", CondStore: true, QResync: &command.QResync{
				UIDValidity: 1, ModSeq: 2, Known: imap.UIDSet{{Start: 1, Stop: 29}},
				Match:     imap.SeqSet{{Start: 5, Stop: 5}, {Start: 9, Stop: 10}},
				MatchUIDs: imap.UIDSet{{Start: 15, Stop: 15}, {Start: 27, Stop: 27}, {Start: 30, Stop: 30}},
			},
		}},
		{"QRESYNC with a match alone, and spaces", "SELECT x (QRESYNC ( 1 0 (1 2) ) )", &command.Select{
			Mailbox: "x", QResync: &command.QResync{
				UIDValidity: 1, Match: imap.SeqSet{{Start: 1, Stop: 1}}, MatchUIDs: imap.UIDSet{{Start: 2, Stop: 2}},
			},
		}},
		{"NIL is a name", "SELECT NIL", &command.Select{Mailbox: "NIL"}},
	})
	testGood(t, "EXAMINE", []goodCase{
		{"plain", "EXAMINE blurdybloop", &command.Select{Mailbox: "blurdybloop", ReadOnly: true}},
		{"CONDSTORE with spaces too many", "EXAMINE a  ( CONDSTORE ) ", &command.Select{Mailbox: "a", ReadOnly: true, CondStore: true}},
	})
	testBad(t, "SELECT", []badCase{
		{"nothing", "SELECT", "expected a space"},
		{"QRESYNC without a mod-sequence", "SELECT x (QRESYNC (67890007))", "expected a space"},
		{"QRESYNC without parentheses", "SELECT x (QRESYNC 67890007 5)", `expected '('`},
		{"QRESYNC of no UIDVALIDITY", "SELECT x (QRESYNC (0 5))", "above zero"},
		{"QRESYNC of a mod-sequence beyond 63 bits", "SELECT x (QRESYNC (1 9223372036854775808))", "too large"},
		{"QRESYNC with UIDs that have no end", "SELECT x (QRESYNC (1 5 3:*))", "the UIDs known must be numbers"},
		{"QRESYNC with the saved search", "SELECT x (QRESYNC (1 5 $))", "the UIDs known must be numbers"},
		{"QRESYNC with a UID too many", "SELECT x (QRESYNC (1 5 1:9 (1,3 2:4)))", "as many UIDs"},
		{"QRESYNC with numbers that have no end", "SELECT x (QRESYNC (1 5 1:9 (1:* 2:4)))", "must be numbers"},
		{"QRESYNC with the saved search for numbers", "SELECT x (QRESYNC (1 5 1:9 ($ 2:4)))", "must be numbers"},
		{"QRESYNC with half a match", "SELECT x (QRESYNC (1 5 1:9 (1)))", "expected a space"},
		{"QRESYNC with an argument too many", "SELECT x (QRESYNC (1 5 1:9 (1 2) 3))", `expected ')'`},
		{"QRESYNC without an end", "SELECT x (QRESYNC (1 5", `expected ')'`},
		{"an unknown parameter", "SELECT x (FOO)", `unknown parameter "FOO"`},
		{"an empty list", "SELECT x ()", "expected a word"},
		{"wrong UTF-7", "SELECT R&D", "not modified UTF-7"},
		{"no UTF-8", "SELECT \"\xff\"", "not modified UTF-7"},
		{"a wildcard", "SELECT a*", "expected a space"},
	})
}

func TestMailboxNamesInUTF8Mode(t *testing.T) {
	for line, want := range map[string]string{
		`SELECT "Entwürfe"`:       "Entwürfe",
		`SELECT R&D`:              "R&D",
		`SELECT "R&D &U,BTFw-"`:   "R&D &U,BTFw-",
		"SELECT {9+}\r\nEntwürfe": "Entwürfe",
		`SELECT "台北/日本語"`:         "台北/日本語",
	} {
		cmd, err := readOne(t, line, true)
		if err != nil {
			t.Errorf("%s: %v", line, err)
		} else if diff := cmp.Diff(&command.Select{Mailbox: want}, cmd.Args); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
	if _, err := readOne(t, "SELECT \"\xff\"", true); err == nil {
		t.Error("a name that is not UTF-8 was taken")
	}
}

func TestCreate(t *testing.T) {
	testGood(t, "CREATE", []goodCase{
		{"plain", "CREATE owatagusiam/", &command.Create{Mailbox: "owatagusiam/"}},
		{"with a use", `CREATE MySpecial (USE (\drafts \SENT))`, &command.Create{Mailbox: "MySpecial", SpecialUse: []imap.MailboxAttr{imap.MailboxAttrDrafts, imap.MailboxAttrSent}}},
		{"with a use that nobody knows", `CREATE x (USE (\Foo))`, &command.Create{Mailbox: "x", SpecialUse: []imap.MailboxAttr{`\Foo`}}},
		{"with no use", `CREATE x (USE ())`, &command.Create{Mailbox: "x"}},
	})
	testBad(t, "CREATE", []badCase{
		{"nothing", "CREATE", "expected a space"},
		{"an unknown parameter", "CREATE x (FOO 1)", `unknown parameter "FOO"`},
		{"a use that is no attribute", "CREATE x (USE (Drafts))", `expected '\\'`},
	})
}

func TestMailboxCommands(t *testing.T) {
	testGood(t, "DELETE", []goodCase{{"plain", "DELETE foo", &command.Delete{Mailbox: "foo"}}})
	testGood(t, "RENAME", []goodCase{
		{"plain", "RENAME foo zowie", &command.Rename{From: "foo", To: "zowie"}},
		{"literals", "RENAME {3+}\r\nfoo {5+}\r\ninbox", &command.Rename{From: "foo", To: "INBOX"}},
	})
	testGood(t, "SUBSCRIBE", []goodCase{{"plain", "SUBSCRIBE #news.comp", &command.Subscribe{Mailbox: "#news.comp"}}})
	testGood(t, "UNSUBSCRIBE", []goodCase{{"plain", "UNSUBSCRIBE x", &command.Subscribe{Mailbox: "x", Off: true}}})
	testBad(t, "DELETE", []badCase{{"two", "DELETE a b", "expected the end"}})
	testBad(t, "RENAME", []badCase{{"one", "RENAME a", "expected a space"}})
	testBad(t, "SUBSCRIBE", []badCase{{"nothing", "SUBSCRIBE", "expected a space"}})
	testBad(t, "UNSUBSCRIBE", []badCase{{"nothing", "UNSUBSCRIBE", "expected a space"}})
}

func TestCopyAndMove(t *testing.T) {
	seq := imap.SeqSet{{Start: 2, Stop: 4}}
	uids := imap.UIDSet{{Start: 2, Stop: 4}}
	testGood(t, "COPY", []goodCase{{"plain", "COPY 2:4 MEETING", &command.Copy{Set: seq, Mailbox: "MEETING"}}})
	testGood(t, "MOVE", []goodCase{{"plain", "MOVE 4:2 MEETING", &command.Copy{Set: seq, Move: true, Mailbox: "MEETING"}}})
	testGood(t, "UID COPY", []goodCase{{"plain", "uid copy 2,3,4 INBOX", &command.Copy{Set: uids, UID: true, Mailbox: "INBOX"}}})
	testGood(t, "UID MOVE", []goodCase{
		{"plain", "UID MOVE 2:4 x", &command.Copy{Set: uids, UID: true, Move: true, Mailbox: "x"}},
		{"the saved result", "UID MOVE $ x", &command.Copy{Set: imap.SearchRes(), UID: true, Move: true, Mailbox: "x"}},
	})
	testGood(t, "UID EXPUNGE", []goodCase{{"plain", "UID EXPUNGE 3000:*", &command.Expunge{UIDs: imap.UIDSet{{Start: 3000}}}}})
	testBad(t, "COPY", []badCase{
		{"a zero", "COPY 0 x", "above zero"},
		{"no set", "COPY x y", "expected a sequence set"},
		{"an open range", "COPY 1: y", "expected a sequence set"},
		{"a number too large", "COPY 4294967296 y", "too large"},
		{"no mailbox", "COPY 1", "expected a space"},
	})
	testBad(t, "UID EXPUNGE", []badCase{{"no set", "UID EXPUNGE", "expected a space"}})
}

func TestSavedResultIsToldFromASet(t *testing.T) {
	for line, want := range map[string]bool{"COPY $ x": true, "UID COPY $ x": true, "UID COPY 1 x": false, "COPY 1 x": false} {
		cmd, err := readOne(t, line, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := imap.IsSearchRes(cmd.Args.(*command.Copy).Set); got != want {
			t.Errorf("%s: got %v", line, got)
		}
	}
}
