package imap

import (
	"time"

	"pillarbox/appliance/imap/wire"
)

// Limits bounds what a connection may cost. Zero fields mean the defaults.
type Limits struct {
	// ConnectionsPerAccount is how many sessions one account may have at a
	// time: 100. A phone opens one per watched folder, a desktop five, and a
	// person has several of each; dead IDLE connections count until they are
	// noticed.
	ConnectionsPerAccount int
	// Login is how long a client may take to log in: 90 s.
	Login time.Duration
	// Idle is how long a logged-in client may be silent: 30 min, the least
	// that RFC 9051, section 5.4 allows.
	Idle time.Duration
	// Stall is how long a client may neither send nor take anything in the
	// middle of a command: 2 min.
	Stall time.Duration
	// Command is how long a command may work without sending or receiving
	// anything: 2 min.
	Command time.Duration
	// KeepAlive is the time between two signs of life in IDLE: 2 min, since
	// some NAT boxes forget a silent connection after that time or little more.
	KeepAlive time.Duration
	// Progress is the time between two signs of life of a long search: 20 s;
	// the least patient clients wait for a minute.
	Progress time.Duration
	// LoginTries is how many log-ins may fail on one connection: 3.
	LoginTries int
	// LoginDelay is how long the answer to the first failed log-in is held
	// back, and by how much more each further one: 1 s.
	LoginDelay time.Duration
	// BadCommands is how many commands in a row may be refused with BAD: 20.
	BadCommands int
	// AppendSize is the largest message taken by APPEND, in octets: 50 MiB,
	// which is storage's default.
	AppendSize int64
	// AppendMessages is how many messages one APPEND may carry (RFC 3502): 256.
	AppendMessages int
}

func (l Limits) withDefaults() Limits {
	def(&l.ConnectionsPerAccount, 100)
	def(&l.Login, 90*time.Second)
	def(&l.Idle, 30*time.Minute)
	def(&l.Stall, 2*time.Minute)
	def(&l.Command, 2*time.Minute)
	def(&l.KeepAlive, 2*time.Minute)
	def(&l.Progress, 20*time.Second)
	def(&l.LoginTries, 3)
	def(&l.LoginDelay, time.Second)
	def(&l.BadCommands, 20)
	def(&l.AppendSize, 50<<20)
	def(&l.AppendMessages, 256)
	return l
}

func def[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// memberLimits bound what a client that has logged in may send in a command.
// A message that is refused after the client began to send it is passed over
// up to some more than the largest that would have been taken.
func (s *Server) memberLimits() wire.Limits {
	return wire.Limits{Drain: s.limits.AppendSize + s.limits.AppendSize/4}
}
