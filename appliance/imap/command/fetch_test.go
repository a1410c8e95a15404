package command_test

import (
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
)

func TestFetch(t *testing.T) {
	one := imap.SeqSet{{Start: 1, Stop: 1}}
	items := func(o imap.FetchOptions) *command.Fetch { return &command.Fetch{Set: one, Items: o} }
	section := func(s imap.FetchItemBodySection) *command.Fetch {
		return items(imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{&s}})
	}
	binary := func(s imap.FetchItemBinarySection) *command.Fetch {
		return items(imap.FetchOptions{BinarySection: []*imap.FetchItemBinarySection{&s}})
	}
	structure := &imap.FetchItemBodyStructure{}
	extended := &imap.FetchItemBodyStructure{Extended: true}

	testGood(t, "FETCH", []goodCase{
		{"ALL", "FETCH 1 ALL", items(imap.FetchOptions{Flags: true, InternalDate: true, RFC822Size: true, Envelope: true})},
		{"FAST", "FETCH 1 fast", items(imap.FetchOptions{Flags: true, InternalDate: true, RFC822Size: true})},
		{"FULL", "FETCH 1 FULL", items(imap.FetchOptions{Flags: true, InternalDate: true, RFC822Size: true, Envelope: true, BodyStructure: structure})},
		{"one item", "FETCH 1 FLAGS", items(imap.FetchOptions{Flags: true})},
		{"object identifiers and the save date", "FETCH 1 (emailid THREADID SAVEDATE)", &command.Fetch{Set: one, EmailID: true, ThreadID: true, SaveDate: true}},
		{"a list", "FETCH 1 (FLAGS UID internaldate RFC822.SIZE ENVELOPE MODSEQ BODYSTRUCTURE)", items(imap.FetchOptions{
			Flags: true, UID: true, InternalDate: true, RFC822Size: true, Envelope: true, ModSeq: true, BodyStructure: extended,
		})},
		{"spaces too many", "FETCH  1  (  FLAGS   UID )  ", items(imap.FetchOptions{Flags: true, UID: true})},
		{"BODY without section", "FETCH 1 BODY", items(imap.FetchOptions{BodyStructure: structure})},
		{"both structures", "FETCH 1 (BODY BODYSTRUCTURE)", &command.Fetch{Set: one, BothStructures: true, Items: imap.FetchOptions{BodyStructure: extended}}},
		{"both structures the other way", "FETCH 1 (BODYSTRUCTURE BODY BODY)", &command.Fetch{Set: one, BothStructures: true, Items: imap.FetchOptions{BodyStructure: extended}}},
		{"RFC822", "FETCH 1 RFC822", &command.Fetch{Set: one, RFC822: true}},
		{"RFC822.HEADER", "FETCH 1 RFC822.HEADER", &command.Fetch{Set: one, RFC822Header: true}},
		{"RFC822.TEXT", "FETCH 1 (RFC822.TEXT)", &command.Fetch{Set: one, RFC822Text: true}},
		{"RFC822.PEEK of Outlook", "FETCH 1 (UID RFC822.PEEK)", &command.Fetch{Set: one, RFC822Peek: true, Items: imap.FetchOptions{UID: true}}},
		{"the whole message", "FETCH 1 BODY[]", section(imap.FetchItemBodySection{})},
		{"the whole message unseen", "FETCH 1 body.peek[]", section(imap.FetchItemBodySection{Peek: true})},
		{"the header", "FETCH 1 BODY[HEADER]", section(imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader})},
		{"the text", "FETCH 1 (BODY[text])", section(imap.FetchItemBodySection{Specifier: imap.PartSpecifierText})},
		{"a part", "FETCH 1 BODY[4.2.1]", section(imap.FetchItemBodySection{Part: []int{4, 2, 1}})},
		{"a part's MIME", "FETCH 1 BODY[1.MIME]", section(imap.FetchItemBodySection{Part: []int{1}, Specifier: imap.PartSpecifierMIME})},
		{"a part's header", "FETCH 1 BODY[3.1.HEADER]", section(imap.FetchItemBodySection{Part: []int{3, 1}, Specifier: imap.PartSpecifierHeader})},
		{"header fields", "FETCH 1 BODY.PEEK[HEADER.FIELDS (Date From \"X-a\" {2+}\r\nTo)]", section(imap.FetchItemBodySection{
			Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"Date", "From", "X-a", "To"}, Peek: true,
		})},
		{"header fields of a part but some", "FETCH 1 BODY[2.HEADER.FIELDS.NOT (Received)]<0.1000>", section(imap.FetchItemBodySection{
			Part: []int{2}, Specifier: imap.PartSpecifierHeader, HeaderFieldsNot: []string{"Received"}, Partial: &imap.SectionPartial{Size: 1000},
		})},
		{"a partial", "FETCH 1 BODY[]<5000000000.1>", section(imap.FetchItemBodySection{Partial: &imap.SectionPartial{Offset: 5000000000, Size: 1}})},
		{"binary", "FETCH 1 BINARY[1.2]<3.4>", binary(imap.FetchItemBinarySection{Part: []int{1, 2}, Partial: &imap.SectionPartial{Offset: 3, Size: 4}})},
		{"binary unseen", "FETCH 1 BINARY.PEEK[]", binary(imap.FetchItemBinarySection{Peek: true})},
		{"binary size", "FETCH 1 (BINARY.SIZE[2])", items(imap.FetchOptions{BinarySectionSize: []*imap.FetchItemBinarySectionSize{{Part: []int{2}}}})},
		{"CHANGEDSINCE", "FETCH 1 (FLAGS) (CHANGEDSINCE 12345)", items(imap.FetchOptions{Flags: true, ModSeq: true, ChangedSince: 12345})},
		{"CHANGEDSINCE 0 of iOS", "FETCH 1 FLAGS (changedsince 0)", items(imap.FetchOptions{Flags: true, ModSeq: true})},
		{"a set out of order", "FETCH 5:3,1,2,9,* FLAGS", &command.Fetch{
			Set:   imap.SeqSet{{Start: 1, Stop: 5}, {Start: 9, Stop: 9}, {}},
			Items: imap.FetchOptions{Flags: true},
		}},
		{"the saved result", "FETCH $ FLAGS", &command.Fetch{Set: imap.SearchRes(), Items: imap.FetchOptions{Flags: true}}},
	})
	testGood(t, "UID FETCH", []goodCase{
		{"UID comes unasked", "UID FETCH *:4 FLAGS", &command.Fetch{
			Set: imap.UIDSet{{Start: 4}}, UID: true, Items: imap.FetchOptions{UID: true, Flags: true},
		}},
		{"VANISHED", "UID FETCH 300:500 (FLAGS) (CHANGEDSINCE 12345 VANISHED)", &command.Fetch{
			Set: imap.UIDSet{{Start: 300, Stop: 500}}, UID: true, Vanished: true,
			Items: imap.FetchOptions{UID: true, Flags: true, ModSeq: true, ChangedSince: 12345},
		}},
		{"VANISHED first, since 0", "UID FETCH 1:* FLAGS (vanished changedsince 0)", &command.Fetch{
			Set: imap.UIDSet{{Start: 1}}, UID: true, Vanished: true, Items: imap.FetchOptions{UID: true, Flags: true, ModSeq: true},
		}},
	})
	testBad(t, "UID FETCH", []badCase{
		{"VANISHED without CHANGEDSINCE", "UID FETCH 1 FLAGS (VANISHED)", "belongs to UID FETCH with CHANGEDSINCE"},
	})
	testBad(t, "FETCH", []badCase{
		{"nothing", "FETCH", "expected a space"},
		{"no items", "FETCH 1", "expected a space"},
		{"an empty list", "FETCH 1 ()", "expected a word"},
		{"a list without end", "FETCH 1 (FLAGS", "expected a space"},
		{"a macro in a list", "FETCH 1 (ALL)", `unknown fetch item "ALL"`},
		{"an unknown item", "FETCH 1 (FLAGS X-GM-MSGID)", `unknown fetch item "X-GM-MSGID"`},
		{"two items without list", "FETCH 1 FLAGS UID", `expected '('`},
		{"part zero", "FETCH 1 BODY[0]", "above zero"},
		{"a dot without more", "FETCH 1 BODY[1.]", "expected a word"},
		{"MIME of the message", "FETCH 1 BODY[MIME]", "needs a part"},
		{"an unknown section", "FETCH 1 BODY[FOO]", `unknown section "FOO"`},
		{"a section without end", "FETCH 1 BODY[HEADER", "expected ']'"},
		{"header fields without names", "FETCH 1 BODY[HEADER.FIELDS ()]", "expected a string"},
		{"a partial of nothing", "FETCH 1 BODY[]<0.0>", "no octets"},
		{"a partial without length", "FETCH 1 BODY[]<0>", "expected '.'"},
		{"a text of binary", "FETCH 1 BINARY[1.HEADER]", "number of a part"},
		{"a partial size", "FETCH 1 BINARY.SIZE[1]<0.1>", "expected a space"},
		{"BODY.PEEK without section", "FETCH 1 BODY.PEEK", "expected '['"},
		{"an unknown modifier", "FETCH 1 FLAGS (FOO)", `unknown modifier "FOO"`},
		{"VANISHED by sequence numbers", "FETCH 1 FLAGS (CHANGEDSINCE 5 VANISHED)", "belongs to UID FETCH"},
		{"a part of too many levels", "FETCH 1 BODY[" + strings.Repeat("1.", 101) + "1]", "more than 100"},
		{"too many sections", "FETCH 1 (" + strings.Repeat("BODY[] ", 257) + ")", "more than 256"},
		{"too many header fields", "FETCH 1 BODY[HEADER.FIELDS (" + strings.Repeat("a ", 257) + ")]", "more than 256"},
	})
}

func TestStore(t *testing.T) {
	one := imap.SeqSet{{Start: 1, Stop: 1}}
	since := uint64(320162338)
	zero := uint64(0)
	testGood(t, "STORE", []goodCase{
		{"add", `STORE 1 +FLAGS (\deleted)`, &command.Store{Set: one, Flags: imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}}},
		{"remove silently", `STORE 1 -flags.silent (\Seen $Junk)`, &command.Store{Set: one, Flags: imap.StoreFlags{
			Op: imap.StoreFlagsDel, Silent: true, Flags: []imap.Flag{imap.FlagSeen, imap.FlagJunk},
		}}},
		{"set without parentheses", `STORE 1 FLAGS \Draft NonJunk`, &command.Store{Set: one, Flags: imap.StoreFlags{Flags: []imap.Flag{imap.FlagDraft, "NonJunk"}}}},
		{"none", `STORE 1 FLAGS ()`, &command.Store{Set: one, Flags: imap.StoreFlags{Flags: []imap.Flag{}}}},
		{"\\Recent is left out", `STORE 1 FLAGS (\Recent \Answered \Flagged)`, &command.Store{Set: one, Flags: imap.StoreFlags{Flags: []imap.Flag{imap.FlagAnswered, imap.FlagFlagged}}}},
		{"UNCHANGEDSINCE", `STORE 1 (UNCHANGEDSINCE 320162338) +FLAGS.SILENT \Deleted`, &command.Store{
			Set: one, UnchangedSince: &since, Flags: imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}},
		}},
		{"UNCHANGEDSINCE 0", `STORE 1 (UNCHANGEDSINCE 0) FLAGS ()`, &command.Store{Set: one, UnchangedSince: &zero, Flags: imap.StoreFlags{Flags: []imap.Flag{}}}},
	})
	testGood(t, "UID STORE", []goodCase{
		{"plain", `UID STORE 1:* FLAGS (a)`, &command.Store{Set: imap.UIDSet{{Start: 1}}, UID: true, Flags: imap.StoreFlags{Flags: []imap.Flag{"a"}}}},
	})
	testBad(t, "STORE", []badCase{
		{"no item", "STORE 1", "expected a space"},
		{"no flags", "STORE 1 FLAGS", "expected a space"},
		{"another item", `STORE 1 ANNOTATION (\Seen)`, `unknown data item "ANNOTATION"`},
		{"two signs", `STORE 1 +-FLAGS (\Seen)`, `unknown data item "+-FLAGS"`},
		{"an unknown system flag", `STORE 1 FLAGS (\Foo)`, `no flag \Foo`},
		{"the wildcard", `STORE 1 FLAGS (\*)`, "expected an atom"},
		{"a quoted flag", `STORE 1 FLAGS ("a")`, "expected an atom"},
		{"flags without space", `STORE 1 FLAGS (a\Seen)`, "expected a space"},
		{"a list without end", `STORE 1 FLAGS (a `, "expected an atom"},
		{"an unknown modifier", `STORE 1 (FOO 1) FLAGS (a)`, `unknown modifier "FOO"`},
	})
}
