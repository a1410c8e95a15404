package storage_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// TestAccountsEndWhileTheyAreUsed removes and makes an account again and
// again, and closes the storage at last, while sessions use it: each gets an
// answer, and the errors are those of an account that has gone.
func TestAccountsEndWhileTheyAreUsed(t *testing.T) {
	o := openOffice(t)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := range 6 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := session(o.Store, mail(n, 300+i*2000)); err != nil {
					t.Errorf("session: %v", err)
					return
				}
			}
		})
	}
	for range 8 {
		time.Sleep(50 * time.Millisecond)
		if err := o.DeleteAccount(t.Context(), alice); err != nil {
			t.Error(err)
		}
		if err := o.CreateAccount(t.Context(), alice, nil); err != nil {
			t.Error(err)
		}
	}
	o.check()
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	close(stop)
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("a session hangs")
	}
	o.restart()
	o.check()
}

// session does what one does to INBOX and returns an error that it must not get.
func session(s *storage.Store, text string) error {
	ctx := context.Background()
	var errs []error
	note := func(err error) {
		for _, gone := range []error{storage.ErrClosed, storage.ErrNoAccount, storage.ErrNoMessage} {
			if errors.Is(err, gone) {
				return
			}
		}
		errs = append(errs, err)
	}
	a, err := s.Account(ctx, alice)
	if err != nil {
		note(err)
		return errors.Join(errs...)
	}
	_, end := a.Watch(1)
	defer end()
	b, err := s.Stage(ctx, strings.NewReader(text))
	if err != nil {
		note(err)
		return errors.Join(errs...)
	}
	_, err = a.Append(ctx, 1, []storage.AppendMessage{{Body: b}})
	note(err)
	note(b.Close())
	snap, err := a.Snapshot(ctx, 1)
	if err == nil {
		var ids []storage.DataID
		for _, m := range snap.All(0) {
			ids = append(ids, m.Data)
		}
		note(a.Read(ids, func(int, *storage.Data) bool { return true }))
		for _, id := range ids[:min(len(ids), 3)] {
			body, err := a.OpenBody(id)
			note(err)
			if err == nil {
				note(body.Close())
			}
		}
	}
	note(err)
	all := imap.UIDSet{{Start: 1, Stop: 0}}
	_, err = a.Store(ctx, 1, all, storage.FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}})
	note(err)
	_, _, err = a.Expunge(ctx, 1, nil)
	note(err)
	if snap != nil {
		_, _, err = a.Vanished(snap, 0)
		note(err)
	}
	return errors.Join(errs...)
}
