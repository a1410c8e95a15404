package importer

import (
	"sync"
	"time"
)

// Progress counts what happens, for people who wait. Its methods may be called
// from several goroutines; a nil Progress counts nothing.
type Progress struct {
	mu      sync.Mutex
	s       Snapshot
	seconds [rateSeconds]struct{ bytes, messages int64 }
	last    int64 // second of the newest
	first   int64 // second of the first message
	changed chan struct{}
}

// rateSeconds is over how long the rate is taken.
const rateSeconds = 15

// Phase says what is being done.
type Phase string

// The phases.
const (
	Listing   Phase = "listing"   // the mailboxes
	Moving    Phase = "moving"    //
	Verifying Phase = "verifying" //
	Waiting   Phase = "waiting"   // for the server, see Snapshot.Note
	Following Phase = "following" // for new mail
	Done      Phase = "done"      //
)

// Snapshot is how far the move of a person's mail is.
type Snapshot struct {
	Phase       Phase   `json:"phase"`
	Note        string  `json:"note,omitempty"` // for people: what it waits for
	Mailbox     string  `json:"mailbox,omitempty"`
	Mailboxes   int     `json:"mailboxes"`
	MailboxesIn int     `json:"mailboxes_done"`
	Messages    int64   `json:"messages"`      // of the source, as far as known
	MessagesIn  int64   `json:"messages_done"` // of those, that need no more work
	New         int64   `json:"new"`           // taken in this run
	Bytes       int64   `json:"bytes"`         // taken in this run
	Quarantined int64   `json:"quarantined"`
	PerSecond   float64 `json:"per_second"`       // messages
	BytesPerSec float64 `json:"bytes_per_second"` //
	SecondsLeft int64   `json:"seconds_left"`     // -1: not known
	Version     int64   `json:"version"`          // grows with each change
}

// NewProgress returns one at its start.
func NewProgress() *Progress { return &Progress{changed: make(chan struct{})} }

func (p *Progress) update(f func(s *Snapshot)) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.s)
	p.s.Version++
	if p.changed != nil {
		close(p.changed)
	}
	p.changed = make(chan struct{})
}

func (p *Progress) phase(ph Phase, note string) {
	p.update(func(s *Snapshot) { s.Phase, s.Note = ph, note })
}

// took counts messages that were put into a mailbox.
func (p *Progress) took(messages, bytes int64) {
	if p == nil {
		return
	}
	now := time.Now().Unix()
	p.update(func(s *Snapshot) {
		p.roll(now)
		p.seconds[now%rateSeconds].bytes += bytes
		p.seconds[now%rateSeconds].messages += messages
		s.New += messages
		s.Bytes += bytes
		s.MessagesIn += messages
	})
}

// passed counts messages that need nothing.
func (p *Progress) passed(n int64) { p.update(func(s *Snapshot) { s.MessagesIn += n }) }

// roll empties the seconds that passed without a message.
func (p *Progress) roll(now int64) {
	if p.first == 0 {
		p.first, p.last = now, now
	}
	for s := max(p.last+1, now-rateSeconds+1); s <= now; s++ {
		p.seconds[s%rateSeconds] = struct{ bytes, messages int64 }{}
	}
	p.last = max(p.last, now)
}

// Snapshot returns how far it is.
func (p *Progress) Snapshot() Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.s
	s.SecondsLeft = -1
	if p.first == 0 {
		return s
	}
	now := time.Now().Unix()
	p.roll(now)
	span := float64(min(rateSeconds, now-p.first+1))
	for _, b := range p.seconds {
		s.PerSecond += float64(b.messages) / span
		s.BytesPerSec += float64(b.bytes) / span
	}
	if s.PerSecond > 0 && s.Messages >= s.MessagesIn {
		s.SecondsLeft = int64(float64(s.Messages-s.MessagesIn)/s.PerSecond) + 1
	}
	if s.Messages <= s.MessagesIn && s.Phase != Listing {
		s.SecondsLeft = 0
	}
	return s
}

// Changed returns a channel that is closed at the next change.
func (p *Progress) Changed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}
