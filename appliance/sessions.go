package appliance

import (
	"context"
	"net"
	"sync"

	"pillarbox/appliance/directory"
	"pillarbox/storage"
)

// sessions knows which connection is logged in to which account, so that those
// of an account that was removed, or has another password, can be ended.
//
// A connection is known by the value of its RemoteAddr, which is a pointer that
// the network package made for it: two clients never share one, as they may
// share the address that it points to.
type sessions struct {
	mu      sync.Mutex
	open    map[net.Addr]*session
	changes uint64                       // counted up by each change
	changed map[storage.AccountID]uint64 // when an account changed last
}

type session struct {
	end     context.CancelFunc
	account storage.AccountID // "" before the log-in
}

func newSessions() *sessions {
	return &sessions{open: map[net.Addr]*session{}, changed: map[storage.AccountID]uint64{}}
}

// enter notes a connection; the context it returns ends with the session.
func (s *sessions) enter(ctx context.Context, remote net.Addr) (inner context.Context, leave func()) {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[remote] = &session{end: cancel}

	return ctx, func() {
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, remote)
	}
}

// now returns a mark for login, taken before the password is checked.
func (s *sessions) now() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.changes
}

// login notes whose session a connection has become; false if the account has
// changed since the mark, so that what was checked no longer holds.
func (s *sessions) login(remote net.Addr, account storage.AccountID, mark uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed[account] > mark {
		return false
	}
	if open := s.open[remote]; open != nil {
		open.account = account
	}

	return true
}

// follow ends the sessions that a change of the directory makes wrong.
func (s *sessions) follow(c directory.Change) {
	if c.What == directory.AccountAdded {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	s.changed[c.Account] = s.changes
	for _, open := range s.open {
		if open.account == c.Account {
			open.end()
		}
	}
}
