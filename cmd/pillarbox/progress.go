package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

const (
	quietTime = 700 * time.Millisecond // work that is done by then shows no progress
	lineEvery = 10 * time.Second       // between lines where there is no terminal
)

// progress shows how far long work is: as a bar on a terminal, as a line now
// and then elsewhere.
type progress struct {
	w        io.Writer
	tty      bool
	total    int64 // octets, or messages that are checked; 0 if not known
	done     int64
	messages int
	start    time.Time
	lastLine time.Time
	bar      *progressbar.ProgressBar
}

func newProgress(w io.Writer, total int64) *progress {
	now := time.Now()

	return &progress{w: w, tty: terminal(w) != nil, total: total, start: now, lastLine: now}
}

// step counts a message of n octets.
func (p *progress) step(n int64) {
	p.messages++
	p.done += max(n, 0)
	p.show(progressbar.OptionShowBytes(true))
}

// reach tells that done of total messages have been read.
func (p *progress) reach(done, total int64) {
	p.messages, p.done, p.total = int(done), done, total
	p.show(progressbar.OptionShowCount())
}

func (p *progress) show(unit progressbar.Option) {
	switch now := time.Now(); {
	case p.total == 0 || now.Sub(p.start) < quietTime:
	case !p.tty:
		if now.Sub(p.lastLine) >= lineEvery {
			p.lastLine = now
			fmt.Fprintf(p.w, "%s, %d %% done\n", plural(p.messages, "message"), min(100, 100*p.done/p.total))
		}
	default:
		if p.bar == nil {
			p.bar = progressbar.NewOptions64(p.total,
				progressbar.OptionSetWriter(p.w),
				unit,
				progressbar.OptionThrottle(100*time.Millisecond),
				progressbar.OptionClearOnFinish(),
				progressbar.OptionSetWidth(30),
			)
		}
		p.bar.Describe(plural(p.messages, "message"))
		_ = p.bar.Set64(min(p.done, p.total)) // a bar that cannot be drawn stops no work
	}
}

// say prints a line without disturbing the bar.
func (p *progress) say(format string, args ...any) {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	fmt.Fprintf(p.w, format, args...)
}

// finish removes the bar.
func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
