package imap_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// together sends commands in one piece and expects these lines.
func (c *client) together(commands []string, want ...string) {
	c.t.Helper()
	c.write(strings.Join(commands, "\r\n") + "\r\n")
	c.expect(want...)
}

func TestStoresSentTogether(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail)
	c, other := o.login(), o.login()
	c.quiet("SELECT INBOX")
	other.quiet("SELECT INBOX")
	c.quiet("NOOP")
	other.quiet(`STORE 3 +FLAGS (\Answered)`)

	// Each answer lies before the end of its own command. What another session
	// did comes first, and a command of another kind keeps its place.
	c.together([]string{
		`a1 STORE 1 +FLAGS (\Seen)`,
		`a2 UID STORE 1:2 +FLAGS.SILENT (\Flagged)`,
		`a3 STORE 9 +FLAGS (\Seen)`,
		`a4 STORE 1 +FLAGS (\Invented)`,
		`a5 UID STORE 2 -FLAGS ($Work)`,
		`a6 FETCH 1 FLAGS`,
		`a7 STORE 2 FLAGS ()`,
		`a8 NONSENSE`,
		`a9 NOOP`,
	},
		`* 3 FETCH (UID 3 FLAGS (\Answered \Recent))`,
		`* 1 FETCH (UID 1 FLAGS (\Seen… \Recent))`, "a1 OK STORE completed",
		"a2 OK UID STORE completed",
		"a3 BAD …",
		"a4 BAD …",
		`* 2 FETCH (UID 2 FLAGS (\Flagged \Recent))`, "a5 OK UID STORE completed",
		`* 1 FETCH (FLAGS (\Seen \Flagged \Recent))`, "a6 OK FETCH completed",
		`* 2 FETCH (UID 2 FLAGS (\Recent))`, "a7 OK STORE completed",
		"a8 BAD …",
		"a9 OK NOOP completed",
	)
}

// TestStoresSentTogetherAndExpunges: a message that is gone is told of before
// the end of the last command and not between commands.
func TestStoresSentTogetherAndExpunges(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail)
	c, other := o.login(), o.login()
	c.quiet("SELECT INBOX")
	other.quiet("SELECT INBOX")
	other.quiet(`STORE 1 +FLAGS.SILENT (\Deleted)`)
	other.quiet("EXPUNGE")
	c.together([]string{
		`a1 STORE 1:2 +FLAGS.SILENT (\Seen)`,
		`a2 STORE 3 +FLAGS.SILENT (\Seen)`,
		`a3 UID STORE 2 +FLAGS (\Draft)`,
	},
		"a1 OK [EXPUNGEISSUED] …",
		"a2 OK STORE completed",
		`* 2 FETCH (UID 2 FLAGS (\Seen \Draft \Recent))`, "* 1 EXPUNGE", "a3 OK UID STORE completed",
	)
}

// TestStoresSentTogetherWithCondstore: RFC 7162, section 3.1.3: the new
// mod-sequence is told of, also by a silent STORE.
func TestStoresSentTogetherWithCondstore(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail)
	c := o.login()
	c.quiet("SELECT INBOX (CONDSTORE)")
	c.together([]string{
		`a1 UID STORE 1 +FLAGS.SILENT (\Seen)`,
		`a2 UID STORE 2 +FLAGS.SILENT (\Seen)`,
		`a3 UID STORE 1 (UNCHANGEDSINCE 1) +FLAGS.SILENT (\Draft)`,
	},
		"* 1 FETCH (UID 1 MODSEQ (…))", "a1 OK UID STORE completed",
		"* 2 FETCH (UID 2 MODSEQ (…))", "a2 OK UID STORE completed",
		"a3 OK [MODIFIED 1] …",
	)
}

// TestStoresSentTogetherAreThoseSentApart plays the same random changes both
// ways.
func TestStoresSentTogetherAreThoseSentApart(t *testing.T) {
	o := newOffice(t)
	const messages = 8
	for range messages {
		o.deliver("alice", "INBOX", plainMail)
		o.deliver("bob", "INBOX", plainMail)
	}
	apart, together := o.login(), o.loginAs("bob")
	apart.quiet("SELECT INBOX")
	together.quiet("SELECT INBOX")
	random := rand.New(rand.NewPCG(1, 2))
	flags := []string{`\Seen`, `\Flagged`, `\Draft`, "$One", "$Two", ""}
	for round := range 40 {
		var row, ends []string
		for i := range 1 + random.IntN(12) {
			command := fmt.Sprintf("STORE %d:%d %sFLAGS.SILENT (%s)", 1+random.IntN(messages), 1+random.IntN(messages),
				[]string{"", "+", "-"}[random.IntN(3)], flags[random.IntN(len(flags))])
			apart.quiet(command)
			tag := fmt.Sprintf("r%dc%d", round, i)
			row, ends = append(row, tag+" "+command), append(ends, tag)
		}
		together.write(strings.Join(row, "\r\n") + "\r\n")
		for _, tag := range ends {
			for !strings.HasPrefix(together.line(), tag+" OK ") {
			}
		}
		want, _ := apart.run("FETCH 1:* FLAGS")
		got, _ := together.run("FETCH 1:* FLAGS")
		together.compare("FETCH 1:* FLAGS", got, want)
	}
}
