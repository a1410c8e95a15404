package webui

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Bounds of live parts: how long an answer lasts until the browser asks anew,
// which shows whether somebody is still signed in, and how many there are.
const (
	streamLasts = 10 * time.Minute
	longAnswer  = 15 * time.Minute
	maxStreams  = 100
)

// stream sends what again returns, now and whenever it has become another, as
// server-sent events. It is asked at each tick.
func (v *visit) stream(every time.Duration, again func() (string, error)) error {
	if !v.s.streams.take() {
		v.w.Header().Set("Retry-After", "60")
		http.Error(v.w, "Too many pages are open.", http.StatusServiceUnavailable)
		return nil
	}
	defer v.s.streams.give()
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
			if before = text; v.event(text) != nil {
				return nil // the browser has gone
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

// event sends one.
func (v *visit) event(text string) error {
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		b.WriteString("data: " + strings.TrimRight(line, "\r") + "\n")
	}
	b.WriteString("\n")
	if _, err := fmt.Fprint(v.w, b.String()); err != nil {
		return err
	}

	return http.NewResponseController(v.w).Flush()
}

// places are how many of something there may be at once.
type places chan struct{}

func (p places) take() bool {
	select {
	case p <- struct{}{}:
		return true
	default:
		return false
	}
}

func (p places) give() { <-p }
