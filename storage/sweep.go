package storage

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
)

// sweeper unlinks the body files of expunged messages, so that an EXPUNGE
// need not wait for it. What it does not get to before a crash stands in
// garbageBucket. It also clears the pool of bodies that no account has any
// more, because an account was removed or a crash cut a delivery off.
type sweeper struct {
	store *Store
	wg    sync.WaitGroup

	mu      sync.Mutex
	more    sync.Cond
	jobs    []sweepJob
	pool    bool // is to be looked through
	stopped bool
}

type sweepJob struct {
	account *Account
	keys    [][]byte
}

func startSweeper(s *Store) *sweeper {
	w := &sweeper{store: s, pool: true}
	w.more.L = &w.mu
	w.wg.Add(1)
	go w.run()
	return w
}

// add takes keys of garbageBucket over; their transaction is committed.
func (w *sweeper) add(a *Account, keys [][]byte) {
	if len(keys) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.jobs = append(w.jobs, sweepJob{a, keys})
	w.more.Signal()
}

func (w *sweeper) run() {
	defer w.wg.Done()
	for {
		w.mu.Lock()
		for len(w.jobs) == 0 && !w.pool && !w.stopped {
			w.more.Wait()
		}
		if w.stopped {
			w.mu.Unlock()
			return
		}
		if len(w.jobs) == 0 {
			w.pool = false
			w.mu.Unlock()
			w.clearPool()
			continue
		}
		job := w.jobs[0]
		w.jobs = w.jobs[1:]
		w.mu.Unlock()
		w.sweep(job)
	}
}

func (w *sweeper) sweep(job sweepJob) {
	a, cleared := job.account, job.keys[:0]
	for _, k := range job.keys {
		a.sweeping.Lock()
		if a.ended { // its next start does the rest
			a.sweeping.Unlock()
			return
		}
		err := a.removeGarbage(k)
		a.sweeping.Unlock()
		if err != nil {
			w.store.log.Error("removing an expunged body", "account", a.id, "err", err)
			continue
		}
		cleared = append(cleared, k)
	}
	a.sweeping.Lock()
	if a.ended {
		a.sweeping.Unlock()
		return
	}
	err := a.syncGarbage(cleared)
	a.sweeping.Unlock()
	if err != nil {
		w.store.log.Error("removing expunged bodies", "account", a.id, "err", err)
		return // the next start does it again
	}
	a.writing.Lock()
	a.cleared = append(a.cleared, cleared...)
	a.writing.Unlock()
}

// sweepPool asks for the pool to be cleared.
func (w *sweeper) sweepPool() {
	w.mu.Lock()
	w.pool = true
	w.more.Signal()
	w.mu.Unlock()
}

func (w *sweeper) clearPool() {
	err := filepath.WalkDir(filepath.Join(w.store.dir, "pool"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		w.mu.Lock()
		stopped := w.stopped
		w.mu.Unlock()
		if stopped {
			return filepath.SkipAll
		}
		releasePooled(path)
		return nil
	})
	if err != nil {
		w.store.log.Error("clearing the pool of bodies", "err", err)
	}
}

// stop leaves what is queued to the next start.
func (w *sweeper) stop() {
	w.mu.Lock()
	w.stopped = true
	w.more.Signal()
	w.mu.Unlock()
	w.wg.Wait()
}

// removeGarbage unlinks the body file that a key of garbageBucket names. One
// that is gone already is as good. The caller puts the key into cleared, and
// the next transaction takes it out.
func (a *Account) removeGarbage(key []byte) error {
	if len(key) != 8+len(bodyHash{}) {
		return ErrCorrupt
	}
	id, h := DataID(binary.BigEndian.Uint64(key)), bodyHash(key[8:])
	if err := a.store.removeBody(a.bodyPath(id, h), h); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncGarbage makes the removal of these body files durable. Should a power cut
// bring one back after its key is gone, nobody would ever look for it.
func (a *Account) syncGarbage(keys [][]byte) error {
	synced := map[string]bool{}
	for _, k := range keys {
		folder := a.bodyFolder(DataID(binary.BigEndian.Uint64(k)))
		if synced[folder] {
			continue
		}
		if err := syncDir(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		synced[folder] = true
	}
	return nil
}
