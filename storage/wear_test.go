package storage_test

import (
	"context"
	"testing"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// TestWhatAChangeWritesIsBounded counts what reaches the device, which flash
// must bear: here some 32 KiB for a flag and 46 KiB for a small message, each
// by itself. The bounds leave room for other file systems.
func TestWhatAChangeWritesIsBounded(t *testing.T) {
	o := openOffice(t)
	for i := range 300 {
		o.add("INBOX", mail(i, 1<<10))
	}
	const n = 50
	measure := func(what string, bound int64, f func(i int)) {
		start := deviceBytes(t)
		for i := range n {
			f(i)
		}
		each := (deviceBytes(t) - start) / n
		t.Logf("%s: %d octets", what, each)
		if each > bound {
			t.Errorf("%s writes %d octets, more than %d", what, each, bound)
		}
	}
	measure("a flag", 96<<10, func(i int) {
		op := storage.FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}}
		if _, err := o.account.Store(context.Background(), o.inbox(), imap.UIDSetNum(imap.UID(i+1)), op); err != nil {
			t.Fatal(err)
		}
	})
	measure("a message of 1 KiB", 160<<10, func(i int) { o.add("INBOX", mail(i, 1<<10)) })
	measure("a message of 20 KiB", 256<<10, func(i int) { o.add("INBOX", mail(1000+i, 20<<10)) })
}
