package storage_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// office is a data folder with one account.
type office struct {
	*storage.Store
	t       testing.TB
	config  *storage.Config
	account *storage.Account
}

const alice storage.AccountID = "alice"

func openOffice(t testing.TB, change ...func(*storage.Config)) *office {
	t.Helper()
	c := &storage.Config{Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, f := range change {
		f(c)
	}
	o := &office{t: t, config: c}
	o.open()
	if err := o.CreateAccount(t.Context(), alice, []storage.NewMailbox{
		{Name: "INBOX", Subscribed: true},
		{Name: "Sent", SpecialUse: imap.MailboxAttrSent, Subscribed: true},
	}); err != nil {
		t.Fatal(err)
	}
	o.load()
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

func (o *office) open() {
	o.t.Helper()
	s, err := storage.Open(context.Background(), o.config)
	if err != nil {
		o.t.Fatal(err)
	}
	o.Store = s
}

func (o *office) load() {
	o.t.Helper()
	a, err := o.Account(context.Background(), alice)
	if err != nil {
		o.t.Fatal(err)
	}
	o.account = a
}

// restart closes the folder and opens it again.
func (o *office) restart() {
	o.t.Helper()
	if err := o.Close(); err != nil {
		o.t.Fatal(err)
	}
	o.open()
	o.load()
}

// mail makes a message of about size octets.
func mail(n, size int) string {
	head := fmt.Sprintf("From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: message %d\r\nDate: Mon, 02 Nov 2026 10:00:00 +0100\r\n\r\n", n)
	line := fmt.Sprintf("This is line of message %06d, and it goes on for a while.\r\n", n)
	return head + strings.Repeat(line, max(1, (size-len(head))/len(line)))
}

func (o *office) stage(text string) *storage.Staged {
	o.t.Helper()
	b, err := o.Stage(context.Background(), strings.NewReader(text))
	if err != nil {
		o.t.Fatal(err)
	}
	return b
}

func (o *office) inbox() storage.MailboxID { return o.account.Mailbox("INBOX").ID }

// add appends one message and returns its UID.
func (o *office) add(mailbox, text string, flags ...imap.Flag) imap.UID {
	o.t.Helper()
	b := o.stage(text)
	defer b.Close()
	res, err := o.account.Append(context.Background(), o.account.Mailbox(mailbox).ID, []storage.AppendMessage{{Body: b, Flags: flags}})
	if err != nil {
		o.t.Fatal(err)
	}
	return res.UIDs[0]
}

func (o *office) snapshot(mailbox string) *storage.Snapshot {
	o.t.Helper()
	s, err := o.account.Snapshot(context.Background(), o.account.Mailbox(mailbox).ID)
	if err != nil {
		o.t.Fatal(err)
	}
	return s
}

// text returns a message's octets.
func (o *office) text(mailbox string, uid imap.UID) string {
	o.t.Helper()
	s := o.snapshot(mailbox)
	i, ok := s.Find(uid)
	if !ok {
		o.t.Fatalf("UID %d is not in %s", uid, mailbox)
	}
	b, err := o.account.OpenBody(s.At(i).Data)
	if err != nil {
		o.t.Fatal(err)
	}
	defer b.Close()
	var buf bytes.Buffer
	if _, err := io.Copy(&buf, io.NewSectionReader(b, 0, b.Size)); err != nil {
		o.t.Fatal(err)
	}
	return buf.String()
}

// flags lists a mailbox as "UID(flags)".
func (o *office) flags(mailbox string) string {
	o.t.Helper()
	s := o.snapshot(mailbox)
	var out []string
	for _, m := range s.All(0) {
		out = append(out, fmt.Sprintf("%d(%s)", m.UID, s.AppendFlags(nil, m)))
	}
	return strings.Join(out, " ")
}

// check fails the test if the storage is not consistent.
func (o *office) check() {
	o.t.Helper()
	_, err := o.Check(context.Background(), storage.CheckOptions{
		Bodies: true,
		Found:  func(p storage.Problem) { o.t.Errorf("problem: %+v", p) },
	})
	if err != nil {
		o.t.Fatal(err)
	}
}
