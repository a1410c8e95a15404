package mdns

import (
	"net/netip"
	"time"
)

// Rates, in packets a second, and how many may come at once. An office's
// machines together send less than a hundred a second when all are switched on.
const (
	packetRate, packetBurst       = 100, 200 // that are read, of one source
	allPacketRate, allPacketBurst = 1000, 2000
	answerRate, answerBurst       = 20, 60 // that are caused, of one source
	allAnswerRate, allAnswerBurst = 200, 400

	// maxSources bounds the sources that are told apart; those beyond share.
	maxSources = 512
	sourceIdle = 15 * time.Second // longer than the fullest bucket takes to fill
)

// bucket holds what a source may still cause. The zero value is full.
type bucket struct {
	spent float64
	at    time.Time
}

func (b *bucket) take(now time.Time, rate, burst float64) bool {
	b.spent = max(0, b.spent-rate*now.Sub(b.at).Seconds())
	b.at = now
	if b.spent+1 > burst {
		return false
	}
	b.spent++

	return true
}

type source struct {
	packets, answers bucket
	seen             time.Time
}

// limits keeps sources within their bounds.
type limits struct {
	all     source
	others  source // those that there was no room for
	sources map[netip.Addr]*source
	swept   time.Time
}

func (l *limits) of(now time.Time, a netip.Addr) *source {
	if l.sources == nil {
		l.sources = map[netip.Addr]*source{}
	}
	s := l.sources[a]
	if s == nil {
		l.sweep(now)
		if len(l.sources) >= maxSources {
			return &l.others
		}
		s = &source{}
		l.sources[a] = s
	}
	s.seen = now

	return s
}

// sweep forgets sources that were silent, at most once a second.
func (l *limits) sweep(now time.Time) {
	if len(l.sources) < maxSources || now.Sub(l.swept) < time.Second {
		return
	}
	l.swept = now
	for a, s := range l.sources {
		if now.Sub(s.seen) > sourceIdle {
			delete(l.sources, a)
		}
	}
}

// packet tells whether a packet may be read.
func (l *limits) packet(now time.Time, from netip.Addr) bool {
	return l.of(now, from).packets.take(now, packetRate, packetBurst) && l.all.packets.take(now, allPacketRate, allPacketBurst)
}

// answer tells whether a packet may cause an answer.
func (l *limits) answer(now time.Time, from netip.Addr) bool {
	return l.of(now, from).answers.take(now, answerRate, answerBurst) && l.all.answers.take(now, allAnswerRate, allAnswerBurst)
}
