package webui

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Bounds of live parts: how long an answer lasts until the browser asks anew,
// which shows whether somebody is still signed in, and how many there are.
const (
	streamLasts = 10 * time.Minute
	longAnswer  = 15 * time.Minute
	maxStreams  = 100
	// One user has some pages open, each in a few browsers.
	maxOwnStreams = 20
)

// stream sends what again returns, now and whenever it has become another, as
// server-sent events. It is asked at each tick.
func (v *visit) stream(every time.Duration, again func() (string, error)) error {
	user := ""
	if v.who != nil {
		user = v.who.User
	}
	if !v.s.streams.take(user) {
		v.w.Header().Set("Retry-After", "60")
		http.Error(v.w, "Too many pages are open.", http.StatusServiceUnavailable)
		return nil
	}
	defer v.s.streams.give(user)
	v.deadline(longAnswer)
	v.w.Header().Set("Content-Type", "text/event-stream")
	if http.NewResponseController(v.w).Flush() != nil { // the first event may be long in coming
		return nil
	}
	tick, end := time.NewTicker(every), time.NewTimer(streamLasts)
	defer tick.Stop()
	defer end.Stop()
	before := ""
	for {
		text, err := again()
		if err != nil {
			v.s.log.WarnContext(v.ctx(), "a live part of the web page ends", "path", v.r.URL.Path, "err", err)
			return nil
		}
		if text != before {
			before = text
			if _, err := io.WriteString(v.w, event(text)); err != nil {
				return nil // the browser has gone
			}
			if http.NewResponseController(v.w).Flush() != nil {
				return nil
			}
		}
		select {
		case <-tick.C:
			if v.who != nil && !v.s.sessions.lives(v.who.ID) {
				return nil
			}
		case <-end.C:
			return nil
		case <-v.ctx().Done():
			return nil
		case <-v.s.stopping:
			return nil
		}
	}
}

// event writes a text as one.
func event(text string) string {
	var b strings.Builder
	// A bare CR ends a line of the stream as well.
	for line := range strings.SplitSeq(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n") {
		b.WriteString("data: " + line + "\n")
	}
	b.WriteString("\n")

	return b.String()
}

// streams counts the live parts that are open, in all and of each user.
type streams struct {
	mu  sync.Mutex
	all int
	by  map[string]int
}

func (s *streams) take(user string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxStreams || s.by[user] >= maxOwnStreams {
		return false
	}
	s.all++
	s.by[user]++

	return true
}

func (s *streams) give(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.by[user]--; s.by[user] == 0 {
		delete(s.by, user)
	}
}
