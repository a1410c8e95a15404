package storage_test

import (
	"context"
	"errors"
	"testing"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

func TestAMailboxIsNumberedAsElsewhere(t *testing.T) {
	o := openOffice(t)
	ctx := context.Background()
	inbox := o.inbox()
	if err := o.account.SetUIDs(ctx, inbox, storage.UIDs{Validity: 12, ModSeq: 70_000}); err != nil {
		t.Fatal(err)
	}
	b := o.stage(mail(1, 300))
	defer b.Close()
	put := func(uids ...imap.UID) error {
		msgs := make([]storage.AppendMessage, len(uids))
		for i, uid := range uids {
			msgs[i] = storage.AppendMessage{Body: b, UID: uid}
		}
		_, err := o.account.Append(ctx, inbox, msgs)
		return err
	}
	if err := put(3, 4, 900); err != nil {
		t.Fatal(err)
	}
	for name, uids := range map[string][]imap.UID{"given out": {4}, "never given out": {899}, "behind its own": {1001, 1000}} {
		if err := put(uids...); !errors.Is(err, storage.ErrUIDTaken) {
			t.Errorf("a UID that was %s: %v", name, err)
		}
	}
	if err := put(1<<32 - 1); !errors.Is(err, storage.ErrUIDsExhausted) {
		t.Errorf("the highest UID of all: %v", err)
	}
	if err := o.account.SetUIDs(ctx, inbox, storage.UIDs{Validity: 13}); !errors.Is(err, storage.ErrNotEmpty) {
		t.Errorf("another UIDVALIDITY for a mailbox with messages: %v", err)
	}
	if err := o.account.SetUIDs(ctx, inbox, storage.UIDs{Validity: 12, Next: 5000, ModSeq: 80_000}); err != nil {
		t.Fatal(err)
	}
	o.restart()
	if uid := o.add("INBOX", mail(2, 300)); uid != 5000 {
		t.Errorf("the next message got UID %d", uid)
	}
	mb := o.account.Mailbox("INBOX")
	if mb.UIDValidity != 12 || mb.HighestModSeq <= 80_000 {
		t.Errorf("UIDVALIDITY is %d, HIGHESTMODSEQ %d", mb.UIDValidity, mb.HighestModSeq)
	}
	// What a program knows from elsewhere and is absent here is told as gone.
	if gone, exact, err := o.account.Vanished(o.snapshot("INBOX"), 69_000); err != nil || exact || !gone.Contains(5) || gone.Contains(900) {
		t.Errorf("gone are %v, %v, %v", gone, exact, err)
	}
	if err := o.account.SetUIDs(ctx, mb.ID, storage.UIDs{}); err != nil {
		t.Fatal(err)
	}
	if now := o.account.Mailbox("INBOX").UIDValidity; now < 1_700_000_000 {
		t.Errorf("the new UIDVALIDITY is %d", now)
	}
	if err := o.account.SetUIDs(ctx, o.account.Mailbox("Sent").ID, storage.UIDs{Validity: 1<<32 - 1}); !errors.Is(err, storage.ErrUIDValidity) {
		t.Errorf("the highest UIDVALIDITY of all: %v", err)
	}
	if r, err := o.Check(ctx, storage.CheckOptions{Found: func(p storage.Problem) { t.Errorf("%+v", p) }}); err != nil || r.Problems > 0 {
		t.Error(err)
	}
}
