package netcfg

import "context"

// settled is how far the passes have come. Manager.mu is held.
type settled struct {
	asked int           // how often other settings were Set
	tried int           // the newest of these that a pass has worked on
	next  chan struct{} // closed after the next pass; nil if nobody waits

	problems []error // of the last pass: what stood in the way
	refused  error   // and what the kernel would not do
}

// asking returns the number of the settings that a pass is about to work on.
func (m *Manager) asking() int {
	m.mu.Lock()
	defer m.mu.Unlock()

	return m.settled.asked
}

// settle tells that a pass has worked on settings.
func (m *Manager) settle(asked int, problems []error, refused error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.settled
	s.tried, s.problems, s.refused = asked, problems, refused
	if s.next != nil {
		close(s.next)
		s.next = nil
	}
}

// Settle waits until a pass has worked on the settings that were Set last, and
// the network is as they say as far as that can be; what DHCP gives comes later.
// It returns what stands in the way, and as an error what the kernel would not
// do.
func (m *Manager) Settle(ctx context.Context) (problems []error, err error) {
	m.mu.Lock()
	asked := m.settled.asked
	for m.settled.tried < asked {
		if m.settled.next == nil {
			m.settled.next = make(chan struct{})
		}
		next := m.settled.next
		m.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-next:
		}
		m.mu.Lock()
	}
	defer m.mu.Unlock()

	return m.settled.problems, m.settled.refused
}
