package command_test

import (
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
)

func TestList(t *testing.T) {
	extended := func(patterns []string, o imap.ListOptions) *command.List {
		return &command.List{Form: command.ListExtended, Patterns: patterns, Options: o}
	}
	testGood(t, "LIST", []goodCase{
		{"the delimiter", `LIST "" ""`, &command.List{Patterns: []string{""}}},
		{"all", `LIST "" *`, &command.List{Patterns: []string{"*"}}},
		{"all, quoted", `LIST "" "*"`, &command.List{Patterns: []string{"*"}}},
		{"a reference", `LIST /usr/staff/jones %/x]`, &command.List{Reference: "/usr/staff/jones", Patterns: []string{"%/x]"}}},
		{"modified UTF-7", `LIST "" &U,BTFw-*`, &command.List{Patterns: []string{"台北*"}}},
		{"subscribed", `LIST (SUBSCRIBED) "" "*"`, extended([]string{"*"}, imap.ListOptions{SelectSubscribed: true})},
		{"no selection", `LIST () "" "*"`, extended([]string{"*"}, imap.ListOptions{})},
		{"patterns", `LIST "" (INBOX "Drafts" Sent/%)`, extended([]string{"INBOX", "Drafts", "Sent/%"}, imap.ListOptions{})},
		{"every selection option", `LIST (subscribed REMOTE RECURSIVEMATCH SPECIAL-USE) "" %`, extended([]string{"%"}, imap.ListOptions{
			SelectSubscribed: true, SelectRemote: true, SelectRecursiveMatch: true, SelectSpecialUse: true,
		})},
		{"every return option", `LIST "" % RETURN (SUBSCRIBED CHILDREN SPECIAL-USE STATUS (MESSAGES UNSEEN))`, extended([]string{"%"}, imap.ListOptions{
			ReturnSubscribed: true, ReturnChildren: true, ReturnSpecialUse: true,
			ReturnStatus: &imap.StatusOptions{NumMessages: true, NumUnseen: true},
		})},
		{"no return option", `LIST "" % RETURN ()`, extended([]string{"%"}, imap.ListOptions{})},
		{"literals", "LIST {0+}\r\n {1+}\r\n%", &command.List{Patterns: []string{"%"}}},
	})
	testBad(t, "LIST", []badCase{
		{"nothing", "LIST", "expected a space"},
		{"no pattern", `LIST ""`, "expected a space"},
		{"no patterns in the list", `LIST "" ()`, "expected a mailbox name"},
		{"an unknown selection option", `LIST (FOO) "" *`, `unknown selection option "FOO"`},
		{"an unknown return option", `LIST "" * RETURN (MYRIGHTS)`, `unknown return option "MYRIGHTS"`},
		{"another argument", `LIST "" * FOO`, `unknown argument "FOO"`},
		{"RECURSIVEMATCH alone", `LIST (RECURSIVEMATCH) "" *`, "needs SUBSCRIBED"},
		{"RECURSIVEMATCH with REMOTE", `LIST (REMOTE RECURSIVEMATCH) "" *`, "needs SUBSCRIBED"},
		{"too many patterns", `LIST "" (` + strings.Repeat("a ", 65) + ")", "more than 64"},
		{"STATUS without items", `LIST "" * RETURN (STATUS)`, "expected a space"},
	})
}

func TestOldLists(t *testing.T) {
	testGood(t, "LSUB", []goodCase{{"plain", `LSUB "" "*"`, &command.List{Form: command.LSub, Patterns: []string{"*"}}}})
	testGood(t, "XLIST", []goodCase{{"plain", `XLIST "" %`, &command.List{Form: command.XList, Patterns: []string{"%"}}}})
	testBad(t, "LSUB", []badCase{{"options", `LSUB (SUBSCRIBED) "" *`, "expected a string"}})
}

func TestStatus(t *testing.T) {
	testGood(t, "STATUS", []goodCase{
		{"the RFC's example", "STATUS blurdybloop (UIDNEXT MESSAGES)", &command.Status{Mailbox: "blurdybloop", Options: imap.StatusOptions{UIDNext: true, NumMessages: true}}},
		{"everything", "STATUS a ( messages RECENT UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE APPENDLIMIT DELETED-STORAGE HIGHESTMODSEQ MAILBOXID )", &command.Status{
			Mailbox: "a",
			Options: imap.StatusOptions{
				NumMessages: true, NumRecent: true, UIDNext: true, UIDValidity: true, NumUnseen: true,
				NumDeleted: true, Size: true, AppendLimit: true, DeletedStorage: true, HighestModSeq: true,
			},
			MailboxID: true,
		}},
	})
	testBad(t, "STATUS", []badCase{
		{"no items", "STATUS a", "expected a space"},
		{"an empty list", "STATUS a ()", "expected a word"},
		{"no parentheses", "STATUS a MESSAGES", `expected '('`},
		{"an unknown item", "STATUS a (FOO)", `unknown status item "FOO"`},
		{"items without space", "STATUS a (MESSAGES(UNSEEN))", "expected a space"},
	})
}
