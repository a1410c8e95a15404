package storage

import (
	"sync"
	"testing"
)

// TestCacheCountsWhatItHolds takes content out of the cache while commits
// publish it, as a reader of another account may at any moment.
func TestCacheCountsWhatItHolds(t *testing.T) {
	s, a := openAnn(t, t.TempDir())
	e := a.tree.Load().byID[1]
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				s.cache.forgotten(e.content.Swap(nil))
			}
		}
	})
	a.writing.Lock()
	tx := &txn{a: a}
	for range 20_000 {
		snap, err := a.loadContent(e)
		if err != nil {
			t.Fatal(err)
		}
		tx.publishBox(&box{entry: e, mb: *e.mailbox.Load(), content: newContent(snap)})
		tx.publishBox(&box{entry: e, mb: *e.mailbox.Load()}) // with other counters only
	}
	a.writing.Unlock()
	close(done)
	wg.Wait()
	var held int64
	if c := e.content.Load(); c != nil {
		held = int64(c.Len())
	}
	if n := s.cache.messages.Load(); n != held {
		t.Errorf("the cache counts %d messages and holds %d", n, held)
	}
}
