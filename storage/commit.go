package storage

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// maxBatch bounds the operations that share a commit, and so the memory of a
// transaction and the time until the first of them is answered.
const maxBatch = 128

// operation is one change that waits for its commit. run may be called more
// than once, each time on a fresh transaction.
type operation struct {
	run   func(*txn) error
	frees bool // it deletes, and may use the reserve of a full disk
	err   error
	done  chan struct{} // closed when err is final
	lead  chan struct{} // closed when this operation's goroutine is to commit
}

// commitQueue lets the writers of an account share commits: the first to come
// leads, commits for all that queued up meanwhile, and hands over.
type commitQueue struct {
	mu      sync.Mutex
	waiting []*operation
	leading bool
}

// do runs a change and returns when it is durable and published, or when it
// failed and nothing of it is left.
func (a *Account) do(ctx context.Context, run func(*txn) error) error {
	return a.queued(ctx, &operation{run: run})
}

// free is do for a change by which people make room.
func (a *Account) free(ctx context.Context, run func(*txn) error) error {
	return a.queued(ctx, &operation{run: run, frees: true})
}

func (a *Account) queued(ctx context.Context, op *operation) error {
	if err := a.queuedAll(ctx, []*operation{op}); err != nil {
		return err
	}
	return diskError(op.err)
}

// queuedAll queues operations one behind the other and returns when each is
// durable or has failed. The error says that none was queued.
func (a *Account) queuedAll(ctx context.Context, ops []*operation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, op := range ops {
		op.done, op.lead = make(chan struct{}), make(chan struct{})
	}
	q := &a.queue
	q.mu.Lock()
	q.waiting = append(q.waiting, ops...)
	lead := !q.leading
	q.leading = true
	q.mu.Unlock()
	for _, op := range ops {
		if !lead {
			// Not ctx.Done: once queued, the change happens, and its caller must
			// learn so.
			select {
			case <-op.done:
				continue
			case <-op.lead:
			}
		}
		lead = false
		a.lead()
	}
	return nil
}

// lead commits a batch, of which the caller's operation is the first, and
// passes the lead on.
func (a *Account) lead() {
	q := &a.queue
	// Whatever waits for the lock (a mailbox being loaded) lets the batch grow.
	a.writing.Lock()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // see guarded
	q.mu.Lock()
	n := min(len(q.waiting), maxBatch)
	batch := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	q.mu.Unlock()

	a.commit(batch)
	if full := outOfRoom(batch); len(full) > 0 && a.store.reserve.release() {
		a.store.log.Warn("the disk is full: its reserve goes to what deletes", "account", a.id)
		a.commit(full)
	}
	a.writing.Unlock()

	q.mu.Lock()
	if len(q.waiting) > 0 {
		close(q.waiting[0].lead)
	} else {
		q.leading = false
		q.waiting = nil
	}
	q.mu.Unlock()
	for _, op := range batch {
		close(op.done)
	}
}

// commit runs the operations in one transaction. One that fails after it
// wrote something is left out and the others run again without it.
func (a *Account) commit(batch []*operation) {
	left := batch
	var t *txn
	defer func() {
		// Not even a bug of ours may leave the account locked.
		if p := recover(); p != nil {
			if t != nil {
				t.rollback()
			}
			a.doubtful = true
			fail(left, panicked(p))
		}
	}()
	for len(left) > 0 {
		var err error
		t, err = a.begin()
		if err != nil {
			fail(left, err)
			return
		}
		var ran []*operation
		var undo bool
		for i, op := range left {
			before := t.writes
			if op.err = t.attempt(op.run); op.err == nil {
				ran = append(ran, op)
				continue
			}
			if t.writes != before {
				left, undo = append(ran, left[i+1:]...), true
				break
			}
		}
		if undo {
			t.rollback()
			continue
		}
		if err := t.commit(); err != nil {
			fail(ran, fmt.Errorf("commit: %w", err))
		}
		return
	}
}

// outOfRoom lists the operations that delete and found the disk full.
func outOfRoom(batch []*operation) []*operation {
	var out []*operation
	for _, op := range batch {
		if op.frees && errors.Is(diskError(op.err), ErrDiskFull) {
			out = append(out, op)
		}
	}
	return out
}

func fail(ops []*operation, err error) {
	for _, op := range ops {
		op.err = err
	}
}

// attempt runs an operation and turns a panic into its error, since a
// half-run batch must not take the other writers along.
func (t *txn) attempt(run func(*txn) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			t.writes++
			err = panicked(p)
		}
	}()
	return run(t)
}
