package webui

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// batchWaits is how long the form waits for the end, so that a short list is
	// there at once.
	batchWaits = 2 * time.Second
	// batchShown is how long the passwords can be looked at again, as after a reload.
	batchShown = 15 * time.Minute
)

// batches are the lists of people that are being added or were added just now,
// by the session that sent them. They are nowhere but in memory: they have
// passwords. Its methods may be called at once.
type batches struct {
	now func() time.Time

	mu  sync.Mutex
	all map[string]*batch
	wg  sync.WaitGroup
}

// batch is a list of people.
type batch struct {
	Total   int
	Made    []newcomer
	Skipped []wrongLine
	Ended   time.Time // zero while it runs
}

// Done is how many have had their turn.
func (b *batch) Done() int { return len(b.Made) + len(b.Skipped) }

// Percent is that in percent.
func (b *batch) Percent() int { return 100 * b.Done() / max(1, b.Total) }

// begin adds people beside whoever asked for it; false if their last list is
// still under way. ended tells of the end.
func (s *batches) begin(session string, rows []newcomer, add func(newcomer) error) (ended chan struct{}, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, b := range s.all {
		if !b.Ended.IsZero() && s.now().Sub(b.Ended) > batchShown {
			delete(s.all, id)
		}
	}
	if b := s.all[session]; b != nil && b.Ended.IsZero() {
		return nil, false
	}
	if s.all == nil {
		s.all = map[string]*batch{}
	}
	b := &batch{Total: len(rows)}
	s.all[session] = b
	ended = make(chan struct{})
	s.wg.Go(func() {
		defer close(ended)
		for _, n := range rows {
			err := add(n)
			s.mu.Lock()
			if err != nil {
				b.Skipped = append(b.Skipped, wrongLine{n.Line, n.Address, sentence(err.Error())})
			} else {
				b.Made = append(b.Made, n)
			}
			s.mu.Unlock()
		}
		s.mu.Lock()
		b.Ended = s.now()
		s.mu.Unlock()
	})

	return ended, true
}

// look returns a session's list as it is now, nil if there is none.
func (s *batches) look(session string) *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.all[session]
	if b == nil || !b.Ended.IsZero() && s.now().Sub(b.Ended) > batchShown {
		return nil
	}
	copied := *b
	copied.Made, copied.Skipped = slices.Clone(b.Made), slices.Clone(b.Skipped)

	return &copied
}

// forget forgets a list that has ended.
func (s *batches) forget(session string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.all[session]; b != nil && !b.Ended.IsZero() {
		delete(s.all, session)
	}
}

// addBatch adds people, which goes on when the browser has gone.
func (v *visit) addBatch(rows []newcomer, quota int64) (ok bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.ctx()), longAnswer)
	s, by := v.s, v.caller()
	ended, ok := s.batches.begin(v.who.ID, rows, func(n newcomer) error {
		select {
		case <-s.stopping:
			return errors.New("the box was stopped meanwhile")
		default:
		}
		err := s.call(ctx, by, http.MethodPost, "/v1/accounts", map[string]any{
			"address": n.Address, "name": n.Name, "password": n.Password, "quota": quota,
		}, nil)
		var api *APIError
		if err != nil && !errors.As(err, &api) {
			s.log.ErrorContext(ctx, "a person of a list was not added", "account", n.Address, "err", err)
			err = errors.New("something went wrong on the box; it is in the log")
		}
		return err
	})
	if !ok {
		cancel()
		return false
	}
	go func() {
		<-ended
		cancel()
	}()
	wait := time.NewTimer(batchWaits)
	defer wait.Stop()
	select {
	case <-ended:
	case <-wait.C:
	}

	return true
}

const batchTitle = "The new people"

func (v *visit) peopleAdded() error {
	b := v.s.batches.look(v.who.ID)
	if b == nil {
		v.seeOther("/people")
		return nil
	}

	return v.show("peopleadded", batchTitle, b)
}

func (v *visit) peopleAddedLive() error {
	return v.stream(time.Second, func() (string, error) {
		b := v.s.batches.look(v.who.ID)
		if b == nil {
			return "", nil
		}
		return v.piece("peopleadded", "added", b)
	})
}

// peopleNoted forgets the passwords.
func (v *visit) peopleNoted() error {
	v.s.batches.forget(v.who.ID)
	v.seeOther("/people")

	return nil
}
